"""`GET /runs/{id}/lineage`: what an item came from, and what came of it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.answers import Lineage
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.printed.lineage import lineage_lines
from dxray.wire.records import Loss
from dxray.wire.text import cells, plain


def ask(api: TestClient, item: str, run_id: str = "r", **more: Any) -> dict[str, Any]:
    answer = api.get(f"/runs/{run_id}/lineage", params={"item": item, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["sentence"]
    ids = [node["item_id"] for node in found["nodes"]]
    assert len(ids) == len(set(ids))
    assert {end for edge in found["edges"] for end in (edge["parent"], edge["child"])} <= set(ids)
    for width in (80, 120):
        for line in plain(lineage_lines(Lineage.read(found), width, commands=True)).splitlines():
            assert cells(line) <= width or "dxray" in line, line
    return found


def made(item: str, *parents: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    event = {"item_id": item, "outcome": "produced", "parents": list(parents) or None, "name": name, **more}
    return {key: value for key, value in event.items() if value is not None}


def post(api: TestClient, *steps: list[dict[str, Any]] | dict[str, Any], **run: Any) -> None:
    given = [{"name": f"step{n}", "events": one} if isinstance(one, list) else one for n, one in enumerate(steps, 1)]
    answer = api.post("/runs", json={"run_id": "r", "pipeline": "p", "steps": given, **run})
    assert answer.status_code == 201, answer.text


def pairs(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(edge["parent"], edge["child"], edge["how"]) for edge in found["edges"]}


def relations(found: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {node["item_id"]: (node["relation"], node["depth"]) for node in found["nodes"]}


def test_back_to_what_has_no_parents(api: TestClient) -> None:
    post(
        api, [made("m", name="the model", kind="answer")], [made("kw", "m", name="stand")], [made("p", "kw", name="P")]
    )
    found = ask(api, "p")
    assert relations(found) == {"p": ("self", 0), "kw": ("ancestor", 1), "m": ("ancestor", 2)}
    assert found["roots"] == ["m"]
    assert found["nodes"][2] == {
        "item_id": "m",
        "name": "the model",
        "kind": "answer",
        "step_id": "s1",
        "step_name": "step1",
        "relation": "ancestor",
        "depth": 2,
        "root": True,
    }
    assert found["sentence"] == 'P came from "stand", which step2 brought in, and that in the end from "the model".'
    assert found["unknown"] is None


def test_several_parents_make_a_graph(api: TestClient) -> None:
    post(api, [made("q")], [made("a", "q"), made("b", "q")], [made("p", "a", "b")])
    found = ask(api, "p")
    assert pairs(found) == {("a", "p", "parents"), ("b", "p", "parents"), ("q", "a", "parents"), ("q", "b", "parents")}
    assert found["ancestors"] == {"total": 3, "shown": 3, "levels": [2, 1], "more": False}


def test_what_came_of_it_by_generation(api: TestClient) -> None:
    post(api, [made("q", name="query")], [made("a", "q"), made("b", "q")], [made(f"p{n}", "a") for n in range(5)])
    found = ask(api, "q")
    assert found["descendants"] == {"total": 7, "shown": 7, "levels": [2, 5], "more": False}
    assert found["sentence"] == (
        'query came into the run at step1. 2 items came from it ("a", "b"), and 5 more from those.'
    )
    one = ask(api, "q", levels=1)
    assert one["descendants"] == {"total": 2, "shown": 2, "levels": [2], "more": True}
    assert ask(api, "q", levels=0)["descendants"]["total"] == 0


def test_many_descendants_are_counted_and_not_all_shown(api: TestClient) -> None:
    post(api, [made("q")], [made(f"p{n}", "q") for n in range(1_000)])
    found = ask(api, "q")
    assert (found["descendants"]["total"], found["descendants"]["shown"], len(found["nodes"])) == (1_000, 200, 201)
    assert "and 992 more" in str(Lineage.read(found))


def test_merges_are_edges_both_ways(api: TestClient) -> None:
    merge = [{"item_id": "b", "outcome": "merged", "into": "a"}, {"item_id": "a", "outcome": "accepted"}]
    post(api, [made("q", name="query")], [made("a", "q", name="A"), made("b", name="B")], merge)
    kept = ask(api, "a")
    assert ("b", "a", "merged") in pairs(kept)
    assert kept["sentence"] == 'A came from "query", which step1 brought in. "B" was merged into it.'
    gone = ask(api, "b")
    assert pairs(gone) == {("b", "a", "merged")}
    assert gone["sentence"] == 'B came into the run at step2. It was merged into "A".'


def test_cycles_end(api: TestClient) -> None:
    post(api, [made("a", "b"), made("b", "a")], [made("c", "c", "a")])
    found = ask(api, "c")
    assert pairs(found) == {("a", "c", "parents"), ("b", "a", "parents"), ("a", "b", "parents")}
    assert relations(ask(api, "a"))["b"][0] == "ancestor"


def test_a_superseded_attempt_counts_only_where_no_other_speaks(api: TestClient) -> None:
    first = {"name": "search", "attempt": 1, "error": "x", "events": [made("p", "old"), made("only", "old")]}
    again = {"name": "search", "attempt": 2, "events": [made("p", "new")]}
    post(api, [made("old"), made("new")], first, again)
    assert pairs(ask(api, "p")) == {("new", "p", "parents")}
    assert pairs(ask(api, "only")) == {("old", "only", "parents")}


def test_an_item_that_no_step_brought_in_is_not_said_to_begin_there(api: TestClient) -> None:
    post(api, [{"item_id": "x", "outcome": "accepted"}])
    found = ask(api, "x")
    assert found["unknown"] == {"cause": "not_recorded", "detail": "no step says where x came from"}
    assert found["hint"]
    assert found["sentence"] == "x was first seen at step1. No step says where x came from."


def test_events_that_did_not_arrive_are_said(api: TestClient) -> None:
    post(api, [made("a")])
    body = pack_batch("me", 1, "default", [pack_record(Loss(run_id="r", step_id="s1", cause="queue_full", n=1))])
    api.post("/ingest", content=body, headers={"content-encoding": "zstd"})
    assert ask(api, "a")["unknown"]["cause"] == "dropped"
    assert ask(api, "zzz")["unknown"]["cause"] == "dropped"


def test_by_name_as_why_takes_it(api: TestClient, stands: dict[str, Any]) -> None:
    api.post("/runs", json=stands)
    assert ask(api, "Stand 3", "stands")["item_id"] == "p3"
    assert ask(api, "p3", "stands")["roots"] == ["kw:stand"]
    near = ask(api, "Stand 33", "stands")
    assert {"item_id": "p3", "name": "Stand 3"} in near["did_you_mean"]
    assert near["nodes"] == []
    post(api, [made("a", name="Same"), made("b", name="Same")])
    twice = ask(api, "Same")
    assert twice["unknown"]["cause"] == "ambiguous"
    assert [one["item_id"] for one in twice["did_you_mean"]] == ["a", "b"]


def test_hostile_texts_are_shown_harmless(api: TestClient) -> None:
    post(api, [made("\x1b[2J", name="文" * 90)], [made("a b' --", "\x1b[2J", name="\u202eevil")])
    text = str(Lineage.read(ask(api, "a b' --")))
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(("query", "field"), [("", "item"), ("?item=a&levels=21", "levels"), ("?item=a&x=1", "x")])
def test_what_is_asked_wrongly(api: TestClient, query: str, field: str) -> None:
    post(api, [made("a")])
    answer = api.get(f"/runs/r/lineage{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert api.get("/runs/rr/lineage?item=a").status_code == 404
