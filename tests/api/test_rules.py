"""`GET /rules`: which rules matter, which are dead, which limit to look at first, and what is not known of them."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.server.api.rules import RulesAnswer
from dxray.wire.answers.rules import Rules
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Events

BATCHES = count(1)


def rules(api: TestClient, **asked: str) -> dict[str, Any]:
    answer = api.get("/rules", params=asked)
    assert answer.status_code == 200, answer.text
    RulesAnswer.model_validate_json(answer.content, strict=True)
    assert str(Rules.read(answer.json()))
    found: dict[str, Any] = answer.json()
    return found


def by_reason(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["reason"]: row for row in found["rules"]}


def send(api: TestClient, records: list[AnyRecord]) -> None:
    body = pack_batch("rules", next(BATCHES), "default", map(pack_record, records))
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()
    assert answer["rejected"] == [], answer


def ran(
    api: TestClient, *runs: dict[str, tuple[float, ...]], together: bool = True, cap: float = 100, pipeline: str = "p"
) -> None:
    """Runs of a filter with a limit on the price and one on the rating; values by item."""
    with testing.capture() as captured:
        xray = XRay(pipeline)
        for items in runs:
            with xray.run(input=1) as run, run.step("keep", step_type="filter") as step:
                price = step.require("price", "<=", cap, reason="dear")
                rating = step.require("rating", ">=", 3, reason="poor")
                both = step.require_all([price, rating])
                for item, (cost, stars) in items.items():
                    if together:
                        both.passes(item, {"price": cost, "rating": stars})
                    elif price.passes(item, cost):
                        rating.passes(item, stars)
        send(api, captured.records)


FOUR = {"a": (90.0, 5.0), "b": (101.0, 5.0), "c": (150.0, 1.0), "d": (50.0, 2.0)}


def test_nothing_is_recorded(api: TestClient) -> None:
    found = rules(api)
    assert (found["rules"], found["sentence"]) == ([], "No run is recorded here, so there are no rules.")


def test_where_every_rule_was_asked_all_counts_are_exact(api: TestClient) -> None:
    ran(api, FOUR)
    rows = by_reason(rules(api))
    assert [rows["dear"][name] for name in ("evaluated", "kills", "sole_kills")] == [4, 2, 1]
    assert [rows["poor"][name] for name in ("evaluated", "kills", "sole_kills")] == [4, 2, 1]
    assert rows["dear"]["sole_unknown"] is None
    assert (rows["dear"]["threshold"], rows["dear"]["field"], rows["dear"]["op"]) == (100, "price", "<=")


def test_where_one_rule_hides_another_only_a_range_is_known(api: TestClient) -> None:
    ran(api, FOUR, together=False)
    row = by_reason(rules(api))["dear"]
    assert (row["kills"], row["sole_kills"], row["sole_kills_range"]) == (2, None, [0, 2])
    assert row["sole_unknown"] == "not_all_asked"
    assert by_reason(rules(api))["poor"]["evaluated"] == 2


def test_what_lies_close_to_the_limit(api: TestClient) -> None:
    items = {f"i{n}": (float(n), 5.0) for n in range(0, 201, 2)}
    ran(api, items)
    found = rules(api)
    near = by_reason(found)["dear"]["near_misses"]
    assert (near["values"], near["spread"], near["within"]) == (101, 180, 9)
    assert (near["failed"], near["failed_alone"], near["passed"]) == (4, 4, 5)  # 102..108, and 92..100
    assert sum(one["n"] for one in near["bins"]) + near["below"] + near["above"] == 101
    assert [one["from"] for one in near["bins"]].count(0) == 1
    assert found["look_first"]["reason"] == "dear"
    assert found["sentence"].startswith(
        "Look first at price <= 100 in keep: it failed 50 of 101 times that it was asked, 4 of these within 9 of the "
        "limit, by no other rule that is known."
    )
    assert "rating >= 3 in keep never dropped anything." in found["sentence"]


def test_a_rule_that_drops_only_what_another_drops_too(api: TestClient) -> None:
    ran(api, {f"i{n}": (200.0, 1.0) for n in range(25)} | {f"j{n}": (200.0, 5.0) for n in range(5)})
    rows = by_reason(rules(api))
    (other,) = rows["poor"]["redundant_with"]
    assert (other["reason"], other["support"], other["mutual"]) == ("dear", 25, False)
    assert rows["dear"]["redundant_with"] == []


def test_too_few_items_call_no_rule_redundant(api: TestClient) -> None:
    ran(api, {f"i{n}": (200.0, 1.0) for n in range(19)})
    assert by_reason(rules(api))["poor"]["redundant_with"] == []


def test_a_rule_that_was_never_asked(api: TestClient) -> None:
    ran(api, {"a": (200.0, 1.0)}, together=False)
    row = by_reason(rules(api))["poor"]
    assert (row["never_ran"], row["fires_never"], row["kills"], row["drift"]) == (True, False, 0, None)


def test_a_limit_that_changed_is_another_version_of_the_same_rule(api: TestClient) -> None:
    ran(api, *[{f"i{n}": (90.0, 5.0) for n in range(20)}] * 4)
    ran(api, *[{f"i{n}": (90.0, 5.0) for n in range(20)}] * 4, cap=80)
    row = by_reason(rules(api))["dear"]
    assert (row["threshold"], row["thresholds"], row["runs"], row["kills"]) == (80, 2, 8, 80)
    drift = row["drift"]
    assert [(one["threshold"], one["rate"]) for one in drift["versions"]] == [(100, 0.0), (80, 1.0)]
    assert drift["changed"] is True
    assert (drift["first"]["rate"], drift["last"]["rate"]) == (0.0, 1.0)
    assert by_reason(rules(api))["poor"]["drift"]["changed"] is False


def limited(api: TestClient, *limits: Any, op: str = "==") -> str:
    """The sentence about a rule that had these limits, one a run, and that everything passed."""
    for limit in limits:
        with testing.capture() as captured:
            with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
                step.require("kind", op, limit, reason="kind").passes("a", "red" if op == "not_in" else limit)
            send(api, captured.records)
    return str(rules(api)["sentence"])


def test_the_sentence_shows_a_limit_that_is_an_empty_text(api: TestClient) -> None:
    assert 'kind == "" in keep never dropped anything' in limited(api, "")


def test_the_sentence_shows_an_empty_text_and_an_empty_list_among_limits(api: TestClient) -> None:
    assert 'kind not in blue, "" in keep' in limited(api, ["blue", ""], op="not_in")
    assert 'kind not in [] (the last of 2 limits, after blue, "") in keep' in limited(api, [], op="not_in")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((3, 9, 5), "kind == 5 (the last of 3 limits from 3 to 9) in keep"),
        (("case", "", "cover"), 'kind == cover (the last of 3 limits, after case, "") in keep'),
        (tuple(range(12)), "kind == 11 (the last of 12 limits) in keep"),
        ((4, 4), "kind == 4 in keep"),
    ],
)
def test_the_sentence_says_that_a_limit_varied(api: TestClient, limits: tuple[Any, ...], said: str) -> None:
    assert said in limited(api, *limits)


def test_one_run_says_nothing_of_change(api: TestClient) -> None:
    ran(api, FOUR)
    row = by_reason(rules(api))["dear"]
    assert row["drift"]["changed"] is None
    low, high = row["interval"]
    assert low < 0.2
    assert high > 0.8


def test_two_limits_of_one_step_are_two_rules(api: TestClient) -> None:
    with testing.capture() as captured:
        with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
            for limit in (100, 50):
                step.require("price", "<=", limit, reason="dear").passes("a", 70)
        send(api, captured.records)
    found = rules(api)
    assert sorted((row["threshold"], row["kills"], row["sole_kills"]) for row in found["rules"]) == [
        (50, 1, 1),
        (100, 0, 0),
    ]


def test_a_limit_of_each_item_is_one_rule(api: TestClient) -> None:
    with testing.capture() as captured:
        with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
            for n in range(10):
                step.require("price", "<=", n, reason="dear").passes(n, 5)
        send(api, captured.records)
    (row,) = rules(api)["rules"]
    assert (row["thresholds"], row["evaluated"], row["kills"]) == (10, 10, 5)
    assert row["near_misses"] is None
    assert row["no_margin"] == "one_value"


@pytest.mark.parametrize(
    ("op", "limit", "values", "why"),
    [
        ("in", ["red"], ["red", "blue"], "not_ordered"),
        ("<=", "m", ["a", "z"], "no_numbers"),
        ("<=", 5, ["a", None], "no_numbers"),
        ("<=", 5, [3, 3], "one_value"),
    ],
)
def test_what_has_no_distance_to_its_limit_says_why(
    api: TestClient, op: str, limit: Any, values: list[Any], why: str
) -> None:
    with testing.capture() as captured:
        with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
            rule = step.require("facts", op, limit, reason="r")
            for n, value in enumerate(values):
                rule.passes(n, value)
        send(api, captured.records)
    (row,) = rules(api)["rules"]
    assert (row["near_misses"], row["no_margin"]) == (None, why)


@pytest.mark.parametrize("limit", [10**400, float("inf"), float("nan"), {"a": 1}, None, "text"])
def test_a_limit_that_is_no_number_has_no_margins(api: TestClient, limit: Any) -> None:
    with testing.capture() as captured:
        with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
            step.require("price", "<=", limit, reason="r").passes("a", 3)
        send(api, captured.records)
    (row,) = rules(api)["rules"]
    assert (row["evaluated"], row["near_misses"], row["no_margin"]) == (1, None, "no_numbers")


def test_values_that_lie_too_far_apart_to_be_added_up(api: TestClient) -> None:
    ran(api, {"a": (1e308, 5.0), "b": (-1e308, 5.0), "c": (0.0, 5.0)})
    assert by_reason(rules(api))["dear"]["no_margin"] == "too_far_apart"


def test_fields_that_differ_in_their_case_only_and_fields_in_great_number(api: TestClient) -> None:
    fields = ["Price", "price", "", "a.b", *(f"f{n}" for n in range(20))]
    with testing.capture() as captured:
        with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
            for place, field in enumerate(fields):
                for item in range(3):
                    step.require(field, "<=", 1000, reason=field or "none").passes(item, place * 10 + item)
        send(api, captured.records)
    found = rules(api)
    spreads = {row["field"]: (row["near_misses"]["values"], row["near_misses"]["above"]) for row in found["rules"]}
    assert spreads == dict.fromkeys(fields, (3, 3))
    assert all(row["sole_kills"] == 0 for row in found["rules"])


def test_values_that_compare_with_nothing_are_counted(api: TestClient) -> None:
    ran(api, {"a": (None, 5.0), "b": (float("nan"), 5.0)})  # type: ignore[dict-item]
    row = by_reason(rules(api))["dear"]
    assert (row["kills"], row["uncomparable"]) == (2, 2)


def test_rejections_without_a_rule_stand_apart(api: TestClient) -> None:
    with testing.capture() as captured:
        with XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
            step.reject_many(["a", "b", "c"], "by_hand")
        send(api, captured.records)
    found = rules(api)
    assert (found["rules"], found["without_rule"]["rejections"]) == ([], 3)
    assert found["without_rule"]["reasons"] == [
        {"pipeline": "p", "step_name": "keep", "reason": "by_hand", "rejections": 3}
    ]
    assert "step.require" in found["without_rule"]["hint"]
    assert found["sentence"].startswith("No rule is recorded here. 3 rejections came without a rule")


def test_events_that_did_not_arrive_leave_the_counts_exact_and_the_rest_open(api: TestClient) -> None:
    with testing.capture() as captured:
        xray = XRay("p")
        for _ in range(2):
            with xray.run(input=1) as run, run.step("keep", step_type="filter") as step:
                both = step.require_all([("price", "<=", 100, "dear"), ("rating", ">=", 3, "poor")])
                for item in range(10):
                    both.passes(item, {"price": 200, "rating": 5})
        records = captured.records
    records.remove(next(one for one in records if isinstance(one, Events)))
    send(api, records)
    row = by_reason(rules(api))["dear"]
    assert (row["evaluated"], row["kills"]) == (20, 20)
    assert (row["sole_kills"], row["sole_kills_range"], row["sole_unknown"]) == (None, [10, 20], "not_read")


def test_a_run_written_by_hand_does_not_say_how_often_a_rule_was_asked(api: TestClient, stands: dict[str, Any]) -> None:
    assert api.post("/runs", json=stands).status_code == 201
    found = rules(api)
    (row,) = found["rules"]
    assert [row[name] for name in ("evaluated", "kills", "never_ran", "fires_never", "sole_kills")] == [None] * 5
    assert (row["unknown"]["cause"], found["unknown"][0]["cause"]) == ("not_counted", "not_counted")
    assert "nothing says how often it was asked" in found["sentence"]
    assert [one["reason"] for one in found["without_rule"]["reasons"]] == ["duplicate"]


def test_a_step_that_has_not_ended_is_not_counted(api: TestClient) -> None:
    with testing.capture() as captured, XRay("p").run(input=1) as run, run.step("keep", step_type="filter") as step:
        step.require("price", "<=", 1, reason="dear").passes("a", 2)
        send(api, captured.records)
    found = rules(api)
    (row,) = found["rules"]
    assert [row[name] for name in ("evaluated", "kills", "never_ran", "sole_kills")] == [None] * 4
    assert (row["unknown"]["cause"], [one["cause"] for one in found["unknown"]]) == ("not_ended", ["not_ended"])


def test_rules_are_chosen_by_filters(api: TestClient) -> None:
    ran(api, FOUR)
    ran(api, FOUR, pipeline="other")
    assert {row["pipeline"] for row in rules(api)["rules"]} == {"p", "other"}
    assert {row["pipeline"] for row in rules(api, q="pipeline:other")["rules"]} == {"other"}
    assert rules(api, pipeline="p")["runs"] == 1
    assert rules(api, until="1d")["runs"] == 0
    assert len(rules(api, pipeline="p", step="keep")["rules"]) == 2


def test_names_that_do_not_exist(api: TestClient) -> None:
    ran(api, FOUR, pipeline="shop")
    found = rules(api, pipeline="shp")
    assert (found["did_you_mean"], found["rules"]) == (["shop"], [])
    assert found["sentence"] == "No run of a pipeline shp is recorded; did you mean shop?"
    refused = api.get("/rules", params={"step": "kep"})
    assert (refused.status_code, refused.json()["field"]) == (422, "step")
    assert refused.json()["fix"] == "did you mean 'keep'?"
    assert api.get("/rules", params={"pipelin": "p"}).status_code == 422


def test_recorded_text_cannot_act_on_a_terminal(api: TestClient) -> None:
    with testing.capture() as captured:
        with XRay("p\x1b[2J").run(input=1) as run, run.step("k\x1b[2J", step_type="filter") as step:
            rule = step.require("f\x1b[2J.\"'", "<=", 5, reason="r\x1b[2J")
            for n in range(10):
                rule.passes(n, n)
        send(api, captured.records)
    found = rules(api)
    assert found["rules"][0]["near_misses"]["values"] == 10
    assert "\x1b" not in str(Rules.read(found))
