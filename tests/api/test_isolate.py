"""`GET /diff?isolate=1`: the smallest set of changed limits that gives an item in run A the fate it has in run B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.server.api.diff import DiffAnswer
from dxray.server.reasoning import isolation
from dxray.server.reasoning.replay import replay
from dxray.wire.answers import Diff
from tests.api.test_whatif import deliver

PRICES = {"a": 50, "b": 90, "c": 120, "d": 190, "e": 40}
RATINGS = {"a": 3.0, "b": 4.0, "c": 4.5, "d": 5.0, "e": 2.5}
KINDS = {"a": "case", "b": "cover", "c": "case", "d": "case", "e": "case"}


def shop(run_id: str, cap: float, floor: float, model: str = "m", fits: Sequence[str] = tuple(KINDS.values())) -> None:
    """A filter by three rules that see everything; the best rated of what is left is chosen."""
    with XRay("shop").run(run_id=run_id, input={"q": 1}) as run:
        with run.step("search", step_type="retrieve") as step:
            step.set_config(index=model)
            for item in PRICES:
                step.produce(item)
        with run.step("rate", step_type="rank") as step:
            for item, rating in RATINGS.items():
                step.score(item, rating)
                step.accept(item)
        with run.step("keep", step_type="filter") as step:
            dear = step.require("price", "<=", cap, reason="too_dear")
            bad = step.require("rating", ">=", floor, reason="too_bad")
            kind = step.require("kind", "in", list(fits), reason="wrong_kind")
            every = step.require_all([dear, bad, kind])
            kept = [
                one
                for one in PRICES
                if every.passes(one, {"price": PRICES[one], "rating": RATINGS[one], "kind": KINDS[one]})
            ]
            for item in kept:
                step.accept(item)
        with run.step("choose", step_type="select") as step:
            for item in kept:
                step.score(item, RATINGS[item])
            best = max(kept, key=lambda item: RATINGS[item])
            step.decide("pick", best, alternatives=[{"id": item} for item in kept if item != best])


def both(api: TestClient, a: dict[str, Any], b: dict[str, Any]) -> None:
    """Two runs, recorded and stored."""
    with testing.capture() as captured:
        shop("a", **a)
        shop("b", **b)
        deliver(api, captured)


def isolated(api: TestClient) -> dict[str, dict[str, Any]]:
    answer = api.get("/diff", params={"a": "a", "b": "b", "isolate": "true"})
    assert answer.status_code == 200, answer.text
    DiffAnswer.model_validate_json(answer.content, strict=True)
    assert "What flips the decision" in str(Diff.read(answer.json()))
    return {one["item_id"]: one for one in answer.json()["minimal_changes"]}


def test_of_two_changed_limits_the_one_that_made_the_difference_is_named(api: TestClient) -> None:
    both(api, {"cap": 100, "floor": 2.5}, {"cap": 150, "floor": 2.0})
    found = isolated(api)
    assert set(found) == {"b", "c"}  # b was chosen, and c takes its place
    changes = found["c"]["changes"]
    assert [(one["reason"], one["from"], one["to"]) for one in changes] == [("too_dear", 100, 150)]
    assert found["c"]["exactness"] == "certain" and found["c"]["becomes"] == "kept"
    assert found["c"]["sentence"] == "With too_dear at 150 instead of 100, c comes through, as in the other run."


def test_where_it_takes_two_both_are_named(api: TestClient) -> None:
    both(
        api,
        {"cap": 60, "floor": 2.0, "fits": ["case", "lid"]},
        {"cap": 100, "floor": 2.0, "fits": ["case", "cover", "lid"]},
    )
    found = isolated(api)
    assert {one["reason"] for one in found["b"]["changes"]} == {"too_dear", "wrong_kind"}
    assert found["b"]["exactness"] == "certain"


def test_what_is_dropped_by_the_other_limit_is_named_too(api: TestClient) -> None:
    both(api, {"cap": 200, "floor": 2.0}, {"cap": 100, "floor": 3.5})
    found = isolated(api)
    assert {one["reason"] for one in found["d"]["changes"]} == {"too_dear"}
    assert (found["d"]["becomes"], found["d"]["exactness"]) == ("dropped", "certain")


def test_a_config_that_changed_cannot_be_tried(api: TestClient) -> None:
    both(api, {"cap": 100, "floor": 3.5}, {"cap": 150, "floor": 3.5, "model": "other"})
    assert isolated(api)["c"]["not_replayed"] == ["search"]


def test_without_asking_there_is_none(api: TestClient) -> None:
    both(api, {"cap": 100, "floor": 3.5}, {"cap": 150, "floor": 3.5})
    assert api.get("/diff", params={"a": "a", "b": "b"}).json()["minimal_changes"] is None
    assert api.get("/diff", params={"a": "a", "b": "b", "isolate": "perhaps"}).status_code == 422


def test_every_set_of_differences_is_replayed_once_for_all_items(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    both(api, {"cap": 100, "floor": 3.0}, {"cap": 150, "floor": 4.2, "fits": ["case"]})
    replayed: list[int] = []

    def counted(run: Any, changes: Sequence[Any]) -> Any:
        replayed.append(len(changes))
        return replay(run, changes)

    monkeypatch.setattr(isolation, "replay", counted)
    assert len(isolated(api)) > 1
    assert len(replayed) <= 2 + 2**3 - 1  # both runs as they are, and each set of three limits
