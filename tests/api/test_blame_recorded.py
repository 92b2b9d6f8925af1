"""`GET /blame` of runs that the SDK recorded: what rules and ranks of the usual code shapes say, and do not say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.wire.codec import pack_batch, pack_record

BATCHES = count(1)
# Price and whether it is premium.
ITEMS = {"a": (90.0, False), "b": (190.0, True), "c": (80.0, False), "d": (170.0, False)}


def send(api: TestClient, captured: testing.Capture) -> str:
    body = pack_batch("blame", next(BATCHES), "default", map(pack_record, captured.records))
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()
    assert answer["rejected"] == [], answer
    return captured.runs[0].run_id


def blamed(api: TestClient, run_id: str, label: str, item: str) -> dict[str, Any]:
    assert api.post(f"/runs/{run_id}/labels", json={"label": label, "item_id": item}).status_code == 201
    found: dict[str, Any] = api.get("/blame", params={"pipeline": "shop"}).json()
    return found


def sift(api: TestClient, passes: Callable[[Any, Any, str], bool], chosen: str) -> str:
    """A search, a filter of two rules, and a choice."""
    with testing.capture() as captured, XRay("shop").run(input=1) as run:
        with run.step("search", "retrieve") as step:
            for item in ITEMS:
                step.produce(item)
        with run.step("keep", "filter") as step:
            step.set_input_count(len(ITEMS))
            price = step.require("price", "<=", 100, reason="dear")
            premium = step.require("premium", "==", True, reason="plain")
            left = [item for item in ITEMS if passes(price, premium, item)]
            for item in left:
                step.accept(item, evidence=dict(zip(("price", "premium"), ITEMS[item], strict=True)))
        with run.step("choose", "select") as step:
            step.set_input_count(len(left))
            step.decide("pick", chosen, score=1.0, alternatives=[item for item in left if item != chosen])
    return send(api, captured)


def either(price: Any, premium: Any, item: str) -> bool:
    return price.passes(item, ITEMS[item][0]) or premium.passes(item, ITEMS[item][1])


def both(price: Any, premium: Any, item: str) -> bool:
    asked = [price.passes(item, ITEMS[item][0]), premium.passes(item, ITEMS[item][1])]
    return any(asked)


@pytest.mark.parametrize("item", ["a", "b"])
def test_where_one_of_two_rules_may_be_enough_neither_is_held_against_an_item(api: TestClient, item: str) -> None:
    found = blamed(api, sift(api, either, item), "wrong", item)
    (left,) = found["unknown"]
    assert found["faults"] == []
    assert left["cause"] == "ambiguous"
    assert left["detail"].startswith("keep asked premium == true only of what had failed another rule")


def test_where_every_rule_is_asked_of_all_the_one_that_failed_is_held_against_an_item(api: TestClient) -> None:
    found = blamed(api, sift(api, both, "b"), "wrong", "b")
    assert [(one["step_name"], one["class"], one["detail"]) for one in found["faults"]] == [
        ("keep", "too_lenient", "kept b, which failed price <= 100")
    ]


def ranked(api: TestClient, reason: str, scored: bool, step_type: str = "rank") -> str:
    """A step that keeps the best two, and rejects the others itself."""
    points = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1}
    with testing.capture() as captured, XRay("shop").run(input=1) as run:
        with run.step("search", "retrieve") as step:
            for item in points:
                step.produce(item)
        with run.step("best", step_type) as step:
            step.set_input_count(len(points))
            for item, score in points.items():
                if scored:
                    step.score(item, score)
                if score >= 0.8:
                    step.accept(item)
                else:
                    step.reject(item, reason)
        with run.step("choose", "select") as step:
            step.set_input_count(2)
            step.decide("pick", "a", score=0.9, alternatives=["b"])
    return send(api, captured)


@pytest.mark.parametrize(
    ("reason", "scored", "step_type", "kind"),
    [
        ("below_top_k", False, "rank", "mis_ranked"),
        ("below_top_k", True, "filter", "mis_ranked"),
        ("not enough", True, "rank", "mis_ranked"),  # by its scores it cuts
        ("not enough", False, "rank", "too_strict"),
        ("not enough", True, "filter", "too_strict"),
        ("stop_word", False, "filter", "too_strict"),
    ],
)
def test_a_cut_that_rejects_has_ranked(api: TestClient, reason: str, scored: bool, step_type: str, kind: str) -> None:
    found = blamed(api, ranked(api, reason, scored, step_type), "expected", "d")
    assert [(one["step_name"], one["class"]) for one in found["faults"]] == [("best", kind)]
