"""`POST /explain`: what two sets of runs differ in, on runs of which the difference is known."""

from __future__ import annotations

import json
import operator
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.server.api.explain import ExplainAnswer
from dxray.wire.answers.explain import Explain
from dxray.wire.codec import pack_batch, pack_record
from tests.api.conftest import connect

BATCHES = count(1)
VERSIONS = {"a": "metadata.week:1", "b": "metadata.week:2"}


def explain(api: TestClient, **asked: Any) -> dict[str, Any]:
    answer = api.post("/explain", json={**VERSIONS, **asked})
    assert answer.status_code == 200, answer.text
    ExplainAnswer.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    for one in found["slices"]:
        assert one["p_adjusted"] <= 0.05
        assert one["support"] >= 0.01
        assert one["text"]
    assert [one["score"] for one in found["slices"]] == sorted((one["score"] for one in found["slices"]), reverse=True)
    return found


def conditions(one: dict[str, Any]) -> set[tuple[str, str, Any]]:
    return {(c["field"], c["op"], c["value"]) for c in one["conditions"]}


def post(api: TestClient, run: dict[str, Any]) -> None:
    answer = api.post("/runs", json={"pipeline": "p", **run})
    assert answer.status_code == 201, answer.text


def shop(number: int, week: int, chance: random.Random, items: int = 40) -> dict[str, Any]:
    """A search and a filter. From the second week on, nearly all toys from 60 up are too dear."""
    country = chance.choice(["de", "fr", "it"])
    events: list[dict[str, Any]] = []
    for n in range(items):
        kind, price = chance.choice(["toys", "books", "shoes"]), round(chance.uniform(1, 120), 2)
        spoilt = week == 2 and kind == "toys" and price >= 60 and chance.random() < 0.9
        reason = "too_dear" if spoilt else "poor" if chance.random() < 0.2 else None
        verdict = {"outcome": "rejected", "reason": reason} if reason else {"outcome": "accepted"}
        events.append(
            {"item_id": f"i{n}", "evidence": {"kind": kind, "price": price, "id": f"{number}-{n}"}, **verdict}
        )
    made = [{"item_id": f"i{n}", "outcome": "produced"} for n in range(items)]
    return {
        "run_id": f"w{week}-{number}",
        "code_version": f"v{week}",
        "input": {"country": country, "query": f"words {number}"},
        "metadata": {"week": week},
        "steps": [
            {"name": "search", "step_type": "retrieve", "events": made},
            {"name": "keep", "step_type": "filter", "input_count": items, "events": events},
        ],
    }


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    chance = random.Random(3)
    with connect(tmp_path_factory.mktemp("shops")) as api:
        for week in (1, 2):
            for number in range(30):
                post(api, shop(number, week, chance))
        yield api


def test_the_cause_is_found_first_with_its_counts(shops: TestClient) -> None:
    found = explain(shops)
    assert (found["runs_a"], found["runs_b"], found["overlap"], found["counted"]) == (30, 30, 0, "items")
    assert (found["n_a"], found["n_b"]) == (2_400, 2_400)
    first = found["slices"][0]
    said = {field: (op, value) for field, op, value in conditions(first)}
    assert said["reason"] == ("==", "too_dear")
    assert said["evidence.kind"] == ("==", "toys")
    op, edge = said["evidence.price"]
    assert op == ">="
    assert 45 < edge < 75
    assert first["rate_a"] == 0
    assert first["rate_b"] > 0.6
    assert first["with_outcome_b"] / first["n_b"] == pytest.approx(first["rate_b"])
    assert first["counter_examples"] == first["n_b"] - first["with_outcome_b"]
    assert first["interval"][0] > 1
    assert len(first["examples"]) == 3
    assert all(run.startswith("w2-") for run in first["examples"])
    assert "too_dear" in found["sentence"]
    assert found["tested"] > 20


def test_what_is_found_in_a_sample_is_counted_in_all(shops: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explain(shops)
    monkeypatch.setattr("dxray.server.questions.explain.ROWS", 2_400)
    found = explain(shops, a=VERSIONS["a"] + " ")  # the same, and not the answer that is kept
    assert found["share_looked_at"] == 0.5
    counts = ("n_a", "n_b", "with_outcome_a", "with_outcome_b")
    assert [found[name] for name in counts] == [whole[name] for name in counts]
    reason = next(one for one in found["slices"] if conditions(one) == {("reason", "==", "too_dear")})
    same = next(one for one in whole["slices"] if conditions(one) == {("reason", "==", "too_dear")})
    assert [reason[name] for name in counts] == [same[name] for name in counts]
    assert not reason["estimated"]
    verdicts = list(verdicts_of_shops())
    for one in found["slices"]:
        assert {name: one[name] for name in counts} == by_hand(one, verdicts), one["text"]
        if one["risk_ratio"] is not None:
            middle = (one["interval"][0] * one["interval"][1]) ** 0.5
            assert middle == pytest.approx(one["risk_ratio"], rel=0.05)


def verdicts_of_shops() -> Iterator[dict[str, Any]]:
    """What the two weeks recorded, by the names that conditions have."""
    chance = random.Random(3)
    for week in (1, 2):
        for number in range(30):
            run = shop(number, week, chance)
            for step in run["steps"]:
                for event in step["events"]:
                    facts = {f"evidence.{key}": value for key, value in event.get("evidence", {}).items()}
                    said = {"week": week, "step_name": step["name"], "input.country": run["input"]["country"]}
                    yield {**said, **facts, "outcome": event["outcome"], "reason": event.get("reason")}


def by_hand(one: dict[str, Any], verdicts: list[dict[str, Any]]) -> dict[str, int]:
    """The counts of a slice. A reason is no condition on what is counted, but on what counts as rejected."""
    found: dict[str, int] = {"n_a": 0, "n_b": 0, "with_outcome_a": 0, "with_outcome_b": 0}
    reason = next((c["value"] for c in one["conditions"] if c["field"] == "reason"), None)
    for said in verdicts:
        if reason is not None and said["step_name"] != "keep":
            continue
        if all(holds(c, said.get(c["field"])) for c in one["conditions"] if c["field"] != "reason"):
            side = "ab"[said["week"] - 1]
            found[f"n_{side}"] += 1
            found[f"with_outcome_{side}"] += said["outcome"] == "rejected" and reason in (None, said["reason"])
    return found


def holds(condition: dict[str, Any], value: Any) -> bool:
    compare = {"==": operator.eq, ">=": operator.ge, "<": operator.lt}[condition["op"]]
    return value is not None and bool(compare(value, condition["value"]))


def test_one_step_alone(shops: TestClient) -> None:
    found = explain(shops, step_name="keep")
    assert (found["n_a"], found["n_b"]) == (1_200, 1_200)
    assert ("evidence.kind", "==", "toys") in conditions(found["slices"][0])
    assert explain(shops, step_name="search")["sentence"] == (
        "No item at search in either set was rejected, so there is nothing to explain."
    )


def test_what_tells_the_sets_apart_and_what_is_all_different_is_left_out(shops: TestClient) -> None:
    why = {one["field"]: one["why"] for one in explain(shops)["left_out"]}
    assert "apart" in why["code_version"]
    assert "apart" in why["metadata.week"]
    assert "different values" not in why.get("input.country", "")
    assert all(field != "evidence.id" for one in explain(shops)["slices"] for field, _, _ in conditions(one))


def test_the_funnel_adds_up(shops: TestClient) -> None:
    found = explain(shops)
    assert [one["step_name"] for one in found["funnel"]] == ["search", "keep"]
    total = found["delta_ln_input"] + sum(one["delta_ln_pass"] for one in found["funnel"])
    assert total == pytest.approx(found["delta_ln_output"])
    for one in found["funnel"]:
        assert one["mix"] + one["rate"] == pytest.approx(one["delta_ln_pass"])
    keep = found["funnel"][1]
    assert (keep["in_a"], keep["pass_a"] > 0.7, keep["delta_ln_pass"] < -0.1) == (1_200, True, True)


def test_equal_sets_have_no_finding(shops: TestClient) -> None:
    found = explain(shops, a="run_id:w1-0", b="metadata.week:1 -run_id:w1-0")
    assert found["slices"] == []
    assert "too few" in found["sentence"]
    found = explain(shops, a="metadata.week:1 input.country:de", b="metadata.week:1 -input.country:de")
    assert found["slices"] == []
    assert "no part of them stands out by more than chance" in found["sentence"]


def test_a_loosened_limit_lets_through(api: TestClient) -> None:
    for week in (1, 2):
        for number in range(12):
            events = [
                {"item_id": str(n), "evidence": {"size": n}}
                | (
                    {"outcome": "accepted"}
                    if n < 50 or (week == 2 and n < 70)
                    else {"outcome": "rejected", "reason": "large"}
                )
                for n in range(number % 3, 100, 2)
            ]
            steps = [{"name": "keep", "input_count": 50, "events": events}]
            post(api, {"run_id": f"{week}-{number}", "metadata": {"week": week}, "steps": steps})
    found = explain(api, outcome="accepted")
    first = conditions(found["slices"][0])
    assert all(field == "evidence.size" for field, _, _ in first)
    assert any(op == ">=" and 45 <= value <= 55 for _, op, value in first) or any(op == "<" for _, op, _ in first)
    assert found["slices"][0]["rate_b"] > found["slices"][0]["rate_a"]


def test_an_item_counts_once_with_its_last_outcome(api: TestClient) -> None:
    for week in (1, 2):
        for number in range(5):
            events = [{"item_id": "x", "outcome": "rejected", "reason": "r"}, {"item_id": "x", "outcome": "accepted"}]
            steps = [{"name": "keep", "input_count": 3, "output_count": 3, "events": events}]
            post(api, {"run_id": f"{week}-{number}", "metadata": {"week": week}, "steps": steps})
    found = explain(api)
    assert (found["n_a"], found["with_outcome_a"]) == (15, 0)
    assert explain(api, outcome="accepted")["with_outcome_b"] == 15


def test_failed_runs_share_an_input(api: TestClient) -> None:
    for week in (1, 2):
        for number in range(40):
            fails = week == 2 and number % 4 == 0
            post(
                api,
                {
                    "run_id": f"{week}-{number}",
                    "status": "failed" if fails else "completed",
                    "input": {"kind": ["toys", "books", "shoes", "hats"][number % 4], "n": number},
                    "metadata": {"week": week},
                    "steps": [],
                },
            )
    found = explain(api, outcome="failed")
    assert conditions(found["slices"][0]) == {("input.kind", "==", "toys")}
    assert (found["counted"], found["with_outcome_b"]) == ("runs", 10)
    apart = explain(api, a="metadata.week:2 status:completed", b="status:failed", outcome="failed")
    first = apart["slices"][0]
    assert conditions(first) == {("input.kind", "==", "toys")}
    assert (first["n_b"], first["rate_b"], first["n_a"]) == (10, 1.0, 0)
    assert "100 % of the runs in b" in apart["sentence"]


def test_labelled_runs_against_the_others(api: TestClient) -> None:
    for number in range(40):
        post(api, {"run_id": f"r{number}", "variant": "new" if number < 12 else "old", "steps": []})
        if number < 10:
            api.post(f"/runs/r{number}/labels", json={"label": "bad"})
    found = explain(api, a="-label:bad", b="label:bad", outcome="label:bad")
    assert conditions(found["slices"][0]) == {("variant", "==", "new")}


def test_runs_in_both_sets_are_left_out_of_both(shops: TestClient) -> None:
    found = explain(shops, a="pipeline:p", b="metadata.week:2")
    assert (found["runs_a"], found["runs_b"], found["overlap"], found["slices"]) == (30, 0, 30, [])
    assert "30 runs are in both sets, and left out of both." in found["sentence"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"a": "pipeline:none"}, "No run fits a (pipeline:none)"),
        ({"b": "pipeline:none"}, "No run fits b (pipeline:none)"),
        ({"b": "run_id:w2-1"}, "1 run in b against 30 in a are too few"),
        ({"a": "run_id:w1-1"}, "30 runs in b against 1 in a are too few"),
        ({"outcome": "merged"}, "No item in either set was merged"),
        ({"outcome": "failed"}, "No run in either set failed"),
        ({"outcome": "label:bad"}, "No run in either set is labelled bad"),
    ],
)
def test_nothing_can_be_claimed_and_the_answer_says_why(shops: TestClient, asked: dict[str, str], said: str) -> None:
    found = explain(shops, **asked)
    assert (found["slices"], found["tested"]) == ([], 0)
    assert found["sentence"].startswith(said)


@pytest.mark.parametrize(
    ("body", "status", "field", "fix"),
    [
        ({"outcome": "rejectd"}, 422, "outcome", "did you mean 'rejected'?"),
        ({"outcome": "label:worse"}, 422, "outcome", None),
        ({"step_name": "kep"}, 422, "step_name", "did you mean 'keep'?"),
        ({"outcome": "failed", "step_name": "keep"}, 422, "step_name", None),
        ({"a": "pipline:p"}, 422, "a: pipline", "did you mean 'pipeline'?"),
        ({"steps": 1}, 422, "steps", None),
        ({"a": None}, 422, "a", None),
        ({"b": 3}, 422, "b", None),
    ],
)
def test_bad_input_is_named(shops: TestClient, body: dict[str, Any], status: int, field: str, fix: str | None) -> None:
    answer = shops.post("/explain", json={**VERSIONS, **body})
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert answer.json()["fix"]
    if fix is not None:
        assert answer.json()["fix"] == fix


@pytest.mark.parametrize(("content", "status"), [("{", 400), ("[]", 422), ("null", 422), ("{}", 422)])
def test_bodies_that_are_none(shops: TestClient, content: str, status: int) -> None:
    answer = shops.post("/explain", content=content)
    assert answer.status_code == status
    assert json.loads(answer.content)["detail"]


def test_recorded_text_stays_text(api: TestClient) -> None:
    for week in (1, 2):
        for number in range(10):
            bad = week == 2 and number % 2 == 0
            events = [
                {"item_id": str(n), "outcome": "rejected", "reason": "a\x1b[31m\u202e"}
                if bad
                else {"item_id": str(n), "outcome": "accepted"}
                for n in range(20)
            ]
            post(
                api,
                {
                    "run_id": f"{week}-{number}",
                    "metadata": {"week": week, "k.e\x1by": f"v{number % 2}", "deep": {"x": {"y": {"z": 1}}}},
                    "steps": [{"name": "keep", "events": events}],
                },
            )
    assert explain(api)["slices"]


# What is not known, or not looked at, is said


def why(found: dict[str, Any], field: str) -> str:
    return "; ".join(one["why"] for one in found["left_out"] if one["field"] == field)


def weeks(api: TestClient, keep: Callable[[Any, int], None], runs: int = 12) -> None:
    """Runs of two weeks with one step of 20 items, recorded as a pipeline does."""
    with testing.capture() as captured:
        for week in (1, 2):
            for number in range(runs):
                with XRay("p").run(input={"n": number}) as run:
                    run.set_metadata("week", week)
                    with run.step("keep", step_type="filter") as step:
                        keep(step, week)
        body = pack_batch("explain", next(BATCHES), "default", map(pack_record, captured.records))
        answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()
    assert answer["rejected"] == [], answer


def by_rule(step: Any, week: int, went_on: int | None = None) -> None:
    """Half of the items pass in the first week, 14 in the second; what passes is not said to be accepted."""
    step.set_input_count(20)
    small = step.require("size", "<", 10 if week == 1 else 14, reason="large")
    passed = sum(small.passes(f"i{n}", n) for n in range(20))
    if went_on is not None:
        step.set_output_count(min(went_on, passed))


def counted(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in ("n_a", "with_outcome_a", "n_b", "with_outcome_b"))


def test_what_passed_all_rules_is_accepted_where_as_many_went_on(api: TestClient) -> None:
    weeks(api, lambda step, week: by_rule(step, week, 20))
    found = explain(api, outcome="accepted")
    assert counted(found) == (240, 120, 240, 168)
    assert {field for field, _, _ in conditions(found["slices"][0])} == {"evidence.size"}
    assert why(found, "outcome") == ""
    assert [one["pass_a"] for one in found["funnel"]] == [found["rate_a"]]


def test_what_passed_all_rules_is_not_known_to_be_accepted_where_nothing_says_so(api: TestClient) -> None:
    weeks(api, by_rule)
    found = explain(api, outcome="accepted")
    assert found["slices"] == []
    assert found["sentence"].startswith(
        "No item that was accepted is recorded, and of 288 items nothing says whether they were accepted, so nothing"
    )
    assert "of 288 items at a step, whether it was accepted is not recorded" in why(found, "outcome")
    rejected = explain(api)
    assert counted(rejected) == (240, 120, 240, 72)
    assert "count as not rejected" in why(rejected, "outcome")


def test_where_some_of_what_is_open_went_on_only_the_count_is_known(api: TestClient) -> None:
    weeks(api, lambda step, week: by_rule(step, week, 5 * week))
    found = explain(api, outcome="accepted")
    assert counted(found) == (240, 60, 240, 120)
    assert all(field != "evidence.size" for one in found["slices"] for field, _, _ in conditions(one))
    assert "180 that were accepted are only counted" in why(found, "outcome")
    weeks(api, lambda step, week: by_rule(step, week, 0))
    assert counted(explain(api, outcome="accepted", b="metadata.week:2 ")) == (480, 60, 480, 120)


def test_the_best_of_a_cut_off_are_accepted_and_the_others_outranked(api: TestClient) -> None:
    def keep(step: Any, week: int) -> None:
        step.cutoff(5 * week)
        for n in range(20):
            step.score(f"i{n}", float(n))

    weeks(api, keep)
    assert counted(explain(api, outcome="accepted")) == (240, 60, 240, 120)
    assert counted(explain(api, outcome="outranked")) == (240, 180, 240, 120)


def test_a_tie_across_a_cut_off_is_open(api: TestClient) -> None:
    def keep(step: Any, week: int) -> None:
        step.cutoff(2)
        for n in range(20):
            step.score(f"i{n}", float(min(n, 17)))

    weeks(api, keep)
    assert counted(explain(api, outcome="outranked")) == (240, 204, 240, 204)
    found = explain(api, outcome="accepted")
    assert counted(found) == (204, 0, 204, 0)
    assert "of 72 items at a step" in why(found, "outcome")


def test_items_that_are_only_counted_were_rejected_as_the_step_says(api: TestClient) -> None:
    for week in (1, 2):
        for number in range(12):
            gone = 3 * week + number % 2
            step = {"name": "keep", "input_count": 10, "output_count": 10 - gone, "rejection_counts": {"dear": gone}}
            post(api, {"run_id": f"{week}-{number}", "metadata": {"week": week}, "steps": [step]})
    found = explain(api)
    assert counted(found) == (120, 42, 120, 78)
    assert "120 that were rejected are only counted" in why(found, "outcome")
    assert counted(explain(api, outcome="accepted")) == (120, 78, 120, 42)


def test_fields_that_are_not_looked_at_are_named_or_counted(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(step: Any, week: int) -> None:
        for n in range(20):
            step.reject(
                f"i{n}",
                f"reason {n % 4}",
                {"tags": ["x"], "big": 2**60 + n, "price": Decimal(n), "shop": f"s{n % 5}", "kind": f"k{n % 3}"},
            ) if n < 8 * week else step.accept(f"i{n}", evidence={"price": Decimal(n), "more": {"x": n}})

    weeks(api, keep)
    metadata = {"week": 1, "tags": ["x"], **{f"k{n}": n for n in range(230)}}
    post(api, {"run_id": "many-keys", "metadata": metadata, "steps": []})
    monkeypatch.setattr("dxray.server.reasoning.slices._CELLS", 300)
    found = explain(api)
    assert "it holds lists, or objects" in why(found, "metadata.tags")
    assert "beyond the first 200 of input and metadata were not looked at" in why(found, "input and metadata")
    assert why(found, "evidence") == "each of 2 keys holds lists or objects, such as evidence.more, evidence.tags"
    assert "more digits" in why(found, "evidence.big")
    assert why(found, "evidence.price") == ""
    assert any(field == "evidence.price" for one in found["slices"] for field, _, _ in conditions(one))
    assert "too many different values to be compared, such as" in why(found, "fields together")


def test_numbers_and_words_agree_and_the_sets_are_named(shops: TestClient) -> None:
    found = explain(shops)
    assert (found["a"], found["b"]) == ("metadata.week:1", "metadata.week:2")
    assert (
        "of 2,400 verdicts (one for each item at each step) say rejected, in a (metadata.week:1)" in found["sentence"]
    )
    assert "verdicts with evidence.kind is toys" in found["slices"][0]["text"]
    lines = str(Explain.read(found)).splitlines()
    assert lines[1].split() == ["b", "metadata.week:2", "30", "runs"]
    assert lines[2].split() == ["a", "metadata.week:1", "30", "runs"]
    assert any(f"of {found['slices'][0]['n_b']} verdicts" in line for line in lines)
    runs = explain(shops, outcome="failed", step_name=None)
    assert "verdict" not in runs["sentence"]


def capped(run_id: str, limit: int, version: str) -> dict[str, Any]:
    """A filter that asks one rule, whose limit is of the version."""
    rules = [
        {"field": "price", "op": "<=", "threshold": limit, "reason": "too_dear"},
        {"field": "stock", "op": ">", "threshold": 0, "reason": "gone"},
    ]
    events = [{"item_id": "a", "outcome": "accepted"}, {"item_id": "b", "outcome": "rejected", "reason": "too_dear"}]
    steps = [{"name": "keep", "rules": rules, "events": events}]
    return {"run_id": run_id, "pipeline": "limits", "code_version": version, "steps": steps}


@pytest.mark.parametrize(("runs", "few"), [(2, True), (4, False)])
def test_limits_that_were_set_otherwise_are_named_however_few_runs_there_are(
    api: TestClient, runs: int, few: bool
) -> None:
    for n in range(runs):
        post(api, capped(f"old-{n}", 30, "1"))
        post(api, capped(f"new-{n}", 25, "2"))
    found = explain(api, a="version:1", b="version:2")
    assert found["sentence"].endswith("The rule too_dear at keep was price <= 30 in a and price <= 25 in b.")
    assert ("too few" in found["sentence"], "With 3 runs on each side" in found["sentence"]) == (few, few)


def test_a_limit_that_differs_within_a_set_is_not_said_of_it(api: TestClient) -> None:
    for n in range(4):
        post(api, capped(f"old-{n}", 30 + n, "1"))
        post(api, capped(f"new-{n}", 25, "2"))
    found = explain(api, a="version:1", b="version:2")
    assert "The rule" not in found["sentence"]
    assert "With 4 runs on one side, only what nearly all of them share could." in found["sentence"]
