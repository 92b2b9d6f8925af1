"""What no pipeline means to record costs its caller little: a billion nested leaves, a text given for a list."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk import channel as channels
from dxray.sdk.step import Step
from dxray.testing import Capture

LONG = "x" * 5_000_000
QUICK_S = 2.0


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


@pytest.fixture
def xray(captured: Capture) -> XRay:
    return XRay("shop", capture="full")


def billion() -> Any:
    """A list of a billion leaves, in a kilobyte."""
    value: Any = [1] * 10
    for _ in range(8):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    "verb",
    [
        lambda step, v: step.accept(v),
        lambda step, v: step.reject("h", v),
        lambda step, v: step.produce("h", parents=[v]),
        lambda step, v: step.produce("h", kind=v),
        lambda step, v: step.refer("h", v),
        lambda step, v: step.decide("d", "h", reason=v),
        lambda step, v: step.decide("d", v),
        lambda step, v: step.require("f", v, 1).passes("h", 1),
        lambda step, v: step.filtered(["m", v], ["m"], "r"),
        lambda step, v: step.set_metadata("k", v),
    ],
)
def test_a_billion_leaves_are_never_walked(captured: Capture, xray: XRay, verb: Callable[[Step, Any], None]) -> None:
    start = time.monotonic()
    with xray.run() as run, run.step("f") as step:
        step.accept("before")
        verb(step, billion())
        step.accept("after")
    assert {"before", "after"} <= set(captured.outcomes("f"))
    assert time.monotonic() - start < QUICK_S


def test_an_exception_that_holds_a_billion_leaves_is_named(captured: Capture, xray: XRay) -> None:
    start = time.monotonic()
    with suppress(KeyError), xray.run() as run, run.step("f"):
        raise KeyError("k", billion())
    assert '"message":"\'k\', <list>"' in (captured.steps[0].error or "")
    assert time.monotonic() - start < QUICK_S


@pytest.mark.parametrize("name", ["accept_many", "produce_many"])
def test_a_text_is_no_column(captured: Capture, xray: XRay, name: str) -> None:
    with xray.run() as run, run.step("f") as step:
        getattr(step, name)("abc")
        step.accept("a")
    assert captured.outcomes("f") == {"a": "accepted"}
    assert captured.losses == {"not_recorded": 1}


def test_a_long_text_is_cut_wherever_it_is_given(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        with run.step(LONG, after=LONG) as step:  # type: ignore[arg-type]
            step.reject_many(["a"], LONG)
            step.require_all([("f", "<=", 1), LONG])
        with run.step("decided") as step:
            step.decide("d", "w", alternatives=LONG)
            step.produce_many(["produced"], parents=b"one parent")
    assert len(captured.steps[0].name) == 1024
    assert [len(earlier) for earlier in captured.steps[0].after or []] == [1024]
    assert len(captured.events[0].reason or "") == 65_536
    assert {len(item): outcome for item, outcome in captured.outcomes("decided").items()} == {
        65_536: "outranked", 1: "selected", 8: "produced", 13: "consumed",
    }  # fmt: skip


def test_every_verdict_of_a_choice_among_very_many_is_kept(captured: Capture, xray: XRay) -> None:
    n = 30_000
    with xray.run() as run:
        with run.step("one") as step:
            step.decide("pick", selected="7", alternatives=[str(i) for i in range(n)])
        with run.step("many") as step:
            step.decide("pick", selected=[*range(n), *range(n)])
        with run.step("nobody") as step:
            step.decide("pick", selected="a", alternatives=[{"score": 1.0}, {"id": "b"}])
    assert Counter(captured.outcomes("one").values()) == {"outranked": n - 1, "selected": 1}
    assert Counter(captured.outcomes("many").values()) == {"selected": n}
    assert captured.outcomes("nobody") == {"a": "selected", "b": "outranked"}
    assert len(captured.decisions[1].selected) == 10_000
    assert captured.losses == {"truncated": 2, "not_recorded": 1}


def test_a_capture_leaves_the_users_spool_alone(tmp_path: Path) -> None:
    waiting = XRay("shop", api_url="http://127.0.0.1:9", spool_dir=str(tmp_path))
    with waiting.run() as run, run.step("f") as step:
        step.accept("a")
    waiting.flush(0.2)
    channel = waiting._channel
    assert channel is not None
    before = sorted(path.name for path in tmp_path.rglob("*.seg"))
    with dxray.testing.capture() as captured:
        again = XRay("shop", api_url="http://127.0.0.1:9", spool_dir=str(tmp_path))
        with again.run() as run, run.step("f") as step:
            step.accept("b")
        assert captured.outcomes("f") == {"b": "accepted"}
    assert before and sorted(path.name for path in tmp_path.rglob("*.seg")) == before
    for key in [key for key, one in channels._channels.items() if one is channel]:
        channels._channels.pop(key).close(0.1)
