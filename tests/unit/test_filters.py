"""The filter grammar: what it means, what it refuses, and that it refuses in one way only."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.filters import Clause, FilterError, Grammar, moment, parse
from dxray.server.reasoning.selection import RUNS, STEPS

T = TypeVar("T")
NOW = 1_700_000_000.0


def test_every_word_of_the_example_becomes_a_clause() -> None:
    text = 'pipeline:competitor_selection status:completed since:7d input.category:"phone cases" metadata.version:2'
    assert parse(text, RUNS, NOW) == [
        Clause("pipeline", "==", "competitor_selection"),
        Clause("status", "==", "completed"),
        Clause("started_at", ">=", int((NOW - 7 * 86_400) * 1e6)),
        Clause("input.category", "==", "phone cases"),
        Clause("metadata.version", "==", 2),
    ]
    assert parse("step:filter rejection_rate:>0.9 -status:failed", STEPS) == [
        Clause("step_name|step_type", "==", "filter"),
        Clause("rejection_rate", ">", 0.9),
        Clause("run_status", "!=", "failed"),
    ]


@pytest.mark.parametrize("text", ['run_id:"\ud800"', "pipeline:p \udfff", "input.\udc80:1", "-status:\ud83d"])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="half a character") as error:
        parse(text, RUNS)
    assert error.value.field == "q"
    assert error.value.fix is not None
    assert parse("😀", RUNS) == [Clause(RUNS.texts, "contains", "😀")]


def test_bare_words_are_searched_for_in_the_texts() -> None:
    assert parse('laptop "phone case"', RUNS) == [
        Clause(RUNS.texts, "contains", "laptop"),
        Clause(RUNS.texts, "contains", "phone case"),
    ]


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("rejection_rate:>=0.5", Clause("rejection_rate", ">=", 0.5)),
        ("-rejection_rate:>0.5", Clause("rejection_rate", "<=", 0.5)),
        ("metadata.a.b:true", Clause("metadata.a.b", "==", True)),
        ('metadata.version:"2"', Clause("metadata.version", "==", "2")),
        ('name:"say \\"hi\\""', Clause("step_name", "==", 'say "hi"')),
        ("name:a:b", Clause("step_name", "==", "a:b")),
        ('pipeline:""', Clause("pipeline", "==", "")),
        ("until:2026-11-23T08:00:00Z", Clause("run_started_at", "<", 1_795_420_800_000_000)),
        ("input_count:=3", Clause("input_count", "==", 3)),
        ('"rejection_rate>0.9"', Clause(STEPS.texts, "contains", "rejection_rate>0.9")),
        ("a=b", Clause(STEPS.texts, "contains", "a=b")),
        ("rejection_rate:>1", Clause("rejection_rate", ">", 1)),
    ],
)
def test_one_word(text: str, clause: Clause) -> None:
    assert parse(text, STEPS) == [clause]


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        ("pipelin:x", "pipelin", "did you mean 'pipeline'?"),
        ("inptu.category:x", "inptu.category", "known here"),
        ("status:complete", "status", "did you mean 'completed'?"),
        ("rejection_rate:high", "rejection_rate", "rejection_rate:>0.9"),
        ("since:yesterday", "since", "15m"),
        ("pipeline:", "pipeline", "pipeline:VALUE"),
        ("pipeline:>x", "pipeline", "equality"),
        ('"open', "q", "double quotes"),
        ("-word", "q", "name a field"),
        ("-since:7d", "since", "since:7d"),
        ("x" * 5000, "q", "4096"),
        ("rejection_rate>0.9", "rejection_rate", "did you mean rejection_rate:>0.9?"),
        ("status=failed", "status", "did you mean status:failed?"),
        ("-status==failed", "status", "did you mean -status:failed?"),
        ("config.k<=3", "config.k", "did you mean config.k:<=3?"),
        ("rejection_rate:>90", "rejection_rate", "did you mean rejection_rate:>0.9?"),
    ],
)
def test_what_cannot_be_read_names_the_field_and_the_fix(text: str, field: str, fix: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, STEPS)
    assert caught.value.field == field
    assert fix in (caught.value.fix or "")
    assert caught.value.status == 422


PIECES = st.sampled_from(
    [
        *("pipeline", "since", "rejection_rate", "metadata.", "input.k", ":", "<", ">=", "-", '"', "\\", " ", "7d"),
        *("nan", "2026-11-23", "0001-01-01T00:00:00+23:59", "9999-12-31", "\x00", "²", "1_0", "true", "w", "1e999"),
    ]
)


@pytest.mark.parametrize("grammar", [RUNS, STEPS])
@given(text=st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_any_text_gives_clauses_or_a_filter_error(grammar: Grammar, text: str) -> None:
    found = read_or_error(lambda: parse(text, grammar))
    assert isinstance(found, FilterError) or all(isinstance(clause, Clause) for clause in found)


@given(st.text())
def test_any_text_as_a_time_gives_microseconds_or_a_filter_error(text: str) -> None:
    assert isinstance(read_or_error(lambda: moment(text, "since", NOW)), int | FilterError)


def read_or_error(read: Callable[[], T]) -> T | FilterError:
    """What is read, or the one error there may be; it says where, and what to do."""
    try:
        return read()
    except FilterError as error:
        found = error
    assert found.field
    assert found.fix
    return found
