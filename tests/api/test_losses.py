"""What did not arrive is shown on its run, and nothing certain is said of what it may have been."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Decision, Events, Loss, Op, Rule, Run, Step


def send(api: TestClient, *records: AnyRecord, seq: int = 1) -> None:
    body = pack_batch("me", seq, "default", map(pack_record, records))
    assert api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()["rejected"] == []


def step(number: int, name: str, events: dict[str, int], **more: Any) -> tuple[Step, Events]:
    step_id, ops = f"s{number}", bytes(events.values())
    after = [f"s{number - 1}"] if number > 1 else []
    fields = {"ended_at": 10 * number + 5, "events": len(events), "after": after, **more}
    made = Step(
        run_id="r", step_id=step_id, version=1, name=name, position=number - 1, started_at=10 * number, **fields
    )
    return made, Events(
        run_id="r", step_id=step_id, first=0, at=1, ops=ops, ids=list(events), a=[None] * len(ops), b=[None] * len(ops)
    )


def loss(cause: str = "queue_full", n: int = 2, step_id: str | None = None) -> Loss:
    return Loss(run_id="r", cause=cause, n=n, step_id=step_id)


def run(status: Any = "completed") -> Run:
    return Run(run_id="r", version=1, pipeline="p", status=status, started_at=1)


SEARCH = step(1, "search", dict.fromkeys("abc", Op.PRODUCED))
FILTER = step(2, "filter", {"a": Op.REJECTED, "b": Op.ACCEPTED, "c": Op.ACCEPTED}, input_count=3)
SELECT = step(3, "select", {"b": Op.SELECTED, "c": Op.OUTRANKED}, input_count=2)


def why(api: TestClient, item: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/runs/r/why", params={"item": item}).json()
    return found


def verdicts(api: TestClient) -> list[str]:
    return [why(api, item)["verdict"] for item in "abcz"]


CERTAIN = ["rejected", "selected", "outranked", "never_retrieved"]


def test_a_run_shows_its_losses_and_those_of_its_steps(api: TestClient) -> None:
    send(api, run(), *SEARCH, *FILTER, *SELECT, loss(step_id="s2"), loss("redacted", 4, "s1"))
    send(api, loss(n=3, step_id="s2"), loss("spool_full", 1), seq=2)
    send(api, loss(n=3, step_id="s2"), loss("spool_full", 1), seq=2)  # again
    api.post("/runs", json={"run_id": "whole", "pipeline": "p"})
    listed = {found["run_id"]: found["losses"] for found in api.get("/runs").json()["runs"]}
    assert listed == {"r": {"queue_full": 5, "redacted": 4, "spool_full": 1}, "whole": {}}
    found = api.get("/runs/r").json()
    assert found["losses"] == listed["r"]
    assert [one["losses"] for one in found["steps"]] == [{"redacted": 4}, {"queue_full": 5}, {}]


def test_a_step_that_lost_events_is_not_complete_and_what_follows_from_it_is_not_known(api: TestClient) -> None:
    send(api, run(), *SEARCH, *FILTER, *SELECT)
    assert verdicts(api) == CERTAIN
    before = api.get("/runs/r").json()["steps"]
    assert ([one["complete"] for one in before], before[1]["lost_between"]) == ([True] * 3, 0)
    send(api, loss(step_id="s2"), seq=2)
    steps = api.get("/runs/r").json()["steps"]
    assert [one["complete"] for one in steps] == [True, False, True]
    assert [one["lost_between"] for one in steps[1:]] == [None, None]
    assert [one["edges"][0]["cause"] for one in steps[1:]] == ["events of filter did not arrive"] * 2
    assert verdicts(api) == ["unknown", "selected", "outranked", "unknown"]
    gone = why(api, "a")
    assert (gone["unknown"]["cause"], gone["step_name"]) == ("dropped", "filter")
    assert "events of filter did not arrive" in gone["sentence"]
    assert "was never in this run" not in why(api, "z")["sentence"]


@pytest.mark.parametrize("step_id", [None, "s9"])
def test_losses_of_no_known_step_leave_no_step_complete(api: TestClient, step_id: str | None) -> None:
    """Each step ended, and has all events that it spoke of: the last one may be missing as a whole."""
    send(api, run(), *SEARCH, *FILTER, *SELECT, loss(step_id=step_id))
    assert [one["complete"] for one in api.get("/runs/r").json()["steps"]] == [False] * 3
    assert verdicts(api) == ["unknown"] * 4
    assert "events of this run did not arrive, of which step is not known" in why(api, "b")["sentence"]


@pytest.mark.parametrize("cause", ["truncated", "redacted"])
def test_values_that_were_changed_leave_all_as_certain_as_it_was(api: TestClient, cause: str) -> None:
    send(api, run(), *SEARCH, *FILTER, *SELECT, loss(cause), loss(cause, step_id="s2"))
    assert verdicts(api) == CERTAIN
    assert [one["complete"] for one in api.get("/runs/r").json()["steps"]] == [True] * 3


def test_a_run_that_goes_on_is_not_said_to_be_without_an_item(api: TestClient) -> None:
    send(api, run("running"), *SEARCH)
    assert "was not in it so far" in why(api, "z")["sentence"]
    send(api, loss(step_id="s1"), seq=2)
    assert why(api, "z")["verdict"] == "unknown"


def test_a_run_of_which_only_losses_arrived(api: TestClient) -> None:
    send(api, run("running"), loss())
    assert (why(api, "z")["verdict"], why(api, "z")["unknown"]["cause"]) == ("unknown", "dropped")


def test_a_lossy_attempt_that_was_tried_again_may_have_had_the_item(api: TestClient) -> None:
    first = step(1, "search", {"a": Op.PRODUCED}, error='{"type":"E"}')
    again = step(2, "search", {"a": Op.PRODUCED}, attempt=2)
    send(api, run(), *first, *again)
    assert why(api, "z")["verdict"] == "never_retrieved"
    send(api, loss(step_id="s1"), seq=2)
    assert (why(api, "z")["verdict"], why(api, "a")["verdict"]) == ("unknown", "survived")


def test_a_rule_is_not_said_to_be_skipped_where_events_were_lost(api: TestClient) -> None:
    rule = Rule("category", "==", '"phones"', "other", 3, 1)
    kept = step(2, "filter", {"a": Op.REJECTED, "b": Op.ACCEPTED, "c": Op.ACCEPTED}, rules=[rule])
    send(api, run(), *SEARCH, *kept, *SELECT)
    assert "was not evaluated for it" in why(api, "b")["sentence"]
    send(api, loss(step_id="s2"), seq=2)
    found = why(api, "b")
    assert (found["verdict"], found["not_evaluated"]) == ("selected", [])
    assert "not evaluated" not in found["sentence"]


def test_ranks_and_what_follows_from_scores_are_not_said_where_scores_were_lost(api: TestClient) -> None:
    chosen, scores = step(2, "select", {"a": Op.SCORED, "b": Op.SCORED})
    scores.a = [0.9, 0.5]
    won = Events(run_id="r", step_id="s2", first=2, at=1, ops=bytes([Op.SELECTED]), ids=["a"], a=[None], b=[0.9])
    said = Decision(run_id="r", step_id="s2", number=0, decision="pick", selected=["a"])
    chosen.events = 3
    shown = step(3, "show", {"a": Op.ACCEPTED, "b": Op.ACCEPTED})
    send(api, run(), *SEARCH, chosen, scores, won, said, *shown)
    assert (why(api, "a")["rank"], why(api, "b")["journey"][1]["outcome"]) == (1, "outranked")
    send(api, loss(step_id="s2"), seq=2)
    found = why(api, "a")
    assert (found["verdict"], found["rank"], found["scored"]) == ("selected", None, None)
    assert "scored highest" not in found["sentence"]
    assert why(api, "b")["journey"][1]["outcome"] is None


def test_counts_are_not_made_to_balance_where_events_were_lost(api: TestClient) -> None:
    open_ = step(2, "filter", {"a": Op.REJECTED, "b": Op.ACCEPTED})
    declared = step(3, "select", {"b": Op.SELECTED}, input_count=4, output_count=6)
    send(api, run(), *SEARCH, *open_, *declared)
    before = api.get("/runs/r").json()["steps"]
    assert [one["unaccounted"] for one in before] == [0, 0, -2]
    assert before[2]["contradictions"]
    send(api, loss(step_id="s2"), loss(step_id="s3"), seq=2)
    after = api.get("/runs/r").json()["steps"]
    assert [one["unaccounted"] for one in after] == [0, None, -2]
    assert after[1]["counts"]["unaccounted"] is None
    assert after[2]["contradictions"] == [], "the lost events may be what makes the difference"
