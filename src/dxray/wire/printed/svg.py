"""A funnel as a picture for a notebook: one SVG element, without script, style sheet or link; every text is escaped.

Text takes the page's own colour, and bars are of middling colours, so it reads on a light page and on a dark one.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dxray.wire.text import clean, clip, number

WIDTH = 760  # pixels, or whatever the page makes of them
NAMES, BARS, FIGURES = 190, 400, 150
ROW, BAR, TOP = 30, 16, 26
MOST = 40
_KEPT, _DROPPED, _MISSING, _LOST = "#2f9e44", "#e8590c", "#868e96", "#c92a2a"


class Bar(NamedTuple):
    """A step: its name, how deep it stands, what came in and went out, and what the bar is made of."""

    name: str
    depth: int
    came: int | None
    kept: int | None
    dropped: int
    missing: int
    lost: int  # on the way to it
    dim: bool


def funnel_svg(bars: Sequence[Bar]) -> str:
    """Bars one below the other, to scale; empty for none. Of whatever there is, at least a sliver shows."""
    if not bars:
        return ""
    shown = bars[:MOST]
    most = max((bar.kept or 0) + bar.dropped + bar.missing for bar in shown) or 1
    rows = [part for place, bar in enumerate(shown) for part in _row(bar, TOP + place * ROW, BARS / most)]
    height = TOP + len(shown) * ROW + (ROW if len(bars) > MOST else 4)
    if len(bars) > MOST:
        rows.append(_text(0, height - 10, f"and {number(len(bars) - MOST)} more steps", opacity=0.65))
    style = "max-width:100%;height:auto;font:13px system-ui,sans-serif;fill:currentColor"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return f'{head} role="img" aria-label="funnel" style="{style}">{"".join([*_legend(), *rows])}</svg>'


def _legend() -> Iterator[str]:
    at = NAMES
    for colour, words in ((_KEPT, "goes on"), (_DROPPED, "dropped"), (_MISSING, "not accounted for"), (_LOST, "lost")):
        yield _rect(at, 4, 10, 10, colour)
        yield _text(at + 15, 13, words, opacity=0.65)
        at += 30 + 7 * len(words)


def _row(bar: Bar, y: int, scale: float) -> Iterable[str]:
    name = clean(bar.name)
    opacity = 0.5 if bar.dim else 1.0
    indent = 12 * min(bar.depth, 4)
    shown = clip(name, (NAMES - indent - 8) // 8)
    figures = f"{number(bar.came)} → {number(bar.kept)}"
    said = f"{name}: {figures}, {number(bar.dropped)} dropped"
    yield f'<g opacity="{opacity}"><title>{html.escape(clip(said, 300))}</title>'
    yield _text(indent, y + 13, shown)
    at = float(NAMES)
    if bar.lost:
        yield _rect(at - 4, y - 2, 2, BAR + 4, _LOST)
    for n, colour in ((bar.kept or 0, _KEPT), (bar.dropped, _DROPPED), (bar.missing, _MISSING)):
        if n:
            size = max(2.0, n * scale)
            yield _rect(at, y, size, BAR, colour)
            at += size
    lost = f" · {number(bar.lost)} lost" if bar.lost else ""
    yield _text(NAMES + BARS + 14, y + 13, figures + lost)
    yield "</g>"


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, opacity: float = 1.0) -> str:
    return f'<text x="{x}" y="{y}" opacity="{opacity}">{html.escape(text)}</text>'
