"""Answers on a terminal: layouts in colour, tables, JSON."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dxray.wire.text import Line, Span, Style, cells, clean, clip, dump_json, fold, pad

if TYPE_CHECKING:  # 100 ms, for those who print for people
    from rich.console import Console
    from rich.text import Text

# Where nobody looks at the edge of a screen, nothing is cut to fit it.
FILE_WIDTH = 200
READABLE = 120  # a sentence is not set wider

STYLES: dict[Style, str] = {
    "": "",
    "bold": "bold",
    "dim": "dim",
    "good": "green",
    "bad": "red",
    "warn": "yellow",
    "info": "cyan",
    "name": "bold",
    "badge-good": "bold white on green",
    "badge-bad": "bold white on red",
    "badge-warn": "bold black on yellow",
}

# What a terminal without these letters shows, each as wide as the letter: a `?` would say that something is not known.
_INSTEAD = dict(zip("→↳↖✔✖★≠±·–…×≤≥≈│▏├└─▶█▇▆▅▄▃▂▁░", ">>^+x*!~--.x<>~|||`->####==__.", strict=True))


def nearest_letters(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: the letter that looks most alike, else `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_INSTEAD.get(one, "?") for one in error.object[error.start : error.end]), error.end


codecs.register_error("dxray.nearest", nearest_letters)


def console(stderr: bool = False) -> Console:
    """A console that reads no markup, finds no links, and colours only a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    free = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=FILE_WIDTH if free else None)


def text_of(spans: Iterable[Span], badges: bool) -> Text:
    """Spans as rich text; with `badges`, their colour reaches a little over the word."""
    from rich.text import Text

    text = Text(no_wrap=True, end="")
    for content, style in spans:
        wide = badges and style.startswith("badge")
        text.append(f" {content} " if wide else content, STYLES[style])
    return text


def print_lines(out: Console, lines: Iterable[Line]) -> None:
    """Print a layout; what is wider than the screen goes on in a further line."""
    coloured = out.is_terminal and out.color_system is not None and not out.no_color
    for line in lines:
        for part in [line] if out.width == FILE_WIDTH else fold(line, out.width):
            text = text_of(part, coloured)
            text.rstrip()
            out.print(text, soft_wrap=True)


def print_line(text: str) -> None:
    """Print one text as it is."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def print_json(value: Any) -> None:
    """Print JSON, safe for a terminal and equal to what the API sent."""
    sys.stdout.write(dump_json(value) + "\n")


class Column(NamedTuple):
    """A column of a table. One with a `least` width is cut to fit the screen, others never are."""

    head: str
    right: bool = False
    least: int = 0


GAP = "  "


def table(columns: Sequence[Column], rows: Sequence[Sequence[Span | str]], width: int) -> list[Line]:
    """Rows under dim heads, in at most `width` columns where the columns that may be cut allow it."""
    cleaned = [[Span(clean(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows]
    sizes = [max(cells(column.head), *(cells(row[n].text) for row in cleaned)) for n, column in enumerate(columns)]
    over = sum(sizes) + len(GAP) * (len(columns) - 1) - width
    while over > 0:
        widest = max(range(len(columns)), key=lambda n: sizes[n] if sizes[n] > columns[n].least > 0 else 0)
        if not 0 < columns[widest].least < sizes[widest]:
            break
        sizes[widest] -= 1
        over -= 1
    heads = [Span(column.head, "dim") for column in columns]
    return [_row(columns, row, sizes) for row in (heads, *cleaned)]


def _row(columns: Sequence[Column], row: Sequence[Span], sizes: Sequence[int]) -> Line:
    line = Line()
    for column, cell, size in zip(columns, row, sizes, strict=True):
        if line:
            line.append(Span(GAP))
        line.append(Span(pad(clip(cell.text, size), size, right=column.right), cell.style))
    return line
