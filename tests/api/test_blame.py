"""`GET /blame`: which step is to blame for what labels say was wrong, and what the record does not explain."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.api.blame import BlameAnswer
from dxray.server.reasoning.intervals import more_often_by_chance, wilson
from dxray.wire.answers import Blame


def blame(api: TestClient, **asked: str) -> dict[str, Any]:
    answer = api.get("/blame", params=asked)
    assert answer.status_code == 200, answer.text
    BlameAnswer.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    assert found["explained"] + found["undecided"] == found["complaints"]
    return found


def label(api: TestClient, said: str, item: str | None = None, run_id: str = "r") -> None:
    answer = api.post(f"/runs/{run_id}/labels", json={"label": said} | ({"item_id": item} if item else {}))
    assert answer.status_code == 201, answer.text


def produced(*items: str, **parents: str) -> list[dict[str, Any]]:
    return [
        {"item_id": one, "outcome": "produced", "name": one.upper()}
        | ({"parents": [parents[one]]} if one in parents else {})
        for one in items
    ]


def post(api: TestClient, word: str = "stand", run_id: str = "r", **changes: Any) -> None:
    """Two words find two items each; "b" is rejected, "w" wins over "a"."""
    steps: dict[str, dict[str, Any]] = {
        "generate": {"name": "generate", "step_type": "generate", "events": produced("case", word)},
        "search": {
            "name": "search",
            "step_type": "retrieve",
            "events": produced("a", "b", "w", a="case", b="case", w=word),
        },
        "keep": {
            "name": "keep",
            "step_type": "filter",
            "input_count": 3,
            "rules": [{"field": "price", "op": "<=", "threshold": 100, "reason": "dear"}],
            "events": [
                {"item_id": "a", "outcome": "accepted", "evidence": {"price": 90}},
                {"item_id": "b", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
                {"item_id": "w", "outcome": "accepted", "evidence": {"price": 80}},
            ],
        },
        "choose": {
            "name": "choose",
            "step_type": "select",
            "input_count": 2,
            "events": [{"item_id": "a", "outcome": "accepted", "score": 0.5}],
            "decisions": [{"decision": "choose", "selected": "w", "score": 0.9, "reason": "highest"}],
        },
    }
    kept = [{**step, **(changes.get(name) or {})} for name, step in steps.items() if changes.get(name, {}) is not None]
    answer = api.post("/runs", json={"run_id": run_id, "pipeline": "p", "input": {"ask": "case"}, "steps": kept})
    assert answer.status_code == 201, answer.text


def faults(found: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    return [(one["step_name"], one["class"], one["item_id"], one["earliest"]) for one in found["faults"]]


def test_nothing_is_labelled(api: TestClient) -> None:
    post(api)
    found = blame(api)
    assert (found["labelled"], found["steps"]) == (0, [])
    assert found["sentence"] == "No run here is labelled, so there is nothing to explain yet."
    label(api, "good")
    assert blame(api)["sentence"] == "1 labelled run, and no label says that something was wrong."


@pytest.mark.parametrize(
    ("item", "step", "kind"),
    [("ghost", "search", "recall_loss"), ("b", "keep", "too_strict"), ("a", "choose", "mis_ranked")],
)
def test_what_was_expected_fell_at_a_step(api: TestClient, item: str, step: str, kind: str) -> None:
    post(api)
    label(api, "expected", item)
    found = blame(api)
    assert faults(found) == [(step, kind, item, True)]
    assert (found["pipeline"], found["labelled"], found["undecided"]) == ("p", 1, 0)
    row = found["steps"][0]
    assert (row["step_name"], row["faults"], row["share"], row["classes"][kind]) == (step, 1, 1.0, 1)
    assert row["interval"] == pytest.approx(list(wilson(1, 1)))


def test_a_value_that_no_other_run_has_is_a_bad_generation(api: TestClient) -> None:
    post(api)
    for number in range(3):
        post(api, word="cover", run_id=f"other{number}")
    label(api, "bad")
    found = blame(api)
    assert faults(found) == [("generate", "bad_generation", "stand", True)]
    assert found["sentence"] == (
        "The one label that is explained leads to generate, which generated a value that brought the wrong item in: "
        "STAND."
    )


def test_a_value_that_other_runs_have_too_leaves_the_choice(api: TestClient) -> None:
    post(api)
    post(api, run_id="other")
    label(api, "good", run_id="other")
    label(api, "bad")
    assert faults(blame(api)) == [("choose", "mis_ranked", "w", True)]


def test_without_another_run_to_compare_with_a_wrong_item_is_undecided(api: TestClient) -> None:
    post(api)
    label(api, "wrong", "w")
    found = blame(api)
    assert (found["faults"], found["undecided"]) == ([], 1)
    assert (found["unknown"][0]["cause"], found["unknown"][0]["item_id"]) == ("nothing_to_compare", "w")
    assert found["unknown"][0]["hint"]
    assert "1 label is undecided: no other run with this input shows" in found["sentence"]


def test_a_value_that_is_itself_labelled_wrong_needs_no_comparison(api: TestClient) -> None:
    post(api)
    label(api, "wrong", "stand")
    assert faults(blame(api)) == [("generate", "bad_generation", "stand", True)]


@pytest.mark.parametrize(("price", "is_fault"), [(180, True), (None, True), (80, False)])
def test_a_rule_that_speaks_against_what_passed(api: TestClient, price: int | None, is_fault: bool) -> None:
    events = [
        {"item_id": "a", "outcome": "accepted", "evidence": {"price": 90}},
        {"item_id": "b", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
        {"item_id": "w", "outcome": "accepted", "evidence": {"price": price}},
    ]
    post(api, keep={"events": events})
    post(api, run_id="other")
    label(api, "good", run_id="other")
    label(api, "bad")
    kind = ("keep", "too_lenient", "w", True) if is_fault else ("choose", "mis_ranked", "w", True)
    assert faults(blame(api)) == [kind]


def test_one_label_may_lead_to_two_steps_and_the_earliest_is_marked(api: TestClient) -> None:
    passed = [
        {"item_id": "a", "outcome": "accepted", "evidence": {"price": 90}},
        {"item_id": "b", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
        {"item_id": "w", "outcome": "accepted", "evidence": {"price": None}},
    ]
    post(api, keep={"events": passed})
    for number in range(3):
        post(api, word="cover", run_id=f"other{number}")
    label(api, "bad")
    found = blame(api)
    assert faults(found) == [("generate", "bad_generation", "stand", True), ("keep", "too_lenient", "w", False)]
    assert [(one["step_name"], one["faults"], one["earliest"]) for one in found["steps"]] == [
        ("generate", 1, 1),
        ("keep", 1, 0),
    ]
    text = str(Blame.read(found))
    assert "generate" in text
    assert "bad generation; the earliest in 1" in text
    assert "w" in text


def test_an_earlier_step_that_cannot_be_judged_leaves_the_first_open(api: TestClient) -> None:
    passed = [
        {"item_id": "a", "outcome": "accepted", "evidence": {"price": 90}},
        {"item_id": "w", "outcome": "accepted", "evidence": {"price": 120}},
        {"item_id": "b", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
    ]
    post(api, keep={"events": passed})
    label(api, "bad")
    found = blame(api)
    assert faults(found) == [("keep", "too_lenient", "w", None)]
    assert found["faults"][0]["unknown"]["cause"] == "nothing_to_compare"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"generate": {"events": []}}, "not_recorded"),
        ({"search": {"events": produced("a", "b", "w")}}, "not_recorded"),
        ({"keep": {"events": []}}, "not_recorded"),
        ({"choose": {"decisions": []}}, "not_recorded"),
    ],
)
def test_what_was_not_recorded_is_not_guessed(api: TestClient, changes: dict[str, Any], cause: str) -> None:
    post(api, **changes)
    post(api, run_id="other")
    label(api, "good", run_id="other")
    label(api, "bad")
    found = blame(api)
    assert (found["faults"], found["undecided"], found["unknown"][0]["cause"]) == ([], 1, cause)
    assert found["unknown"][0]["detail"]
    assert found["unknown"][0]["hint"]


def test_a_label_that_the_outcome_does_not_bear_out(api: TestClient) -> None:
    post(api)
    label(api, "expected", "w")
    label(api, "wrong", "b")
    assert {one["cause"] for one in blame(api)["unknown"]} == {"nothing_to_mend"}


def test_bad_gives_way_to_a_label_that_says_what(api: TestClient) -> None:
    post(api)
    label(api, "bad")
    label(api, "expected", "b")
    found = blame(api)
    assert (found["complaints"], faults(found)) == (1, [("keep", "too_strict", "b", True)])


def test_several_winners_and_bad_do_not_say_which(api: TestClient) -> None:
    post(api, choose={"events": [], "decisions": [{"decision": "choose", "selected": ["w", "a"]}]})
    label(api, "bad")
    assert blame(api)["unknown"][0]["cause"] == "ambiguous"


def test_runs_are_chosen_by_filters(api: TestClient) -> None:
    post(api)
    post(api, run_id="other")
    label(api, "expected", "b")
    label(api, "expected", "a", "other")
    shares = {one["step_name"]: one["share"] for one in blame(api)["steps"]}
    assert shares == {"keep": 0.5, "choose": 0.5}
    assert faults(blame(api, q="run_id:other"))[0][0] == "choose"
    assert blame(api, pipeline="none")["labelled"] == 0
    assert blame(api, until="1d")["labelled"] == 0
    refused = api.get("/blame", params={"pipelin": "p"})
    assert (refused.status_code, refused.json()["fix"]) == (422, "did you mean 'pipeline'?")


def test_a_label_that_was_taken_back_blames_nobody(api: TestClient) -> None:
    post(api)
    label(api, "expected", "b")
    api.delete("/runs/r/labels/1")
    assert blame(api)["labelled"] == 0


def test_intervals_are_those_of_the_books() -> None:
    assert wilson(9, 9) == pytest.approx((0.7009, 1.0), abs=1e-4)
    assert wilson(15, 50) == pytest.approx((0.1910, 0.4375), abs=1e-4)  # Newcombe 1998
    assert wilson(0, 0) == (0.0, 1.0)
    assert more_often_by_chance(3, 3, 6, 27) == pytest.approx(84 / 4060)
    assert more_often_by_chance(3, 4, 1, 4) == pytest.approx(17 / 70)  # Fisher's lady tasting tea
