"""`/views`: filters with a name, and `view:NAME` in every filter."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from dxray.server.api.views import ViewAnswer, ViewsAnswer
from dxray.server.filters import FilterError, terms
from dxray.server.views import DEEPEST, MOST, written
from tests.api.conftest import connect


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, stands: dict[str, Any]) -> Iterator[TestClient]:
    """Three runs, and views that the tests do not change."""
    with connect(tmp_path_factory.mktemp("views")) as client:
        client.post("/runs", json=stands)
        client.post("/runs", json={"run_id": "other", "pipeline": "other", "environment": "test", "status": "failed"})
        client.post("/runs", json={"run_id": "third", "pipeline": "other", "environment": "live"})
        save(client, "not live", "environment:test")
        save(client, "of other", "pipeline:other")
        save(client, "both", 'view:"of other" view:"not live" status:failed')
        save(client, "strict", "step:filter rejection_rate:>0.1", source="steps")
        yield client


def save(api: TestClient, name: str, q: str, status: int = 201, **more: Any) -> dict[str, Any]:
    answer = api.post("/views", json={"name": name, "q": q, **more})
    assert answer.status_code == status, answer.text
    if status < 300:
        ViewAnswer.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    return found


def runs(api: TestClient, q: str) -> list[str]:
    answer = api.get("/runs", params={"q": q})
    assert answer.status_code == 200, answer.text
    return sorted(run["run_id"] for run in answer.json()["runs"])


def refused(api: TestClient, q: str, path: str = "/runs") -> tuple[str, str]:
    answer = api.get(path, params={"q": q})
    assert (answer.status_code, answer.json()["field"]) == (422, "view"), answer.text
    return answer.json()["detail"], answer.json().get("fix", "")


# --- saving ---------------------------------------------------------------------------------------------------


def test_views_are_saved_listed_replaced_and_removed(api: TestClient, stands: dict[str, Any]) -> None:
    assert api.get("/views").json() == {"views": [], "total": 0, "sentence": "No view is saved here yet."}
    api.post("/runs", json=stands)
    made = save(api, "failed", "status:failed", note="look at these first")
    assert {key: made[key] for key in ("name", "source", "q", "note", "expanded", "fits", "unknown")} == {
        "name": "failed",
        "source": "runs",
        "q": "status:failed",
        "note": "look at these first",
        "expanded": "status:failed",
        "fits": 0,
        "unknown": None,
    }
    assert made["sentence"] == 'No runs now fit the view "failed", which asks for status:failed.'
    save(api, "strict", "rejection_rate:>0.2", source="steps")
    assert api.get("/views/strict").json()["sentence"] == (
        '1 step now fits the view "strict", which asks for rejection_rate:>0.2.'
    )
    replaced = api.put("/views/failed", json={"q": "status:completed"})
    assert (replaced.status_code, replaced.json()["fits"], replaced.json()["note"]) == (200, 1, None)
    assert replaced.json()["created_at"] == made["created_at"] and replaced.json()["updated_at"] > made["updated_at"]
    listed = ViewsAnswer.model_validate_json(api.get("/views").content, strict=True)
    assert [(view.name, view.q) for view in listed.views] == [
        ("failed", "status:completed"),
        ("strict", "rejection_rate:>0.2"),
    ]
    assert listed.sentence == "2 views are saved here."
    left = api.delete("/views/failed")
    assert (left.status_code, [view["name"] for view in left.json()["views"]]) == (200, ["strict"])
    assert api.get("/views/failed").status_code == 404


def test_the_same_again_changes_nothing_and_another_is_a_conflict(api: TestClient) -> None:
    first = save(api, "failed", "status:failed")
    assert save(api, "failed", "status:failed", 200) == first
    other = save(api, "failed", "status:abandoned", 409)
    assert (other["field"], other["fix"]) == ("name", "choose another name, or replace it with PUT")
    assert api.get("/views/failed").json() == first
    assert api.put("/views/failed", json={"q": "status:failed"}).json() == first
    assert api.put("/views/new", json={"name": "new", "q": "status:failed"}).status_code == 201


def test_views_outlive_the_server(tmp_path: Path) -> None:
    with connect(tmp_path) as api:
        save(api, "failed", "status:failed")
        before = api.get("/views").json()
    with connect(tmp_path) as api:
        assert api.get("/views").json() == before
        assert runs(api, "view:failed") == []


@pytest.mark.parametrize(
    "name", ["a/b", "/a/", "a b", "日本語", "-x", "?q=#1", "...", "x" * 80, '"<>=\\', "Failed", "a:b", " "]
)
def test_a_name_is_any_text(asked: TestClient, name: str) -> None:
    save(asked, name, "status:failed")
    there = asked.get("/views").json()["views"][0]
    assert there["name"] == name
    path = "/views/" + quote(name, safe="")
    assert asked.get(path).json()["name"] == name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert runs(asked, f'view:"{escaped}"') == ["other"]
    assert asked.delete(path).status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"q": "x"}, "name", "is missing"),
        ({"name": "", "q": "x"}, "name", "1 to 80"),
        ({"name": "x" * 81, "q": "x"}, "name", "1 to 80"),
        ({"name": "a\nb", "q": "x"}, "name", "control character"),
        ({"name": "a\x1b[31m", "q": "x"}, "name", "control character"),
        ({"name": "a\u2028b", "q": "x"}, "name", "line break"),
        ({"name": "a/../b", "q": "x"}, "name", "address"),
        ({"name": "..", "q": "x"}, "name", "address"),
        ({"name": ["a"], "q": "x"}, "name", "1 to 80"),
        ({"name": "n"}, "q", "is missing"),
        ({"name": "n", "q": "  "}, "q", "expected a filter"),
        ({"name": "n", "q": "a\0b"}, "q", "expected a filter"),
        ({"name": "n", "q": 7}, "q", "expected a filter"),
        ({"name": "n", "q": "statsu:failed"}, "statsu", "there is no field"),
        ({"name": "n", "q": "status:faild"}, "status", "faild"),
        ({"name": "n", "q": 'input.a:"open'}, "q", "cannot be read"),
        ({"name": "n", "q": "x" * 5000}, "q", "5000 characters"),
        ({"name": "n", "q": "step_id:s1"}, "step_id", "there is no field"),  # of steps, not of runs
        ({"name": "n", "q": "x", "source": "step"}, "source", "there is no source"),
        ({"name": "n", "q": "x", "note": 7}, "note", "expected a text"),
        ({"name": "n", "q": "x", "note": "x" * 10_001}, "note", "expected a text"),
        ({"name": "n", "q": "x", "qq": "y"}, "qq", "there is no such field"),
        ([], "the body", "expected an object"),
    ],
)
def test_what_cannot_be_saved_names_the_field(asked: TestClient, body: Any, field: str, said: str) -> None:
    before = asked.get("/views").json()
    answer = asked.post("/views", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert said in answer.json()["detail"]
    assert asked.get("/views").json() == before


def test_the_nearest_is_named(asked: TestClient) -> None:
    assert asked.post("/views", json={"name": "n", "q": "statsu:failed"}).json()["fix"] == "did you mean 'status'?"
    assert asked.post("/views", json={"name": "n", "q": "x", "source": "step"}).json()["fix"] == "did you mean 'steps'?"
    for answer in (asked.get("/views/bth"), asked.delete("/views/bth")):
        assert (answer.status_code, answer.json()["fix"]) == (404, "did you mean 'both'?")
    assert asked.get("/views/").status_code == 404
    assert asked.post("/views", content=b"{").status_code == 400
    assert asked.post("/views", content=b'{"name": "\\ud800", "q": "x"}').status_code == 400
    other = asked.put("/views/both", json={"name": "another", "q": "x"})
    assert (other.status_code, other.json()["field"]) == (422, "name")
    assert asked.get("/views", params={"nam": "x"}).status_code == 422
    assert asked.post("/views", content=b'{"q": "' + b"x" * 200_000).status_code == 413


# --- what a filter means --------------------------------------------------------------------------------------


def test_a_view_stands_for_its_words(asked: TestClient) -> None:
    assert runs(asked, 'view:"of other"') == ["other", "third"]
    assert runs(asked, 'view:"of other" environment:live') == ["third"]
    assert runs(asked, "view:both") == ["other"]
    assert runs(asked, 'view:both view:"not live" view:both') == ["other"]
    assert asked.get("/views/both").json()["expanded"] == "pipeline:other environment:test status:failed"
    assert runs(asked, '"view:both"') == []  # a text to search for
    steps = asked.get("/steps", params={"q": "view:strict input_count:6"}).json()["steps"]
    assert [(step["run_id"], step["step_name"]) for step in steps] == [("stands", "filter_candidates")]


_OF_ITEMS = "/runs/{run_id}/items"  # views are of runs and steps


def test_every_filter_knows_views(asked: TestClient) -> None:
    """Whatever takes a filter in its address fills views in; a body's is tried where its question is tested."""
    took = []
    for path, methods in asked.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            parameters = operation.get("parameters", [])
            for name in [one["name"] for one in parameters if one["in"] == "query" and one["name"].endswith("q")]:
                others = {one["name"]: "x" for one in parameters if one.get("required") and one["name"] != name}
                if path == _OF_ITEMS:
                    continue
                answer = asked.request(method, path.format(**others), params={**others, name: "view:bth"})
                assert answer.status_code == 422, (path, answer.text)
                assert answer.json()["fix"] == "did you mean 'both'?", (path, answer.text)
                took.append(path)
    assert {"/runs", "/steps", "/blame"} <= set(took)


def test_a_view_that_cannot_stand_there_is_refused(asked: TestClient) -> None:
    assert refused(asked, "view:bth") == ("there is no view 'bth'", "did you mean 'both'?")
    assert refused(asked, "view:nothing-like-it") == (
        "there is no view 'nothing-like-it'",
        "GET /views lists the views there are",
    )
    said, fix = refused(asked, "view:strict")
    assert ("a filter on steps" in said, fix) == (True, "ask it of GET /steps")
    assert "a filter on runs" in refused(asked, "view:both", "/steps")[0]
    assert "cannot be asked" in refused(asked, "-view:both")[0]
    assert "takes a name only" in refused(asked, "view:>both")[0]
    empty = asked.get("/runs", params={"q": "view:"})
    assert (empty.status_code, empty.json()["detail"]) == (422, "view: has no value")


def test_views_do_not_stand_in_themselves(api: TestClient) -> None:
    said = save(api, "a", "view:a", 422)
    assert (said["field"], said["detail"]) == ("view", "a view cannot stand in itself: 'a' in 'a'")
    save(api, "a", "status:failed")
    save(api, "b", "view:a")
    save(api, "c", "view:b pipeline:p")
    answer = api.put("/views/a", json={"q": "view:c"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "a view cannot stand in itself: 'a' in 'b' in 'c' in 'a'",
    )
    assert api.get("/views/a").json()["q"] == "status:failed"
    assert "there is no view 'd'" in save(api, "e", "view:d", 422)["detail"]


def test_what_others_stand_on_stays(api: TestClient) -> None:
    save(api, "a", "status:failed")
    save(api, "b", "view:a")
    kept = api.delete("/views/a")
    assert (kept.status_code, kept.json()["title"], kept.json()["fix"]) == (
        409,
        "It is in use",
        "change or remove 'b' first",
    )
    assert api.put("/views/a", json={"q": "status:failed", "source": "steps"}).status_code == 409
    assert api.put("/views/a", json={"q": "status:abandoned"}).status_code == 200
    assert api.get("/views/b").json()["expanded"] == "status:abandoned"
    assert api.delete("/views/b").status_code == 200
    assert api.delete("/views/a").status_code == 200


def test_views_in_views_have_a_depth_and_a_number(api: TestClient) -> None:
    save(api, "v0", "status:failed")
    for n in range(1, DEEPEST):
        save(api, f"v{n}", f"view:v{n - 1}")
    assert runs(api, f"view:v{DEEPEST - 1}") == []
    assert "views deep" in save(api, f"v{DEEPEST}", f"view:v{DEEPEST - 1}", 422)["detail"]
    for n in range(MOST):
        save(api, f"w{n}", f"input.k{n}:1")
    assert runs(api, " ".join(f"view:w{n}" for n in range(MOST))) == []
    save(api, "one more", "status:failed")
    assert "more than" in refused(api, 'view:"one more" ' + " ".join(f"view:w{n}" for n in range(MOST)))[0]
    save(api, "long", "x" * 3000)
    answer = api.get("/runs", params={"q": "view:long " + "y" * 1500})
    assert (answer.status_code, answer.json()["field"]) == (422, "q")


def test_a_view_that_is_no_filter_any_more_says_so(api: TestClient) -> None:
    save(api, "inner", "status:failed")
    save(api, "outer", "view:inner")
    parts: Any = api.app.state.parts  # type: ignore[attr-defined]
    parts.catalog.views("default").delete("inner")  # by another server on the same catalog
    found = api.get("/views/outer").json()
    assert (found["fits"], found["expanded"], found["unknown"]["cause"]) == (None, None, "not_a_filter")
    assert found["sentence"] == (
        "What fits the view \"outer\" is not known: there is no view 'inner', which the view 'outer' names."
    )
    assert refused(api, "view:outer")[0] == "there is no view 'inner', which the view 'outer' names"
    assert api.put("/views/outer", json={"q": "status:failed"}).status_code == 200


def test_an_age_in_a_view_is_counted_when_it_is_asked(asked: TestClient) -> None:
    save(asked, "lately", "since:1h")
    assert asked.get("/views/lately").json()["expanded"] == "since:1h"
    assert runs(asked, "view:lately") == ["other", "stands", "third"]
    asked.delete("/views/lately")


def test_one_name_saved_by_many_is_made_once(api: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(lambda n: api.post("/views", json={"name": "one", "q": f"word{n % 2}"}).status_code, range(16))
        )
    assert (codes.count(201), codes.count(200), codes.count(409)) == (1, 7, 8)


@given(st.text(st.sampled_from('ab-:<>="\\ \tview.'), max_size=20) | st.text(max_size=20))
def test_a_word_is_written_as_it_is_read(text: str) -> None:
    try:
        read = list(terms(text))
    except FilterError:
        return
    assert list(terms(" ".join(map(written, read)))) == read
