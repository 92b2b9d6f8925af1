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
    [("b", "keep", "too_strict"), ("a", "choose", "mis_ranked")],
)
def test_what_was_expected_fell_at_a_step(api: TestClient, item: str, step: str, kind: str) -> None:
    post(api)
    post(api, run_id="other")
    label(api, "good", run_id="other")
    label(api, "expected", item)
    found = blame(api)
    assert faults(found) == [(step, kind, item, True)]
    assert (found["pipeline"], found["labelled"], found["undecided"]) == ("p", 2, 0)
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


def test_what_no_run_ever_had_is_said_to_be_so(api: TestClient) -> None:
    post(api)
    label(api, "expected", "wx")
    found = blame(api)
    (fault,) = found["faults"]
    assert (fault["class"], fault["never_seen"], fault["hint"]) == (
        "recall_loss", True, "see that the id is right; did you mean w?",
    )  # fmt: skip
    assert "no run of the pipeline ever had it" in fault["detail"]
    assert found["sentence"].endswith("No run ever had wx: see that the label names the right id.")
    assert "did you mean w?" in str(Blame.read(found))


def test_what_other_runs_have_and_none_says_who_brought_in_is_undecided(api: TestClient) -> None:
    post(api)
    kept = [{"item_id": "v", "outcome": "accepted"}]
    post(api, run_id="other", search={"events": produced("a")}, keep={"input_count": 1, "events": kept})
    label(api, "expected", "v")
    found = blame(api)
    assert (found["faults"], found["unknown"][0]["cause"]) == ([], "not_recorded")
    assert "none says which step brings it in" in found["unknown"][0]["detail"]


def test_what_stood_in_the_place_of_the_expected_is_asked_first(api: TestClient) -> None:
    passed = [
        {"item_id": "a", "outcome": "accepted", "evidence": {"price": 90}},
        {"item_id": "b", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
        {"item_id": "w", "outcome": "accepted", "evidence": {"price": 180}},
    ]
    post(api, keep={"events": passed})
    post(api, run_id="other")
    label(api, "good", run_id="other")
    label(api, "expected", "a")
    assert faults(blame(api)) == [("keep", "too_lenient", "w", True)]


def test_what_was_not_next_in_line_was_ranked_too_low_whoever_won(api: TestClient) -> None:
    scored = [
        {"item_id": "a", "outcome": "accepted", "score": 0.5},
        {"item_id": "c", "outcome": "accepted", "score": 0.6},
    ]
    post(api, choose={"events": scored, "input_count": 3})
    label(api, "expected", "a")
    assert faults(blame(api)) == [("choose", "mis_ranked", "a", True)]


def ranked(api: TestClient, run_id: str, chosen: dict[str, Any], **scores: float) -> None:
    """A rank of which the best two of three go on, and a choice among them."""
    top = sorted(scores, key=lambda one: -scores[one])[:2]
    rank = {
        "name": "rank",
        "step_type": "rank",
        "input_count": 3,
        "events": [
            {"item_id": one, "outcome": "accepted" if one in top else "outranked", "score": score}
            for one, score in scores.items()
        ],
    }
    steps = [
        {"name": "search", "step_type": "retrieve", "events": produced(*scores)},
        rank,
        {"name": "choose", "step_type": "select", "input_count": 2} | chosen,
    ]
    answer = api.post("/runs", json={"run_id": run_id, "pipeline": "p", "input": {"ask": "case"}, "steps": steps})
    assert answer.status_code == 201, answer.text


def choice(selected: str, **scores: float) -> dict[str, Any]:
    alternatives = [{"id": one, "score": score} for one, score in scores.items() if one != selected]
    return {
        "decisions": [
            {"decision": "choose", "selected": selected, "score": scores[selected], "alternatives": alternatives}
        ]
    }


def test_a_choice_that_repeats_the_scores_of_a_rank_was_made_there(api: TestClient) -> None:
    ranked(api, "r", choice("w", w=0.9, a=0.5), w=0.9, a=0.5, b=0.4)
    label(api, "wrong", "w")
    assert faults(blame(api)) == [("rank", "mis_ranked", "w", True)]


def test_a_rank_that_put_the_wrong_item_first_where_other_runs_do_not(api: TestClient) -> None:
    ranked(api, "r", choice("w", w=7, a=3), a=0.9, w=0.5, b=0.4)
    label(api, "wrong", "w")
    found = blame(api)
    assert (found["faults"], found["unknown"][0]["cause"]) == ([], "nothing_to_compare")
    ranked(api, "other", choice("a", a=7, b=3), a=0.9, b=0.5, w=0.4)
    (fault,) = blame(api)["faults"]
    assert (fault["step_name"], fault["class"], fault["earliest"]) == ("rank", "mis_ranked", True)
    assert "in the other run with the same input it did not" in fault["detail"]


def test_a_rank_that_does_as_ever_leaves_the_choice(api: TestClient) -> None:
    ranked(api, "r", choice("w", w=7, a=3), a=0.9, w=0.5, b=0.4)
    ranked(api, "other", choice("a", w=3, a=7), a=0.9, w=0.5, b=0.4)
    label(api, "wrong", "w")
    assert faults(blame(api)) == [("choose", "mis_ranked", "w", True)]


def test_a_choice_without_scores_may_go_by_the_rank_before_it(api: TestClient) -> None:
    unscored = {
        "events": [{"item_id": "a", "outcome": "accepted"}],
        "decisions": [{"decision": "choose", "selected": "w"}],
    }
    ranked(api, "r", unscored, w=0.9, a=0.5, b=0.4)
    label(api, "wrong", "w")
    found = blame(api)
    assert faults(found) == [("rank", "mis_ranked", "w", None), ("choose", "mis_ranked", "w", False)]
    assert found["faults"][0]["unknown"]["detail"].endswith("whether choose goes by these scores is not recorded")


@pytest.mark.parametrize("said", [{}, {"input_count": 2}, {"events": [{"item_id": "w", "outcome": "accepted"}]}])
def test_a_rank_of_which_no_scores_arrived_may_have_made_the_order(api: TestClient, said: dict[str, Any]) -> None:
    steps = [
        {"name": "search", "step_type": "retrieve", "events": produced("w", "a")},
        {"name": "rank", "step_type": "rank"} | said,
        {"name": "choose", "step_type": "select", "input_count": 2} | choice("w", w=0.9, a=0.1),
    ]
    answer = api.post("/runs", json={"run_id": "r", "pipeline": "p", "input": {"ask": "case"}, "steps": steps})
    assert answer.status_code == 201, answer.text
    label(api, "expected", "a")
    found = blame(api)
    assert [one for one in found["faults"] if one["earliest"]] == []
    assert {one["unknown"]["cause"] for one in found["faults"]} == {"not_recorded"}
    assert "whether a step before it is to blame is not known" in found["sentence"]


def test_a_pipeline_that_is_not_there_is_said(api: TestClient) -> None:
    post(api)
    found = blame(api, pipeline="P")
    assert (found["did_you_mean"], found["sentence"]) == (["p"], "No run of a pipeline P is recorded; did you mean p?")
    assert blame(api, pipeline="zzz")["sentence"] == "No run of a pipeline zzz is recorded."
    assert blame(api, pipeline="p")["did_you_mean"] is None


@pytest.mark.parametrize("path", ["/blame", "/runs", "/steps"])
def test_a_period_that_ends_before_it_begins_is_refused(api: TestClient, path: str) -> None:
    refused = api.get(path, params={"since": "1h", "until": "2d"})
    assert refused.status_code == 422
    assert (refused.json()["field"], refused.json()["fix"]) == ("until", "swap them: since=2d&until=1h")
    assert api.get(path, params={"since": "2d", "until": "1h"}).status_code == 200


def test_runs_and_labels_are_counted_apart(api: TestClient) -> None:
    post(api)
    label(api, "expected", "b")
    label(api, "wrong", "w")
    text = str(Blame.read(blame(api)))
    assert "1 labelled run · 2 labels say that something was wrong: 1 explained, 1 undecided" in text
    assert "█ share of the explained labels that lead to the step" in text
    assert "▓" not in text


@pytest.mark.parametrize(("count", "earliest"), [({"input_count": 1}, True), ({}, None)])
def test_a_step_beside_the_way_is_passed_over_only_if_it_counts_its_items(
    api: TestClient, count: dict[str, int], earliest: bool | None
) -> None:
    """Of two filters side by side one does not name the item: surely it was not there where all are named."""
    keep = {
        "name": "keep",
        "step_id": "k",
        "step_type": "filter",
        "after": ["s"],
        "input_count": 2,
        "rules": [{"field": "price", "op": "<=", "threshold": 100, "reason": "dear"}],
        "events": [
            {"item_id": "w", "outcome": "accepted", "evidence": {"price": 180}},
            {"item_id": "b", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
        ],
    }
    beside = {"name": "beside", "step_id": "n", "step_type": "filter", "after": ["s"]}
    beside |= {"events": [{"item_id": "a", "outcome": "accepted"}], **count}
    steps = [
        {"name": "search", "step_id": "s", "step_type": "retrieve", "events": produced("a", "b", "w")},
        beside,
        keep,
        {"name": "choose", "step_type": "select", "after": ["n", "k"], "input_count": 2} | choice("w", w=0.9, a=0.5),
    ]
    api.post("/runs", json={"run_id": "r", "pipeline": "p", "input": {"ask": "case"}, "steps": steps})
    label(api, "wrong", "w")
    assert faults(blame(api)) == [("keep", "too_lenient", "w", earliest)]


def searched(word: str) -> dict[str, Any]:
    """What finds "n" too, by a word."""
    return {"events": produced("a", "b", "w", "n", a="case", b="case", w="stand", n=word)}


def test_what_a_search_missed_though_it_had_the_word_that_finds_it_elsewhere(api: TestClient) -> None:
    post(api)
    post(api, run_id="other", search=searched("case"))
    label(api, "expected", "n")
    assert faults(blame(api)) == [("search", "recall_loss", "n", True)]


def test_what_came_in_elsewhere_by_a_word_that_was_not_made_here(api: TestClient) -> None:
    post(api)
    words = {"events": produced("case", "stand", "cover")}
    post(api, run_id="other", generate=words, search=searched("cover"))
    label(api, "expected", "n")
    found = blame(api)
    assert faults(found) == [("generate", "recall_loss", "n", True), ("search", "recall_loss", "n", False)]
    assert found["faults"][0]["detail"] == (
        'did not make "COVER", through which n came in in the other run with the same input'
    )


@pytest.mark.parametrize("search", [{"events": produced("n")}, None])
def test_what_nobody_tells_by_which_word_it_comes_may_be_for_want_of_one(
    api: TestClient, search: dict[str, Any] | None
) -> None:
    post(api)
    if search is not None:
        post(api, run_id="other", search=search)
    label(api, "expected", "n")
    found = blame(api)
    assert faults(found) == [("search", "recall_loss", "n", None)]
    assert found["faults"][0]["never_seen"] == (search is None)


@pytest.mark.parametrize(("kind", "step"), [("approve", "review"), ("transform", "review")])
def test_who_takes_back_what_was_dropped_is_to_blame(api: TestClient, kind: str, step: str) -> None:
    dropped = [
        {"item_id": "a", "outcome": "accepted", "evidence": {"price": 90}},
        {"item_id": "w", "outcome": "rejected", "reason": "dear", "evidence": {"price": 190}},
    ]
    steps = [
        {"name": "search", "step_type": "retrieve", "events": produced("a", "w")},
        {"name": "keep", "step_type": "filter", "input_count": 2, "events": dropped},
        {"name": "again", "step_type": "filter", "input_count": 1, "events": [{"item_id": "a", "outcome": "accepted"}]},
        {
            "name": step,
            "step_type": kind,
            "input_count": 2,
            "events": [{"item_id": one, "outcome": "accepted"} for one in "aw"],
        },
        {"name": "choose", "step_type": "select", "input_count": 2} | choice("w", w=0.9, a=0.5),
    ]
    api.post("/runs", json={"run_id": "r", "pipeline": "p", "input": {"ask": "case"}, "steps": steps})
    label(api, "wrong", "w")
    found = blame(api)
    assert faults(found) == [(step, "too_lenient", "w", True)]
    assert found["faults"][0]["detail"] == "took W back, which keep had rejected (dear)"
