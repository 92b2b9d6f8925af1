"""`GET /stability`: whether the same input leads to the same decision, where repeated runs part, what is not known."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.server.api.stability import StabilityAnswer
from dxray.server.reasoning.intervals import wilson
from dxray.wire.answers.stability import Stability
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Events


def stability(api: TestClient, **asked: str) -> dict[str, Any]:
    answer = api.get("/stability", params=asked)
    assert answer.status_code == 200, answer.text
    StabilityAnswer.model_validate_json(answer.content, strict=True)
    assert str(Stability.read(answer.json()))
    found: dict[str, Any] = answer.json()
    return found


def post(
    api: TestClient, ask: Any = "case", chosen: str | None = "a", words: tuple[str, ...] = ("stand",), **changes: Any
) -> str:
    """A run that finds items by words and chooses one."""
    steps: list[dict[str, Any]] = [
        {
            "name": "generate",
            "config": {"model": changes.pop("model", "m1")},
            "events": [{"item_id": word, "outcome": "produced"} for word in words],
        },
        {
            "name": "choose",
            "step_type": "select",
            "config": {"by": "score"},
            "input_count": 2,
            "events": [{"item_id": one, "outcome": "accepted", "score": 0.1} for one in ("a", "b") if one != chosen],
            "decisions": [{"decision": "choose", "selected": chosen, "score": 0.9}] if chosen else [],
        },
    ]
    run = {"pipeline": "p", "input": ask, "output": {"best": chosen}, "code_version": "1", "steps": steps} | changes
    answer = api.post("/runs", json=run)
    assert answer.status_code == 201, answer.text
    run_id: str = answer.json()["data"]["run_id"]
    return run_id


def causes(found: dict[str, Any]) -> dict[str, int]:
    return {one["cause"]: one["n"] for one in found["unknown"]}


def test_nothing_is_recorded(api: TestClient) -> None:
    found = stability(api)
    assert (found["groups"], found["repeats"], found["flip_rate"], found["interval"]) == (0, 0, None, [0.0, 1.0])
    assert found["sentence"] == "No run is recorded here, so there is nothing to compare."


def test_one_run_repeats_nothing(api: TestClient) -> None:
    post(api)
    found = stability(api)
    assert (found["groups"], found["repeats"], found["tar"], found["alpha"]) == (1, 0, None, None)
    assert "No input came twice" in found["sentence"]


def test_the_same_decision_every_time(api: TestClient) -> None:
    for ask in ("case", "cable"):
        for _ in range(3):
            post(api, ask)
    found = stability(api)
    assert (found["groups"], found["repeats"], found["flip_rate"], found["tar"]) == (2, 2, 0.0, 1.0)
    assert (found["entropy"], found["alpha"], found["pair_flip_rate"]) == (0.0, None, 0.0)
    assert (found["compared"], found["diverged"], found["entry_steps"]) == (6, 0, [])
    assert found["interval"] == pytest.approx(list(wilson(0, 2)))
    assert found["sentence"].startswith(
        "2 inputs that came more than once led to the same decision every time; at most 66 % of all inputs may not"
    )


def test_another_decision_and_where_it_came_from(api: TestClient) -> None:
    post(api)
    post(api)
    odd = post(api, words=("stand", "cover"), chosen="b")
    post(api, "cable")
    post(api, "cable")
    found = stability(api)
    assert (found["decided"], found["flipped"], found["flip_rate"], found["tar"]) == (2, 1, 0.5, 0.5)
    assert found["pair_flip_rate"] == pytest.approx((2 / 3) / 2)
    assert found["entropy"] == pytest.approx(0.9183 / 2, abs=1e-4)
    (entry,) = found["entry_steps"]
    assert (entry["step_name"], entry["first"], entry["share"]) == ("generate", 2, 1.0)
    assert (entry["flipped"], entry["amplification"]) == (2, 1.0)
    assert entry["labels"] == {"nondeterministic_here": 2}
    assert entry["example"]["b"] == odd
    first = api.get("/diff", params=entry["example"]).json()["first_divergence"]
    assert (first["step_name"], first["label"]) == ("generate", "nondeterministic_here")
    (row,) = found["unstable"]
    assert (row["input"], row["runs"], row["decisions"]) == ("case", 3, 2)
    assert [(one["runs"], one["items"][0]["item_id"]) for one in row["choices"]] == [(2, "a"), (1, "b")]
    assert found["sentence"].startswith(
        "1 of 2 inputs that came more than once did not always lead to the same decision (50 %, 9 to 91 % at 95 %). "
        "Where it differs, the runs mostly part first in generate (2 of 2 cases); a difference there changes what "
        "comes out in 100 % of cases"
    )


def test_a_difference_that_changes_nothing_is_harmless(api: TestClient) -> None:
    post(api)
    post(api, words=("stand", "cover"))
    found = stability(api)
    (entry,) = found["entry_steps"]
    assert (found["flipped"], entry["flipped"], entry["amplification"]) == (0, 0, 0.0)
    assert entry["amplification_interval"][1] > 0.5  # of one input
    assert (
        "Repeated runs mostly part first in generate (1 of 1 that part), and that changed nothing" in found["sentence"]
    )


def test_other_settings_are_another_system(api: TestClient) -> None:
    post(api)
    post(api, chosen="b", model="m2")
    post(api, chosen="b", code_version="2")
    found = stability(api)
    assert (found["groups"], found["repeats"]) == (3, 0)
    assert causes(found) == {"other_settings": 1}  # the other version is said by the run itself


@pytest.mark.parametrize("names", [False, True])
def test_a_prompt_that_is_filled_with_what_came_before_is_one_setting(api: TestClient, names: bool) -> None:
    """Words in a text and in a list, by their ids or by their names; and a template that is another one."""

    def filled(words: tuple[str, ...], chosen: str, ask: str = "Rank") -> None:
        shown = [word.upper() if names else word for word in words]
        events = [{"item_id": one, "outcome": "produced", "name": one.upper()} for one in words]
        prompt = {"messages": [f"{ask} these: {', '.join(shown)}.", *shown], "temperature": 0}
        steps = [
            {"name": "generate", "step_type": "generate", "config": {"model": "m1"}, "events": events},
            {
                "name": "choose",
                "config": prompt,
                "events": [{"item_id": one, "outcome": "accepted"} for one in words if one != chosen],
                "decisions": [{"decision": "choose", "selected": chosen}],
            },
        ]
        post(api, steps=steps)

    filled(("stand", "cover"), "stand")
    filled(("stand", "holder", "mount"), "mount")
    found = stability(api)
    assert (found["repeats"], found["flipped"], causes(found)) == (1, 1, {})
    assert found["entry_steps"][0]["step_name"] == "generate"
    filled(("stand", "cover"), "cover", ask="Sort")
    assert (stability(api)["groups"], causes(stability(api))["other_settings"]) == (2, 1)


def test_a_step_that_only_some_runs_have_splits_nothing(api: TestClient) -> None:
    post(api)
    one = {"name": "generate", "config": {"model": "m1"}, "events": [{"item_id": "stand", "outcome": "produced"}]}
    post(api, chosen="b", steps=[one])
    found = stability(api)
    assert (found["repeats"], found["flipped"]) == (1, 1)
    assert found["entry_steps"][0]["step_name"] == "choose"
    assert found["entry_steps"][0]["labels"] == {"structural": 1}


def test_without_any_settings_a_change_looks_like_chance_and_that_is_said(api: TestClient) -> None:
    bare = [{"name": "choose", "decisions": [{"decision": "choose", "selected": "a"}]}]
    for _ in range(2):
        post(api, code_version=None, steps=bare)
    assert causes(stability(api)) == {"no_settings": 2}


def test_where_nothing_is_chosen_the_output_stands_for_the_decision(api: TestClient) -> None:
    for output in ("yes", "yes", "no"):
        post(api, steps=[{"name": "ask", "output": output, "config": {"model": "m"}}], output=output)
    found = stability(api)
    assert (found["decision_of"], found["flipped"], found["tar"]) == ("output", 1, 0.0)
    assert found["unstable"][0]["choices"][0]["items"] is None
    assert found["entry_steps"][0]["step_name"] == "ask"
    assert "did not always lead to the same output" in found["sentence"]


def test_runs_that_came_to_something_else_though_all_steps_did_the_same(api: TestClient) -> None:
    for output in ("yes", "no"):
        post(api, output=output)
    found = stability(api)
    assert (found["diverged"], found["unrecorded"], found["tar"]) == (0, 1, 0.0)
    assert causes(found)["unrecorded"] == 1


@pytest.mark.parametrize(
    ("changes", "cause", "n"),
    [
        ({"ask": None}, "no_input", 1),
        ({"status": "failed"}, "not_completed", 1),
        ({"status": "running"}, "not_ended", 1),
        ({"output": None}, "no_output", 1),
        ({"chosen": None}, "decision_not_recorded", 1),
    ],
)
def test_what_is_missing_is_counted_and_said(api: TestClient, changes: dict[str, Any], cause: str, n: int) -> None:
    post(api)
    post(api)
    post(api, **changes)
    found = stability(api)
    assert causes(found)[cause] == n
    assert (found["repeats"], found["decided"], found["flipped"]) == (1, 1, 0)
    assert all(one["detail"] for one in found["unknown"])


def test_a_decision_that_is_nowhere_known_is_not_guessed(api: TestClient) -> None:
    post(api)
    post(api, chosen=None)
    found = stability(api)
    assert (found["repeats"], found["decided"], found["flip_rate"], found["decision_of"]) == (1, 0, None, None)
    assert "what those runs decided is not known" in found["sentence"]


def test_events_that_did_not_arrive_leave_the_decision_open(api: TestClient) -> None:
    with testing.capture() as captured:
        xray = XRay("p", code_version="1")
        for _ in range(3):
            with xray.run(input=1) as run, run.step("choose", step_type="select") as step:
                step.decide(decision="choose", selected="a", alternatives=["b"])
        records = captured.records
    records.remove(next(one for one in records if isinstance(one, Events)))
    body = pack_batch("stability", 1, "default", map(pack_record, records))
    assert api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()["rejected"] == []
    found = stability(api)
    assert (found["repeats"], found["decided"], found["flipped"]) == (1, 1, 0)
    assert causes(found)["decision_dropped"] == 1
    assert found["undecided"] == 2  # of three pairs: the run that lost events is in two
    assert found["entry_steps"] == []


def test_ids_that_are_made_anew_in_each_run_tell_nothing(api: TestClient) -> None:
    for number in range(3):
        steps = [
            {
                "name": "choose",
                "config": {"by": "score"},
                "events": [{"item_id": f"{number}-{one}", "outcome": "accepted", "score": 0.1} for one in "ab"],
                "decisions": [{"decision": "choose", "selected": f"{number}-c"}],
            }
        ]
        post(api, steps=steps, output="same")
    found = stability(api)
    assert (found["decided"], found["flip_rate"], causes(found)) == (0, None, {"decision_foreign_ids": 3})
    assert found["tar"] == 1.0


def test_a_run_that_never_came_to_the_choice_chose_nothing(api: TestClient) -> None:
    post(api)
    post(api, steps=[{"name": "generate", "config": {"model": "m1"}}])
    found = stability(api)
    assert (found["decided"], found["flipped"]) == (1, 1)
    assert sorted(len(one["items"]) for one in found["unstable"][0]["choices"]) == [0, 1]


def test_inputs_are_the_same_whatever_the_order_of_their_keys(api: TestClient) -> None:
    post(api, {"a": 1, "b": 2})
    post(api, {"b": 2, "a": 1})
    assert stability(api)["repeats"] == 1


def test_runs_are_chosen_by_filters(api: TestClient) -> None:
    for chosen in ("a", "b"):
        post(api, chosen=chosen)
        post(api, chosen="a", pipeline="other")
    assert stability(api)["repeats"] == 2
    assert stability(api, pipeline="p")["flip_rate"] == 1.0
    assert stability(api, q="pipeline:other")["flip_rate"] == 0.0
    assert stability(api, until="1d")["repeats"] == 0


def test_names_that_do_not_exist(api: TestClient) -> None:
    post(api, pipeline="shop")
    found = stability(api, pipeline="shp")
    assert (found["did_you_mean"], found["repeats"]) == (["shop"], 0)
    assert found["sentence"] == "No run of a pipeline shp is recorded; did you mean shop?"
    refused = api.get("/stability", params={"pipelin": "p"})
    assert (refused.status_code, refused.json()["fix"]) == (422, "did you mean 'pipeline'?")


def test_recorded_text_cannot_act_on_a_terminal(api: TestClient) -> None:
    for chosen in ("a\x1b[2J", "b"):
        post(api, "in\x1b[2J", chosen=chosen, pipeline="p\x1b[2J")
    assert "\x1b" not in str(Stability.read(stability(api)))
