"""OpenTelemetry beside: runs carry the active trace, steps the active span; and runs as spans, where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dxray.integrations.adapter import Handle, known, needed
from dxray.sdk import run as sdk_run
from dxray.sdk.xray import XRay

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

    from dxray.sdk.ledger import Ledger
    from dxray.sdk.run import Run
    from dxray.sdk.step import Step

API = ("opentelemetry-api", (1, 30), (2,))
SPAN_ID = "otel_span_id"

_handle = Handle()


def instrument(
    xray: XRay | None = None,
    link_template: str | None = None,
    *,
    export: bool = False,
    tracer_provider: TracerProvider | None = None,
) -> Handle:
    """Runs that begin here carry the trace that is active, their steps the span; `off()` of the handle ends that.

    Of `xray`'s pipeline only, where one is given. `link_template`, such as `https://host/trace/{trace_id}`, becomes the
    run's metadata `trace_url`. With `export` a run that ends becomes spans of `tracer_provider` (by default the global
    one), without its items. A second call takes the place of the first. Raises `ImportError` where the package
    opentelemetry-api is not installed, and `ValueError` for a link that is not http or https.
    """
    global _handle
    needed("opentelemetry.trace", "otel")
    if link_template is not None and not link_template.startswith(("http://", "https://")):
        raise ValueError("a link template begins with http:// or https://")
    if not known(*API):
        return Handle()
    from opentelemetry import trace

    from dxray.integrations.otel_spans import Exporter

    _handle.off()
    tracer: Tracer | None = trace.get_tracer("dxray", tracer_provider=tracer_provider) if export else None
    beside = _Beside(None if xray is None else xray.pipeline, link_template, Exporter(tracer) if tracer else None)
    sdk_run.beside = beside

    def off() -> None:
        if sdk_run.beside is beside:
            sdk_run.beside = None

    _handle = Handle(off)
    return _handle


def export_runs(xray: XRay | None = None, tracer_provider: TracerProvider | None = None) -> Handle:
    """`instrument(..., export=True)`: each run that ends becomes spans of the user's tracer provider."""
    return instrument(xray, export=True, tracer_provider=tracer_provider)


def active_ids() -> tuple[str, str] | None:
    """Trace id and span id of the span the code is in, in hex; None outside of any."""
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else None


class _Beside:
    """Hears of runs and steps. The SDK's guard is around each call."""

    def __init__(self, pipeline: str | None, link: str | None, exporter: Any) -> None:
        self._pipeline = pipeline
        self._link = link
        self._exporter = exporter

    def _is_ours(self, run: Run) -> bool:
        return self._pipeline is None or run._pipeline == self._pipeline

    def run_began(self, run: Run) -> None:
        if not self._is_ours(run):
            return
        if self._exporter is not None:
            self._exporter.began(run)
        found = active_ids()
        if found is not None and run._trace_id is None:
            run._trace_id = found[0]
        if run._trace_id is not None:
            self._set_link(run)

    def step_began(self, step: Step) -> None:
        if not self._is_ours(step._run):
            return
        found = active_ids()
        if found is not None:
            step.set_metadata(SPAN_ID, found[1])
        if self._exporter is not None:
            self._exporter.counts(step)

    def step_ended(self, step: Ledger) -> None:
        if self._exporter is not None and self._is_ours(step._run):
            self._exporter.ended(step)

    def run_ended(self, run: Run) -> None:
        if self._exporter is None or not self._is_ours(run):
            return
        trace_id = self._exporter.export(run)
        if trace_id is not None and run._trace_id is None:
            run._trace_id = trace_id
            self._set_link(run)

    def _set_link(self, run: Run) -> None:
        if self._link is not None:
            run.set_metadata("trace_url", self._link.replace("{trace_id}", quote(run._trace_id or "", safe="")))


__all__: Sequence[str] = ["active_ids", "export_runs", "instrument"]
