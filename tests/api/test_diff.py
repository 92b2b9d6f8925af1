"""`GET /diff`: where two runs parted, and the sentence that goes into a ticket."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.wire.answers import Diff
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Events, Loss, Op, Run, Step

ZSTD = {"content-encoding": "zstd"}


def diff(api: TestClient, a: str, b: str) -> dict[str, Any]:
    answer = api.get("/diff", params={"a": a, "b": b})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def labels(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["step_name"], step["label"]) for step in found["steps"]]


def first(found: dict[str, Any]) -> tuple[str, str] | None:
    said = found["first_divergence"]
    return None if said is None else (said["step_name"], said["label"])


def step(name: str, outcome: str, *items: str, **more: Any) -> dict[str, Any]:
    reason = {"reason": "no"} if outcome == "rejected" else {}
    return {"name": name, "events": [{"item_id": one, "outcome": outcome, **reason} for one in items], **more}


def both(api: TestClient, a: list[dict[str, Any]], b: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The diff of two posted runs."""
    for run_id, steps in (("a", a), ("b", b)):
        extra = {name: value[run_id == "b"] for name, value in more.items()}
        run = {"run_id": run_id, "pipeline": "p", "input": {"q": 1}, "steps": steps, **extra}
        assert api.post("/runs", json=run).status_code == 201
    return diff(api, "a", "b")


@pytest.fixture
def asked(api: TestClient, stands: dict[str, Any]) -> TestClient:
    api.post("/runs", json=stands)
    return api


def test_a_run_recorded_twice_has_no_difference(asked: TestClient, stands: dict[str, Any]) -> None:
    asked.post("/runs", json={**stands, "run_id": "again"})
    found = diff(asked, "stands", "again")
    assert first(found) is None and found["unknown"] is None
    assert {step["label"] for step in found["steps"]} == {"same"}
    assert (found["flips"], found["arrivals"], found["departures"], found["config_changes"]) == ([], [], [], [])
    assert found["sentence"] == "No difference: all 5 steps gave the same in both runs. Both selected Stand 3."


def test_a_run_with_itself_says_so(asked: TestClient) -> None:
    found = diff(asked, "stands", "stands")
    assert (first(found), found["flips"]) == (None, [])
    assert found["sentence"] == "Both are the same run, so there is no difference."


def test_a_threshold_that_changed_is_named_with_what_it_did(asked: TestClient, stands: dict[str, Any]) -> None:
    other = copy.deepcopy(stands) | {"run_id": "other"}
    filtering = other["steps"][2]
    filtering["rules"][0]["threshold"] = 94
    filtering["events"][-1] |= {"outcome": "rejected", "reason": "price_too_high"}
    asked.post("/runs", json=other)
    found = diff(asked, "stands", "other")
    assert first(found) == ("filter_candidates", "config_changed")
    assert found["config_changes"] == [
        {
            "step_name": "filter_candidates",
            "step_id": {"a": "s3", "b": "s3"},
            "kind": "rule",
            "reason": "price_too_high",
            "field": "price",
            "a": {"field": "price", "op": "<=", "threshold": 100},
            "b": {"field": "price", "op": "<=", "threshold": 94},
        }
    ]
    (flip,) = found["flips"]
    assert (flip["item_id"], flip["name"], flip["step_name"]) == ("p5", "Stand 5", "filter_candidates")
    assert flip["a"]["outcome"] == "accepted"
    assert (flip["b"]["outcome"], flip["b"]["reason"]) == ("rejected", "price_too_high")
    assert found["minimal_changes"] is None
    assert found["sentence"].startswith(
        "The runs parted at filter_candidates: the rule price_too_high was price <= 100 and then price <= 94. "
        "Stand 5 was accepted at filter_candidates in the first run, and rejected (price_too_high) in the second."
    )


def test_the_same_input_and_config_with_another_output(api: TestClient) -> None:
    config = {"model": "m"}
    found = both(
        api,
        [step("ask", "produced", "x", "y", config=config), step("pick", "accepted", "x", "y", input_count=2)],
        [step("ask", "produced", "x", "z", config=config), step("pick", "accepted", "x", "z", input_count=2)],
    )
    assert labels(found) == [("ask", "nondeterministic_here"), ("pick", "inherited")]
    assert (found["departures"][0]["item_id"], found["arrivals"][0]["item_id"]) == ("y", "z")
    assert "it was given the same, with the same config, and gave something else" in found["sentence"]


def test_without_a_recorded_config_the_cause_is_not_known(api: TestClient) -> None:
    found = both(api, [step("ask", "produced", "x")], [step("ask", "produced", "y")])
    assert labels(found) == [("ask", "unknown_cause")]
    assert found["unknown"] == {"cause": "not_recorded", "detail": "the config of ask is not recorded in both runs"}


def test_a_config_on_one_side_only_is_no_change_of_config(api: TestClient) -> None:
    found = both(api, [step("ask", "produced", "x", config={"k": 1})], [step("ask", "produced", "y")])
    assert (labels(found), found["config_changes"]) == ([("ask", "unknown_cause")], [])


def test_the_version_of_the_code_is_config(api: TestClient) -> None:
    steps = [step("ask", "produced", "x")], [step("ask", "produced", "y")]
    found = both(api, *steps, code_version=("1", "2"))
    assert first(found) == ("ask", "config_changed")
    assert "code_version was 1 and then 2" in found["sentence"]
    assert [change["field"] for change in found["config_changes"]] == ["code_version"]


def test_other_code_that_does_the_same_is_no_divergence(api: TestClient) -> None:
    found = both(api, [step("ask", "produced", "x")], [step("ask", "produced", "x")], code_version=("1", "2"))
    assert first(found) is None and found["totals"]["config_changes"] == 1


def test_different_inputs_are_where_it_begins(api: TestClient) -> None:
    steps = [step("ask", "produced", "x")], [step("ask", "produced", "y")]
    found = both(api, *steps, input=({"q": 1}, {"q": 2}))
    assert (first(found), found["run_input"]) == (("ask", "inherited"), "other")
    assert "the runs were given different inputs" in found["sentence"]


def test_without_any_recorded_input_nothing_is_said_to_be_chance(api: TestClient) -> None:
    config = {"model": "m"}
    found = both(
        api,
        [step("ask", "produced", "x", config=config)],
        [step("ask", "produced", "y", config=config)],
        input=(None,) * 2,
    )
    assert labels(found) == [("ask", "unknown_cause")]


def test_a_step_that_only_one_run_has(api: TestClient) -> None:
    ask, pick = step("ask", "produced", "x", "y"), step("pick", "accepted", "x", "y")
    found = both(api, [ask, pick], [ask, step("trim", "accepted", "x", "y"), pick])
    assert labels(found) == [("ask", "same"), ("trim", "structural"), ("pick", "same")]
    assert found["steps"][1]["a"] is None
    assert "The runs parted at trim: only the second run has this step." in found["sentence"]


def test_steps_in_another_order(api: TestClient) -> None:
    ask, trim = step("ask", "produced", "x", "y"), step("trim", "accepted", "x")
    trim["events"].append({"item_id": "y", "outcome": "rejected", "reason": "no"})
    found = both(api, [ask, trim, step("rank", "accepted", "x")], [ask, step("rank", "accepted", "x", "y"), trim])
    assert "structural" in dict(labels(found)).values()


def test_a_retry_is_shown_and_is_no_divergence(api: TestClient) -> None:
    ask, pick = step("ask", "produced", "x", "y"), step("pick", "accepted", "x", "y")
    found = both(api, [ask, pick], [step("ask", "produced", "x", error="timed out"), ask | {"attempt": 2}, pick])
    assert first(found) is None
    assert found["steps"][0]["b"]["superseded"] == [{"step_id": "s1", "attempt": 1, "failed": True}]


def test_only_another_order_is_told_from_another_result(api: TestClient) -> None:
    config = {"model": "m"}
    found = both(
        api,
        [step("ask", "produced", "x", "y", config=config), step("keep", "accepted", "x", "y")],
        [step("ask", "produced", "y", "x", config=config), step("keep", "accepted", "y", "x")],
    )
    assert labels(found) == [("ask", "nondeterministic_here"), ("keep", "inherited")]
    assert all(one["order_only"] for one in found["steps"])
    assert found["first_effect"] is None
    one = found["steps"][1]
    assert one["a"]["fingerprints"]["input"] == one["b"]["fingerprints"]["input"]
    assert one["a"]["fingerprints"]["input_ordered"] != one["b"]["fingerprints"]["input_ordered"]


def test_a_change_without_effect_is_told_from_the_first_that_has_one(api: TestClient) -> None:
    def steps(top: int, item: str) -> list[dict[str, Any]]:
        return [
            step("search", "produced", "x", "y", config={"top": top}),
            step("judge", "accepted", item, config={"model": "m"}, input={"all": 2}, output=item),
        ]

    found = both(api, steps(5, "x"), steps(6, "y"))
    assert first(found) == ("search", "config_changed")
    assert found["first_effect"]["step_name"] == "judge"
    assert "top was 5 and then 6. What came out first differs at judge." in found["sentence"]


def test_a_recorded_output_counts_where_no_items_are(api: TestClient) -> None:
    def steps(text: str) -> list[dict[str, Any]]:
        return [{"name": "write", "config": {"model": "m"}, "output": text}, {"name": "check", "output": len(text)}]

    assert labels(both(api, steps("good"), steps("better"))) == [
        ("write", "nondeterministic_here"),
        ("check", "inherited"),
    ]


def test_scores_that_moved_are_inherited_by_what_is_ranked_by_them(api: TestClient) -> None:
    def steps(score: float) -> list[dict[str, Any]]:
        rank = step("rank", "accepted", "x", "y", "z", config={"model": "m"})
        for event, value in zip(rank["events"], (score, 0.5, 0.1), strict=True):
            event["score"] = value
        best = "x" if score > 0.5 else "y"
        chosen = {"decision": "best", "selected": best, "alternatives": [one for one in "xyz" if one != best]}
        search = step("search", "produced", "x", "y", "z", config={"k": 3})
        return [search, rank, {"name": "select", "config": {"k": 1}, "decisions": [chosen]}]

    found = both(api, steps(0.9), steps(0.4))
    assert labels(found) == [("search", "same"), ("rank", "nondeterministic_here"), ("select", "inherited")]
    assert [(one["item_id"], one["a"]["rank"], one["b"]["rank"]) for one in found["rank_moves"]] == [
        ("x", 1, 2),
        ("y", 2, 1),
    ]
    assert {flip["item_id"] for flip in found["flips"]} == {"x", "y"}
    assert "The first run selected x, the second y." in found["sentence"]


def test_a_failure_is_a_difference(api: TestClient) -> None:
    ask = step("ask", "produced", "x", config={"m": 1})
    found = both(api, [ask], [{"name": "ask", "config": {"m": 1}, "error": "timed out"}])
    assert first(found) == ("ask", "nondeterministic_here")


def test_runs_of_two_pipelines_are_compared_and_it_is_said(asked: TestClient, stands: dict[str, Any]) -> None:
    asked.post("/runs", json={**stands, "run_id": "other", "pipeline": "shop"})
    found = diff(asked, "stands", "other")
    assert found["sentence"].startswith("The runs are of two pipelines, competitor_selection and shop.")


def test_long_lists_are_cut_and_counted(api: TestClient) -> None:
    items = [f"i{n}" for n in range(300)]
    ask = step("ask", "produced", *items)
    found = both(
        api, [ask, step("keep", "accepted", *items)], [ask, step("keep", "rejected", *items, config={"limit": 1})]
    )
    assert (len(found["flips"]), found["totals"]["flips"]) == (200, 300)


def test_declared_counts_are_compared_where_no_items_are(api: TestClient) -> None:
    counted = {"name": "keep", "config": {"k": 1}, "input_count": 100}
    found = both(api, [counted | {"output_count": 40}], [counted | {"output_count": 30}])
    assert labels(found) == [("keep", "nondeterministic_here")]
    assert "let 40 items go on in the first run and 30 in the second" in found["sentence"]
    assert (found["arrivals"], found["departures"]) == (None, None)


def test_runs_without_steps(api: TestClient) -> None:
    assert both(api, [], [])["sentence"] == "No steps are recorded of either run."


# --- what cannot be said ---------------------------------------------------------------------------------------


def ingest(api: TestClient, producer: str, *records: AnyRecord) -> None:
    body = pack_batch(producer, 1, "default", map(pack_record, records))
    assert api.post("/ingest", content=body, headers=ZSTD).json()["rejected"] == []


def sent(run_id: str, outcomes: dict[str, int], *, ended: bool = True, **run: Any) -> list[AnyRecord]:
    """A run of one filter, as the SDK sends it."""
    said = {"version": 1, "pipeline": "p", "status": "completed", "input": "1", "input_fingerprint": "f", **run}
    ops = bytes(outcomes.values())
    at = {"started_at": 1, "ended_at": 2 if ended else None, "events": len(ops) if ended else None}
    made = Step(run_id=run_id, step_id="s1", version=1, name="keep", position=0, config='{"k":1}', **at)
    chunk = Events(run_id=run_id, step_id="s1", first=0, at=1, ops=ops, ids=list(outcomes), a=None, b=None)
    return [Run(run_id=run_id, **said), made, chunk]


def test_lost_events_make_no_flip(api: TestClient) -> None:
    ingest(api, "one", *sent("a", {"x": Op.ACCEPTED, "y": Op.ACCEPTED}))
    loss = Loss(run_id="b", step_id="s1", cause="queue_full", n=3)
    ingest(api, "two", *sent("b", {"x": Op.REJECTED}), loss)
    found = diff(api, "a", "b")
    assert (first(found), found["flips"], found["departures"]) == (None, [], None)
    assert (found["steps"][0]["label"], found["steps"][0]["differs"]) == ("unknown_cause", None)
    assert found["unknown"] == {"cause": "dropped", "detail": "events of keep did not arrive in the second run"}
    assert found["sentence"].startswith("No difference is known")


def test_a_running_run_is_compared_as_far_as_it_is(api: TestClient) -> None:
    ingest(api, "one", *sent("a", {"x": Op.ACCEPTED, "y": Op.ACCEPTED}))
    ingest(api, "two", *sent("b", {"x": Op.REJECTED}, ended=False, status="running"))
    found = diff(api, "a", "b")
    assert (first(found), found["flips"]) == (None, [])
    assert found["unknown"]["cause"] == "running"
    assert "the second run is still running: only what it did so far is compared" in found["sentence"]


def test_a_step_that_a_running_run_may_still_come_to_is_no_structural_difference(api: TestClient) -> None:
    ingest(api, "one", *sent("a", {"x": Op.ACCEPTED}))
    ingest(api, "two", Run(run_id="b", version=1, pipeline="p", status="running"))
    found = diff(api, "a", "b")
    assert first(found) is None
    assert (found["steps"][0]["differs"], found["steps"][0]["unknown"]["cause"]) == (None, "running")


def test_what_a_step_did_not_name_is_no_difference(api: TestClient) -> None:
    search = step("search", "produced", "x", "y", "z")
    config = {"config": {"k": 1}, "input_count": 3, "output_count": 2}
    found = both(
        api, [search, step("keep", "accepted", "x", **config)], [search, step("keep", "accepted", "y", **config)]
    )
    assert (first(found), found["flips"], found["unknown"]["cause"]) == (None, [], "not_recorded")


def test_a_run_by_hand_is_compared_with_one_by_the_sdk_by_what_was_recorded(api: TestClient) -> None:
    ingest(api, "one", *sent("a", {"x": Op.ACCEPTED}))
    made = step("keep", "accepted", "x", config={"k": 1})
    api.post("/runs", json={"run_id": "b", "pipeline": "p", "input": 1, "steps": [made]})
    assert labels(diff(api, "a", "b")) == [("keep", "same")]


@pytest.mark.parametrize(("a", "b", "side"), [("stand", "stands", "a"), ("stands", "standz", "b")])
def test_a_run_that_is_not_there_is_named_with_the_nearest(asked: TestClient, a: str, b: str, side: str) -> None:
    answer = asked.get("/diff", params={"a": a, "b": b})
    assert answer.status_code == 404
    assert (answer.json()["field"], answer.json()["fix"]) == (side, "did you mean stands?")


def test_both_runs_must_be_named(shared: TestClient) -> None:
    assert shared.get("/diff", params={"a": "x"}).status_code == 422
    assert shared.get("/diff", params={"a": "x", "b": "y", "c": "z"}).json()["field"] == "c"


def priced(name: str, outcome: str, price: int | None, **more: Any) -> dict[str, Any]:
    """A step with two items: x, with a price, and w, of which the same becomes in every run."""
    other = "produced" if outcome == "produced" else "accepted"
    events: list[dict[str, Any]] = [{"item_id": "x", "outcome": outcome}, {"item_id": "w", "outcome": other}]
    if price is not None:
        events[0]["evidence"] = {"price": price, "shop": "s"}
    if outcome == "rejected":
        events[0]["reason"] = "dear"
    return {"name": name, "events": events, **more}


KEEP: dict[str, Any] = {"input_count": 2, "config": {"k": 1}}


def test_other_evidence_of_an_item_before_a_step_is_another_input(api: TestClient) -> None:
    found = both(
        api,
        [priced("search", "produced", 25), priced("keep", "accepted", None, **KEEP)],
        [priced("search", "produced", 35), priced("keep", "rejected", None, **KEEP)],
    )
    assert first(found) == ("keep", "inherited")
    assert "The runs parted before keep: the price of x was 25 and then 35." in found["sentence"]
    assert str(Diff.read(found)).startswith("PARTED BEFORE  keep  its input differs already")


def test_other_evidence_at_the_step_itself_leaves_open_whether_it_came_in_so(api: TestClient) -> None:
    found = both(
        api,
        [priced("search", "produced", None), priced("keep", "accepted", 25, **KEEP)],
        [priced("search", "produced", None), priced("keep", "rejected", 35, **KEEP)],
    )
    assert first(found) == ("keep", "unknown_cause")
    assert "the price of x was 25 and then 35, and whether it came in with that is not recorded" in found["sentence"]
    assert found["hint"] == "record price with the item at the step before keep"


def test_the_same_evidence_is_the_same_input(api: TestClient) -> None:
    found = both(
        api,
        [priced("search", "produced", 25), priced("keep", "accepted", 25, **KEEP)],
        [priced("search", "produced", 25), priced("keep", "rejected", 25, **KEEP)],
    )
    assert first(found) == ("keep", "nondeterministic_here")


# --- how it reads ----------------------------------------------------------------------------------------------


def test_an_answer_prints_the_divergence_first_and_the_steps_side_by_side(api: TestClient) -> None:
    config = {"model": "m"}
    keep = step("keep", "accepted", "x", "y", input_count=2)
    drop = {"name": "keep", "input_count": 2, "events": [{"item_id": "x", "outcome": "accepted"}]}
    drop["events"].append({"item_id": "y", "outcome": "rejected", "reason": "odd\x1b[2J"})
    both(
        api,
        [step("ask", "produced", "x", "y"), keep | {"config": config}],
        [step("ask", "produced", "x", "y"), drop | {"config": config}],
    )
    text = str(Diff.read(diff(api, "a", "b")))
    lines = text.splitlines()
    assert lines[0] == "PARTED AT  keep  same input, other output"
    assert any(line.split()[:5] == ["=", "ask", "0", "→", "2"] for line in lines)
    assert any("keep" in line and "2 → 2" in line and "2 → 1" in line and "1 changed outcome" in line for line in lines)
    assert any("y" in line and "A ✔ accepted" in line and "B ✖ rejected odd" in line for line in lines)
    assert "\x1b" not in text


def test_flips_become_a_frame_where_pandas_is(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Diff.read(
        {"a": "a", "b": "b", "flips": [{"item_id": "x", "step_name": "keep", "a": {"outcome": "accepted"}}]}
    )
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        answer.to_frame()


def test_an_unknown_cause_is_one_sentence_with_the_call_that_would_have_told(api: TestClient) -> None:
    found = both(
        api,
        [step("ask", "produced", "x", "y"), step("pick", "accepted", "x", "y", input_count=2)],
        [step("ask", "produced", "x", "z"), step("pick", "accepted", "x", "z", input_count=2)],
    )
    assert labels(found)[0] == ("ask", "unknown_cause")
    assert found["sentence"].startswith(
        "The runs parted at ask: it gave something else, with 1 item only in the first run (y) and 1 item only in the "
        "second run (z); why is not known, as the config of ask is not recorded in both runs."
    )
    assert found["hint"] == found["steps"][0]["hint"] == "give ask its config, so that a change of it shows"
    assert "hint  give ask its config" in str(Diff.read(found))


@pytest.mark.parametrize(("count", "said"), [({}, "unknown_cause"), ({"input_count": 1}, "inherited")])
def test_a_step_without_its_input_count_is_not_taken_to_name_all_that_came(
    api: TestClient, count: dict[str, int], said: str
) -> None:
    """What came before is not all known either: other items may have come, or the step dropped others silently."""
    more = {"output_count": 5, "config": {"m": 1}}
    found = both(
        api,
        [step("ask", "produced", "x", "y", **more), step("keep", "accepted", "x", config={"k": 1}, **count)],
        [step("ask", "produced", "x", "y", **more), step("keep", "accepted", "y", config={"k": 1}, **count)],
    )
    assert labels(found)[1] == ("keep", said)
