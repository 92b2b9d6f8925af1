"""`POST /runs`: what it takes, what it refuses and how it says so, and that posting twice changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient


def refusal(api: TestClient, body: Any, status: int = 422) -> dict[str, Any]:
    answer = api.post("/runs", content=body) if isinstance(body, bytes) else api.post("/runs", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


def steps(*found: dict[str, Any]) -> dict[str, Any]:
    return {"pipeline": "p", "steps": list(found)}


def events(*found: dict[str, Any], **step: Any) -> dict[str, Any]:
    return steps({"name": "a", "events": list(found), **step})


def test_made_then_there_then_in_conflict(api: TestClient, stands: dict[str, Any]) -> None:
    made = api.post("/runs", json=stands)
    assert made.status_code == 201
    assert made.headers["location"] == "/runs/stands"
    assert made.json() == {"success": True, "message": "run stands stored", "data": {"run_id": "stands"}}
    before = api.get("/runs/stands").json()
    there = api.post("/runs", json=dict(reversed(stands.items())))  # the order of keys is no content
    assert there.status_code == 200
    assert there.json()["data"] == {"run_id": "stands"}
    assert api.get("/runs/stands").json() == before
    assert api.get("/runs").json()["total"] == 1
    problem = refusal(api, {**stands, "output": None}, 409)
    assert "stands" in problem["detail"]
    assert problem["field"] == "run_id"
    assert api.get("/runs/stands").json() == before


def test_without_a_run_id_each_post_is_a_run(api: TestClient) -> None:
    ids = {api.post("/runs", json={"pipeline": "p"}).json()["data"]["run_id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(one.startswith("run_") for one in ids)
    assert api.get("/runs").json()["total"] == 2


def test_defaults_are_no_part_of_the_content(api: TestClient) -> None:
    assert api.post("/runs", json={"run_id": "r", "pipeline": "p"}).status_code == 201
    assert refusal(api, {"run_id": "r", "pipeline": "p", "status": "completed"}, 409)["field"] == "run_id"


@pytest.mark.parametrize(
    ("body", "field", "fix"),
    [
        ({"pipelin": "p"}, "pipelin", "did you mean 'pipeline'?"),
        (steps({"nam": "a"}), "steps[0].nam", "did you mean 'name'?"),
        (
            steps({"name": "a"}, {"name": "b", "events": [{"item_id": 1, "outcome": "accepted", "raeson": "x"}]}),
            "steps[1].events[0].raeson",
            "did you mean 'reason'?",
        ),
        (steps({"name": "a", "decisions": [{"decison": "d"}]}), "steps[0].decisions[0].decison", "'decision'"),
        (steps({"name": "a", "rules": [{"feild": "x"}]}), "steps[0].rules[0].feild", "'field'"),
        (
            steps({"name": "a", "rules": [{"field": "x", "op": "=<", "threshold": 1, "reason": "r"}]}),
            "steps[0].rules[0].op",
            None,
        ),
        (
            steps({"name": "a", "rules": [{"field": "x", "op": "between", "threshold": 1, "reason": "r"}]}),
            "steps[0].rules[0].threshold",
            "[low, high]",
        ),
        ({}, "pipeline", "add 'pipeline'"),
        ({"pipeline": ""}, "pipeline", None),
        ({"pipeline": 7}, "pipeline", None),
        ([], "the body", None),
        ({"pipeline": "p", "run_id": "a/b"}, "run_id", "1 to 128"),
        ({"pipeline": "p", "run_id": ".."}, "run_id", "1 to 128"),
        ({"pipeline": "p", "run_id": ""}, "run_id", "1 to 128"),
        ({"pipeline": "p", "run_id": "a" * 129}, "run_id", "1 to 128"),
        ({"pipeline": "p", "status": "done"}, "status", "known here"),
        ({"pipeline": "p", "status": "abandoned"}, "status", "known here"),
        ({"pipeline": "p", "started_at": "yesterday"}, "started_at", "RFC 3339"),
        ({"pipeline": "p", "started_at": "7d"}, "started_at", "RFC 3339"),
        ({"pipeline": "p", "started_at": "2026-01-02T00:00:00Z", "ended_at": "2026-01-01T00:00:00Z"}, "ended_at", None),
        ({"pipeline": "p", "duration_ms": -1}, "duration_ms", None),
        (steps({"name": "a", "input_count": -1}), "steps[0].input_count", None),
        (steps({"name": "a", "input_count": True}), "steps[0].input_count", None),
        (steps({"name": "a"}, {"name": "b", "after": ["c"]}), "steps[1].after[0]", "known here: a"),
        (steps({"name": "a", "step_id": "x"}, {"name": "b", "step_id": "x"}), "steps[1].step_id", "its own"),
        (events({"item_id": 1, "outcome": "acepted"}), "steps[0].events[0].outcome", "did you mean 'accepted'?"),
        (events({"item_id": 1, "outcome": "rejected"}), "steps[0].events[0].reason", "price_too_high"),
        (events({"item_id": 1, "outcome": "merged"}), "steps[0].events[0].into", "into"),
        (events({"item_id": 1.5, "outcome": "accepted"}), "steps[0].events[0].item_id", None),
        (events({"item_id": 1, "outcome": "accepted", "parents": [2]}), "steps[0].events[0].parents", None),
        (events({"item_id": 1, "outcome": "accepted", "by": "magic"}), "steps[0].events[0].by", None),
        (
            steps({"name": "a", "decisions": [{"decision": "d", "selected": 1, "alternatives": [{"score": 1}]}]}),
            "steps[0].decisions[0].alternatives[0].id",
            "'id'",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_full_path(shared: TestClient, body: Any, field: str, fix: str | None) -> None:
    problem = refusal(shared, body)
    assert problem["field"] == field
    assert field in problem["detail"]
    if fix is not None:
        assert fix in problem["fix"]
    assert shared.get("/runs").json()["total"] == 0


def test_an_operator_that_is_not_known_is_named_back_with_the_nearest(shared: TestClient) -> None:
    rule = {"field": "price", "op": "=<", "threshold": 1, "reason": "r"}
    assert "did you mean '<" in refusal(shared, steps({"name": "a", "rules": [rule]}))["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"pipeline": "p"',
        b'{"pipeline": "p", "input": NaN}',
        b'{"pipeline": "p", "input": 1e999}',
        b'{"pipeline": "\\ud800"}',
        b'\xff\xfe{"pipeline": "p"}',
        b"[" * 100_000,
        b'{"pipeline": "p", "input": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    ],
)
def test_what_is_no_json_is_400(shared: TestClient, body: bytes) -> None:
    assert refusal(shared, body, 400)["title"] == "The body cannot be read"


def test_an_unknown_step_type_is_kept(api: TestClient) -> None:
    api.post("/runs", json={"run_id": "r", **steps({"name": "a", "step_type": "my_own"}, {"name": "b"})})
    found = api.get("/runs/r").json()["steps"]
    assert [step["step_type"] for step in found] == ["my_own", None]
    assert [step["step_id"] for step in found] == ["s1", "s2"]


def test_steps_of_one_name_stay_apart_and_after_takes_names_and_ids(api: TestClient) -> None:
    found = [{"name": "a"}, {"name": "a", "after": []}, {"name": "b", "after": ["s1", "a"]}, {"name": "c"}]
    api.post("/runs", json={"run_id": "r", **steps(*found)})
    shown = api.get("/runs/r").json()["steps"]
    assert [(one["step_id"], one["after"], one["after_inferred"], one["attempt"]) for one in shown] == [
        ("s1", [], True, 1),
        ("s2", [], False, 1),
        ("s3", ["s1", "s2"], False, 1),
        ("s4", ["s3"], True, 1),
    ]


def test_counts_that_contradict_events_are_stored_and_marked(api: TestClient) -> None:
    body = events(
        *({"item_id": n, "outcome": "accepted"} for n in range(3)),
        {"item_id": 9, "outcome": "rejected", "reason": "no"},
        input_count=2,
        output_count=1,
        rejection_counts={"no": 5},
    )
    assert api.post("/runs", json={"run_id": "r", **body}).status_code == 201
    step = api.get("/runs/r").json()["steps"][0]
    assert step["contradictions"] == [
        "input_count says 2, but events name 4 items that came in",
        "output_count says 1, but events let 3 items go on",
        "rejection_counts says 5 for 'no', but events reject 1 items for it",
        "rejection_counts says 5 in all, but input_count says 2",
    ]
    assert step["complete"] is False


def test_values_come_back_as_they_were(api: TestClient) -> None:
    value = {"big": 2**60 + 1, "float": 0.1, "text": "ünï\u0000\U0001f600", "deep": [[{"a": None}]], "yes": True}
    body = {
        "run_id": "r",
        "pipeline": "p",
        "input": value,
        "output": [value],
        "metadata": value,
        "error": "it broke",
        "status": "failed",
        "started_at": "2026-11-23T08:00:00+01:00",
        "duration_ms": 1500,
        "environment": "test",
        "steps": [{"name": "a", "config": value, "usage": {"tokens": 7}, "input": value, "error": {"type": "E"}}],
    }
    assert api.post("/runs", json=body).status_code == 201
    run = api.get("/runs/r").json()
    assert run["input"] == value
    assert run["output"] == [value]
    assert run["metadata"] == value
    assert run["error"] == {"type": None, "message": "it broke"}
    assert (run["started_at"], run["ended_at"]) == ("2026-11-23T07:00:00Z", "2026-11-23T07:00:01.500000Z")
    assert run["duration_ms"] == 1500
    step = run["steps"][0]
    assert (step["config"], step["usage"], step["input"]) == (value, {"tokens": 7}, value)
    assert step["error"] == {"type": "E"}


def test_ids_may_be_numbers_or_any_text(api: TestClient) -> None:
    odd = "a/b?c=d&e%20 'f' \"g\" ü\n"
    api.post("/runs", json={"run_id": "r", **events(*({"item_id": i, "outcome": "accepted"} for i in (7, "7", odd)))})
    step = api.get("/runs/r").json()["steps"][0]
    assert step["counts"]["in"] == 2
    assert api.get("/runs/r/why", params={"item": odd}).json()["verdict"] == "survived"


def test_a_body_past_the_limit_is_413(tmp_path: Any) -> None:
    from tests.api.conftest import connect

    with connect(tmp_path, max_body=1000) as api:
        refusal(api, {"pipeline": "p", "input": "x" * 2000}, 413)
        parts = (b" " * 400 for _ in range(5))  # without a Content-Length
        assert api.post("/runs", content=parts).status_code == 413
