"""Rows of a list of runs say what each run was about, in one request and a few reads."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.store.duck_reader import DuckReader


def summary(api: TestClient, run_id: str) -> dict[str, Any]:
    rows = api.get("/runs", params={"q": f"run_id:{run_id}"}).json()["runs"]
    found: dict[str, Any] = rows[0]["summary"]
    return found


def test_a_row_says_what_the_run_was_about(api: TestClient, stands: dict[str, Any]) -> None:
    api.post("/runs", json=stands)
    for label in ("bad", "bad", "good"):
        api.post("/runs/stands/labels", json={"label": label})
    api.post("/runs/stands/labels", json={"label": "expected", "item_id": "p4"})
    steps = {step["step_name"]: step["step_id"] for step in api.get("/runs/stands").json()["steps"]}
    assert summary(api, "stands") == {
        "input": {"product": "iPhone Case", "category": "phone cases"},
        "output": {"selected": "p3"},
        "items_in": 6,  # without the word that they came from
        "items_out": 1,
        "steps": 5,
        "worst_step": {
            "step_id": steps["filter_candidates"],
            "step_name": "filter_candidates",
            "rejection_rate": pytest.approx(2 / 6),
        },
        "labels": ["good", "expected"],  # what was said last of the run stands
    }
    assert "summary" not in api.get("/runs/stands").json()


def test_a_large_input_makes_no_large_list(api: TestClient) -> None:
    large = "x" * 1_000_000
    body = {
        "run_id": "large",
        "pipeline": "p",
        "input": {"text": large, "more": [large], **{f"k{n}": large for n in range(3)}},
        "output": [large] * 3,
    }
    assert api.post("/runs", json=body).status_code == 201
    answer = api.get("/runs")
    assert len(answer.content) < 3_000
    assert summary(api, "large")["input"]["text"] == "x" * 119 + "…"


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ("just words", "just words"),
        (7, 7),
        (True, True),
        ([1, "a", None], [1, "a", None]),
        (list(range(9)), [0, 1, 2, 3, "…"]),
        ([{"id": 1, "title": "A"}], [{"id": 1, "title": "A"}]),
        ({}, {}),
        ({"a": None}, {"a": None}),
        ({"a": None, "b": 1}, {"b": 1}),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, {"a": 1, "b": 2, "c": 3, "d": 4}),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "title": "T"}, {"title": "T", "a": 1, "b": 2, "c": 3}),
        ({"tags": ["a", "b"], "n": {"x": 1}}, {"tags": '["a","b"]', "n": '{"x":1}'}),
        ({"<img src=x>": "</script>"}, {"<img src=x>": "</script>"}),
    ],
)
def test_short_forms(api: TestClient, recorded: Any, expected: Any) -> None:
    api.post("/runs", json={"run_id": "s", "pipeline": "p", "input": recorded})
    assert summary(api, "s")["input"] == expected


def test_what_is_not_known_is_null(api: TestClient) -> None:
    api.post("/runs", json={"run_id": "bare", "pipeline": "p"})
    assert summary(api, "bare") == {
        "input": None, "output": None, "items_in": None, "items_out": None, "steps": 0, "worst_step": None,
        "labels": [],
    }  # fmt: skip


def test_superseded_attempts_do_not_count(api: TestClient) -> None:
    events = [{"item_id": "a", "outcome": "produced"}, {"item_id": "b", "outcome": "produced"}]
    failed = [{"item_id": item, "outcome": "rejected", "reason": "r"} for item in "ab"]
    kept = [{"item_id": "a", "outcome": "accepted"}]
    steps = [
        {"name": "search", "step_id": "s1", "events": events},
        {"name": "filter", "step_id": "s2", "after": ["s1"], "events": failed, "error": {"message": "it broke"}},
        {"name": "filter", "step_id": "s3", "after": ["s1"], "attempt": 2, "events": kept},
    ]  # fmt: skip
    api.post("/runs", json={"run_id": "twice", "pipeline": "p", "steps": steps})
    row = api.get("/runs").json()["runs"][0]
    assert row["step_count"] == 3
    assert (row["summary"]["steps"], row["summary"]["items_in"], row["summary"]["items_out"]) == (2, 2, 1)
    assert row["summary"]["worst_step"] is None


def test_a_page_takes_as_many_reads_as_a_row(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("select", "count_by"):
        plain = getattr(DuckReader, name)

        def counting(self: Any, source: str, *given: Any, plain: Any = plain, **more: Any) -> Any:
            asked.append(source)
            return plain(self, source, *given, **more)

        monkeypatch.setattr(DuckReader, name, counting)
    api.post("/runs", json={"run_id": "r0", "pipeline": "p", "steps": [{"name": "f"}]})
    asked.clear()
    assert len(api.get("/runs").json()["runs"]) == 1
    one = sorted(asked)
    for number in range(1, 40):
        api.post("/runs", json={"run_id": f"r{number}", "pipeline": "p", "steps": [{"name": "f"}, {"name": "g"}]})
    asked.clear()
    assert len(api.get("/runs").json()["runs"]) == 40
    assert sorted(asked) == one
    assert len(asked) <= 5


def _retrieved(run_id: str, *sources: list[str]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {
            "name": f"retrieve_{n}",
            "step_type": "retrieve",
            "after": [],
            "events": [{"item_id": item, "outcome": "produced"} for item in items],
        }
        for n, items in enumerate(sources)
    ]
    return {"run_id": run_id, "pipeline": "p", "steps": steps}


def test_candidates_of_several_sources_are_not_added_up(api: TestClient) -> None:
    """Both may bring in the same: the list does not know, and the funnel counts each item once."""
    api.post("/runs", json=_retrieved("one", ["a", "b"]))
    api.post("/runs", json=_retrieved("two", ["a", "b"], ["b", "c"]))
    assert [summary(api, run_id)["items_in"] for run_id in ("one", "two")] == [2, None]
    assert api.get("/runs/two/funnel").json()["entered"] == 3


def test_none_that_came_is_not_none_that_is_known(api: TestClient) -> None:
    api.post("/runs", json={"run_id": "empty", "pipeline": "p", "steps": [{"name": "f", "input_count": 0}]})
    api.post("/runs", json={"run_id": "silent", "pipeline": "p", "steps": [{"name": "f"}]})
    assert [summary(api, run_id)["items_in"] for run_id in ("empty", "silent")] == [0, None]
