"""Ids, choices and columns of kinds that are not the usual: no verdict is lost without being counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk import channel as channels
from dxray.sdk.offline import sync_spool
from dxray.testing import Capture
from dxray.wire.records import Events, Op


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


@pytest.fixture
def xray(captured: Capture) -> XRay:
    return XRay("shop", capture="full")


@dataclass
class Facts:
    price: float = 1.0


def test_items_are_told_apart_by_their_whole_ids(captured: Capture, xray: XRay) -> None:
    long = "x" * 1100
    with xray.run() as run:
        with run.step("tuples") as step:
            step.decide("d", [("a", 1)], alternatives=[("b", 2), ("c", 3)])
        with run.step("long") as step:
            step.decide("d", long + "1", alternatives=[long + "2"])
        with run.step("parents") as step:
            step.produce("m", parents=[("a", 1), ("b", 2)])
    counts = {name: Counter(captured.outcomes(name).values()) for name in ("tuples", "long", "parents")}
    assert counts["tuples"] == {"selected": 1, "outranked": 2}
    assert counts["long"] == {"selected": 1, "outranked": 1}
    assert counts["parents"] == {"produced": 1, "consumed": 2}
    assert captured.losses == {}


def test_alternatives_may_be_scores_by_id(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        step.decide("d", "a", alternatives={"b": 0.5, "c": 0.4})
    assert captured.outcomes("f") == {"a": "selected", "b": "outranked", "c": "outranked"}


def test_evidence_of_an_odd_kind_keeps_the_lineage(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        step.produce("x", "n", ["p"], evidence=Facts())
    rows = [
        a
        for one in captured.records
        if isinstance(one, Events)
        for op, a in zip(one.ops, one.a if isinstance(one.a, list) else [one.a] * len(one.ops), strict=True)
        if op == Op.PRODUCED_WITH
    ]
    assert rows == [["n", ["p"], None]]


def test_what_bulk_calls_lose_is_counted(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        assert step.mask([{"x": 1}, {"x": 2}], [True, False], "r") == [{"x": 1}]
        step.produce_many(["a", "b", "c"], parents=["p"], evidence={"x": [1]})
        step.produce_many("abc", parents=["p"])
        step.produce_many(["d"], ["named"], ["p"], {"x": [1]})
    assert captured.losses == {"not_recorded": 2 + 1, "truncated": 3}
    assert captured.outcomes("f") == dict.fromkeys("abcd", "produced") | {"p": "consumed"}


def test_captures_inside_each_other_leave_the_users_spool_alone(tmp_path: Path) -> None:
    waiting = XRay("shop", api_url="http://127.0.0.1:9", spool_dir=str(tmp_path))
    with waiting.run() as run, run.step("f") as step:
        step.accept("a")
    for key in [key for key, one in channels._channels.items() if one is waiting._channel]:
        channels._channels.pop(key).close(0.2)
    before = sorted(path.name for path in tmp_path.rglob("*.seg"))
    with dxray.testing.capture() as outer:
        with dxray.testing.capture() as inner:
            pass
        again = XRay("shop", api_url="http://127.0.0.1:9", spool_dir=str(tmp_path))
        with again.run() as run, run.step("f") as step:
            step.accept("b")
        assert outer.outcomes("f") == {"b": "accepted"}
        assert inner.records == []
        assert sync_spool(tmp_path, "http://127.0.0.1:9") == {"synced": 0, "failed": 0}
    assert before
    assert sorted(path.name for path in tmp_path.rglob("*.seg")) == before
    assert sync_spool(tmp_path, "http://127.0.0.1:9")["failed"] == 1  # the server is away, and that is found out
