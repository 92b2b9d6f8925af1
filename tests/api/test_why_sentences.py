"""What a why says of rules that were overruled, missing and odd values, mistakes of recording, and failed runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from starlette.testclient import TestClient

import dxray.testing
from dxray import XRay
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Loss

ZSTD = {"content-encoding": "zstd"}


@pytest.fixture
def record(api: TestClient) -> Callable[..., Callable[[str], dict[str, Any]]]:
    """Record a pipeline through the SDK; the questions that it can be asked."""

    def recorded(pipeline: Callable[[Any], None], *losses: tuple[str, str | None]) -> Callable[[str], dict[str, Any]]:
        with dxray.testing.capture() as captured:
            try:
                with XRay("dinner").run(run_id="r") as run:
                    pipeline(run)
            except ValueError:
                pass
            records = [*captured.records, *(Loss(run_id="r", cause=cause, n=1, step_id=step) for cause, step in losses)]
        body = pack_batch("me", 1, "default", map(pack_record, records))
        assert api.post("/ingest", content=body, headers=ZSTD).json()["rejected"] == []
        return lambda item: api.get("/runs/r/why", params={"item": item}).json()  # type: ignore[no-any-return]

    return recorded


def test_an_item_that_was_accepted_although_it_failed_a_rule(record: Any) -> None:
    def pipeline(run: Any) -> None:
        with run.step("keep", "filter") as step:
            cap = step.require("price", "<=", 100, "dear")
            stars = step.require("stars", ">=", 3, "bad")
            for item, price in (("a", 500), ("b", None), ("c", 50), ("d", 500)):
                cap.passes(item, price)
                stars.passes(item, 4)
                step.accept(item)
            cap.passes("d", 90)  # asked again, of a price that was corrected
            step.accept("d")

    why = record(pipeline)
    assert why("a")["sentence"].endswith("keep accepted it although it failed price <= 100 (was 500).")
    assert [(rule["field"], rule["observed"]) for rule in why("a")["also_failed"]] == [("price", 500)]
    assert why("b")["sentence"].endswith("although it failed price <= 100 (was missing).")
    for item in "cd":
        assert "failed" not in why(item)["sentence"]
        assert why(item)["also_failed"] == []


@pytest.mark.parametrize(
    ("op", "threshold", "value", "said"),
    [
        ("<=", 100, "12", 'price was the text "12", which cannot be compared with 100; the rule is price <= 100'),
        ("<", "b", 12, 'price was 12, which cannot be compared with "b"; the rule is price < b'),
        ("between", [1, 5], "3", 'price was the text "3", which cannot be compared with 1, 5'),
        (">", 1, {"eur": 3}, "price was the value {'eur': 3}, which cannot be compared with 1"),
        ("<=", 100, None, "(price was missing, the rule is price <= 100)"),
        ("==", "a", None, "(price was missing, the rule is price == a)"),
        ("==", "a", "b", "(price was b, the rule is price == a)"),
        ("in", ["a"], "b", "(price was b, the rule is price in a)"),
        ("<=", 100, 500, "(price was 500, the rule is price <= 100; it missed by 400)"),
        ("<=", 100, math.nan, "(price was NaN, which cannot be compared; the rule is price <= 100"),
        ("<=", 100, math.inf, "(price was Infinity, the rule is price <= 100"),
        ("<=", 100, Decimal("129.50"), "(price was 129.50, the rule is price <= 100"),
        ("<=", 100, Fraction(1001, 2), "(price was Fraction(1001, 2), the rule is price <= 100"),
        ("<=", 100, 2**70, "(price was 1180591620717411303424, the rule is price <= 100"),
        ("<=", Decimal(5), 7, "(price was 7, the rule is price <= 5"),
    ],
)
def test_what_a_rule_was_asked_of(record: Any, op: str, threshold: Any, value: Any, said: str) -> None:
    def pipeline(run: Any) -> None:
        with run.step("keep", "filter") as step:
            assert not step.require("price", op, threshold, "dear").passes("a", value)

    assert said in record(pipeline)("a")["sentence"]


def test_where_only_some_could_be_compared_nothing_is_said_that_may_be_wrong(record: Any) -> None:
    values = {"a": "12", "b": Decimal("129.5"), "c": "cheap", "d": "700", "e": None}

    def pipeline(run: Any) -> None:
        with run.step("keep", "filter") as step:
            cap = step.require("price", "<=", 100, "dear")
            assert not any([cap.passes(item, value) for item, value in values.items()])  # noqa: C419

    why = record(pipeline)
    said = {item: why(item)["sentence"].partition("(")[2] for item in values}
    assert said["a"].startswith('price was the text "12", which cannot be compared with 100;')
    assert said["c"].startswith('price was the text "cheap", which cannot be compared with 100;')
    assert said["b"].startswith("price was 129.5, the rule is")
    assert said["d"].startswith("price was 700, the rule is"), "it may have been a Decimal"
    assert said["e"].startswith("price was missing, the rule is")


def test_a_twin_of_another_kind_is_told_apart(record: Any) -> None:
    def pipeline(run: Any) -> None:
        with run.step("keep", "filter") as step:
            cap = step.require("price", "<=", 100, "dear")
            assert [cap.passes(item, price) for item, price in (("a", "12"), ("b", 12))] == [False, True]
            step.accept("b")

    assert record(pipeline)("a")["sentence"].endswith('The nearest item that was kept is b: price 12, here "12".')


def test_what_was_not_recorded_is_not_said_to_be_missing(api: TestClient) -> None:
    rules = [{"field": "price", "op": "<=", "threshold": 100, "reason": "dear"}]
    event = {"item_id": "a", "outcome": "rejected", "reason": "dear"}
    body = {"run_id": "r", "pipeline": "p", "steps": [{"name": "keep", "rules": rules, "events": [event]}]}
    api.post("/runs", json=body)
    sentence = api.get("/runs/r/why?item=a").json()["sentence"]
    assert "the rule is price <= 100; which price it was asked of is not recorded" in sentence


@pytest.mark.parametrize(
    ("evidence", "said"),
    [(None, None), ({"vegan": False}, "vegan true, here false"), ({"spicy": True}, None)],
)
def test_the_nearest_kept_is_named_for_what_the_rejection_was_about(record: Any, evidence: Any, said: Any) -> None:
    def pipeline(run: Any) -> None:
        with run.step("keep", "filter") as step:
            cap = step.require("price", "<=", 100, "dear")
            for item in "ab":
                cap.passes(item, 10 if item == "a" else 20)
            step.reject("a", "not_vegan", evidence)
            step.accept("b", evidence={"vegan": True})

    why = record(pipeline)("a")
    assert "price" not in why["sentence"]
    assert (f"The nearest item that was kept is b: {said}." in why["sentence"]) == bool(said)
    assert list((why["twin"] or {"differences": {}})["differences"])[:1] == (["vegan"] if said else [])


def test_a_choice_without_scores_names_what_was_chosen(record: Any) -> None:
    def pipeline(run: Any) -> None:
        with run.step("search", "retrieve") as step:
            for number in (3, 5):
                step.produce(f"d{number}", name=f"Dish {number}")
        with run.step("pick", "select") as step:
            step.decide("pick_dish", selected="d3")

    why = record(pipeline)
    assert why("d5")["verdict"] == "unknown"
    assert why("d5")["sentence"].startswith(
        "pick selected Dish 3; what became of Dish 5 there is not recorded: pick has no event of the item"
    )
    assert "step.decide(…, alternatives=[…])" in why("d5")["hint"]


@pytest.mark.parametrize(
    ("losses", "hint"),
    [
        ([("not_recorded", "s1")], "the log of the pipeline says which, and why"),
        ([("not_encoded", "s1"), ("truncated", "s1")], "the log of the pipeline says why"),
        ([("queue_full", None)], 'capture="sample"'),
        ([("spool_full", "s1")], "dxray sync"),
        ([("cosmic_rays", "s1")], "see `losses` of the run"),
    ],
)
def test_what_to_do_follows_the_causes_of_loss(record: Any, losses: list[tuple[str, str | None]], hint: str) -> None:
    def pipeline(run: Any) -> None:
        with run.step("search", "retrieve") as step:
            step.produce("a")

    why = record(pipeline, *losses)("z")
    assert why["unknown"]["cause"] == "dropped"
    assert hint in why["hint"]
    assert ("sync" in why["hint"]) == (losses[0][0] == "spool_full")


def test_a_failed_run_names_its_error(record: Any) -> None:
    def pipeline(run: Any) -> None:
        with run.step("search", "retrieve") as step:
            step.produce("a", name="Dish 1")
        with run.step("cook", "transform"):
            raise ValueError("no cook for \x1b[2JDish 1" + "!" * 500)

    why = record(pipeline)
    for item, rest in (("a", "and what became of Dish 1 is not known"), ("z", "and z was not in it so far")):
        sentence = why(item)["sentence"]
        assert sentence.startswith("The run failed (ValueError: no cook for \ufffdDish 1!!")
        assert f"…), {rest}" in sentence
        assert len(sentence) < 420


@pytest.mark.parametrize(
    ("steps", "item"),
    [
        ([{"name": "search", "events": ["a:produced", "b:produced"]}, {"name": "rank", "input_count": 2}], "b"),
        ([{"name": "search"}], "z"),
        ([{"name": "search", "events": ["a:produced"], "output_count": 3}], "z"),
        ([{"name": "search", "events": ["a:accepted"]}], "z"),
    ],
)
def test_a_run_written_by_hand_is_told_nothing_of_calls(api: TestClient, steps: list[Any], item: str) -> None:
    for step in steps:
        names = [one.partition(":") for one in step.get("events", ())]
        step["events"] = [{"item_id": item_id, "outcome": outcome} for item_id, _, outcome in names]
    api.post("/runs", json={"run_id": "r", "pipeline": "p", "steps": steps})
    why = api.get("/runs/r/why", params={"item": item}).json()
    assert why["verdict"] == "unknown", why["sentence"]
    assert "step." not in why["hint"]
    assert why["hint"].startswith("record ")
