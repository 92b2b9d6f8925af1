"""Recorded text can neither act on a terminal nor hide; layouts fit the screen."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxray.wire.text import (
    Line,
    Span,
    age,
    cells,
    clean,
    clip,
    dump_json,
    duration,
    flow,
    fold,
    number,
    pad,
    percent,
    plain,
    to_html,
    wrap,
)

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\x1bc",
    "a\rb",
    "a\nb",
    "a\x08b",
    "abc\u202edef\u2066",
    "\u200bzero\ufeff",
    "\ud800",
    "\U000e0041",
    "\x00",
    "\x7f",
    "\u2028",
]
FORBIDDEN = {chr(n) for n in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless_on_one_line(text: str) -> None:
    shown = clean(text)
    assert not FORBIDDEN & set(shown)
    shown.encode()


@settings(deadline=None)
@given(st.text(alphabet=st.characters(blacklist_categories=())))
def test_clean_text_holds_nothing_that_acts_and_stays_as_it_is(text: str) -> None:
    shown = clean(text)
    assert not FORBIDDEN & set(shown)
    shown.encode()
    assert clean(shown) == shown


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("Alder Slim Case", "日本語", "naïve", "🇫🇷 👩‍👩‍👧", "[bold]x[/bold]", "a\\b"):
        assert clean(text) == text


def test_colours_go_without_a_trace_and_what_else_acted_leaves_a_mark() -> None:
    assert clean("\x1b[1;31mERROR\x1b[0m: no") == "ERROR: no"
    assert clean("a\x1b[2Jb") == "a\ufffdb"
    assert clean("user\u202egpj.exe") == "user\ufffdgpj.exe"


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(alphabet=st.characters(blacklist_categories=())), st.lists))
def test_json_is_safe_to_print_and_means_the_same(value: object) -> None:
    shown = dump_json(value)
    assert not (FORBIDDEN - {"\n"}) & set(shown)
    shown.encode()
    assert json.loads(shown) == value


@settings(deadline=None)
@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_clipped_text_takes_at_most_its_width(text: str, width: int) -> None:
    assert cells(clip(clean(text), width)) <= width


@settings(deadline=None)
@given(st.text(), st.integers(min_value=2, max_value=40))
def test_wrapped_lines_fit_and_lose_no_word(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == clean(text).replace(" ", "")


def test_wide_characters_count_double() -> None:
    assert cells("日本") == 4
    assert pad("日本", 6) == "日本  "
    assert clip("日本語", 5) == "日本…"


def test_parts_flow_and_align_under_the_first() -> None:
    lines = flow(Line([Span("> ")]), [[Span("one")], [Span("two")], [Span("three")]], 14)
    assert [line.plain for line in lines] == ["> one · two", "  three"]


def test_html_escapes_every_text() -> None:
    page = to_html([Line().add("<script>alert(1)</script>", "bad").add('"&')])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&quot;&amp;" in page


def test_values_read_well() -> None:
    assert [number(n) for n in (None, 1234567, 0.93, 3.0, 1234.567)] == ["–", "1,234,567", "0.93", "3", "1,234.57"]
    assert [percent(r) for r in (None, 0, 1, 0.829, 0.99999, 0.00001, 0.5)] == [
        "–",
        "0 %",
        "100 %",
        "82.9 %",
        ">99.9 %",
        "<0.1 %",
        "50.0 %",
    ]
    millis = (None, 0.0, 0.04, 0.42, 12, 999.7, 1240, 200_000, 7_500_000, 864_000_000)
    assert [duration(ms) for ms in millis] == [
        "–",
        "<0.1 ms",
        "<0.1 ms",
        "0.4 ms",
        "12 ms",
        "1.00 s",
        "1.24 s",
        "3.3 min",
        "2.1 h",
        "10.0 d",
    ]


def test_ages_are_short() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    seconds = (0, 5, 125, 7300, 3 * 86400, 90 * 86400)
    times = [(now - timedelta(seconds=n)).isoformat() for n in seconds]
    assert [age(at, now) for at in times] == ["now", "5s", "2m", "2h", "3d", "2026-08-25"]
    assert age("2026-11-23T11:59:55Z", now) == "5s"
    assert age(None, now) == age("yesterday", now) == "–"


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5), st.integers(min_value=12, max_value=60))
def test_a_folded_line_fits_and_loses_no_word(texts: list[str], width: int) -> None:
    line = Line()
    for text in texts:
        line.add(text)
    folded = fold(line, width)
    assert all(cells(part.plain) <= width for part in folded)
    assert "".join(part.plain for part in folded).replace(" ", "") == line.plain.replace(" ", "")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_folded_command_is_the_same_command(width: int) -> None:
    words = ["dxray", "whatif", "--pipeline", "a  b", "--set", """it's="x\\ y",""", "-q", "label:bad since:7d"]
    line = Line().add("  ask next  ", "dim").add(shlex.join(words), "info")
    folded = plain(fold(line, width))
    assert shlex.split(folded.replace("\\\n", " "))[2:] == words
    assert (len(folded.splitlines()) == 1) == (width == 200)
