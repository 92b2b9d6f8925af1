"""`/fields`: what can stand in a filter, and that it finds what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from dxray.server.api.fields import FieldsAnswer, _word
from dxray.server.filters import Clause, parse
from dxray.server.questions import fields as questions
from dxray.server.reasoning.selection import RUNS
from tests.api.conftest import connect

NASTY = '<img src=x onerror="alert(1)">'
CATEGORIES = ["phone cases"] * 5 + ["laptop stands"] * 3 + [NASTY, "", "7", 7, 7.0, True, "a:b", ">5", "-x", 'back\\" ']


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, stands: dict[str, Any]) -> Iterator[TestClient]:
    """Runs with all kinds of values, one of them whole."""
    with connect(tmp_path_factory.mktemp("fields")) as client:
        client.post("/runs", json=stands)
        for number, category in enumerate(CATEGORIES):
            run = {
                "run_id": f"r{number}",
                "pipeline": "two words" if number % 2 else "other",
                "status": "failed" if number < 2 else "completed",
                "input": {"category": category, "within": {"deep": number}, "a b": 1, "dotted.key": 1, "list": [1]},
                "metadata": {"tenant": "acme", "long": "x" * 300, "lines": "a\nb"},
                "code_version": "1.10",
            }
            assert client.post("/runs", json=run).status_code == 201
        client.post("/runs/r0/labels", json={"label": "bad"})
        client.post("/runs/r1/labels", json={"label": "bad"})
        client.post("/runs/r1/labels", json={"label": "good"})  # stands for the one before
        yield client


def fields(client: TestClient, **asked: Any) -> dict[str, Any]:
    answer = client.get("/fields", params=asked)
    assert answer.status_code == 200, answer.text
    read = FieldsAnswer.model_validate_json(answer.content, strict=True)
    assert not read.model_extra
    found: dict[str, Any] = answer.json()
    return found


def values(client: TestClient, field: str, **asked: Any) -> dict[str, int]:
    return {one["value"]: one["n"] for one in fields(client, field=field, limit=200, **asked)["values"]}


# --- names ----------------------------------------------------------------------------------------------------


def test_the_fields_of_every_filter_come_first_and_recorded_keys_behind_often_ones_first(asked: TestClient) -> None:
    found = fields(asked, limit=200)
    names = [one["field"] for one in found["fields"]]
    assert names[: len(questions.FIELDS)] == list(questions.FIELDS)
    runs = len(CATEGORIES) + 1
    recorded = {one["field"]: (one["runs"], one["example"]) for one in found["fields"][len(questions.FIELDS) :]}
    assert recorded["input.category"] == (runs, 'back\\" ')
    assert recorded["input.within.deep"] == (runs - 1, str(len(CATEGORIES) - 1))
    assert recorded["metadata.tenant"][0] == runs - 1
    counts = [n for n, _ in recorded.values()]
    assert counts == sorted(counts, reverse=True)
    assert found["looked_at"] == runs


def test_no_key_is_offered_that_a_filter_cannot_name(asked: TestClient) -> None:
    names = {one["field"] for one in fields(asked, limit=200)["fields"]}
    assert not names & {"input.a b", "input.dotted.key", "input.list", "input.within"}


@pytest.mark.parametrize("name", questions.FIELDS)
def test_every_field_that_is_offered_can_be_asked(asked: TestClient, name: str) -> None:
    known = questions.FIELDS[name]
    value = {"number": ">0.5", "time": "7d"}.get(known.kind, (*known.values, "x")[0])
    assert asked.get("/runs", params={"q": f"{name}:{value}"}).status_code == 200


def test_what_begins_so_comes_before_what_holds_it(asked: TestClient) -> None:
    assert [one["field"] for one in fields(asked, prefix="STATUS")["fields"]] == ["status"]
    assert [one["field"] for one in fields(asked, prefix="step")["fields"]] == ["step", "step_name", "step_type"]
    found = fields(asked, prefix="in", limit=3)
    assert [one["field"] for one in found["fields"]] == ["input_count", "input.category", "input.within.deep"]
    assert found["total"] > 3


# --- values ---------------------------------------------------------------------------------------------------


def test_values_are_counted_often_ones_first(asked: TestClient) -> None:
    found = fields(asked, field="input.category", limit=2)
    assert [(one["value"], one["n"]) for one in found["values"]] == [("phone cases", 6), ("laptop stands", 3)]
    assert found["values"][0]["written"] == 'input.category:"phone cases"'
    assert found["total"] > 2 and found["unknown"] is None
    assert values(asked, "pipeline") == {"two words": 9, "other": 9, "competitor_selection": 1}
    assert values(asked, "version") == values(asked, "code_version") == {"1.10": 18}


def test_each_word_that_is_offered_finds_as_many_runs_as_it_says(asked: TestClient) -> None:
    names = [one["field"] for one in fields(asked, limit=200)["fields"] if one["kind"] in ("text", "any")]
    words = 0
    for name in names:
        found = fields(asked, field=name, limit=200)
        for one in found["values"]:
            listed = asked.get("/runs", params={"q": one["written"]})
            assert listed.status_code == 200, listed.text
            assert found["counted"] == "steps" or listed.json()["total"] == one["n"], one
            words += 1
    assert words > 60


def test_a_number_is_quoted_where_another_value_is_the_same_number(tmp_path: Path) -> None:
    with connect(tmp_path) as client:
        for value in (1, "1", 1.0, "01", "+1", 2, -0.0, "-0", "0.1", "0.10", 3.5, "x", True):
            client.post("/runs", json={"pipeline": "p", "input": {"k": value}, "steps": [{"name": "s"}]})
        found = {one["value"]: one for one in fields(client, field="input.k")["values"]}
        assert {value for value, one in found.items() if not one["written"].endswith('"')} == {"2", "3.5", "x", "true"}
        assert (found["1"]["n"], found["1"]["written"]) == (2, 'input.k:"1"')
        for one in found.values():
            assert client.get("/runs", params={"q": one["written"]}).json()["total"] == one["n"], one


def test_upper_and_lower_case_are_alike_in_every_alphabet(tmp_path: Path) -> None:
    with connect(tmp_path) as client:
        for name in ("straße", "STRASSE", "İstanbul", "other"):
            client.post("/runs", json={"pipeline": name, "input": {"k": name}, "steps": [{"name": "s"}]})
        for field in ("pipeline", "input.k"):
            assert values(client, field, prefix="strasse") == values(client, field, prefix="ß")
            assert values(client, field, prefix="strasse") == {"straße": 1, "STRASSE": 1}
            assert values(client, field, prefix="i\u0307") == {"İstanbul": 1}


def test_closed_sets_are_whole_with_what_is_not_there_last(asked: TestClient) -> None:
    assert values(asked, "status") == {"completed": 17, "failed": 2, "abandoned": 0, "running": 0, "waiting": 0}
    assert values(asked, "label") == {"bad": 1, "good": 1, "expected": 0, "keep": 0, "wrong": 0}
    assert values(asked, "label", q="run_id:r0")["bad"] == 1
    assert values(asked, "label", q="run_id:r5")["bad"] == 0


def test_steps_are_found_by_name_or_type_within_the_runs_that_fit(asked: TestClient) -> None:
    assert values(asked, "step", prefix="filter") == {"filter": 1, "filter_candidates": 1}
    assert values(asked, "step_type", q="pipeline:competitor_selection")["retrieve"] == 1
    assert values(asked, "step_name", q="pipeline:other") == {}
    assert values(asked, "step_name", q="pipeline:nope") == {}


def test_the_rest_of_the_filter_narrows(asked: TestClient) -> None:
    assert values(asked, "pipeline", q="status:failed") == {"other": 1, "two words": 1}
    assert values(asked, "input.category", q="pipeline:competitor_selection") == {"phone cases": 1}
    asked.put("/views/mine", json={"q": "status:failed"})
    assert values(asked, "pipeline", q="view:mine") == {"other": 1, "two words": 1}


def test_what_no_line_takes_is_left_out_and_counted(asked: TestClient) -> None:
    for field in ("metadata.long", "metadata.lines"):
        found = fields(asked, field=field)
        assert (found["values"], found["left_out"]) == ([], 1)


def test_numbers_and_times_have_no_values(asked: TestClient) -> None:
    for field, kind in (("duration_ms", "number"), ("rejection_rate", "number"), ("since", "time")):
        found = fields(asked, field=field)
        assert (found["values"], found["kind"]) == ([], kind)
    assert fields(asked, field="since")["sentence"] == "since takes an age or a time, as in since:7d."


def test_where_only_some_runs_were_looked_at_it_says_so(asked: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_NEWEST", 4)
    monkeypatch.setattr(questions, "_WITH_STEPS", 4)
    found = fields(asked, field="input.category")
    assert (found["looked_at"], found["of"], found["unknown"]["cause"]) == (4, 19, "not_looked_at")
    assert "the newest 4 of 19 runs" in found["sentence"]
    deep = fields(asked, field="input.within.deep")["values"]
    assert {one["written"].partition(":")[2] for one in deep} == {f'"{one["value"]}"' for one in deep}, "others may be"
    steps = fields(asked, field="step", q="status:completed")
    assert (steps["looked_at"], steps["of"]) == (4, 17)


def test_no_more_bytes_are_opened_than_are_needed(asked: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_FIRST_OPENED", 2)
    monkeypatch.setattr(questions, "_OPENED_BYTES", 10)
    assert fields(asked)["looked_at"] == 2


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"field": "statu"}, "field"),
        ({"field": "input."}, "field"),
        ({"field": "status", "q": "nope:1"}, "nope"),
        ({"limit": 0}, "limit"),
        ({"prefix": "x" * 501}, "prefix"),
        ({"fields": "x"}, "fields"),
    ],
)
def test_what_cannot_be_is_refused(asked: TestClient, given_: dict[str, Any], field: str) -> None:
    answer = asked.get("/fields", params=given_)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize("prefix", ["\0", "%", "_", "'", "\\", '"', "\u202e", "\ud800", "ß", "İ"])
def test_any_prefix_is_only_text(asked: TestClient, prefix: str) -> None:
    for field in (None, "pipeline", "input.category", "step", "label"):
        asked_for = {"prefix": prefix.encode(errors="surrogatepass"), **({} if field is None else {"field": field})}
        assert asked.get("/fields", params=asked_for).status_code == 200


@given(value=st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30) | st.floats().map(str))
def test_a_word_means_its_value(value: str) -> None:
    assert parse(_word("pipeline", value, "text"), RUNS) == [Clause("pipeline", "==", value)]
    [clause] = parse(_word("input.key", value, "any"), RUNS)
    meant = (
        {True: "true", False: "false"}.get(clause.value, clause.value)
        if clause.value in (True, False)
        else clause.value
    )
    assert (clause.op, clause.field) == ("==", "input.key")
    assert meant == value or f"{clause.value:.15g}" == value
