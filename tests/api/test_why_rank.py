"""`GET /runs/{id}/why-rank`: the order of two items, and what it is made of."""

from __future__ import annotations

import math
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.answers import WhyRank
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Events, Loss, Op, Run, Step


def ask(api: TestClient, item: str, over: str, run_id: str = "r") -> dict[str, Any]:
    answer = api.get(f"/runs/{run_id}/why-rank", params={"item": item, "over": over})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["sentence"]
    gap = found["gap"]
    if found["components"]:
        assert math.fsum(one["delta"] for one in found["components"]) == pytest.approx(gap, abs=1e-9)
    return found


def post(api: TestClient, *steps: dict[str, Any], **run: Any) -> None:
    answer = api.post("/runs", json={"run_id": "r", "pipeline": "p", "steps": list(steps), **run})
    assert answer.status_code == 201, answer.text


def search(*items: str, **names: str) -> dict[str, Any]:
    made = [{"item_id": one, "outcome": "produced", "name": names.get(one, one.upper())} for one in items]
    return {"name": "search", "step_type": "retrieve", "events": made}


def scored(name: str, scores: dict[str, Any], outcome: str = "accepted", **more: Any) -> dict[str, Any]:
    """A step that scores items: by number, or by parts that sum to the score."""
    events = []
    for item, score in scores.items():
        parts = score if isinstance(score, dict) else None
        points = sum(score.values()) if isinstance(score, dict) else score
        events.append({"item_id": item, "outcome": outcome, "score": points} | ({"parts": parts} if parts else {}))
    return {"name": name, "step_type": "rank", "events": events, **more}


def picked(name: str, winner: str, *others: str, **more: Any) -> dict[str, Any]:
    decision = {"decision": "pick", "selected": winner, "alternatives": list(others)}
    return {"name": name, "step_type": "select", "decisions": [decision], **more}


PARTS = {"a": {"rating": 0.6, "price": 0.3}, "b": {"rating": 0.5, "price": 0.1}, "c": {"rating": 0.1, "price": 0.35}}


def test_the_gap_is_told_part_by_part(api: TestClient) -> None:
    post(api, search("a", "b", "c"), scored("rank", PARTS))
    found = ask(api, "a", "b")
    assert (found["verdict"], found["decided_by"], found["step_name"]) == ("before", "score", "rank")
    assert (found["item"]["rank"], found["over"]["rank"], found["scored"]) == (1, 2, 3)
    assert found["gap"] == pytest.approx(0.3)
    assert [one["name"] for one in found["components"]] == ["price", "rating"]
    assert [one["delta"] for one in found["components"]] == pytest.approx([0.2, 0.1])
    assert found["sentence"] == (
        "A stands before B at rank: it scored 0.9 (rank 1 of 3) against 0.6 (rank 2 of 3). "
        "The gap of 0.3 comes from price (0.2) and rating (0.1). "
        "B would pass with rating above 0.8 (it was 0.5, more than any item had)."
    )


def test_the_other_way_round_is_the_same_story(api: TestClient) -> None:
    post(api, search("a", "b", "c"), scored("rank", PARTS))
    one, other = ask(api, "a", "c"), ask(api, "c", "a")
    assert (one["verdict"], other["verdict"]) == ("before", "behind")
    assert one["gap"] == -other["gap"]
    assert one["change"] == other["change"]
    assert one["change"]["item_id"] == "c"
    assert {row["name"]: row["decisive"] for row in one["components"]} == {"rating": True, "price": False}


def test_what_parts_do_not_explain_is_a_component(api: TestClient) -> None:
    events = [
        {"item_id": "a", "outcome": "accepted", "score": 0.9, "parts": {"rating": 0.5}},
        {"item_id": "b", "outcome": "accepted", "score": 0.4, "parts": {"rating": 0.3, "boost": 0.1}},
    ]
    post(api, search("a", "b"), {"name": "rank", "events": events})
    found = {one["name"]: one for one in ask(api, "a", "b")["components"]}
    assert found["boost"]["item"] is None
    assert found["not explained by parts"]["recorded"] is False
    assert found["not explained by parts"]["delta"] == pytest.approx(0.4)


def test_without_parts_the_call_that_records_them_is_named(api: TestClient) -> None:
    post(api, search("a", "b"), scored("rank", {"a": 0.9, "b": 0.4}))
    found = ask(api, "a", "b")
    assert (found["verdict"], found["components"], found["change"]) == ("before", [], None)
    assert found["unknown"] == {"cause": "not_recorded", "detail": "rank recorded no parts of the score of A and B"}
    assert "parts" in found["hint"]


def test_parts_of_the_step_that_made_the_score_count_at_the_step_that_used_it(api: TestClient) -> None:
    alternatives = [{"id": "b", "score": 0.6}]
    decision = {"decision": "pick", "selected": "a", "score": 0.9, "alternatives": alternatives}
    chosen = {"name": "select", "step_type": "select", "decisions": [decision]}
    post(api, search("a", "b", "c"), scored("rank", PARTS), chosen)
    found = ask(api, "a", "b")
    assert (found["decided_by"], found["step_name"], found["parts_from"]["step_name"]) == ("choice", "select", "rank")
    assert len(found["components"]) == 2
    assert found["rankings"][-1]["item_scores"] == [0.9]


def test_a_decision_that_repeats_a_score_is_no_second_judge(api: TestClient) -> None:
    decision = {"decision": "pick", "selected": "a", "score": 0.9, "alternatives": [{"id": "b", "score": 0.4}]}
    post(api, search("a", "b"), scored("select", {"a": 0.9, "b": 0.4}) | {"decisions": [decision]})
    found = ask(api, "a", "b")
    assert (found["rankings"][0]["item_scores"], found["rankings"][0]["over_scores"]) == ([0.9], [0.4])
    assert "judge" not in str(WhyRank.read(found))
    assert "rankings" not in str(WhyRank.read(found))


def test_a_choice_against_the_scores_says_so_and_offers_no_change(api: TestClient) -> None:
    decision = {"decision": "pick", "selected": "b", "score": 0.6, "alternatives": [{"id": "a", "score": 0.9}]}
    post(api, search("a", "b"), {"name": "select", "step_type": "select", "decisions": [decision]})
    found = ask(api, "b", "a")
    assert (found["verdict"], found["decided_by"], found["change"]) == ("before", "choice", None)
    assert "B was chosen, although it scored 0.6" in found["sentence"]


def test_a_choice_without_scores(api: TestClient) -> None:
    post(api, search("a", "b"), picked("select", "a", "b"))
    found = ask(api, "b", "a")
    assert (found["verdict"], found["decided_by"], found["gap"]) == ("behind", "choice", None)
    assert found["sentence"] == (
        "B stands behind A at select: A was chosen, and B was not; no scores of both were recorded."
    )


def test_of_several_rankings_the_choice_decides(api: TestClient) -> None:
    select = picked("select", "b", "a", events=scored("x", {"a": 0.2, "b": 0.8})["events"])
    post(api, search("a", "b"), scored("rank", {"a": 0.9, "b": 0.4}), select, scored("report", {"a": 0.9, "b": 0.1}))
    found = ask(api, "a", "b")
    assert (found["verdict"], found["step_name"]) == ("behind", "select")
    assert [(one["step_name"], one["verdict"], one["deciding"]) for one in found["rankings"]] == [
        ("rank", "before", False),
        ("select", "behind", True),
        ("report", "before", False),
    ]
    assert "rank had them the other way round; select decided." in found["sentence"]


def test_the_last_ranking_counts_where_none_chooses(api: TestClient) -> None:
    post(api, search("a", "b"), scored("rank", {"a": 0.9, "b": 0.4}), scored("rerank", {"a": 0.1, "b": 0.4}))
    assert (ask(api, "a", "b")["verdict"], ask(api, "a", "b")["step_name"]) == ("behind", "rerank")


def test_parallel_judges_that_disagree_leave_it_unknown(api: TestClient) -> None:
    one = scored("judge_a", {"a": 0.9, "b": 0.4}, step_id="ja", after=["s"])
    other = scored("judge_b", {"a": 0.3, "b": 0.4}, step_id="jb", after=["s"])
    post(api, search("a", "b") | {"step_id": "s"}, one, other)
    found = ask(api, "a", "b")
    assert (found["verdict"], found["unknown"]["cause"], found["change"]) == ("unknown", "ambiguous", None)
    assert "rank them differently, side by side" in found["sentence"]
    same = scored("judge_b", {"a": 0.8, "b": 0.4}, step_id="jb", after=["s"])
    post(api, search("a", "b") | {"step_id": "s"}, one, same, run_id="agree")
    assert ask(api, "a", "b", "agree")["verdict"] == "before"


def test_parallel_choices_that_disagree_leave_it_unknown(api: TestClient) -> None:
    one = picked("left", "a", "b", step_id="l", after=["s"])
    other = picked("right", "b", "a", step_id="r", after=["s"])
    post(api, search("a", "b") | {"step_id": "s"}, one, other)
    found = ask(api, "a", "b")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "ambiguous")


def test_several_scores_at_one_step_are_several_judges(api: TestClient) -> None:
    events = [
        {"item_id": item, "outcome": "accepted", "score": score}
        for item, score in (("a", 0.9), ("b", 0.4), ("a", 0.3), ("b", 0.5), ("a", 0.7), ("b", 0.6))
    ]
    post(api, search("a", "b"), {"name": "judge", "events": events})
    found = ask(api, "a", "b")
    [ranking] = found["rankings"]
    assert (ranking["item_scores"], ranking["over_scores"]) == ([0.9, 0.3, 0.7], [0.4, 0.5, 0.6])
    assert (ranking["item_ahead"], ranking["over_ahead"], found["verdict"]) == (2, 1, "before")
    assert "Both were scored 3 times there, and the last score counts; 2 of them agree." in found["sentence"]


def test_level_scores_are_level(api: TestClient) -> None:
    post(api, search("a", "b"), scored("rank", {"a": {"x": 0.5}, "b": {"x": 0.5}}))
    found = ask(api, "a", "b")
    assert (found["verdict"], found["change"]) == ("level", None)
    assert found["sentence"] == "A and B are level at rank: both scored 0.5."


def test_one_that_was_gone_before_is_said_with_its_reason(api: TestClient, stands: dict[str, Any]) -> None:
    api.post("/runs", json=stands)
    found = ask(api, "p3", "p0", "stands")
    assert (found["verdict"], found["unknown"]) == ("not_ranked", None)
    assert found["sentence"] == (
        "No step ranked Stand 3 and Stand 0 against each other: Stand 0 was rejected at filter_candidates: "
        "price_too_high. Stand 3 was selected at select_best: highest_score."
    )


def test_one_that_was_merged_or_never_there(api: TestClient, stands: dict[str, Any]) -> None:
    api.post("/runs", json=stands)
    # Both had a score at the filter; that is where they were ranked.
    assert ask(api, "p5", "p2", "stands")["step_name"] == "filter_candidates"
    found = ask(api, "p3", "Stand 33", "stands")
    assert (found["verdict"], found["over"]["verdict"]) == ("not_ranked", "never_retrieved")
    assert "Stand 33 was never in this run" in found["sentence"]
    assert {"item_id": "p3", "name": "Stand 3"} in found["did_you_mean"]


def test_scores_that_were_not_recorded_leave_it_unknown(api: TestClient) -> None:
    kept = [{"item_id": one, "outcome": "accepted"} for one in "ab"]
    post(api, search("a", "b"), {"name": "rank", "events": kept})
    found = ask(api, "a", "b")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "not_recorded")
    assert found["unknown"]["detail"] == "rank has no score of both of them"
    assert '"score"' in found["hint"]


def test_a_superseded_ranking_does_not_count(api: TestClient) -> None:
    first = scored("rank", {"a": 0.9, "b": 0.4}, error="timeout", attempt=1)
    again = scored("rank", {"a": 0.3, "b": 0.4}, attempt=2)
    post(api, search("a", "b"), first, again)
    found = ask(api, "a", "b")
    assert (found["verdict"], len(found["rankings"])) == ("behind", 1)


def test_a_run_that_did_not_come_to_its_end(api: TestClient) -> None:
    post(api, search("a", "b"), scored("rank", {"a": 0.9, "b": 0.4}, error="timeout"), status="failed")
    found = ask(api, "a", "b")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "interrupted")


def test_names_ids_and_what_is_asked_wrongly(api: TestClient) -> None:
    post(api, search("a", "b", "c", a="Same", b="Same", c="Böse\x1b[31m→名"), scored("rank", {"a": 1, "b": 2, "c": 3}))
    found = ask(api, "Same", "c")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "ambiguous")
    assert [one["item_id"] for one in found["did_you_mean"]] == ["a", "b"]
    assert ask(api, "Böse\x1b[31m→名", "a")["item"]["item_id"] == "c"
    assert "\x1b" not in str(WhyRank.read(ask(api, "c", "a")))
    same = api.get("/runs/r/why-rank", params={"item": "a", "over": "a"})
    assert (same.status_code, same.json()["field"]) == (422, "over")
    missing = api.get("/runs/r/why-rank", params={"item": "a"})
    assert (missing.status_code, missing.json()["field"]) == (422, "over")
    gone = api.get("/runs/rr/why-rank", params={"item": "a", "over": "b"})
    assert (gone.status_code, gone.json()["fix"]) == (404, "did you mean r?")


def compared(api: TestClient, *rows: tuple[str, str], lost: int = 0) -> None:
    """A step of comparisons in pairs, (loser, winner) each, as the SDK's `step.refer` records them."""
    ids = [loser for loser, _ in rows]
    run = Run(run_id="r", version=1, pipeline="p", status="completed")
    step = Step(run_id="r", step_id="s1", version=1, name="judge", position=0, ended_at=9, events=len(rows) + 2)
    ops = bytes([Op.PRODUCED, Op.PRODUCED, *[Op.REFERS] * len(rows)])
    a, b = [None, None, *(winner for _, winner in rows)], [None, None, *["beaten_by"] * len(rows)]
    events = Events(run_id="r", step_id="s1", first=0, at=1, ops=ops, ids=["a", "b", *ids], a=a, b=b)
    records: list[AnyRecord] = [run, step, events]
    if lost:
        records.append(Loss(run_id="r", step_id="s1", cause="queue_full", n=lost))
    body = pack_batch("me", 1, "default", [pack_record(one) for one in records])
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"})
    assert answer.json()["rejected"] == []


def test_comparisons_in_pairs(api: TestClient) -> None:
    compared(api, ("b", "a"))
    found = ask(api, "a", "b")
    assert (found["verdict"], found["decided_by"]) == ("before", "comparison")
    assert [(one["winner"], one["loser"]) for one in found["comparisons"]] == [("a", "b")]
    assert found["sentence"] == "a stands before b at judge: it beat it when both were compared."


def test_comparisons_that_do_not_agree(api: TestClient) -> None:
    compared(api, ("b", "a"), ("a", "b"), ("b", "a"))
    found = ask(api, "a", "b")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "ambiguous")
    assert "each was beaten by the other (2 to 1)" in found["sentence"]


def test_events_that_did_not_arrive_leave_it_unknown(api: TestClient) -> None:
    compared(api, ("b", "a"), lost=3)
    found = ask(api, "a", "b")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "dropped")
    assert found["hint"]
