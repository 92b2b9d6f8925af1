"""Limits that no double can hold, and fields with any character: a defined answer, never an error of the server."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

HUGE = 10**400


def post(api: TestClient, field: str, threshold: Any) -> None:
    rules = [{"field": field, "op": "<=", "threshold": threshold, "reason": "x"}]
    events = [{"item_id": str(n), "outcome": "rejected", "reason": "x", "evidence": {field: n}} for n in range(3)]
    run = {"pipeline": "q", "run_id": "q", "steps": [{"name": "f", "rules": rules, "events": events}]}
    assert api.post("/runs", json=run).status_code == 201


@pytest.mark.parametrize(
    ("field", "threshold"),
    [('a"b', 5), ("price", HUGE), ("price", -HUGE), ("", 1)],
    ids=["quote", "huge", "low", "none"],
)
def test_recorded(api: TestClient, field: str, threshold: Any) -> None:
    post(api, field, threshold)
    for body in (
        {"changes": [{"reason": "x", "threshold": 1}]},
        {"changes": [{"reason": "x", "disable": True}]},
        {"sweep": {"reason": "x", "from": 0, "to": 9, "points": 4}},
    ):
        assert api.post("/whatif", json=body).status_code in (200, 422)
    assert api.post("/flip", json={"run_id": "q", "item_id": "1"}).status_code == 200
    assert api.get("/rules").status_code == 200


def test_asked(api: TestClient) -> None:
    post(api, "price", 5)
    loose = api.post("/whatif", json={"changes": [{"reason": "x", "threshold": HUGE}]})
    assert loose.status_code == 200 and loose.json()["flipped"][1] == 3
    for wrong in ("NaN", "Infinity", "[1, NaN]"):
        body = '{"changes": [{"reason": "x", "threshold": ' + wrong + "}]}"
        assert api.post("/whatif", content=body).status_code in (400, 422)


@pytest.mark.parametrize(("first", "to"), [(-1e308, 1e308), (9, 0)])
def test_a_sweep_that_cannot_be(api: TestClient, first: float, to: float) -> None:
    post(api, "price", 5)
    answer = api.post("/whatif", json={"sweep": {"reason": "x", "from": first, "to": to}})
    assert answer.status_code == 422
    assert "lower end" in answer.text
