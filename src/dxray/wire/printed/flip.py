"""How flip reads: the sentence, each change with what it costs, and what to ask next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dxray.wire.answers.flip import Flip, FlipChange
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import (
    WIDTH,
    Line,
    Span,
    Style,
    cells,
    clean,
    clip,
    fact,
    flow,
    is_clean,
    number,
    typed_limit,
    value_text,
    wrap,
)


def flip_lines(answer: Flip, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """Flip, as it is read."""
    name = clip(clean(answer.name or answer.item_id), max(20, width - 5 - cells(clean(answer.run_id))))
    head = Line().add(name, "name").add("  ").add(f"in {answer.run_id}", "dim")
    lines = [head, *(Line().add(text, "bold") for text in wrap(answer.sentence, width))]
    if answer.changes:
        lines += [Line(), *_changes(answer, width)]
    if answer.unknown is not None and answer.unknown.detail:
        lines += [Line(), *_marked("  ? ", "warn", answer.unknown.detail, width)]
    near = _near(answer)
    if near:
        lines += [Line(), Line().add("  did you mean", "info")]
        lines += [Line().add("    ").add(value_text(name, 40), "name").add(f"  {clip(one, 40)}") for one, name in near]
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _marked(mark: str, style: Style, text: str, width: int) -> Iterator[Line]:
    for position, part in enumerate(wrap(text, max(30, width - 4))):
        yield Line().add("    " if position else mark, style).add(part)


def _near(answer: Flip) -> list[tuple[str, str]]:
    """Ids and names of items that may be meant."""
    rows = [one for one in answer.did_you_mean or () if isinstance(one, dict)]
    return [(clean(one.get("item_id")), clean(one.get("name") or "")) for one in rows]


def _changes(answer: Flip, width: int) -> Iterator[Line]:
    for one in answer.changes:
        line = Line().add("  → ", "good").add(clip(clean(one.reason), max(20, width - 4)), "bold")
        where = [Span("at ", "dim"), Span(clip(clean(one.step_name), max(20, width - 8)), "dim")]
        limit = Line().add(f"{clean(one.field)} {clean(one.op).replace('_', ' ')} ").add(_limits(one), "bold")
        yield line
        yield from flow(Line().add("    "), [limit, where], width, between="  ")
        yield from (Line().add("    ").add(text, "dim") for text in wrap(_observed(one), max(30, width - 4)))
    exact = answer.exactness.replace("_", " ")
    tried = "every set of rules was tried" if answer.proved else "there are too many rules to try every set"
    yield Line().add(f"  {exact}; {tried}", "dim")


def _limits(one: FlipChange) -> str:
    return f"{fact(one.from_)} → " + ("switched off" if one.disable else fact(one.to))


def _observed(one: FlipChange) -> str:
    seen = "no value is known" if one.observed is None else f"observed {fact(one.observed)}"
    if one.disable:
        return f"{seen}; no other limit is known to let it pass"
    if not _is_number(one.to):
        return seen
    return f"{seen}, which is {number(one.cost)} × the usual spread of {clean(one.field)} past the limit"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _next(answer: Flip) -> list[str]:
    """What became of the item, and the change over all runs; where another was meant, what would select that."""
    near = _near(answer)
    if near and not answer.changes:
        found = [why_command(answer.run_id, one).replace("dxray why", "dxray flip", 1) for one, _ in near[:2]]
        return [one for one in found if one]
    found = [why_command(answer.run_id, answer.item_id)]
    if len(answer.changes) == 1:
        one = answer.changes[0]
        typed = typed_limit(one.reason, one.to)
        if one.disable and is_clean(one.reason):
            found.append(f"dxray whatif --disable {shlex.quote(one.reason)}")
        elif typed:
            found.append(f"dxray whatif --set {shlex.quote(typed)}")
    return [one for one in found if one]
