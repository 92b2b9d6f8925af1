"""`POST /flip`: the cheapest change of limits that selects an item, and when there is none."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.server.api.flip import FlipAnswer
from dxray.wire.answers.flip import Flip
from dxray.wire.printed.flip import flip_lines
from tests.api.test_whatif import deliver, record


def flip(api: TestClient, item: str, run_id: str = "r") -> dict[str, Any]:
    answer = api.post("/flip", json={"run_id": run_id, "item_id": item})
    assert answer.status_code == 200, answer.text
    FlipAnswer.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    assert str(Flip.read(found))
    return found


FACTS = {
    "a": {"price": 50, "rating": 3.0, "kind": "case"},
    "b": {"price": 90, "rating": 4.0, "kind": "case"},
    "c": {"price": 120, "rating": 5.0, "kind": "case"},
    "d": {"price": 190, "rating": 4.9, "kind": "stand"},
    "e": {"price": None, "rating": 4.8, "kind": "case"},
}


def rated(api: TestClient) -> None:
    """Everything is scored before it is filtered, by rules that see everything."""
    with testing.capture() as captured:
        with XRay("shop").run(run_id="r") as run:
            with run.step("search", step_type="retrieve") as step:
                for item in FACTS:
                    step.produce(item, name=f"Product {item}")
            with run.step("rate", step_type="rank") as step:
                for item, facts in FACTS.items():
                    step.score(item, facts["rating"])
                    step.accept(item)
            with run.step("keep", step_type="filter") as step:
                every = step.require_all(
                    [
                        step.require("price", "<=", 100, reason="too_dear"),
                        step.require("kind", "in", ["case", "cover"], reason="wrong_kind"),
                    ]
                )
                kept = [item for item, facts in FACTS.items() if every.passes(item, facts)]
                for item in kept:
                    step.accept(item)
            with run.step("choose", step_type="select") as step:
                for item in kept:
                    step.score(item, FACTS[item]["rating"])
                step.decide("pick", "b", alternatives=[{"id": "a", "score": 3.0}])
        deliver(api, captured)


def test_the_nearest_limit_that_selects_it(api: TestClient) -> None:
    rated(api)
    found = flip(api, "c")
    assert found["verdict"] == "rejected"
    assert found["exactness"] == "certain"
    (change,) = found["changes"]
    assert (change["reason"], change["from"], change["to"], change["observed"]) == ("too_dear", 100, 120, 120)
    spread = (sum((price - 112.5) ** 2 for price in (50, 90, 120, 190)) / 4) ** 0.5
    assert abs(change["cost"] - 20 / spread) < 1e-9
    assert found["single"] == change
    assert found["sentence"] == "With too_dear at 120 instead of 100, Product c would be selected."
    said = api.post("/whatif", json={"changes": [{"reason": "too_dear", "threshold": 120}]}).json()
    assert said["winner_changes"][0]["to"] == [{"item_id": "c", "name": "Product c"}]


def test_several_rules_that_stop_it_have_to_change_together(api: TestClient) -> None:
    rated(api)
    found = flip(api, "d")  # at 190 the better rated c gets in as well, and wins
    assert found["exactness"] == "certain"
    assert {change["reason"] for change in found["changes"]} == {"too_dear", "wrong_kind"}
    assert found["single"] is None
    assert "not selected there" in found["sentence"]


def test_what_has_no_value_passes_only_without_the_rule(api: TestClient) -> None:
    rated(api)
    found = flip(api, "e")
    (change,) = found["changes"]
    assert (change["disable"], change["to"], change["cost"]) == (True, None, 2.0)
    assert "Without the rule too_dear" in found["sentence"]
    assert "Product e" in found["sentence"]


def test_items_that_no_limit_stops_have_an_answer_of_their_own(api: TestClient) -> None:
    rated(api)
    assert flip(api, "b")["sentence"] == "Product b is selected already: nothing has to change."
    outranked = flip(api, "a")
    assert (outranked["verdict"], outranked["changes"]) == ("outranked", [])
    assert "where its score decides" in outranked["sentence"]
    gone = flip(api, "Product f")  # no step said how many items came to it, so nobody knows whether that is all
    assert gone["did_you_mean"]
    assert gone["verdict"] in ("never_retrieved", "unknown")
    assert (gone["unknown"] is None) == (gone["verdict"] == "never_retrieved")


def test_what_later_rules_never_saw_is_not_promised(api: TestClient) -> None:
    record(api)
    found = flip(api, "c")
    assert found["exactness"] == "bounded"
    assert [change["to"] for change in found["changes"]] == [120]
    assert "not known" in found["sentence"]


def test_a_step_that_decides_anew_has_to_run_again(api: TestClient) -> None:
    record(api, together=True, model="m1")
    found = flip(api, "c")
    assert found["exactness"] == "replay_needed"
    assert "run again" in found["sentence"]


def test_a_rejection_without_a_rule_is_not_guessed(api: TestClient) -> None:
    record(api, plain=True)
    found = flip(api, "a")
    assert found["changes"] == []
    assert found["unknown"]["cause"] == "not_recorded"
    assert "without a rule" in found["sentence"]


def test_a_run_without_a_choice_and_one_without_items(api: TestClient) -> None:
    rules = [{"field": "price", "op": "<", "threshold": 100, "reason": "dear"}]
    events = [
        {"item_id": "a", "outcome": "rejected", "reason": "dear", "evidence": {"price": 100}},
        {"item_id": "b", "outcome": "accepted", "evidence": {"price": 7}},
    ]
    steps = [{"name": "keep", "step_type": "filter", "rules": rules, "events": events}]
    api.post("/runs", json={"run_id": "posted", "pipeline": "p", "steps": steps})
    api.post("/runs", json={"run_id": "empty", "pipeline": "p"})
    found = flip(api, "a", "posted")
    assert [change["to"] for change in found["changes"]] == [101]
    assert found["sentence"] == "With dear at 101 instead of 100, a would be kept."
    assert flip(api, "b", "posted")["verdict"] == "survived"
    assert flip(api, "a", "empty")["unknown"]["cause"] == "not_recorded"


def test_what_does_not_exist_is_refused(api: TestClient) -> None:
    record(api)
    assert api.post("/flip", json={"run_id": "s", "item_id": "a"}).status_code == 404
    assert api.post("/flip", json={"run_id": "r"}).json()["field"] == "item_id"
    assert api.post("/flip", json={"run_id": "r", "item": "a"}).json()["fix"] == "did you mean 'item_id'?"
    assert api.post("/flip", content=b"[").status_code == 400


def test_it_reads_well_and_nothing_recorded_acts_on_the_terminal(api: TestClient) -> None:
    rated(api)
    found = Flip.read({**flip(api, "c"), "name": "\x1b[31mred"})
    text = "\n".join(line.plain for line in flip_lines(found, commands=True))
    assert "\x1b" not in text
    assert "dxray whatif --set too_dear=120" in text
