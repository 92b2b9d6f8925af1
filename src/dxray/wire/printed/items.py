"""How an item across runs reads: the sentence, how often what became of it, and the runs, newest first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime

from dxray.wire.answers.items import ItemInRun, Items
from dxray.wire.printed.why import OUTCOME, ask_next, why_command
from dxray.wire.text import (
    DASH,
    WIDTH,
    Line,
    Span,
    age,
    beside,
    cells,
    clean,
    clip,
    fact,
    flow,
    is_clean,
    number,
    pad,
    wrap,
)


def items_lines(answer: Items, width: int = WIDTH, commands: bool = False, now: datetime | None = None) -> list[Line]:
    """An item across runs: the sentence, the totals, a line for each run; `commands` to go on with."""
    lines = [Line().add(text, "bold") for text in wrap(answer.sentence, width)]
    facts = list(_facts(answer))
    for label, parts in facts:
        lines.extend(flow(Line().add(f"  {pad(label, 7)}  ", "dim"), parts, width))
    if len(answer.items) > 1:
        lines.extend([Line(), *_meant(answer, width)])
    if answer.runs:
        lines.extend([Line(), *_runs(answer, width, now)])
    if answer.total is not None and answer.total > len(answer.runs):
        words = f"the newest {number(len(answer.runs))} of {number(answer.total)}; --limit N shows more"
        lines.append(Line().add(f"  {words}" if not answer.offset else f"  {number(answer.total)} in all", "dim"))
    if answer.unknown is not None and answer.unknown.detail:
        lines.extend(Line().add(f"  {text}", "warn") for text in wrap(answer.unknown.detail, width - 2))
    if commands:
        lines.extend(ask_next(_after(answer)))
    return lines


def _facts(answer: Items) -> Iterator[tuple[str, list[list[Span]]]]:
    totals = answer.totals or {}
    outcomes = totals.get("outcomes")
    if isinstance(outcomes, Mapping) and outcomes:
        parts = []
        for name, n in outcomes.items():
            sign, style = OUTCOME.get(name, ("·", ""))
            parts.append([Span(sign, style), Span(clean(f" {name} ".replace("_", " "))), Span(number(n), "bold")])
        yield "ended", parts
    rows = [row for row in totals.get("reasons") or () if isinstance(row, Mapping)]
    if rows:
        said = [clip(clean(f"{row.get('reason')} at {row.get('step_name')}"), 60) for row in rows[:6]]
        yield (
            "reasons",
            [[Span(text), Span(f" {number(row.get('n'))}", "bold")] for text, row in zip(said, rows, strict=False)],
        )


def _meant(answer: Items, width: int) -> Iterator[Line]:
    """The items that one name means."""
    rows = [(clean(one.item_id), clean(one.name or ""), number(one.runs)) for one in answer.items[:12]]
    ids = min(max(cells(row[0]) for row in rows), width // 3)
    figures = max(cells(row[2]) for row in rows)
    for item_id, name, runs in rows:
        line = Line().add("  ").add(pad(clip(item_id, ids), ids), "name")
        line.add(f"  {pad(runs, figures, True)} run{' ' if runs == '1' else 's'}  ", "dim")
        yield line.add(clip(name, max(12, width - ids - figures - 11)))
    if len(answer.items) > 12:
        yield Line().add(f"  and {number(len(answer.items) - 12)} more", "dim")


def _runs(answer: Items, width: int, now: datetime | None) -> Iterator[Line]:
    several = len(answer.items) > 1
    columns: list[list[Span]] = [
        [Span(clean(row.run_id), "name") for row in answer.runs],
        [Span(age(row.started_at, now), "dim") for row in answer.runs],
        [Span(clip(clean(row.pipeline or ""), 24)) for row in answer.runs],
        *([[Span(clip(clean(row.item_id), 20), "name") for row in answer.runs]] if several else []),
        [_outcome(row) for row in answer.runs],
        [Span(clip(clean(row.step_name or ""), 24), "dim") for row in answer.runs],
        [_why(row) for row in answer.runs],
    ]
    sizes = [max(cells(cell.text) for cell in column) for column in columns]
    # The pipeline says least where room is short: most often all are of one.
    if sum(sizes) + 2 * len(sizes) > width:
        columns[2] = [Span("")] * len(answer.runs)
    return beside(columns, width)


def _outcome(row: ItemInRun) -> Span:
    name = "selected" if row.selected else row.outcome or DASH
    sign, style = OUTCOME.get(name, ("·", ""))
    return Span(clean(f"{sign} {name}"), style)


def _why(row: ItemInRun) -> Span:
    if row.unknown is not None and row.unknown.detail:
        return Span(clean(f"? {row.unknown.detail}"), "warn")
    if row.reason:
        return Span(clean(row.reason))
    return Span("" if row.score is None else f"score {fact(row.score)}", "dim")


def _after(answer: Items) -> list[str]:
    """Why, of the newest run that did not select it, else of the newest; what else was meant."""
    left = [row for row in answer.runs if row.selected is False]
    commands = [why_command(row.run_id, row.item_id) for row in [*left, *answer.runs][:1]]
    commands += [f"dxray funnel {shlex.quote(row.run_id)}" for row in [*left, *answer.runs][:1] if is_clean(row.run_id)]
    for one in answer.did_you_mean or ():
        item = one.get("item_id") if isinstance(one, Mapping) else None
        if isinstance(item, str) and is_clean(item):
            commands.append(f"dxray item {'-- ' if item.startswith('-') else ''}{shlex.quote(item)}")
    if answer.id and not answer.total and is_clean(answer.id) and not answer.id.startswith("-"):
        commands.append(f"dxray item --name {shlex.quote(answer.id)}")
    if len(answer.items) > 1 and is_clean(answer.items[0].item_id) and not answer.items[0].item_id.startswith("-"):
        commands.append(f"dxray item {shlex.quote(answer.items[0].item_id)}")
    return list(dict.fromkeys(command for command in commands if command))[:6]
