"""`GET /items`: an item across runs, by its id or by its name."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.answers import Items
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.printed.items import items_lines
from dxray.wire.records import Loss
from dxray.wire.text import cells, plain


def ask(api: TestClient, **params: Any) -> dict[str, Any]:
    answer = api.get("/items", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["sentence"]
    for width in (80, 120):
        for line in plain(items_lines(Items.read(found), width, commands=True)).splitlines():
            assert cells(line) <= width or "dxray" in line, line
    return found


def post(api: TestClient, run_id: str, *steps: dict[str, Any], day: int = 1, **run: Any) -> None:
    body = {
        "run_id": run_id,
        "pipeline": "p",
        "started_at": f"2026-01-{day:02d}T00:00:00Z",
        "steps": list(steps),
        **run,
    }
    answer = api.post("/runs", json=body)
    assert answer.status_code == 201, answer.text


def search(**names: str) -> dict[str, Any]:
    made = [{"item_id": item, "outcome": "produced", "name": name} for item, name in names.items()]
    return {"name": "search", "step_type": "retrieve", "events": made}


def step(name: str, outcome: str, *items: str, **more: Any) -> dict[str, Any]:
    reason = {"reason": "too_dear"} if outcome == "rejected" else {}
    return {"name": name, "events": [{"item_id": one, "outcome": outcome, **reason} for one in items], **more}


def picked(*winners: str, **scores: float) -> dict[str, Any]:
    events = [{"item_id": item, "outcome": "accepted", "score": score} for item, score in scores.items()]
    return {"name": "select", "events": events, "decisions": [{"decision": "pick", "selected": list(winners)}]}


@pytest.fixture
def filled(api: TestClient) -> TestClient:
    post(api, "r1", search(a="Blue Stand", b="Red Stand"), step("filter", "rejected", "a"), day=1)
    post(api, "r2", search(a="Blue Stand"), step("filter", "accepted", "a"), picked("a"), day=2)
    post(api, "r3", search(a="Blue Stand", b="Red Stand"), picked("b", a=0.4, b=0.9), day=3)
    return api


def test_runs_are_listed_newest_first_with_what_became_of_the_item(filled: TestClient) -> None:
    found = ask(filled, id="a")
    assert [(row["run_id"], row["outcome"], row["step_name"], row["reason"]) for row in found["runs"]] == [
        ("r3", "outranked", "select", None),
        ("r2", "selected", "select", None),
        ("r1", "rejected", "filter", "too_dear"),
    ]
    assert [row["selected"] for row in found["runs"]] == [False, True, False]
    assert (found["total"], found["match"]) == (3, "id")
    assert found["totals"] == {
        "seen": 3,
        "counted": 3,
        "selected": 1,
        "rejected": 1,
        "outcomes": {"outranked": 1, "selected": 1, "rejected": 1},
        "reasons": [{"reason": "too_dear", "step_name": "filter", "n": 1}],
    }
    assert found["sentence"] == (
        "Blue Stand was seen in 3 runs: selected in 1, outranked in 1, rejected in 1, "
        "most often for too_dear at filter (1)."
    )


def test_by_exact_name_then_by_a_part_of_it_in_any_case(filled: TestClient) -> None:
    exact = ask(filled, name="Blue Stand")
    assert (exact["match"], [one["item_id"] for one in exact["items"]]) == ("name", ["a"])
    part = ask(filled, name="STAND")
    assert (part["match"], [(one["item_id"], one["runs"]) for one in part["items"]]) == (
        "contains",
        [("a", 3), ("b", 2)],
    )
    assert part["total"] == 5
    assert part["sentence"].startswith("2 items named like STAND were seen in 3 runs")


def test_a_name_that_several_ids_have(api: TestClient) -> None:
    post(api, "r1", search(x="Same", y="Same"))
    post(api, "r2", search(x="Same"), day=2)
    found = ask(api, name="Same")
    assert [(one["item_id"], one["runs"]) for one in found["items"]] == [("x", 2), ("y", 1)]
    assert {(row["run_id"], row["item_id"]) for row in found["runs"]} == {("r1", "x"), ("r1", "y"), ("r2", "x")}


def test_an_id_that_is_another_thing_in_another_run(api: TestClient) -> None:
    post(api, "r1", search(**{"0": "Blue Stand"}))
    post(api, "r2", search(**{"0": "Garden Hose"}), day=2)
    post(api, "r3", step("filter", "accepted", "0"), day=3)  # no name there: taken for the same
    assert [row["run_id"] for row in ask(api, name="Blue Stand")["runs"]] == ["r3", "r1"]
    by_id = ask(api, id="0")
    assert {one["name"] for one in by_id["items"][0]["names"]} == {"Blue Stand", "Garden Hose"}
    assert "The id stood for several names" in by_id["sentence"]


def test_pages(filled: TestClient) -> None:
    assert [row["run_id"] for row in ask(filled, id="a", limit=1, offset=1)["runs"]] == ["r2"]
    assert ask(filled, id="a", limit=1)["total"] == 3
    assert ask(filled, id="a", offset=9)["runs"] == []


def test_the_last_word_is_in_dataflow_order(api: TestClient) -> None:
    inner = step("inner", "rejected", "a", step_id="i", parent_step_id="o", after=["s"])
    outer = step("outer", "accepted", "a", step_id="o", after=["s"])  # it began before the other, and closes after it
    post(api, "r1", search(a="A") | {"step_id": "s"}, outer, inner)
    assert ask(api, id="a")["runs"][0]["step_name"] == "outer"
    again = step("filter", "accepted", "a", attempt=2)
    post(api, "r2", search(a="A"), step("filter", "rejected", "a", error="timeout", attempt=1), again, day=2)
    row = ask(api, id="a")["runs"][0]
    assert (row["outcome"], row["selected"]) == ("accepted", False)


def test_a_cut_off_speaks_for_those_it_scored(api: TestClient) -> None:
    made = [{"item_id": item, "outcome": "produced", "score": score} for item, score in (("a", 0.1), ("b", 0.9))]
    post(api, "r1", {"name": "rank", "cutoff": 1, "events": made})
    assert ask(api, id="a")["runs"][0]["outcome"] == "outranked"
    assert ask(api, id="b")["runs"][0]["outcome"] == "accepted"


def test_selected_and_rejected_afterwards_is_not_selected(api: TestClient) -> None:
    post(api, "r1", search(a="A"), picked("a"), step("approve", "rejected", "a"))
    post(api, "r2", search(a="A"), picked("a"), step("send", "accepted", "a"), day=2)
    assert [row["selected"] for row in ask(api, id="a")["runs"]] == [True, False]


def test_what_is_not_known_says_why(api: TestClient) -> None:
    post(api, "r1", search(a="A"), status="failed", error="boom")
    assert ask(api, id="a")["runs"][0]["unknown"]["cause"] == "interrupted"
    post(api, "r2", search(a="A"), day=2)
    body = pack_batch("me", 1, "default", [pack_record(Loss(run_id="r2", step_id="s1", cause="queue_full", n=1))])
    api.post("/ingest", content=body, headers={"content-encoding": "zstd"})
    row = ask(api, id="a")["runs"][0]
    assert (row["run_id"], row["selected"], row["unknown"]["cause"]) == ("r2", None, "dropped")


def test_nothing_found_offers_the_nearest(filled: TestClient) -> None:
    by_name = ask(filled, name="Blue Stnd")
    assert (by_name["total"], by_name["runs"], by_name["match"]) == (0, [], None)
    assert {"item_id": "a", "name": "Blue Stand"} in by_name["did_you_mean"]
    assert by_name["sentence"] == "No run has an item with a name like Blue Stnd. Nearest: Blue Stand, Red Stand."
    as_id = ask(filled, id="Blue Stand")  # a name given for an id
    assert as_id["did_you_mean"] == [{"item_id": "a", "name": "Blue Stand"}]


def test_an_empty_store(api: TestClient) -> None:
    assert ask(api, id="a")["did_you_mean"] == []
    assert ask(api, name="a")["totals"]["seen"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "id"),
        ("?id=a&name=b", "id"),
        ("?id=", "id"),
        ("?name=%20", "name"),
        ("?id=a&limit=0", "limit"),
        ("?id=a&limit=1001", "limit"),
        ("?id=a&offset=-1", "offset"),
        ("?itm=a", "itm"),
    ],
)
def test_what_is_asked_wrongly(api: TestClient, query: str, field: str) -> None:
    answer = api.get(f"/items{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["fix"]


def test_hostile_texts_are_shown_harmless(api: TestClient) -> None:
    post(api, "r1", search(**{"a\x1b[2J": "50 % off_\x07 文字\u202e"}), step("f\x1b[31m", "rejected", "a\x1b[2J"))
    found = ask(api, name="50 % off_")  # no wildcards: what is typed is what is meant
    assert found["total"] == 1
    text = str(Items.read(found))
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert ask(api, name="50%")["total"] == 0


def test_as_a_frame(filled: TestClient) -> None:
    answer = Items.read(ask(filled, id="a"))
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(ImportError, match="pip install pandas"):
            answer.to_frame()
    else:
        assert list(answer.to_frame()["run_id"]) == ["r3", "r2", "r1"]
