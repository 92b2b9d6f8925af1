"""`POST /whatif`: what another threshold would have done, and what cannot be known of it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from starlette.testclient import TestClient

from dxray import XRay, demo, testing
from dxray.sdk.step import Step
from dxray.server.api.whatif import WhatifAnswer
from dxray.wire.answers.whatif import Whatif
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.printed.whatif import whatif_lines
from dxray.wire.records import Run
from dxray.wire.text import cells
from examples import rebooking

REASON = "price_too_high"


def ask(api: TestClient, *changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = api.post("/whatif", json={"changes": list(changes), **more})
    assert answer.status_code == 200, answer.text
    WhatifAnswer.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    for both in (found["flipped"], found["runs_affected"], found["winners_changed"]):
        assert 0 <= both[0] <= both[1]
    return found


def cap(threshold: Any, **more: Any) -> dict[str, Any]:
    return {"reason": REASON, "threshold": threshold, **more}


def refused(api: TestClient, *changes: dict[str, Any], status: int = 422, **more: Any) -> dict[str, Any]:
    answer = api.post("/whatif", json={"changes": list(changes), **more})
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def deliver(api: TestClient, captured: testing.Capture) -> None:
    """What was recorded, as a server takes it."""
    records = sorted(captured.records, key=lambda record: type(record) is not Run)
    body = pack_batch("test", 1, "default", map(pack_record, records))
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"})
    assert answer.json()["rejected"] == [], answer.text


PRICES = {"a": 50.0, "b": 90.0, "c": 120.0, "d": 190.0}
RATINGS = {"a": 3.0, "b": 4.0, "c": 5.0, "d": 1.0}


def record(
    api: TestClient, *, together: bool = False, model: str | None = None, plain: bool = False, counted: bool = True
) -> None:
    """Four products; a cap on the price, then a floor for the rating; the best rating wins."""
    with testing.capture() as captured:
        with XRay("shop").run(run_id="r") as run:
            with run.step("search", step_type="retrieve") as step:
                for item in PRICES:
                    step.produce(item, name=f"Product {item}")
            with run.step("keep", step_type="filter") as step:
                limits = [
                    step.require("price", "<=", 100, reason=REASON),
                    step.require("rating", ">=", 2, reason="rating_too_low"),
                ]
                every = step.require_all(limits)
                kept = []
                for item in PRICES:
                    facts = {"price": PRICES[item], "rating": RATINGS[item]}
                    good = (
                        every.passes(item, facts) if together else all(r.passes(item, facts[r.field]) for r in limits)
                    )
                    if good and plain and item == "a":
                        step.reject(item, "odd")
                    elif good:
                        kept.append(item)
                        step.accept(item)
            if model is not None:
                with run.step("judge", step_type="rank") as step:
                    step.set_config(model=model)
                    for item in kept:
                        step.accept(item)
            with run.step("choose", step_type="select") as step:
                best, *others = sorted(kept, key=lambda item: -RATINGS[item])
                for item in kept:
                    step.score(item, RATINGS[item])
                if counted:
                    step.cutoff(1)
                step.decide("pick", best, alternatives=[{"id": other, "score": RATINGS[other]} for other in others])
        deliver(api, captured)


def test_a_tighter_limit_is_certain_and_the_next_best_wins(api: TestClient) -> None:
    record(api)
    found = ask(api, cap(60))
    assert found["exactness"] == "certain"
    assert found["flipped"] == found["newly_rejected"] == [1, 1]
    assert found["runs_affected"] == found["winners_changed"] == [1, 1]
    (change,) = found["winner_changes"]
    assert change["from"] == [{"item_id": "b", "name": "Product b"}]
    assert change["to"] == [{"item_id": "a", "name": "Product a"}]
    reasons = {row["reason"]: (row["before"], row["after"]) for row in found["by_reason_after"]}
    assert reasons == {None: (2, [1, 1]), REASON: (2, [3, 3])}
    assert "price_too_high at 60 instead of 100" in found["sentence"]


def test_where_no_cutoff_is_recorded_the_next_best_may_win_and_may_be_too_bad(api: TestClient) -> None:
    record(api, counted=False)
    found = ask(api, cap(60))
    assert found["winners_changed"] == [1, 1]  # what won is gone
    (change,) = found["winner_changes"]
    assert (change["to"], change["exactness"]) == ([], "bounded")
    assert change["may_win"] == [{"item_id": "a", "name": "Product a"}]
    assert any("step.cutoff" in one["hint"] for one in found["unknown"])


def test_an_item_that_later_rules_never_saw_reaches_them_and_then_nothing_is_known(api: TestClient) -> None:
    record(api)
    found = ask(api, cap(130))
    assert found["exactness"] == "bounded"
    assert found["flipped"] == [0, 1]
    assert found["winners_changed"] == [0, 1]
    (hint,) = {row["hint"] for row in found["unknown"] if row["step_name"] == "keep"}
    assert "require_all" in hint
    assert "cannot be said" in found["sentence"]


def test_rules_that_were_asked_together_leave_no_gap(api: TestClient) -> None:
    record(api, together=True)
    assert ask(api, cap(130))["flipped"] == [1, 1]
    high = ask(api, cap(500))  # d fails its rating too
    assert high["flipped"] == [1, 1]
    both = ask(api, cap(500), {"reason": "rating_too_low", "disable": True})
    assert both["flipped"] == [2, 2]
    assert both["changes"][1]["disable"] is True
    reached = {one["item_id"]: one["then"] for one in both["examples"]}
    assert reached == {"c": "reaches choose, then unknown", "d": "reaches choose, then unknown"}


def test_a_step_that_rejects_without_a_rule_may_reject_what_newly_passes(api: TestClient) -> None:
    record(api, together=True, plain=True)
    found = ask(api, cap(130))
    assert found["flipped"] == [0, 1]
    assert any("without a rule" in row["detail"] for row in found["unknown"])


def test_a_model_between_has_to_run_again(api: TestClient) -> None:
    record(api, model="m1")
    found = ask(api, cap(60))
    assert found["flipped"] == [1, 1]
    assert found["exactness"] == "replay_needed"
    (change,) = found["winner_changes"]
    assert change["changes"] == "yes"  # who won is gone; who wins now only the model can say
    assert change["again"] == ["judge"]
    assert ask(api, cap(101))["exactness"] == "certain"  # nothing changes for it


def test_what_changes_nothing_says_so(api: TestClient) -> None:
    record(api)
    found = ask(api, cap(100))
    assert found["flipped"] == found["winners_changed"] == [0, 0]
    assert "nothing would be decided otherwise" in found["sentence"]


def test_the_curve_is_that_of_single_questions(api: TestClient) -> None:
    record(api, together=True)
    found = ask(api, sweep={"reason": REASON, "from": 40, "to": 200, "points": 9})
    assert [point["threshold"] for point in found["curve"]] == [40 + 20 * n for n in range(9)]
    for point in found["curve"]:
        assert point["flipped"] == ask(api, cap(point["threshold"]))["flipped"], point
    assert {tuple(point["flipped"]) for point in found["curve"]} == {(0, 0), (1, 1), (2, 2)}


def test_runs_posted_by_hand_are_asked_by_their_evidence(api: TestClient, stands: dict[str, Any]) -> None:
    assert api.post("/runs", json=stands).status_code == 201
    found = ask(api, cap(92))
    assert found["newly_rejected"] == [3, 3]
    assert ask(api, cap(200))["newly_kept"] == [0, 1]  # the step also rejected a duplicate without a rule
    curve = ask(api, sweep={"reason": REASON, "from": 92, "to": 200, "points": 2})["curve"]
    assert [point["flipped"] for point in curve] == [[3, 3], [0, 1]]


def test_what_cannot_be_asked_is_refused_with_what_can(api: TestClient) -> None:
    record(api, plain=True)
    assert refused(api)["fix"].startswith("give changes")
    assert refused(api, {"reason": "price_to_high", "threshold": 1})["fix"] == f"did you mean {REASON!r}?"
    assert "no rule was recorded" in refused(api, {"reason": "odd", "threshold": 1})["detail"]
    assert "step.require" in refused(api, {"reason": "odd", "threshold": 1})["fix"]
    assert refused(api, cap("dear"))["field"] == "changes.0.threshold"
    assert refused(api, cap(True))["field"] == "changes.0.threshold"
    assert refused(api, cap(9, step_name="kep"))["fix"] == "did you mean 'keep'?"
    assert refused(api, {"reason": REASON})["field"] == "changes.0"
    assert refused(api, cap(9, disable=True))["field"] == "changes.0"
    assert refused(api, cap(9, treshold=9))["fix"] == "did you mean 'threshold'?"
    twice = refused(api, cap(9), {"reason": REASON, "disable": True})
    assert (twice["field"], twice["status"]) == ("changes.1", 422)
    assert twice["detail"] == f"'{REASON}' is changed twice: to 9 and switched off"
    assert refused(api, cap(9, step_name="keep"), cap(8))["field"] == "changes.1"
    assert refused(api, cap(9), since="often")["field"] == "since"
    assert refused(api, sweep={"reason": REASON, "from": 1, "to": 2, "points": 1})["field"] == "sweep.points"
    assert api.post("/whatif", content=b"{").status_code == 400


def test_a_rule_that_is_no_number_is_no_sweep(api: TestClient) -> None:
    rules = [{"field": "kind", "op": "in", "threshold": ["case"], "reason": "kind"}]
    events = [{"item_id": "a", "outcome": "rejected", "reason": "kind", "evidence": {"kind": "stand"}}]
    steps = [{"name": "keep", "step_type": "filter", "rules": rules, "events": events}]
    assert api.post("/runs", json={"pipeline": "p", "steps": steps}).status_code == 201
    problem = refused(api, sweep={"reason": "kind", "from": 1, "to": 2})
    assert problem["field"] == "sweep.reason"
    assert ask(api, {"reason": "kind", "threshold": ["case", "stand"]})["flipped"] == [1, 1]
    assert ask(api, {"reason": "kind", "threshold": ["cover"]})["flipped"] == [0, 0]
    assert refused(api, {"reason": "kind", "threshold": "case"})["field"] == "changes.0.threshold"


def test_two_rules_of_one_reason_are_not_swept_as_one(api: TestClient) -> None:
    """A curve of both would count each item twice."""
    with testing.capture() as captured, XRay("shop").run() as run, run.step("keep", step_type="filter") as step:
        low, high = (step.require("price", "<=", limit, reason="price") for limit in (100, 120))
        for item, price in PRICES.items():
            if low.passes(item, price) and high.passes(item, price):
                step.accept(item)
    deliver(api, captured)
    assert ask(api, {"reason": "price", "threshold": 60})["flipped"] == [1, 1]
    problem = refused(api, sweep={"reason": "price", "from": 1, "to": 200})
    assert (problem["field"], problem["fix"].split(",")[0]) == ("sweep.reason", "give each rule a reason of its own")


def test_of_no_runs_nothing_is_said(api: TestClient) -> None:
    record(api)
    assert refused(api, cap(9), q="pipeline:nothing", status=404)["detail"] == "there are no such runs"
    missing = refused(api, cap(9), pipeline="ship", status=404)
    assert (missing["field"], missing["detail"]) == ("pipeline", "no run of a pipeline 'ship' is recorded")
    assert missing["fix"] == "did you mean 'shop'?"
    assert refused(api, sweep={"reason": REASON, "from": 1, "to": 2}, q="status:failed", status=404)["field"] == "q"


@pytest.mark.parametrize(
    ("value", "threshold"), [(["red", "blue"], ["red", "blue"]), ({"w": [1]}, {"w": [1]}), (2**60 + 1, 2**60 + 1)]
)
def test_an_example_shows_what_was_observed_also_where_it_is_no_number_and_no_text(
    api: TestClient, value: Any, threshold: Any
) -> None:
    with testing.capture() as captured, XRay("p").run(input=1) as run, run.step("keep", "filter") as step:
        rule = step.require("tags", "!=", threshold, reason="tags")
        assert not rule.passes("a", value)
    deliver(api, captured)
    (example,) = ask(api, {"reason": "tags", "disable": True})["examples"]
    assert (example["step_name"], example["now"], example["observed"]) == ("keep", "kept", value)


# The same functions, run again with the other limit


@pytest.mark.parametrize("limit", [20, 40, 60])
def test_the_demo_with_another_cap_chooses_what_is_said(api: TestClient, limit: int) -> None:
    before, captured = shop(None)
    deliver(api, captured)
    truth, _ = shop(limit)
    found = ask(api, cap(limit), pipeline=demo.PIPELINE)
    assert found["exactness"] == "certain"
    said = {one["run_id"]: [item["item_id"] for item in one["to"]] for one in found["winner_changes"]}
    real = {
        one.run_id: [other.selected.id]
        for one, other in zip(before, truth, strict=True)
        if one.selected.id != other.selected.id
    }
    assert said == real
    assert found["winners_changed"] == [len(real), len(real)]


def shop(limit: int | None) -> tuple[list[demo.Recorded], testing.Capture]:
    """The story of the demo, with another cap on the price."""
    require = Step.require

    def other(self: Step, field: str, op: str, threshold: Any, reason: str | None = None) -> Any:
        changed = limit if field == "price" and limit is not None else threshold
        return require(self, field, op, changed, reason)

    with testing.capture() as captured, patch.object(Step, "require", other):
        xray = XRay(demo.PIPELINE)
        products = demo.catalogue()
        return [demo.choose(xray, products, number, demo.SEED) for number in range(20)], captured


@pytest.fixture(scope="module")
def flights() -> rebooking.Flights:
    try:
        return rebooking.Flights()
    except rebooking.DataMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(("was", "now"), [(0, 60), (60, 180), (60, 360), (60, 0)])
def test_rebookings_with_another_lead_time_choose_what_is_said(
    api: TestClient, flights: rebooking.Flights, was: int, now: int
) -> None:
    """Real flights: a code version that lets passengers run for their flight, and the limit set back."""
    passengers = flights.cancelled(12)
    before, captured = rebooked(flights, passengers, was)
    deliver(api, captured)
    truth, _ = rebooked(flights, passengers, now)
    found = ask(api, {"reason": "leaves_too_soon", "threshold": now}, pipeline=rebooking.PIPELINE)
    real = {
        one.run_id: [] if other.selected is None else [other.selected.id]
        for one, other in zip(before, truth, strict=True)
        if one.selected is not None and one.selected != other.selected
    }
    said = {one["run_id"]: one for one in found["winner_changes"]}
    if now > was:
        assert {run_id: [item["item_id"] for item in one["to"]] for run_id, one in said.items()} == real
        assert found["exactness"] == "certain"
        assert real
    else:  # of a newly possible flight no delay was drawn: the outcome is open, and says so
        assert real.keys() <= said.keys()
        assert all(one["exactness"] != "certain" for one in said.values())


def rebooked(
    flights: rebooking.Flights, passengers: list[rebooking.Passenger], lead: int
) -> tuple[list[rebooking.Outcome], testing.Capture]:
    with testing.capture() as captured, patch.object(rebooking, "MIN_LEAD", lead):
        xray = XRay(rebooking.PIPELINE)
        return [rebooking.rebook(xray, flights, one, 1) for one in passengers], captured


# On a terminal


def test_it_fits_the_terminal_and_what_was_recorded_cannot_act_on_it(api: TestClient) -> None:
    record(api)
    found = ask(api, cap(60), sweep={"reason": REASON, "from": 0, "to": 200, "points": 100})
    found["winner_changes"][0]["to"][0]["name"] = "\x1b[2Jgone"
    for width in (60, 100, 200):
        lines = [line.plain for line in whatif_lines(Whatif.read(found), width, commands=True)]
        assert max(cells(line) for line in lines if "dxray" not in line) <= width
        assert not any("\x1b" in line for line in lines)
        assert any("█" in line for line in lines)
    assert any(line.strip().startswith("r") and "→" in line for line in lines) or any("✖ r" in line for line in lines)


def test_an_attempt_that_was_tried_again_does_not_count(api: TestClient) -> None:
    with testing.capture() as captured:
        with XRay("shop").run(run_id="r") as run:
            with run.step("search", step_type="retrieve") as step:
                for n in range(10):
                    step.produce(str(n))
            for attempt in (1, 2):
                with run.step("keep", step_type="filter", attempt=attempt) as step:
                    cap = step.require("price", "<=", 5, reason="too_dear")
                    for n in range(10):
                        if cap.passes(str(n), n):
                            step.accept(str(n))
        deliver(api, captured)
    body = {"changes": [{"reason": "too_dear", "threshold": 3}], "sweep": {"reason": "too_dear", "from": 3, "to": 5}}
    found = api.post("/whatif", json=body).json()
    assert found["flipped"] == found["curve"][0]["flipped"] == [2, 2]
    (rule,) = api.get("/rules").json()["rules"]
    assert (rule["evaluated"], rule["kills"]) == (10, 4)
