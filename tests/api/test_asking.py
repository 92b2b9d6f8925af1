"""Lists, one run, its events, steps and pipelines: what they answer, and how they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def filled(shared: TestClient, stands: dict[str, Any]) -> TestClient:
    api = shared
    api.post("/runs", json={**stands, "started_at": "2026-11-01T00:00:00Z"})
    for number in range(3):
        body = {
            "run_id": f"other-{number}",
            "pipeline": "other",
            "status": "failed" if number == 2 else "completed",
            "started_at": f"2026-11-0{number + 2}T00:00:00Z",
            "input": {"product": f"Laptop {number}", "tags": ["a"]},
            "metadata": {"nested": {"flag": number == 1}},
            "steps": [{"name": "keep", "step_type": "filter", "input_count": 100, "output_count": [5, 10, 20][number]}],
        }
        assert api.post("/runs", json=body).status_code == 201
    return api


def ids(api: TestClient, **params: Any) -> list[str]:
    answer = api.get("/runs", params=params)
    assert answer.status_code == 200, answer.text
    return [run["run_id"] for run in answer.json()["runs"]]


def test_runs_are_newest_first_in_pages(filled: TestClient) -> None:
    assert ids(filled) == ["other-2", "other-1", "other-0", "stands"]
    page = filled.get("/runs?limit=2&offset=1").json()
    assert [run["run_id"] for run in page["runs"]] == ["other-1", "other-0"]
    assert (page["total"], page["limit"], page["offset"]) == (4, 2, 1)
    first = filled.get("/runs").json()["runs"][-1]
    assert first["url"] == "http://127.0.0.1:8000/ui/runs/stands"
    assert first["step_count"] == 5
    assert first["started_at"] == "2026-11-01T00:00:00Z"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"pipeline": "other", "status": "failed"}, ["other-2"]),
        ({"since": "2026-11-03T00:00:00Z"}, ["other-2", "other-1"]),
        ({"until": "2026-11-02T00:00:00Z"}, ["stands"]),
        ({"q": "pipeline:other -status:failed"}, ["other-1", "other-0"]),
        ({"q": 'input.category:"phone cases" metadata.version:2'}, ["stands"]),
        ({"q": "metadata.nested.flag:true"}, ["other-1"]),
        ({"q": 'LAPTOP "laptop 1"'}, ["other-1"]),
        ({"q": "step:filter rejection_rate:>0.9"}, ["other-0"]),
        ({"q": "step:select_best"}, ["stands"]),
        ({"q": "reason:price_too_high step:filter"}, ["stands"]),
        ({"q": "input.nothing:1"}, []),
        ({"q": "label:bad"}, []),
        ({"q": "-label:bad pipeline:other status:failed"}, ["other-2"]),
    ],
)
def test_filters_of_runs(filled: TestClient, params: dict[str, str], expected: list[str]) -> None:
    assert ids(filled, **params) == expected


@pytest.mark.parametrize(
    ("path", "field", "fix"),
    [
        ("/runs?pipelin=x", "pipelin", "did you mean 'pipeline'?"),
        ("/runs?status=done", "status", None),
        ("/runs?limit=0", "limit", None),
        ("/runs?limit=1001", "limit", None),
        ("/runs?limit=ten", "limit", None),
        ("/runs?offset=-1", "offset", None),
        ("/runs?since=soon", "since", "RFC 3339"),
        ("/runs?q=pipelin:x", "pipelin", "did you mean 'pipeline'?"),
        ("/runs?q=status:don", "status", None),
        ("/runs?q=-step:filter", "step", "GET /steps"),
        ("/runs/stands?x=1", "x", None),
        ("/runs/stands/events?outcome=acepted", "outcome", "did you mean 'accepted'?"),
        ("/runs/stands/events?step_id=s9", "step_id", "s5"),
        ("/runs/stands/events?step_id=search", "step_id", "the step of that name is 's2'"),
        ("/runs/stands/events?cursor=abc", "cursor", "next_cursor"),
        ("/runs/stands/why", "item", "add ?item=ID"),
        ("/runs/stands/why?itm=1", "itm", "did you mean 'item'?"),
        ("/steps?rejection_rate_gt=high", "rejection_rate_gt", None),
        ("/steps?rejection_rate_gt=nan", "rejection_rate_gt", None),
        ("/steps?rejection_rate_gt=90", "rejection_rate_gt", "did you mean 0.9?"),
        ("/steps?rejection_rate_lt=-1", "rejection_rate_lt", "0.9 is nine in ten"),
        ("/runs?q=rejection_rate>0.9", "rejection_rate", "did you mean rejection_rate:>0.9?"),
        ("/steps?rejection_rate=0.9", "rejection_rate", "did you mean"),
        ("/steps?q=rejection_rat:>0.9", "rejection_rat", "did you mean 'rejection_rate'?"),
        ("/pipelines?limit=1", "limit", None),
        ("/healthz?x=1", "x", None),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(
    filled: TestClient, path: str, field: str, fix: str | None
) -> None:
    answer = filled.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == field
    assert field in problem["detail"]
    assert problem["fix"]
    if fix is not None:
        assert fix in problem["fix"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/runs/stands/why", "item is missing"),
        ("/runs?limit=0", "limit: must be at least 1, got '0'"),
        ("/runs?limit=1001", "limit: may be at most 1000, got '1001'"),
        ("/runs?limit=ten", "limit: must be a whole number, got 'ten'"),
        ("/steps?rejection_rate_gt=high", "rejection_rate_gt: must be a number, got 'high'"),
        ("/steps?rejection_rate_gt=90", "rejection_rate_gt: a rate lies in 0..1, got '90'"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(filled: TestClient, path: str, said: str) -> None:
    assert filled.get(path).json()["detail"] == said


@pytest.mark.parametrize(("asked", "meant"), [("P3", "p3"), (" p 3 ", "p3"), ("KW:Stand", "kw:stand")])
def test_an_item_in_other_case_or_with_blanks_is_offered(filled: TestClient, asked: str, meant: str) -> None:
    found = filled.get("/runs/stands/why", params={"item": asked}).json()["did_you_mean"]
    assert meant in [one["item_id"] for one in found]


def test_a_run_that_is_not_there_is_404_with_its_id(filled: TestClient) -> None:
    for path in ("/runs/nope", "/runs/nope/events", "/runs/nope/why?item=1"):
        answer = filled.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert "nope" in answer.json()["detail"]
    assert "stands" in filled.get("/runs/stand").json()["fix"]


def test_no_such_route_and_no_such_method(filled: TestClient) -> None:
    missing = filled.get("/run")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert "/runs" in missing.json()["fix"]
    wrong = filled.delete("/runs/stands")
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert wrong.headers["allow"] == "GET"


def test_one_run_shows_conservation(filled: TestClient) -> None:
    run = filled.get("/runs/stands").json()
    assert run["metadata"] == {"version": 2}
    assert (run["losses"], run["marks"], run["labels"]) == ({}, [], [])
    by_name = {step["name"]: step for step in run["steps"]}
    assert [step["step_id"] for step in run["steps"]] == ["s1", "s2", "s3", "s4", "s5"]
    kept = by_name["filter_candidates"]
    assert kept["counts"] == {
        "in": 6,
        "produced": 0,
        "accepted": 4,
        "rejected": 2,
        "selected": 0,
        "outranked": 0,
        "merged": 0,
        "consumed": 0,
        "unaccounted": 0,
        "accepted_by_count": 0,
        "rejected_by_count": 0,
    }
    assert kept["rejection_counts"] == {"price_too_high": 1, "duplicate": 1}
    assert kept["rejection_rate"] == pytest.approx(1 / 3)
    assert kept["lost_between"] == 0
    assert kept["rules"][0]["threshold"] == 100
    assert kept["rules"][0]["evaluated"] is None  # a hand-written run does not say
    assert by_name["dedupe"]["counts"]["merged"] == 1
    chosen = by_name["select_best"]
    assert (chosen["counts"]["selected"], chosen["counts"]["outranked"]) == (1, 2)
    assert chosen["decisions"][0]["selected"] == ["p3"]
    for step in run["steps"]:
        counts = step["counts"]
        gone = sum(counts[name] for name in ("accepted", "rejected", "selected", "outranked", "merged", "consumed"))
        assert counts["in"] + counts["produced"] == gone + counts["unaccounted"]


def test_events_page_by_page_are_all_events_once(filled: TestClient) -> None:
    whole = filled.get("/runs/stands/events?limit=1000").json()
    assert whole["next_cursor"] is None
    found, cursor = [], None
    while True:
        params = {"limit": 4, **({"cursor": cursor} if cursor else {})}
        page = filled.get("/runs/stands/events", params=params).json()
        found += page["events"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == whole["events"]
    assert len({(event["step_id"], event["event_no"]) for event in found}) == len(found)


def test_events_by_step_outcome_reason_and_item(filled: TestClient) -> None:
    def asked(**params: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = filled.get("/runs/stands/events", params=params).json()["events"]
        return events

    (rejected,) = asked(reason="price_too_high")
    assert rejected["evidence"] == {"price": 129.5}
    assert (rejected["item_id"], rejected["step_name"], rejected["outcome"]) == ("p0", "filter_candidates", "rejected")
    assert (rejected["evidence_state"], rejected["by"]) == ("kept", "code")
    assert [event["item_id"] for event in asked(outcome="rejected")] == ["p0", "p1"]
    assert asked(reason="duplicate")[0]["by"] == "model"
    assert {event["step_name"] for event in asked(item="p5")} == {"search", "filter_candidates", "dedupe"}
    assert {event["item_id"] for event in asked(step_id="s1")} == {"kw:stand"}
    merged = asked(outcome="merged")[0]
    assert (merged["ref_item"], merged["ref_kind"]) == ("p4", "merged_into")


def test_steps_across_runs_strictly_above_a_rate(filled: TestClient) -> None:
    def asked(**params: Any) -> list[tuple[str, str]]:
        steps = filled.get("/steps", params=params).json()["steps"]
        return [(step["run_id"], step["step_name"]) for step in steps]

    assert asked(step_type="filter", rejection_rate_gt=0.9) == [("other-0", "keep")]  # 0.9 itself is not above 0.9
    assert asked(step_type="filter", rejection_rate_lt=0.5) == [("stands", "filter_candidates")]
    assert asked(name="keep", limit=1) == [("other-2", "keep")]
    assert asked(pipeline="other", q="run_id:other-1") == [("other-1", "keep")]
    assert asked(q="step:select") == [("stands", "select_best")]
    assert asked(q="-step:filter pipeline:other") == []
    page = filled.get("/steps?limit=2&offset=1").json()
    assert (page["total"], page["limit"], page["offset"], len(page["steps"])) == (8, 2, 1, 2)
    step = filled.get("/steps?name=keep&q=run_id:other-0").json()["steps"][0]
    assert (step["input_count"], step["output_count"], step["rejection_rate"]) == (100, 5, 0.95)
    assert (step["pipeline"], step["step_id"], step["step_type"]) == ("other", "s1", "filter")


def test_pipelines_with_their_health(filled: TestClient) -> None:
    answer = filled.get("/pipelines").json()
    assert [one["pipeline"] for one in answer["pipelines"]] == ["other", "competitor_selection"]
    other = answer["pipelines"][0]
    assert (other["runs"], other["completed"], other["failed"], other["abandoned"]) == (3, 2, 1, 0)
    assert other["last_run"] == {"run_id": "other-2", "status": "failed"}
    assert other["worst_step"]["step_name"] == "keep"
    assert other["worst_step"]["rejection_rate"] == pytest.approx((0.95 + 0.9 + 0.8) / 3)


def test_it_says_that_it_is_up(api: TestClient) -> None:
    assert api.get("/healthz").json()["status"] == "ok"
    assert api.get("/readyz").json()["status"] == "ok"
    assert {"/runs", "/steps", "/ingest"} <= api.get("/openapi.json").json()["paths"].keys()


def test_a_run_without_anything_is_a_run(api: TestClient) -> None:
    api.post("/runs", json={"run_id": "r", "pipeline": "p"})
    assert api.get("/runs/r").json()["steps"] == []
    assert api.get("/runs/r/events").json() == {"events": [], "next_cursor": None}
    assert api.get("/runs/r/why?item=1").json()["verdict"] == "unknown"


def test_few_of_many_runs_are_the_newest_in_order(api: TestClient) -> None:
    ids = [f"run{n:02}" for n in range(40)]
    for n in sorted(range(40), key=lambda n: n * 7 % 40):
        started = f"2026-01-01T00:{n // 2:02}:00Z"  # two at a time, then the later id comes first
        api.post("/runs", json={"run_id": ids[n], "pipeline": "p", "started_at": started, "steps": [{"name": "a"}] * 2})
    for limit in (1, 2, 3, 5, 7, 40):
        for offset in (0, 1, 10):
            found = api.get("/runs", params={"limit": limit, "offset": offset}).json()["runs"]
            assert [run["run_id"] for run in found] == ids[::-1][offset : offset + limit]
            assert {run["step_count"] for run in found} == {2}


def test_rejections_that_are_only_counted_balance(api: TestClient) -> None:
    step = {"name": "filter", "input_count": 100, "output_count": 12, "rejection_counts": {"dear": 60, "odd": 28}}
    assert api.post("/runs", json={"run_id": "r", "pipeline": "p", "steps": [step]}).status_code == 201
    counts = api.get("/runs/r").json()["steps"][0]["counts"]
    assert (counts["in"], counts["rejected"], counts["rejected_by_count"]) == (100, 0, 88)
    assert 88 + counts["accepted"] + counts["accepted_by_count"] + counts["unaccounted"] == 100
