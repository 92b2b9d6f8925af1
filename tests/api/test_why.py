"""`GET /runs/{id}/why`: verdicts, and the sentence that goes into a ticket."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Events, Op, Rule, Run, Step

ZSTD = {"content-encoding": "zstd"}


@pytest.fixture
def asked(api: TestClient, stands: dict[str, Any]) -> TestClient:
    api.post("/runs", json=stands)
    return api


def why(api: TestClient, item: str, run_id: str = "stands") -> dict[str, Any]:
    answer = api.get(f"/runs/{run_id}/why", params={"item": item})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_selected(asked: TestClient) -> None:
    found = why(asked, "p3")
    assert (found["verdict"], found["step_name"], found["rank"], found["scored"]) == ("selected", "select_best", 1, 3)
    assert found["sentence"] == (
        "Stand 3 was selected at select_best: it scored highest (0.9) of 3. "
        'It came in through "stand", which generate_keywords produced.'
    )
    assert [(one["item_id"], one["name"], one["step_name"]) for one in found["lineage"]] == [
        ("p3", "Stand 3", "search"),
        ("kw:stand", "stand", "generate_keywords"),
    ]
    assert [(row["step_name"], row["outcome"]) for row in found["journey"]] == [
        ("search", "produced"),
        ("filter_candidates", "accepted"),
        ("dedupe", "accepted"),
        ("select_best", "selected"),
    ]


def test_rejected_by_a_rule_that_the_evidence_speaks_of(asked: TestClient) -> None:
    found = why(asked, "p0")
    assert (found["verdict"], found["reason"], found["step_name"]) == (
        "rejected",
        "price_too_high",
        "filter_candidates",
    )
    assert found["predicate"] == {"field": "price", "op": "<=", "threshold": 100, "observed": 129.5, "margin": -29.5}
    assert found["twin"]["item_id"] == "p5"
    assert found["twin"]["differences"] == {"price": [129.5, 95]}
    assert found["sentence"] == (
        "Stand 0 was rejected at filter_candidates: price_too_high "
        "(price was 129.5, the rule is price <= 100; it missed by 29.5). "
        'It came in through "stand", which generate_keywords produced. '
        "The nearest item that was kept is Stand 5: price 95, here 129.5."
    )


def test_rejected_by_a_model(asked: TestClient) -> None:
    found = why(asked, "p1")
    assert (found["verdict"], found["predicate"]) == ("rejected", None)
    assert found["sentence"].startswith("Stand 1 was rejected by a model at filter_candidates: duplicate.")


def test_outranked_says_by_how_much_and_by_whom(asked: TestClient) -> None:
    found = why(asked, "p2")
    assert (found["verdict"], found["rank"], found["cutoff"]) == ("outranked", 2, 1)
    assert found["gap"] == pytest.approx(0.5)
    assert found["into"]["item_id"] == "p3"
    assert "rank 2 of 3 with 0.4, 0.5 short of the cut-off; Stand 3 took the place." in found["sentence"]


def test_merged_follows_the_other_item(asked: TestClient) -> None:
    found = why(asked, "p5")
    assert found["verdict"] == "merged"
    assert (found["into"]["item_id"], found["into"]["verdict"]) == ("p4", "outranked")
    assert "Stand 5 was merged into Stand 4 at dedupe. Stand 4 was outranked at select_best" in found["sentence"]


def test_consumed_names_what_came_from_it(asked: TestClient) -> None:
    found = why(asked, "kw:stand")
    assert (found["verdict"], found["expanded"]) == ("consumed", 6)
    assert "6 items came from it" in found["sentence"]


def test_an_item_is_found_by_its_name(asked: TestClient) -> None:
    assert why(asked, "Stand 3")["item_id"] == "p3"
    assert why(asked, "stand")["item_id"] == "kw:stand"


def test_what_the_run_never_saw(asked: TestClient) -> None:
    found = why(asked, "p33")
    assert found["verdict"] == "never_retrieved"
    assert found["journey"] == []
    assert {"item_id": "p3", "name": "Stand 3"} in found["did_you_mean"]


def test_a_name_that_several_items_have_is_asked_back(api: TestClient) -> None:
    made = [{"item_id": n, "outcome": "produced", "name": "Same"} for n in range(2)]
    api.post("/runs", json={"run_id": "r", "pipeline": "p", "steps": [{"name": "search", "events": made}]})
    found = why(api, "Same", "r")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "ambiguous")
    assert [one["item_id"] for one in found["did_you_mean"]] == ["0", "1"]


def chain(*steps: dict[str, Any], **run: Any) -> dict[str, Any]:
    return {"run_id": "r", "pipeline": "p", "steps": list(steps), **run}


def step(name: str, outcome: str, *items: str, **more: Any) -> dict[str, Any]:
    reason = {"reason": "no"} if outcome == "rejected" else {}
    return {"name": name, "events": [{"item_id": one, "outcome": outcome, **reason} for one in items], **more}


def test_lost_needs_a_step_that_says_how_many_came(api: TestClient) -> None:
    api.post("/runs", json=chain(step("search", "produced", "a", "b"), step("keep", "accepted", "a", input_count=1)))
    found = why(api, "b", "r")
    assert (found["verdict"], found["step_name"], found["lost_at"]["step_name"]) == ("lost", "search", "keep")
    assert "between search and keep" in found["sentence"]


def test_a_step_that_named_fewer_than_came_leaves_it_unknown(api: TestClient) -> None:
    api.post("/runs", json=chain(step("search", "produced", "a", "b"), step("keep", "accepted", "a", input_count=2)))
    found = why(api, "b", "r")
    assert (found["verdict"], found["unknown"]["cause"]) == ("unknown", "not_recorded")
    assert "keep took 2 items and named 1 of them" in found["unknown"]["detail"]
    assert found["hint"] == "record the item at keep, and give the step's input_count"


def test_what_came_unrecorded_may_have_been_dropped_by_a_step_that_only_counts(api: TestClient) -> None:
    """Three items were brought in by nobody; the fourth that "rank" counted may be any."""
    steps = (
        step("words", "produced", "w"),
        step("rank", "accepted", input_count=4),
        step("keep", "accepted", "a", "b", "c", input_count=3),
    )
    api.post("/runs", json=chain(*steps))
    found = why(api, "d", "r")
    assert (found["verdict"], found["unknown"]["cause"], found["step_name"]) == ("unknown", "not_recorded", "keep")


def test_reinstated_is_what_it_became_last(api: TestClient) -> None:
    found = chain(step("search", "produced", "a"), step("keep", "rejected", "a"), step("appeal", "accepted", "a"))
    api.post("/runs", json=found)
    answer = why(api, "a", "r")
    assert (answer["verdict"], answer["step_name"]) == ("survived", "appeal")
    assert "keep had dropped it before (no)." in answer["sentence"]


def test_superseded_attempts_leave_the_funnel_and_stay_in_the_record(api: TestClient) -> None:
    api.post(
        "/runs",
        json=chain(
            step("search", "produced", "a"), step("keep", "rejected", "a"), step("keep", "accepted", "a", attempt=2)
        ),
    )
    answer = why(api, "a", "r")
    assert (answer["verdict"], answer["step_name"]) == ("survived", "keep")
    assert [(row["outcome"], row["attempt"], row["superseded"]) for row in answer["journey"]] == [
        ("produced", 1, False),
        ("rejected", 1, True),
        ("accepted", 2, False),
    ]


@pytest.mark.parametrize("status", ["running", "failed", "waiting"])
def test_interrupted(api: TestClient, status: str) -> None:
    api.post("/runs", json=chain(step("search", "produced", "a"), status=status))
    assert why(api, "a", "r")["verdict"] == "interrupted"
    assert why(api, "z", "r")["verdict"] == "interrupted"


def test_a_rewritten_item_is_followed_both_ways(api: TestClient) -> None:
    rewrite = {"name": "rewrite", "events": [{"item_id": "a2", "outcome": "produced", "parents": ["a"]}]}
    api.post("/runs", json=chain(step("search", "produced", "a"), rewrite, step("keep", "rejected", "a2")))
    answer = why(api, "a", "r")
    assert answer["verdict"] == "consumed"
    assert "it became a2. a2 was rejected at keep: no." in answer["sentence"]
    assert [one["item_id"] for one in why(api, "a2", "r")["lineage"]] == ["a2", "a"]


def test_parallel_branches_are_told_by_after(api: TestClient) -> None:
    body = chain(
        step("search", "produced", "a", "b"),
        step("left", "rejected", "a", after=["search"], input_count=1),
        step("right", "accepted", "b", after=["search"], input_count=1),
        step("join", "accepted", "b", after=["left", "right"], input_count=1),
    )
    api.post("/runs", json=body)
    assert (why(api, "a", "r")["verdict"], why(api, "b", "r")["verdict"]) == ("rejected", "survived")


def test_merges_in_a_circle_end(api: TestClient) -> None:
    circle = [{"item_id": "a", "outcome": "merged", "into": "b"}, {"item_id": "b", "outcome": "merged", "into": "a"}]
    api.post("/runs", json=chain(step("search", "produced", "a", "b"), {"name": "dedupe", "events": circle}))
    assert why(api, "a", "r")["verdict"] == "merged"


def test_rules_that_were_asked_and_rules_that_were_not(api: TestClient) -> None:
    """As the SDK sends them: what each rule observed, on pass and on fail."""
    rules = [Rule("price", "<=", "100", "dear", 2, 1), Rule("stars", ">=", "4", "bad", 2, 1)]
    sku = Rule("category", "==", '"phones"', "other", 1, 0)
    ops = bytes((Op.RULE_FAILED, Op.RULE_ALSO_FAILED, Op.RULE_PASSED, Op.RULE_PASSED, Op.ACCEPTED, Op.RULE_PASSED))
    found = [
        Run(run_id="r", version=1, pipeline="p", status="completed"),
        Step(run_id="r", step_id="s1", version=1, name="keep", position=0, events=6, rules=[*rules, sku]),
        Events(
            run_id="r",
            step_id="s1",
            first=0,
            at=1,
            ops=ops,
            ids=["a", "a", "b", "b", "b", "c"],
            a=[0, 1, 0, 1, None, 2],
            b=[129, 3.5, 80, 5, None, "phones"],
            rules=[*rules, sku],
        ),
    ]
    assert api.post(
        "/ingest", content=pack_batch("me", 1, "default", map(pack_record, found)), headers=ZSTD
    ).json() == {
        "accepted": 3,
        "rejected": [],
        "duplicate": False,
    }
    rejected = why(api, "a", "r")
    assert rejected["predicate"] == {"field": "price", "op": "<=", "threshold": 100, "observed": 129, "margin": -29.0}
    assert [one["field"] for one in rejected["also_failed"]] == ["stars"]
    assert "it also failed stars >= 4" in rejected["sentence"]
    kept = why(api, "b", "r")
    assert kept["verdict"] == "survived"
    assert [rule["field"] for rule in kept["not_evaluated"][0]["rules"]] == ["category"]
    assert "although the rule category == phones was not evaluated for it." in kept["sentence"]
    undecided = why(api, "c", "r")
    assert (undecided["verdict"], undecided["unknown"]["cause"]) == ("unknown", "not_recorded")
    again = api.post("/ingest", content=pack_batch("me", 1, "default", map(pack_record, found)), headers=ZSTD).json()
    assert again == {"accepted": 0, "rejected": [], "duplicate": True}


def made_of(api: TestClient, *records: Run | Step | Events, project: str = "default", producer: str = "me") -> None:
    body = pack_batch(producer, 1, project, map(pack_record, records))
    assert api.post("/ingest", content=body, headers=ZSTD).json()["rejected"] == []


def begun(step_id: str, name: str, position: int, at: int, events: dict[str, Op], **more: Any) -> tuple[Step, Events]:
    made = Step(
        run_id="r",
        step_id=step_id,
        version=1,
        name=name,
        position=position,
        started_at=at,
        ended_at=at + 5,
        events=len(events),
        **more,
    )
    ops = bytes(events.values())
    return made, Events(
        run_id="r", step_id=step_id, first=0, at=at, ops=ops, ids=list(events), a=[None] * len(ops), b=[None] * len(ops)
    )


RUN = Run(run_id="r", version=1, pipeline="p", status="completed")
SEARCH = begun("s1", "search", 0, 10, dict.fromkeys("abcd", Op.PRODUCED))
FILTER = begun(
    "s2", "filter", 1, 20, {"a": Op.REJECTED} | dict.fromkeys("bcd", Op.ACCEPTED), after=["s1"], input_count=4
)


def verdicts(api: TestClient, items: str) -> list[tuple[str, str | None]]:
    return [(found["verdict"], found["step_name"]) for found in (why(api, item, "r") for item in items)]


def test_what_a_resumed_process_decides_comes_after_all_before(api: TestClient) -> None:
    decided = {"b": Op.ACCEPTED, "c": Op.REJECTED, "d": Op.ACCEPTED}
    approve = begun("rabc123.1790000001", "approve", 1_790_000_000, 100, decided)
    publish = begun(
        "rabc124.1790000101",
        "publish",
        1_790_000_100,
        200,
        {"b": Op.ACCEPTED, "d": Op.REJECTED},
    )
    made_of(api, RUN, *SEARCH, *FILTER, *approve, *publish)
    assert verdicts(api, "abcd") == [
        ("rejected", "filter"),
        ("survived", "publish"),
        ("rejected", "approve"),
        ("rejected", "publish"),
    ]
    assert verdicts(api, "z") == [("never_retrieved", "search")]


def test_approvals_one_at_a_time_lose_nothing(api: TestClient) -> None:
    turns = [
        begun(f"rabc12{n}.{1_790_000_001 + n}", "approve", 1_790_000_000 + n, 100 + 10 * n, {item: Op.ACCEPTED})
        for n, item in enumerate("bcd")
    ]
    made_of(api, RUN, *SEARCH, *FILTER, *(record for turn in turns for record in turn))
    assert verdicts(api, "bcd") == [("survived", "approve")] * 3


def test_processes_that_join_a_run_work_on_items_of_the_steps_before(api: TestClient) -> None:
    checks = [
        begun(f"jabc12{n}.1790000001", "check", 1_790_000_000, 30 + n, {item: op})
        for n, (item, op) in enumerate({"b": Op.ACCEPTED, "c": Op.REJECTED, "d": Op.ACCEPTED}.items())
    ]
    rank = begun("s3", "rank", 2, 50, {"b": Op.ACCEPTED, "d": Op.REJECTED}, after=["s2"], after_inferred=True)
    made_of(api, RUN, *SEARCH, *FILTER, *(record for check in checks for record in check), *rank)
    assert verdicts(api, "abcd") == [
        ("rejected", "filter"),
        ("survived", "rank"),
        ("rejected", "check"),
        ("rejected", "rank"),
    ]
    assert verdicts(api, "z") == [("never_retrieved", "search")]


def test_a_process_that_joins_inside_a_step_belongs_to_it(api: TestClient) -> None:
    call = begun("s3", "call", 2, 30, {}, after=["s2"], after_inferred=True)
    inside = begun(
        "jabc123.1790000001", "check", 1_790_000_000, 31, {"b": Op.ACCEPTED, "c": Op.REJECTED}, parent_step_id="s3"
    )
    rank = begun("s4", "rank", 3, 50, {"b": Op.ACCEPTED}, after=["s3"], after_inferred=True)
    made_of(api, RUN, *SEARCH, *FILTER, *call, *inside, *rank)
    assert verdicts(api, "abc") == [("rejected", "filter"), ("survived", "rank"), ("rejected", "check")]


def test_a_failed_turn_of_a_loop_takes_nothing_of_the_others_away(api: TestClient) -> None:
    turns = [
        step("search", "produced", "itemA", error="no answer"),
        step("search", "produced", "itemB", attempt=2),
        step("search", "produced", "itemC"),
    ]
    api.post("/runs", json=chain(*turns))
    assert verdicts(api, "z") == [("never_retrieved", "search")]
    assert [why(api, item, "r")["verdict"] for item in ("itemB", "itemC")] == ["survived", "survived"]
    failed = why(api, "itemA", "r")
    assert (failed["verdict"], failed["unknown"]["cause"]) == ("unknown", "not_recorded")
    assert "attempt 1 of search had the item and failed" in failed["sentence"]
    assert [(row["outcome"], row["superseded"]) for row in failed["journey"]] == [("produced", True)]


def test_a_tie_across_the_cutoff_is_not_decided(api: TestClient) -> None:
    rank, scores = begun("s3", "rank", 2, 30, dict.fromkeys("abcd", Op.SCORED), after=["s1"], cutoff=2)
    scores.a = [3, 2, 2, 1]
    made_of(api, RUN, *SEARCH, rank, scores)
    assert [found[0] for found in verdicts(api, "abcd")] == ["survived", "unknown", "unknown", "outranked"]
    assert why(api, "d", "r")["into"] is None


def test_an_item_may_have_an_empty_id(api: TestClient) -> None:
    api.post("/runs", json=chain(step("search", "produced", "", "a"), step("keep", "rejected", "")))
    assert verdicts(api, ["", "a"]) == [("rejected", "keep"), ("unknown", "search")]  # type: ignore[arg-type]
    assert api.get("/runs/r/why").status_code == 422


def test_an_empty_id_that_no_item_has_is_answered(asked: TestClient) -> None:
    assert why(asked, "")["verdict"] == "never_retrieved"


def test_what_is_recorded_for_another_project_is_read_here(api: TestClient) -> None:
    made_of(api, RUN, *SEARCH, project="elsewhere")
    assert api.get("/runs").json()["total"] == 1
    assert verdicts(api, "a") == [("survived", "search")]
    body = pack_batch("me", 1, "default", map(pack_record, (RUN, *SEARCH)))
    assert api.post("/ingest", content=body, headers=ZSTD).json()["duplicate"] is True
