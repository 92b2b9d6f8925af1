"""Recorded text made safe to show, and laid out in lines of styled spans.

What pipelines record is written by whoever writes products, pages and prompts: shown as it is, it could
move the cursor, recolour the terminal, or reorder what is read. `clean` takes that power away, and
everything that is printed goes through it. A layout is made once, as `Line`s, and becomes plain text,
a coloured terminal or HTML.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

Style = Literal["", "bold", "dim", "good", "bad", "warn", "info", "name", "badge-good", "badge-bad", "badge-warn"]

REPLACED = "\ufffd"
ELLIPSIS = "…"

# Colours alone are dropped without a trace; whatever else could act on a terminal leaves a mark.
_COLOUR = re.compile(r"(?:\x1b\[|\x9b)[0-9;:]*m")
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
# Controls, zero-width and direction marks, tag characters, lone halves of surrogate pairs.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f\ud800-\udfff]+"
)
_UNSAFE_ONE = re.compile(_UNSAFE.pattern[:-1] + r"|[\u2028\u2029]")


def clean(text: object) -> str:
    """`text` on one line, without anything that acts on a terminal or hides; what was taken out shows as U+FFFD."""
    value = text if isinstance(text, str) else str(text)
    if value.isascii() and value.isprintable():
        return value
    value = _SEQUENCE.sub(REPLACED, _COLOUR.sub("", value))
    return _UNSAFE.sub(REPLACED, _SPACE.sub(" ", value))


def is_clean(text: str) -> bool:
    """Whether `text` shows as what it is, so that a command with it can be copied."""
    return clean(text) == text


def dump_json(value: Any, indent: int | None = 2) -> str:
    """`value` as JSON that is safe to print: characters that could act on a terminal are written as escapes."""
    # They can only stand inside JSON strings, where an escape means the same.
    return _UNSAFE_ONE.sub(_escape_one, json.dumps(value, ensure_ascii=False, indent=indent))


def _escape_one(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\n":  # json.dumps escapes those in strings; this one is its own indentation
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clip(text: str, width: int) -> str:
    """`text` in at most `width` columns, with an ellipsis where it was cut."""
    return text if cells(text) <= width else _head(text, width - 1) + ELLIPSIS


def _head(text: str, width: int) -> str:
    """As much of `text` as `width` columns hold."""
    used = 0
    for position, character in enumerate(text):
        used += _cell(character)
        if used > width:
            return text[:position]
    return text


def pad(text: str, width: int, right: bool = False) -> str:
    """`text` filled with spaces to `width` columns; on its left when `right`."""
    fill = " " * (width - cells(text))
    return fill + text if right else text + fill


def typed_limit(reason: str, limit: Any) -> str:
    """`reason=limit` as `dxray whatif --set` takes it; empty for what cannot be typed as it shows."""
    if isinstance(limit, list) and limit and all(isinstance(one, str) and _PLAIN_WORD.fullmatch(one) for one in limit):
        written = ",".join(limit) + ("," if len(limit) == 1 else "")
    elif isinstance(limit, str) and _PLAIN_WORD.fullmatch(limit):
        written = limit
    else:
        written = json.dumps(limit, ensure_ascii=False)
    said = f"{reason}={written}"
    return said if limit is not None and is_clean(said) else ""


_PLAIN_WORD = re.compile(r"(?!(?:true|false|null)$)[A-Za-z_][\w.:/-]*")  # no number, and nothing else that JSON reads

WIDTH = 100  # of a layout, where nobody says how wide the page is


class Span(NamedTuple):
    """A piece of a line. Its text is clean."""

    text: str
    style: Style = ""


class Line(list[Span]):
    """One line of a layout."""

    def add(self, text: object, style: Style = "") -> Line:
        """Append a span; `text` is cleaned."""
        self.append(Span(clean(text), style))
        return self

    @property
    def plain(self) -> str:
        """The line without styles."""
        return "".join(span.text for span in self).rstrip()


def beside(columns: Sequence[Sequence[Span]], width: int) -> Iterator[Line]:
    """A line for each row of the columns, two blanks before each; the last takes what room is left. None is empty."""
    sizes = [max(cells(cell.text) for cell in column) for column in columns]
    for row in zip(*columns, strict=True):
        line, used = Line(), 0
        for cell, size in zip(row, sizes, strict=True):
            if size:
                room = max(8, width - used - 2) if cell is row[-1] else size
                line.append(Span("  " + pad(clip(cell.text, room), min(size, room)), cell.style))
                used += size + 2
        yield line


def flow(head: Line, parts: Sequence[Sequence[Span]], width: int, between: str = " · ") -> list[Line]:
    """`parts` one after another behind `head`, on as many lines as they need, aligned under the first."""
    indent = cells("".join(span.text for span in head))
    lines, used = [head], indent
    for number, part in enumerate(parts):
        size = sum(cells(span.text) for span in part)
        if number and used + len(between) + size > width:
            lines.append(Line([Span(" " * indent)]))
            used = indent
        elif number:
            lines[-1].append(Span(between, "dim"))
            used += len(between)
        room = max(width - used, 12)
        lines[-1].extend(part if size <= room else _cut(part, room))
        used += min(size, room)
    return lines


def _cut(part: Sequence[Span], room: int) -> list[Span]:
    kept = []
    for span in part:
        if room <= 0:
            break
        kept.append(Span(clip(span.text, room), span.style))
        room -= cells(span.text)
    return kept


def wrap(text: str, width: int) -> list[str]:
    """Clean `text` in lines of at most `width` columns, broken at spaces."""
    lines, line = [], ""
    for word in clean(text).split(" "):
        candidate = f"{line} {word}" if line else word
        if line and cells(candidate) > width:
            lines.append(line)
            line = word
        else:
            line = candidate
        while cells(line) > width:  # a word wider than the line
            cut = _head(line, width) or line[0]
            lines.append(cut)
            line = line[len(cut) :]
    return [*lines, line] if line or not lines else lines


_SHELL_WORD = re.compile(r"""(?:[^ '"]|'[^']*'|"[^"]*")+""")
_DEEPEST = 30  # what goes on in a further line is not set in more


def fold(line: Line, width: int) -> list[Line]:
    """A line in as many as it needs to fit `width`, broken at spaces.

    A command at its end is broken between its words as a shell reads them, so that it can be copied; of these words
    none is cut, wherever it ends.
    """
    if cells(line.plain) <= width:
        return [line]
    if line[-1].text.startswith("dxray "):
        return _fold_command(line[:-1], line[-1], width)
    inside = len(line.plain) - len(line.plain.lstrip(" ")) + 2
    indent = Span(" " * min(inside, _DEEPEST, width // 2))
    lines, used = [Line()], 0
    for span in line:
        for word in re.findall(" +|[^ ]+", span.text):
            blank = word.isspace()
            if lines[-1] and used + cells(word) > width and (blank or used > len(indent.text)):
                lines.append(Line([indent]))
                used = len(indent.text)
            if blank and len(lines) > 1 and len(lines[-1]) == 1:
                continue
            for piece in _pieces(word, width - used, width - len(indent.text)):
                if used + cells(piece) > width:
                    lines.append(Line([indent]))
                    used = len(indent.text)
                lines[-1].append(Span(piece, span.style))
                used += cells(piece)
    return lines


def _pieces(word: str, first: int, then: int) -> list[str]:
    """A word in pieces, the first of at most so many columns and the others of so many."""
    found = []
    while cells(word) > first:
        found.append(_head(word, first) or word[0])
        word, first = word[len(found[-1]) :], then
    return [*found, word] if word else found


def _fold_command(head: Sequence[Span], command: Span, width: int) -> list[Line]:
    start = cells("".join(span.text for span in head))
    indent = " " * min(start + 2, _DEEPEST, width // 2)
    texts, used = [""], start
    for word in _SHELL_WORD.findall(command.text):
        if texts[-1] and used + 1 + cells(word) > width - 2:
            texts.append("")
            used = len(indent)
        texts[-1] += f" {word}" if texts[-1] else word
        used = (start if len(texts) == 1 else len(indent)) + cells(texts[-1])
    lines = [Line(head), *(Line([Span(indent)]) for _ in texts[1:])]
    for number, text in enumerate(texts):
        lines[number].append(Span(text if number == len(texts) - 1 else f"{text} \\", command.style))
    return lines


def plain(lines: Iterable[Line]) -> str:
    """Lines as text."""
    return "\n".join(line.plain for line in lines)


_CSS: dict[Style, str] = {
    "bold": "font-weight:600",
    "dim": "opacity:.6",
    "good": "color:#2b8a3e",
    "bad": "color:#c92a2a",
    "warn": "color:#b35c00",
    "info": "color:#1864ab",
    "name": "font-weight:600",
    "badge-good": "background:#2b8a3e;color:#fff;border-radius:3px",
    "badge-bad": "background:#c92a2a;color:#fff;border-radius:3px",
    "badge-warn": "background:#b35c00;color:#fff;border-radius:3px",
}


def to_html(lines: Iterable[Line]) -> str:
    """Lines as one HTML element for a notebook; every text is escaped."""
    rows = []
    for line in lines:
        spans = []
        for text, style in line:
            escaped = html.escape(text)
            spans.append(f'<span style="{_CSS[style]}">{escaped}</span>' if style else escaped)
        rows.append("".join(spans).rstrip())
    return '<pre style="line-height:1.35;overflow-x:auto">' + "\n".join(rows) + "</pre>"


# Values, the way a reader wants them.

DASH = "–"


def number(value: float | None) -> str:
    """`12,345`, `0.93`; a dash for None."""
    if value is None:
        return DASH
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def percent(rate: float | None) -> str:
    """`82.9 %`; never 100 % or 0 % for what is only nearly so."""
    if rate is None:
        return DASH
    share = 100 * rate
    if 99.95 <= share < 100:
        return ">99.9 %"
    if 0 < share < 0.05:
        return "<0.1 %"
    return f"{share:.1f} %".replace(".0 %", " %") if share in (0, 100) else f"{share:.1f} %"


def duration(millis: float | None) -> str:
    """`12 ms`, `1.24 s`, `3.3 min`, `2.1 h`; never 0 for what only took little."""
    if millis is None:
        return DASH
    if 0 <= millis < 0.05:
        return "<0.1 ms"
    if millis < 999.5:
        return f"{millis:.0f} ms" if millis >= 9.95 else f"{millis:.1f} ms"
    for size, most, unit in ((1000, 59.95, "s"), (60_000, 59.95, "min"), (3_600_000, 47.95, "h")):
        value = millis / size
        if value < most:
            return f"{value:.2f} {unit}" if value < 9.995 and unit == "s" else f"{value:.1f} {unit}"
    return f"{millis / 86_400_000:.1f} d"


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time; None when there is none or it cannot be read."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def age(text: str | None, now: datetime | None = None) -> str:
    """How long ago a time was, in one short word: `5s`, `3m`, `2h`, `4d`, and past a month the day."""
    at = moment(text)
    if at is None:
        return DASH
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    if seconds < 1:
        return "now"
    for size, unit in ((60, "s"), (60, "m"), (24, "h"), (30, "d")):
        if seconds < size:
            return f"{int(seconds)}{unit}"
        seconds /= size
    return f"{at:%Y-%m-%d}"


def value_text(value: Any, width: int = 60) -> str:
    """A recorded value on one line: texts as they are, all else as JSON, cut to `width`."""
    if isinstance(value, str):
        return clip(clean(value), width)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return clip(clean(json.dumps(value, ensure_ascii=False)), width)


def fact(value: Any, width: int = 60) -> str:
    """A number without trailing zeros, a text in quotes, all else as JSON."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.10g}"
    return f'"{value_text(value, width)}"' if isinstance(value, str) else value_text(value, width)
