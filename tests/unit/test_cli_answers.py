"""Typed answers: permissive to read, nothing lost, good to look at."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dxray.wire.answers import Run, Runs, Step, Why
from dxray.wire.printed.runs import CAUSES, run_lines
from dxray.wire.printed.why import why_lines
from dxray.wire.records import VALUE_LOSSES
from dxray.wire.text import cells
from tests.unit import cli_answers as answers


def test_fields_that_are_not_known_are_kept() -> None:
    raw = answers.run(new_field={"a": 1})
    raw["steps"][0]["also_new"] = 2
    run = Run.read(raw)
    assert run.to_dict() == raw
    assert run.steps[0].to_dict()["also_new"] == 2


def test_fields_that_are_missing_or_null_are_none_or_empty() -> None:
    run = Run.read({"run_id": "r", "steps": None, "pipeline": None})
    assert (run.pipeline, run.steps, run.output) == ("", [], None)
    assert Run.read({"run_id": "r", "steps": [{}]}).steps[0].title == ""


def test_a_field_of_another_type_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="steps"):
        Run.read({"run_id": "r", "steps": 3})


def test_an_answer_made_by_hand_has_a_dict_too() -> None:
    assert Run(run_id="r", pipeline="p").to_dict()["pipeline"] == "p"


def test_an_edge_reads_the_field_named_in() -> None:
    step = Step.read({"edges": [{"step_name": "a", "out": 4, "in": 3, "lost_between": 1}]})
    assert (step.edges[0].out, step.edges[0].in_, step.edges[0].lost_between) == (4, 3, 1)


def test_a_page_is_a_sequence() -> None:
    page = Runs.read({"runs": [answers.summary()], "total": 7})
    assert len(page) == 1
    assert page[0].run_id == answers.RUN_ID
    assert [run.status for run in page] == ["completed"]
    assert "1 of 7 runs" in str(page)


def test_a_run_prints_as_a_tree_with_what_is_unaccounted() -> None:
    text = str(Run.read(answers.run(marks=["input: cut"])))
    assert "├─ filter_candidates  filter    375   64    82.9 %" in text
    assert "375 in = 64 accepted + 311 rejected + 0 unaccounted · 0 lost before" in text
    assert "62 in = 1 selected + 58 outranked + 3 unaccounted · 2 lost before" in text
    assert "✖ price_too_high 212 · wrong_category 64 · rating_too_low 35" in text
    assert "rules price <= 100 failed 212 of 375" in text
    assert "rating >= 3 failed 35 of 163 (3 could not be compared)" in text
    assert "! changed to be stored: input: cut" in text
    assert "labelled bad" in text


def test_losses_are_told_in_words_with_what_to_do() -> None:
    lost = {"spool_full": 1200, "cosmic\x1b[2Jrays": 1, "truncated": 1, "redacted": 2}
    steps = [answers.step(0, "search", "retrieve", {}, losses={"spool_full": 1200})]
    text = str(Run.read(answers.run(losses=lost, marks=["input: cut"], steps=steps)))
    assert "\n  ! lost: 1,200 events (the spool was full) · 1 event (cosmic\ufffdrays)\n" in text
    assert "! changed to be stored: 1 value (cut or left out) · 2 values (redacted) · input: cut" in text
    assert "\n        ! lost: 1,200 events (the spool was full)" in text
    assert text.count("→ the spool was full: have the server up sooner, raise DXRAY_SPOOL_BYTES") == 1
    assert text.count("→") == 1, "nothing can be done about the others"
    assert "! " not in str(Run.read(answers.run()))


def test_every_cause_has_words() -> None:
    for cause, (words, remedy) in CAUSES.items():
        text = str(Run.read(answers.summary(losses={cause: 3})))
        what = "value" if cause in VALUE_LOSSES else "rule" if cause == "unknown_operator" else "event"
        assert f"3 {what}s ({words})" in text
        assert ("→" in text) == bool(remedy)


def test_a_page_marks_runs_that_lost_events() -> None:
    runs = [answers.summary(losses={"refused": 1200, "redacted": 5}), answers.summary(losses={"redacted": 5})]
    first, second = str(Runs.read({"runs": runs})).splitlines()
    assert first.endswith("  ! 1,200 lost")
    assert "lost" not in second


def test_unknown_losses_between_steps_say_why() -> None:
    step = answers.step(
        1, "rank", "rank", {"in": 3, "accepted": 3}, edges=[answers.edge(0, "a", 4, None, "2 steps take items of a")]
    )
    text = str(Run.read(answers.summary(steps=[step])))
    assert "? lost before: 2 steps take items of a" in text


def test_a_long_cause_is_not_cut() -> None:
    cause = "filter_candidates does not name every item that it looks at, or did not say how many came " * 2
    edges = [answers.edge(0, "a", 4, None, cause)]
    step = answers.step(1, "rank", "rank", {"in": 3, "accepted": 3}, edges=edges)
    text = str(Run.read(answers.summary(steps=[step])))
    assert f"? lost before: {cause}".split() == text[text.index("? lost") :].split()


def test_a_step_that_crashed_rejected_nothing_and_balances_in_words() -> None:
    crashed = {"error": {"type": "ValueError", "message": "no"}, "rejection_rate": 0.0, "input_count": 6}
    step = answers.step(0, "cook", "filter", {"in": 6, "unaccounted": 6}, **crashed)
    run = Run.read(answers.summary(status="failed", pipeline="my dinner", steps=[step]))
    text = "\n".join(line.plain for line in run_lines(run, commands=True))
    assert "6 in = 6 unaccounted\n" in text
    assert "0 %" not in text
    assert f"ask next  dxray why {answers.RUN_ID} ITEM\n" in text
    assert text.endswith("dxray runs --status failed --pipeline 'my dinner'")


def test_rules_never_asked_are_set_apart_and_said_once() -> None:
    rules = [answers.RULES[0], answers.RULES[1], answers.RULES[0]]
    missed = [{"step_id": "s2", "step_name": "filter", "rules": rules}]
    text = str(Why.read(answers.selected(not_evaluated=missed)))
    assert "never asked  price <= 100,   rating >= 3   at filter" in text


def test_steps_within_steps_and_circles_of_parents_are_all_shown() -> None:
    steps = [
        answers.step(0, "outer", "transform", {}),
        answers.step(1, "inner", "filter", {}, parent_step_id="s0", attempt=2),
        answers.step(2, "one", "tool", {}, parent_step_id="s3"),
        answers.step(3, "two", "tool", {}, parent_step_id="s2"),
        answers.step(4, "lonely", "tool", {}, parent_step_id="gone", error={"type": "ValueError", "message": "no"}),
    ]
    text = str(Run.read(answers.summary(steps=steps)))
    assert "│  └─ inner (attempt 2)" in text
    assert "?─ one" in text
    assert "?─ two" in text
    assert "✖ ValueError: no" in text


def test_a_why_prints_the_sentence_then_the_journey() -> None:
    lines = str(Why.read(answers.rejected())).splitlines()
    assert lines[0] == "REJECTED  Alder Slim Case for iPhone 15  B0012"
    assert lines[1].startswith("Alder Slim Case for iPhone 15 was rejected by filter_candidates")
    text = "\n".join(lines)
    assert "price <= 100   observed 129   outside by 29" in text
    assert "2 ✖ filter_candidates  filter    rejected  price_too_high" in text
    assert 'price 129 · category "phone_accessories" · rating null' in text
    assert "↖ kw:iphone 15 case" in text
    assert "Birk Clear Case for iPhone 15 B0013" in text


def test_a_why_of_a_winner_shows_its_score_and_what_was_not_kept() -> None:
    text = str(Why.read(answers.selected()))
    assert text.startswith("SELECTED  Fjord Aluminium Laptop Stand")
    assert "highest_score · score 0.93" in text
    assert "evidence sampled out" in text


def test_an_unknown_says_its_cause_the_hint_and_what_was_meant() -> None:
    text = str(Why.read(answers.unknown()))
    assert "unknown       not recorded: search declares 400 items" in text
    assert "hint          record every candidate" in text
    assert "did you mean  Kite Matte Case for iPhone 15 B0999" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "merged", "into": "B0001"},
        {
            "verdict": "outranked",
            "into": ["B1", {"item_id": "B2", "name": "Two"}],
            "rank": 7,
            "cutoff": 3,
            "gap": -0.12,
        },
        {"verdict": "never_retrieved", "journey": [], "lineage": []},
        {"verdict": "something_new", "twin": "B0013"},
        {"predicate": {"field": "tags", "op": "in", "threshold": ["a"], "observed": None, "margin": None}},
        {"journey": [{}], "lineage": [{}]},
        {"name": "", "sentence": ""},
        {"did_you_mean": ["B1", "B2"]},
    ],
)
def test_every_verdict_prints(changes: dict[str, Any]) -> None:
    why = Why.read(answers.rejected(**changes))
    assert str(why)
    assert why._repr_html_().startswith("<pre")


LOSSES = dict.fromkeys((*CAUSES, "x" * 100), 10**9)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_layouts_fit_their_width(width: int) -> None:
    long = "x" * 300
    run = Run.read(answers.run(input={"q": long}, error={"type": "E", "message": long}, marks=[long], losses=LOSSES))
    whys = [answers.rejected(sentence=f"{long} {long}", name=long, item_id=long), answers.selected(), answers.unknown()]
    layouts = [run_lines(run, width), *(why_lines(Why.read(why), width) for why in whys)]
    for line in (line for layout in layouts for line in layout):
        assert cells(line.plain) <= max(width, 80), line.plain


def test_notebook_views_escape_what_was_recorded() -> None:
    evil = '<img src=x onerror="alert(1)">'
    run = Run.read(answers.run(pipeline=evil, input=evil))
    why = Why.read(answers.rejected(name=evil, sentence=evil, reason=evil, item_id=evil))
    for page in (run._repr_html_(), why._repr_html_()):
        assert "<img" not in page
        assert "&lt;img" in page


def test_commands_to_go_on_with_can_be_copied() -> None:
    why = Why.read(answers.rejected(twin={"item_id": "-x y"}, into="ev\x1bil", lineage=[]))
    text = "\n".join(line.plain for line in why_lines(why, commands=True))
    assert f"dxray why {answers.RUN_ID} -- '-x y'" in text
    assert "ev" not in text.partition("ask next")[2]
