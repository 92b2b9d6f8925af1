"""`/runs/{id}/labels`: what is said of a run afterwards, and the filter that finds it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.api.labels import LabelsAnswer
from tests.api.conftest import connect


@pytest.fixture
def run(api: TestClient, stands: dict[str, Any]) -> TestClient:
    api.post("/runs", json=stands)
    return api


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, stands: dict[str, Any]) -> Iterator[TestClient]:
    with connect(tmp_path_factory.mktemp("labels")) as client:
        client.post("/runs", json=stands)
        yield client


def say(api: TestClient, label: str, item_id: Any = None, note: str | None = None, status: int = 201) -> dict[str, Any]:
    body = {"label": label, "item_id": item_id, "note": note}
    answer = api.post("/runs/stands/labels", json={name: value for name, value in body.items() if value is not None})
    assert answer.status_code == status, answer.text
    if status < 300:
        LabelsAnswer.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    return found


def test_labels_are_said_listed_and_taken_back(run: TestClient) -> None:
    assert run.get("/runs/stands/labels").json() == {
        "run_id": "stands",
        "labels": [],
        "replaced": [],
        "warnings": [],
        "sentence": "Nobody has said yet whether this run was good or bad.",
    }
    say(run, "bad")
    said = say(run, "wrong", "p3", "a stand is no case")
    assert said["number"] == 2
    assert [(one["number"], one["label"], one["item_id"], one["name"], one["note"]) for one in said["labels"]] == [
        (1, "bad", None, None, None),
        (2, "wrong", "p3", "Stand 3", "a stand is no case"),
    ]
    assert said["sentence"] == "The run is bad; Stand 3 is wrong (a stand is no case)."
    left = run.delete("/runs/stands/labels/1").json()
    assert [one["number"] for one in left["labels"]] == [2]
    assert run.get("/runs/stands/labels").json() == left
    assert [(one["number"], one["label"]) for one in run.get("/runs/stands").json()["labels"]] == [(2, "wrong")]


def test_the_same_again_changes_nothing_but_the_note(run: TestClient) -> None:
    first = say(run, "wrong", "p3")
    assert say(run, "wrong", "p3", status=200) == first
    noted = say(run, "wrong", "p3", "no case", status=200)
    assert [(one["number"], one["note"]) for one in noted["labels"]] == [(1, "no case")]
    assert say(run, "wrong", "p3", status=200) == noted
    assert say(run, "wrong", "p2")["number"] == 2


def test_a_number_is_never_given_twice(run: TestClient) -> None:
    say(run, "bad")
    run.delete("/runs/stands/labels/1")
    assert say(run, "bad")["number"] == 2
    assert [one["number"] for one in run.get("/runs/stands/labels").json()["labels"]] == [2]


def test_concurrent_labels_have_numbers_of_their_own(run: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: say(run, "expected", f"new{n}")["number"], range(24)))
    assert sorted(numbers) == list(range(1, 25))
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: run.post("/runs/stands/labels", json={"label": "good"}).status_code, range(16)))
    assert (codes.count(201), codes.count(200)) == (1, 15)


def test_labels_are_a_filter(run: TestClient, stands: dict[str, Any]) -> None:
    run.post("/runs", json={**stands, "run_id": "other"})

    def found(q: str) -> list[str]:
        return sorted(one["run_id"] for one in run.get("/runs", params={"q": q}).json()["runs"])

    say(run, "bad")
    assert (found("label:bad"), found("-label:bad"), found("label:good")) == (["stands"], ["other"], [])
    say(run, "wrong", "p3")
    run.delete("/runs/stands/labels/1")
    assert (found("label:bad"), found("label:wrong")) == ([], ["stands"])
    steps = run.get("/steps", params={"q": "label:wrong step:filter"}).json()["steps"]
    assert [one["run_id"] for one in steps] == ["stands"]


def test_labels_outlive_the_server(tmp_path: Path, stands: dict[str, Any]) -> None:
    with connect(tmp_path) as api:
        api.post("/runs", json=stands)
        before = say(api, "expected", "p9")["labels"]
    with connect(tmp_path) as api:
        assert api.get("/runs/stands/labels").json()["labels"] == before


def test_an_item_is_named_by_id_or_name(run: TestClient) -> None:
    assert say(run, "wrong", "Stand 3")["labels"][0]["item_id"] == "p3"
    assert say(run, "expected", "p77")["labels"][-1]["item_id"] == "p77"
    assert say(run, "expected", 77)["labels"][-1]["item_id"] == "77"


@pytest.mark.parametrize(
    ("body", "field", "fix"),
    [
        ({"label": "bda"}, "label", "did you mean 'bad'?"),
        ({}, "label", "one of good, bad, expected, wrong, keep"),
        ({"label": ["bad"]}, "label", None),
        ({"label": "wrong"}, "item_id", "add 'item_id': the item's id"),
        ({"label": "expected", "item_id": ""}, "item_id", None),
        ({"label": "wrong", "item_id": {"id": 1}}, "item_id", None),
        ({"label": "wrong", "item_id": "p33"}, "item_id", "did you mean p3"),
        ({"label": "bad", "item": "p3"}, "item", "did you mean 'item_id'?"),
        ({"label": "bad", "note": 7}, "note", None),
        ([], "the body", None),
    ],
)
def test_what_cannot_be_said_names_the_field(asked: TestClient, body: Any, field: str, fix: str | None) -> None:
    answer = asked.post("/runs/stands/labels", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert fix is None or answer.json()["fix"].startswith(fix)
    assert asked.get("/runs/stands/labels").json()["labels"] == []


def test_what_is_not_there_is_not_found(asked: TestClient) -> None:
    for answer in (
        asked.post("/runs/stand/labels", json={"label": "bad"}),
        asked.get("/runs/stand/labels"),
        asked.delete("/runs/stand/labels/1"),
    ):
        assert (answer.status_code, answer.json()["fix"]) == (404, "did you mean stands?")
    none = asked.delete("/runs/stands/labels/3")
    assert (none.status_code, none.json()["fix"]) == (404, "it has no labels")
    assert asked.post("/runs/stands/labels", content=b"{").status_code == 400
    assert asked.delete("/runs/stands/labels/x").status_code == 422


def test_a_label_that_there_is_not_is_no_filter(api: TestClient) -> None:
    answer = api.get("/runs", params={"q": "label:bda"})
    assert answer.status_code == 422
    assert "bda" in answer.json()["detail"] and "bad" in answer.json()["fix"]


def test_a_run_is_good_or_bad_and_what_was_said_last_counts(run: TestClient) -> None:
    say(run, "bad", note="a stand")
    assert run.get("/runs", params={"q": "label:bad"}).json()["total"] == 1
    said = say(run, "good")
    assert [(one["number"], one["label"]) for one in said["labels"]] == [(2, "good")]
    assert [(one["number"], one["label"], one["note"], one["replaced_by"]) for one in said["replaced"]] == [
        (1, "bad", "a stand", 2)
    ]
    assert said["sentence"] == "The run is good. Label 2, good, replaced label 1, bad."
    assert run.get("/runs", params={"q": "label:bad"}).json()["total"] == 0
    assert run.get("/runs", params={"q": "label:good"}).json()["total"] == 1
    assert [one["label"] for one in run.get("/runs/stands").json()["labels"]] == ["good"]
    again = say(run, "bad")
    assert [(one["number"], one["label"]) for one in again["labels"]] == [(3, "bad")]
    assert [(one["number"], one["replaced_by"]) for one in again["replaced"]] == [(1, 2), (2, 3)]


def test_what_replaced_a_label_can_be_taken_back(run: TestClient) -> None:
    say(run, "bad")
    say(run, "good")
    left = run.delete("/runs/stands/labels/2").json()
    assert ([one["label"] for one in left["labels"]], left["replaced"]) == (["bad"], [])
    say(run, "good")
    gone = run.delete("/runs/stands/labels/1").json()
    assert ([one["number"] for one in gone["labels"]], gone["replaced"]) == ([3], [])


def test_a_word_on_an_item_replaces_none_on_the_run_or_on_another(run: TestClient) -> None:
    say(run, "bad")
    say(run, "wrong", "p3")
    say(run, "good", "p2")
    said = say(run, "good", "p3")
    assert [(one["label"], one["item_id"]) for one in said["labels"]] == [("bad", None), ("good", "p2"), ("good", "p3")]
    assert [(one["number"], one["replaced_by"]) for one in said["replaced"]] == [(2, 4)]


@pytest.mark.parametrize(
    ("item", "near"), [("p33", "p3"), ("Stand 4x", "p4 (Stand 4)"), ("nothing like it at all", None)]
)
def test_what_was_expected_and_no_run_ever_had_is_taken_with_a_warning(
    run: TestClient, item: str, near: str | None
) -> None:
    said = say(run, "expected", item)
    assert [one["item_id"] for one in said["labels"]] == [item]
    (warning,) = said["warnings"]
    assert warning.startswith(f"No run of competitor_selection ever had {item}")
    assert near is None or near in warning
    assert said["sentence"].endswith(warning)
    assert run.get("/runs/stands/labels").json()["warnings"] == [warning]


def test_what_another_run_of_the_pipeline_had_may_be_expected(run: TestClient, stands: dict[str, Any]) -> None:
    new = {"item_id": "q1", "outcome": "produced", "name": "Cover 1"}
    run.post("/runs", json={**stands, "run_id": "other", "steps": [{"name": "search", "events": [new]}]})
    assert say(run, "expected", "q1")["warnings"] == []
    by_name = say(run, "expected", "Cover 1")
    assert by_name["warnings"] == ["No run of competitor_selection ever had Cover 1; did you mean q1 (Cover 1)?"]
    run.post("/runs", json={**stands, "run_id": "elsewhere", "pipeline": "q"})
    answer = run.post("/runs/elsewhere/labels", json={"label": "expected", "item_id": "q1"}).json()
    assert answer["warnings"] == ["No run of q ever had q1: see that the id is right."]
