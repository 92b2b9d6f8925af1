"""How a funnel reads: a bar for every step, what became of the items there, and what was lost between."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from dxray.wire.answers.funnel import Funnel, FunnelStep
from dxray.wire.printed.why import OUTCOME, ask_next, why_command
from dxray.wire.text import (
    WIDTH,
    Line,
    Span,
    Style,
    cells,
    clean,
    clip,
    flow,
    is_clean,
    number,
    pad,
    wrap,
)

_DROPPED = ("rejected", "outranked", "merged", "consumed")
_LEAST_BAR = 12


def funnel_lines(funnel: Funnel, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """A funnel: the sentence, then the steps in dataflow order; `commands` to go on with."""
    head = Line().add(clip(clean(funnel.pipeline or ""), max(20, width // 2)), "bold").add("  ")
    lines = [head.add(funnel.run_id, "name")]
    lines.extend(Line().add(text, "bold") for text in wrap(funnel.sentence, width) if funnel.sentence)
    if funnel.steps:
        lines.extend([Line(), *_steps(funnel, width)])
    if funnel.hint:
        lines.append(Line())
        lines.extend(
            Line().add("  hint  " if position == 0 else " " * 8, "info").add(text)
            for position, text in enumerate(wrap(funnel.hint, width - 8))
        )
    if commands:
        lines.extend(ask_next(_after(funnel)))
    return lines


def _steps(funnel: Funnel, width: int) -> Iterator[Line]:
    depths = _depths(funnel.steps)
    titles = ["  " * depths[step.step_id] + _title(step) for step in funnel.steps]
    names = min(max(map(cells, titles)), max(16, width // 3))
    figures = [(number(step.in_), number(step.out)) for step in funnel.steps]
    ins, outs = (max(2 + n, *(cells(pair[n]) for pair in figures)) for n in (0, 1))
    room = max(_LEAST_BAR, width - names - ins - outs - 10)
    most = max(_size(step) for step in funnel.steps) or 1
    heads = f"  {pad('step', names)}  {pad('in', ins, True)}   {pad('out', outs, True)}"
    yield Line().add(heads, "dim").add("  ").add("█ goes on", "good").add("  ").add("░ dropped", "bad")
    for step, title, (came, went) in zip(funnel.steps, titles, figures, strict=True):
        yield from _lost(step, width)
        line = Line().add(f"  {pad(clip(title, names), names)}  ", "dim" if step.superseded else "name")
        line.add(f"{pad(came, ins, True)} → {pad(went, outs, True)}  ", "dim" if step.superseded else "")
        if not step.superseded:
            line.extend(_bar(step, room / most))
        yield line
        parts = list(_became(step))
        if parts:
            yield from flow(Line().add(" " * (4 + 2 * depths[step.step_id])), parts, width)
        for said in step.contradictions:
            yield from (Line().add(f"    {text}", "warn") for text in wrap(f"! {said}", width - 4))


def _depths(steps: Sequence[FunnelStep]) -> dict[str, int]:
    parents = {step.step_id: step.parent_step_id for step in steps}
    depths = {}
    for step in steps:
        depth, above, seen = 0, step.parent_step_id, {step.step_id}
        while above in parents and above not in seen and depth < 6:
            seen.add(str(above))
            depth, above = depth + 1, parents[str(above)]
        depths[step.step_id] = depth
    return depths


def _title(step: FunnelStep) -> str:
    return clean(step.step_name or step.step_id) + (f" (attempt {step.attempt})" if step.attempt > 1 else "")


def _size(step: FunnelStep) -> int:
    return 0 if step.superseded else max((step.in_ or 0) + step.produced - step.consumed, step.out or 0)


def _bar(step: FunnelStep, scale: float) -> list[Span]:
    """What goes on and what was dropped, to scale; of whatever there is, at least one cell."""
    missing = max(step.unaccounted or 0, 0)
    dropped = step.rejected + step.rejected_by_count + step.outranked + step.merged
    shares: list[tuple[int, str, Style]] = [(step.out or 0, "█", "good"), (dropped, "░", "bad"), (missing, "?", "warn")]
    return [Span(sign * max(1, round(n * scale)), style) for n, sign, style in shares if n]


def _became(step: FunnelStep) -> Iterator[list[Span]]:
    if step.superseded:
        yield [Span("superseded by a later attempt, and not counted", "dim")]
    if step.failed:
        yield [Span("✖ failed", "bad")]
    if step.produced:
        yield [Span("+", "info"), Span(f" {number(step.produced)} produced")]
    if step.selected:
        yield [Span("★", "good"), Span(f" {number(step.selected)} selected")]
    for name in _DROPPED:
        n = getattr(step, name) + (step.rejected_by_count if name == "rejected" else 0)
        if n:
            sign, style = OUTCOME[name]
            yield [Span(sign, style), Span(f" {number(n)} {name if name != 'consumed' else 'expanded'}")]
            if name == "rejected":
                yield from _reasons(step)
    if step.accepted_by_count:
        yield [Span(f"{number(step.accepted_by_count)} go on by count, not itemised", "dim")]
    if step.unaccounted:
        yield [
            Span(f"? {number(abs(step.unaccounted))} {'unaccounted' if step.unaccounted > 0 else 'too many'}", "warn")
        ]
    if step.unknown is not None and step.unknown.detail:
        yield [Span(clean(f"? {step.unknown.detail}"), "warn")]


def _reasons(step: FunnelStep) -> Iterator[list[Span]]:
    rows = [row for row in step.reasons if isinstance(row, Mapping)]
    for row in rows[:6]:
        yield [Span(clip(clean(row.get("reason")), 40), "dim"), Span(f" {number(row.get('n'))}", "bold")]
    if len(rows) > 6:
        yield [Span(f"{len(rows) - 6} more reasons", "dim")]


def _lost(step: FunnelStep, width: int) -> Iterator[Line]:
    """What was lost on the way to a step, and on which way that cannot be said."""
    for edge in step.edges:
        source = clean(edge.step_name or "the step before")
        if edge.lost_between:
            words = f"⚡ {number(edge.lost_between)} lost between {source} and here, without a word"
            yield Line().add("    " + clip(words, width - 4), "bad")
        elif edge.lost_between is None and not step.superseded:
            words = f"? after {source}: {clean(edge.cause or 'not known')}"
            yield from (Line().add(f"    {text}", "dim") for text in wrap(words, width - 4))


def _after(funnel: Funnel) -> list[str]:
    winners = [one.get("item_id") for one in funnel.winners if isinstance(one, Mapping)]
    commands = [why_command(funnel.run_id, one) for one in winners[:1]]
    if is_clean(funnel.run_id):
        run = shlex.quote(funnel.run_id)
        commands += [] if winners else [f"dxray why {run} ITEM"]
        commands.append(f"dxray show {run}")
    most = funnel.loses_most
    name = most.get("step_name") if isinstance(most, Mapping) else None
    if isinstance(name, str) and is_clean(name) and not name.startswith("-"):
        commands.append(f"dxray steps --name {shlex.quote(name)}")
    return [command for command in commands if command]
