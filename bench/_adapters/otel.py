"""OpenTelemetry: a run of ten steps inside a span, with and without the ids of the trace."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider

from dxray import XRay, instrument_otel
from dxray.testing import capture

RUNS = 200
STEPS = 10


def rows() -> list[tuple[str, float, float, int]]:
    """Seconds without and with the adapter, by turns, the best of each; a call is a step."""
    tracer = TracerProvider().get_tracer("bench")

    def loop() -> float:
        with capture():
            xray = XRay("bench")
            began = time.perf_counter()
            for _ in range(RUNS):
                with tracer.start_as_current_span("request"), xray.run() as run:
                    for _ in range(STEPS):
                        with run.step("step") as step:
                            step.accept("x")
            return time.perf_counter() - began

    def beside() -> float:
        with instrument_otel():
            return loop()

    best: dict[Callable[[], float], float] = {}
    for _ in range(7):
        for one in (loop, beside):
            best[one] = min(one(), best.get(one, 1e9))
    return [("opentelemetry: ids of the active span", best[loop], best[beside], RUNS * STEPS)]
