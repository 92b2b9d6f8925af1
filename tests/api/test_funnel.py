"""`GET /runs/{id}/funnel`: what went in and out of every step, and what was lost between."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.answers import Funnel
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.printed.funnel import funnel_lines
from dxray.wire.records import Loss
from dxray.wire.text import cells, plain

RIGHT = ("accepted", "rejected", "selected", "outranked", "merged", "consumed", "unaccounted")
BY_COUNT = ("accepted_by_count", "rejected_by_count")


def ask(api: TestClient, run_id: str = "r") -> dict[str, Any]:
    answer = api.get(f"/runs/{run_id}/funnel")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["sentence"]
    for step in found["steps"]:
        if step["in"] is not None and step["unaccounted"] is not None:
            assert step["in"] + step["produced"] == sum(step[name] for name in (*RIGHT, *BY_COUNT)), step
    for width in (80, 120):
        for line in plain(funnel_lines(Funnel.read(found), width, commands=True)).splitlines():
            assert cells(line) <= width or "dxray" in line, line
    return found


def post(api: TestClient, *steps: dict[str, Any], **run: Any) -> None:
    answer = api.post("/runs", json={"run_id": "r", "pipeline": "p", "steps": list(steps), **run})
    assert answer.status_code == 201, answer.text


def step(name: str, outcome: str, *items: str, **more: Any) -> dict[str, Any]:
    reason = {"reason": "no"} if outcome == "rejected" else {}
    return {"name": name, "events": [{"item_id": one, "outcome": outcome, **reason} for one in items], **more}


def edges(found: dict[str, Any]) -> dict[tuple[str, str], int | None]:
    return {
        (edge["step_name"], row["step_name"]): edge["lost_between"] for row in found["steps"] for edge in row["edges"]
    }


def test_a_whole_run_in_distinct_items(api: TestClient, stands: dict[str, Any]) -> None:
    api.post("/runs", json=stands)
    found = ask(api, "stands")
    assert [(one["step_name"], one["in"], one["out"]) for one in found["steps"]] == [
        ("generate_keywords", 0, 1),
        ("search", 1, 6),
        ("filter_candidates", 6, 4),
        ("dedupe", 4, 3),
        ("select_best", 3, 1),
    ]
    assert (found["entered"], found["expanded"], found["selected"]) == (6, 1, 1)
    assert found["winners"] == [{"item_id": "p3", "name": "Stand 3"}]
    assert found["steps"][2]["reasons"] == [{"reason": "duplicate", "n": 1}, {"reason": "price_too_high", "n": 1}]
    assert set(edges(found).values()) == {0}
    assert found["sentence"] == (
        "6 items came in (1 more was expanded into others), and 1 was selected (Stand 3). "
        "filter_candidates dropped most, 2 of 6: duplicate 1, price_too_high 1."
    )


def test_items_lost_without_a_word_are_the_most(api: TestClient) -> None:
    items = [f"i{n}" for n in range(9)]
    post(api, step("search", "produced", *items), step("keep", "accepted", *items[:2], input_count=2))
    found = ask(api)
    assert edges(found) == {("search", "keep"): 7}
    assert (found["loses_most"]["step_name"], found["loses_most"]["lost_after"]) == ("keep", "search")
    assert "Most were lost between search and keep: 7 of 9, without a word." in found["sentence"]
    assert "7 lost between search and here" in str(Funnel.read(found))


def test_what_a_step_does_not_account_for_is_shown(api: TestClient) -> None:
    post(api, step("search", "produced", "a", "b", "c"), step("keep", "accepted", "a", input_count=3, output_count=1))
    found = ask(api)
    assert found["steps"][1]["unaccounted"] == 2
    assert (found["loses_most"]["n"], found["loses_most"]["unaccounted"]) == (2, 2)
    assert "left most unaccounted: 2" in found["sentence"]


def test_a_step_that_only_rejects_says_what_to_record_of_the_rest(api: TestClient) -> None:
    search = step("search", "produced", "a", "b", "c")
    post(api, search, step("keep", "rejected", "a", input_count=3))
    found = ask(api)
    assert "keep dropped most, 1 of 3: no 1; unaccounted 2." in found["sentence"]
    assert found["hint"].endswith("the outcome accepted at keep: of 2 items it does not say that they go on")


def test_where_some_go_on_nothing_is_advised_of_the_rest(api: TestClient) -> None:
    post(api, step("search", "produced", "a", "b", "c"), step("keep", "accepted", "a", input_count=3))
    assert ask(api)["hint"] is None


def test_parallel_branches_say_why_an_edge_is_not_known(api: TestClient) -> None:
    left = step("left", "accepted", "a", step_id="l", after=["s"])
    right = step("right", "accepted", "b", step_id="r", after=["s"])
    join = step("join", "accepted", "a", "b", after=["l", "r"])
    post(api, step("search", "produced", "a", "b", step_id="s"), left, right, join)
    found = ask(api)
    assert set(edges(found).values()) == {None}
    causes = {edge["cause"] for row in found["steps"] for edge in row["edges"]}
    assert causes == {"2 steps take items of search", "join takes items of 2 steps"}
    assert (found["entered"], found["loses_most"], found["left"]) == (2, None, 2)
    assert found["sentence"] == "2 items came in, and 2 were kept to the end; nothing selects."


def test_a_superseded_attempt_is_listed_and_counts_for_nothing(api: TestClient) -> None:
    first = step("search", "produced", "a", "b", "c", error="timeout", attempt=1)
    post(api, first, step("search", "produced", "a", attempt=2), step("keep", "accepted", "a", input_count=1))
    found = ask(api)
    assert [(one["attempt"], one["superseded"]) for one in found["steps"]] == [(1, True), (2, False), (1, False)]
    assert found["steps"][0]["edges"] == []
    assert edges(found) == {("search", "keep"): 0}
    assert found["entered"] == 1
    assert "superseded by a later attempt" in str(Funnel.read(found))


def test_steps_inside_others_do_not_make_losses_up(api: TestClient) -> None:
    rejecting = step("filter", "accepted", "a", "b", input_count=3)
    rejecting["events"].append({"item_id": "c", "outcome": "rejected", "reason": "no"})
    post(
        api,
        step("search", "produced", "a", "b", "c", step_id="s"),
        {"name": "group", "step_id": "g", "after": ["s"]},
        {**rejecting, "step_id": "f", "parent_step_id": "g"},
        step("final", "accepted", "a", "b", after=["g"], input_count=2),
    )
    found = ask(api)
    # The group is looked through: what comes after it takes what the last step inside let go on.
    assert edges(found) == {("search", "filter"): 0, ("filter", "final"): 0}
    assert found["entered"] == 3
    around = step("around", "accepted", "a", step_id="g", after=["s"])
    inner = step("inner", "rejected", "b", step_id="f", parent_step_id="g", after=["s"])
    post(api, step("search", "produced", "a", "b", step_id="s"), around, inner, run_id="around")
    assert set(edges(ask(api, "around")).values()) <= {None}


def test_counts_without_events(api: TestClient) -> None:
    counted = {"name": "filter", "step_type": "filter", "input_count": 100, "output_count": 12}
    post(api, counted | {"rejection_counts": {"too_dear": 60, "too_far": 28}}, {"name": "rank", "input_count": 12})
    found = ask(api)
    assert (found["entered"], found["selected"]) == (100, 0)
    first = found["steps"][0]
    assert (first["accepted_by_count"], first["rejected_by_count"], first["unaccounted"]) == (12, 88, 0)
    assert "filter dropped most, 88 of 100: too_dear 60, too_far 28." in found["sentence"]
    assert found["steps"][0]["reasons"] == [{"reason": "too_dear", "n": 60}, {"reason": "too_far", "n": 28}]
    assert found["steps"][1]["in"] == 12


def test_items_that_enter_by_count_in_the_middle_leave_the_whole_unknown(api: TestClient) -> None:
    middle = {"name": "search", "step_type": "retrieve", "input_count": 1, "output_count": 50}
    post(api, step("words", "produced", "w"), middle, step("keep", "accepted", "a", input_count=50))
    found = ask(api)
    assert found["entered"] is None
    assert found["unknown"]["cause"] == "not_recorded"


def test_a_run_without_items_says_so(api: TestClient) -> None:
    post(api, {"name": "call"}, {"name": "answer"})
    found = ask(api)
    assert (found["entered"], found["loses_most"], found["unknown"]["cause"]) == (None, None, "not_recorded")
    assert found["hint"]
    post(api, run_id="empty")
    assert ask(api, "empty")["steps"] == []


def test_a_winner_that_was_rejected_afterwards_is_not_selected(api: TestClient) -> None:
    decision = {"decision": "pick", "selected": ["a", "b"]}
    select = {"name": "select", "step_type": "select", "decisions": [decision]}
    post(api, step("search", "produced", "a", "b"), select, step("approve", "rejected", "a", input_count=2))
    found = ask(api)
    assert [one["item_id"] for one in found["winners"]] == ["b"]


def test_events_that_did_not_arrive_make_the_whole_unknown(api: TestClient) -> None:
    post(api, step("search", "produced", "a", "b"), step("keep", "accepted", "a", input_count=1))
    loss = pack_record(Loss(run_id="r", step_id="s2", cause="queue_full", n=3))
    body = pack_batch("me", 1, "default", [loss])
    assert api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()["rejected"] == []
    found = ask(api)
    assert (found["entered"], found["selected"], found["unknown"]["cause"]) == (None, None, "dropped")
    assert found["steps"][1]["unknown"]["cause"] == "dropped"
    assert edges(found) == {("search", "keep"): None}


def test_an_unfinished_run_says_that_this_is_not_all(api: TestClient) -> None:
    post(api, step("search", "produced", "a"), status="failed", error="boom")
    assert ask(api)["sentence"].endswith("The run failed; this is what it came to.")


def test_hostile_names_are_shown_harmless(api: TestClient) -> None:
    name = "\x1b]0;owned\x07 文字 " + "x" * 300
    post(api, step(name, "produced", "a"), step("k" * 200, "rejected", "a", input_count=1))
    text = str(Funnel.read(ask(api)))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_an_unknown_run_names_the_nearest(api: TestClient) -> None:
    post(api, step("search", "produced", "a"))
    answer = api.get("/runs/rr/funnel")
    assert (answer.status_code, answer.json()["fix"]) == (404, "did you mean r?")
    assert api.get("/runs/r/funnel?x=1").status_code == 422


def test_as_a_frame(api: TestClient, stands: dict[str, Any]) -> None:
    api.post("/runs", json=stands)
    answer = Funnel.read(ask(api, "stands"))
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(ImportError, match="pip install pandas"):
            answer.to_frame()
    else:
        frame = answer.to_frame()
        assert list(frame["in"]) == [0, 1, 6, 4, 3]


def test_a_run_and_its_funnel_say_the_same_of_what_was_lost_between_steps(api: TestClient) -> None:
    made = [{"item_id": f"i{n}", "outcome": "produced"} for n in range(4)]
    kept = [{"item_id": f"i{n}", "outcome": "accepted"} for n in range(2)]
    steps = [
        {"name": "search", "step_id": "first", "events": made[:1]},
        {"name": "search", "step_id": "again", "attempt": 2, "events": made},
        {"name": "clean", "step_id": "around", "after": ["again"], "input_count": 4, "output_count": 2, "events": kept},
        {
            "name": "inner",
            "step_id": "in",
            "parent_step_id": "around",
            "input_count": 4,
            "output_count": 2,
            "events": kept,
        },
        {"name": "rank", "step_id": "rank", "after": ["around"], "input_count": 2, "events": kept},
    ]
    assert api.post("/runs", json={"run_id": "nested", "pipeline": "p", "steps": steps}).status_code == 201
    of_run = {step["step_id"]: step["edges"] for step in api.get("/runs/nested").json()["steps"]}
    of_funnel = {step["step_id"]: step["edges"] for step in api.get("/runs/nested/funnel").json()["steps"]}
    assert of_run == of_funnel
    assert of_run["first"] == [] and of_run["rank"] != []


def test_nothing_is_called_lost_before_a_step_that_does_not_say_how_many_came(api: TestClient) -> None:
    """It may have looked at more than it names, and dropped the rest without a word."""
    items = [f"i{n}" for n in range(9)]
    post(api, step("search", "produced", *items), step("keep", "accepted", *items[:2]))
    (edge,) = ask(api)["steps"][1]["edges"]
    assert edge["lost_between"] is None
    assert edge["cause"] == "keep does not name every item that it looks at, or did not say how many came"
    post(api, step("search", "produced", *items), step("keep", "accepted", *items), run_id="all")
    assert edges(ask(api, "all")) == {("search", "keep"): 0}


def test_of_a_run_that_failed_before_anything_was_recorded_that_comes_first(api: TestClient) -> None:
    api.post("/runs", json={"run_id": "f", "pipeline": "p", "status": "failed", "error": {"message": "no stock"}})
    assert api.get("/runs/f/funnel").json()["sentence"].startswith("The run failed. This run recorded no items")
