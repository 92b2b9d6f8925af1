"""How a run reads: what went in and came out, then its steps as a tree with their counts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dxray.wire.answers import Pipeline, Run, Runs, Step, Steps
from dxray.wire.predicates import OPERATORS
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.records import VALUE_LOSSES
from dxray.wire.text import (
    DASH,
    WIDTH,
    Line,
    Span,
    Style,
    age,
    cells,
    clean,
    clip,
    duration,
    fact,
    flow,
    is_clean,
    moment,
    number,
    pad,
    percent,
    value_text,
    wrap,
)

MOST_LINES = 3  # of an input or an output

STATUS: dict[str, tuple[str, Style]] = {
    "completed": ("✔", "good"),
    "failed": ("✖", "bad"),
    "running": ("▶", "info"),
    "waiting": ("⏸", "warn"),
    "abandoned": ("◌", "warn"),
}
# What a loss's cause means, and what can be done about it.
CAUSES: dict[str, tuple[str, str]] = {
    "queue_full": (
        "recorded faster than it could be written",
        'capture="sample" or "none" makes recording cheaper',
    ),
    "spool_full": (
        "the spool was full",
        "have the server up sooner, raise DXRAY_SPOOL_BYTES, or send what waits with: dxray sync",
    ),
    "memory_full": (
        "the spool could not be written and memory was full",
        "set DXRAY_SPOOL_DIR to a folder that can be written",
    ),
    "server_away": ("the server was away", 'offline_mode="buffer" keeps what is recorded until the server is back'),
    "refused": (
        "refused by the server",
        'see the folder "quarantine" in the spool; the log of the pipeline says with which answer',
    ),
    "not_recorded": ("the call could not be recorded", "the log of the pipeline says which, and why"),
    "unknown_operator": (
        "its operator is not known, so nothing passes it",
        f"write one of {' '.join(OPERATORS)}; the log of the pipeline names the nearest",
    ),
    "not_encoded": ("could not be encoded", "the log of the pipeline says why"),
    "damaged": ("damaged in the spool", 'see the folder "quarantine" in the spool'),
    "spool_gone": ("removed from the spool by somebody", ""),
    "expired_in_spool": ("too old when they could be sent", "send what waits in time with: dxray sync"),
    "rejected_by_server": (
        "not readable for the server",
        "let the server be as new as the SDK",
    ),
    "truncated": ("cut or left out", ""),
    "redacted": ("redacted", ""),
}
# The order in which an equation of a step's items reads.
LEFT = ("in", "produced")
RIGHT = ("accepted", "rejected", "selected", "outranked", "merged", "consumed")


def status_span(status: str) -> Span:
    """A run's status with its sign."""
    sign, style = STATUS.get(status, ("?", "warn"))
    return Span(f"{sign} {clean(status)}", style)


def runs_lines(runs: Runs, now: datetime | None = None) -> list[Line]:
    """A page of runs, one line each."""
    lines = []
    for run in runs:
        line = Line([Span(clean(run.run_id), "name"), Span("  ")])
        line.add(f"{age(run.started_at, now):>10}  ", "dim").append(status_span(run.status))
        lines.append(line.add(f"  {run.pipeline}"))
        if lost_events(run):
            line.add(f"  ! {number(lost_events(run))} lost", "warn")
    if runs.total is not None and runs.total > len(runs):
        lines.append(Line().add(f"{number(len(runs))} of {number(runs.total)} runs", "dim"))
    return lines or [Line().add("no runs", "dim")]


def rejected(step: Step) -> str:
    """A step's rejection rate; none of a step that crashed and rejected nothing, for it did not get there."""
    return DASH if step.error is not None and not step.rejection_rate else percent(step.rejection_rate)


def steps_lines(steps: Steps) -> list[Line]:
    """A page of steps across runs, one line each."""
    lines = []
    names = max((min(cells(clean(step.title)), 30) for step in steps), default=0)
    for step in steps:
        line = Line().add(pad(clip(clean(step.title), 30), names), "name")
        line.add(f"  {number(step.input_count):>7} → {number(step.output_count):<7}", "dim")
        line.add(f"  {rejected(step):>7} rejected")
        lines.append(line.add(f"  {step.step_type or DASH}  {step.pipeline or DASH}  {step.run_id or DASH}", "dim"))
    if steps.total is not None and steps.total > len(steps):
        lines.append(Line().add(f"{number(len(steps))} of {number(steps.total)} steps", "dim"))
    return lines or [Line().add("no steps", "dim")]


def pipelines_lines(pipelines: Sequence[Pipeline], now: datetime | None = None) -> list[Line]:
    """Pipelines, one line each: how many runs, how they ended, and the step that rejects most."""
    lines = []
    names = max((min(cells(clean(one.pipeline)), 40) for one in pipelines), default=0)
    for one in pipelines:
        line = Line().add(pad(clip(clean(one.pipeline), 40), names), "name")
        line.add(f"  {number(one.runs):>7} run{'' if one.runs == 1 else 's'}, last {age(one.last_run_at, now)}")
        for status in STATUS:
            count = getattr(one, status)
            if count and status != "completed":
                line.add(f"  {number(count)} {status}", STATUS[status][1])
        worst = one.worst_step
        if isinstance(worst, Mapping):
            rate = worst.get("rejection_rate")
            share = percent(rate if isinstance(rate, int | float) else None)
            line.add(f"  {worst.get('step_name')} rejects {share}", "dim")
        lines.append(line)
    return lines or [Line().add("no pipelines", "dim")]


def run_lines(run: Run, width: int = WIDTH, now: datetime | None = None, commands: bool = False) -> list[Line]:
    """A run: what it is, what came in and out, then its steps as a tree with their counts; `commands` to go on with."""
    lines = [Line([status_span(run.status), Span("  ")]).add(run.pipeline, "bold").add("  ").add(run.run_id, "name")]
    lines.extend(flow(Line([Span("  ")]), [[part] for part in _about(run, now)], width))
    for label, value in (("input", run.input), ("output", run.output), ("metadata", run.metadata)):
        if value not in (None, {}, []):
            said = wrap(value_text(value, 4 * width), width - 11)
            said = (
                said
                if len(said) <= MOST_LINES
                else [*said[: MOST_LINES - 1], clip(" ".join(said[MOST_LINES - 1 :]), width - 11)]
            )
            lines.append(Line().add(f"  {label:<8} ", "dim").add(said[0]))
            lines.extend(Line().add(" " * 11 + more) for more in said[1:])
    if run.error is not None:
        lines.extend(_error("  ", run.error, width))
    lines.extend(_losses("  ", run, width))
    lines.extend(_remedies("  ", run, width))
    if run.steps:
        lines.append(Line())
        lines.extend(_tree(run.steps, width))
    if commands:
        lines.extend(ask_next(_after_run(run)))
    return lines


def _about(run: Run, now: datetime | None) -> Iterator[Span]:
    at = moment(run.started_at)
    if at is not None:
        since = age(run.started_at, now)
        ago = f" ({since} ago)" if since[-1:] in "smhd" and since[:1].isdigit() else ""
        yield Span(f"{at:%Y-%m-%d %H:%M:%S} UTC{ago}")
    if run.duration_ms is not None:
        yield Span(f"took {duration(run.duration_ms)}")
    steps = run.step_count if run.step_count is not None else len(run.steps)
    yield Span(f"{number(steps)} step{'' if steps == 1 else 's'}")
    for label, value in (
        ("", run.environment),
        ("code ", run.code_version),
        ("variant ", run.variant),
        ("child of ", run.parent_run_id),
        ("trace ", run.trace_id),
    ):
        if value:
            yield Span(clean(f"{label}{value}"))
    for label in run.labels or ():
        said = label.get("label") if isinstance(label, Mapping) else label
        yield Span(clean(f"labelled {said}"), "info")


def error_text(error: Any) -> str:
    """A recorded error as `Type: message`."""
    if isinstance(error, Mapping) and ("message" in error or "type" in error):
        return ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    return value_text(error, 2000)


def _error(indent: str, error: Any, width: int) -> list[Line]:
    first, *more = wrap(error_text(error), width - len(indent) - 2)[:6]
    lines = [Line().add(f"{indent}✖ ", "bad").add(first, "bad")]
    return lines + [Line().add(f"{indent}  ").add(line, "bad") for line in more]


def lost_events(of: Run | Step) -> int:
    """How many events did not arrive; values that were changed are none of them."""
    return sum(n for cause, n in (of.losses or {}).items() if cause not in VALUE_LOSSES and isinstance(n, int))


def _losses(indent: str, of: Run | Step, width: int) -> list[Line]:
    lines: list[Line] = []
    lost: list[list[Span]] = []
    changed: list[list[Span]] = []
    for cause, n in (of.losses or {}).items():
        words = CAUSES.get(cause, (clean(cause), ""))[0]
        what = "value" if cause in VALUE_LOSSES else "rule" if cause == "unknown_operator" else "event"
        part = [Span(f"{number(n)} {what}{'' if n == 1 else 's'} ({words})", "warn")]
        (changed if cause in VALUE_LOSSES else lost).append(part)
    changed += [[Span(value_text(mark, 200))] for mark in of.marks or ()]
    if lost:
        lines.extend(flow(Line().add(f"{indent}! lost: ", "warn"), lost, width))
    if changed:
        lines.extend(flow(Line().add(f"{indent}! changed to be stored: ", "warn"), changed, width))
    return lines


def _remedies(indent: str, run: Run, width: int) -> list[Line]:
    """What can be done so that less is lost, once for a run with all its steps."""
    lines = []
    for cause in run.losses or ():
        words, remedy = CAUSES.get(cause, ("", ""))
        first, *more = wrap(f"{words}: {remedy}", width - len(indent) - 4) if remedy else ("",)
        if remedy:
            lines.append(Line().add(f"{indent}  → {first}", "dim"))
            lines.extend(Line().add(f"{indent}    {text}", "dim") for text in more)
    return lines


class _Row:
    """A step in the tree, with what stands before its name and before its details."""

    def __init__(self, step: Step, prefix: str, below: str) -> None:
        attempt = f" (attempt {step.attempt})" if (step.attempt or 1) > 1 else ""
        self.step = step
        self.prefix = prefix
        self.below = below
        self.name = clean(step.title) + attempt
        self.type = clean(step.step_type or "")
        self.figures = (
            number(step.input_count),
            number(step.output_count),
            rejected(step),
            duration(step.duration_ms),
        )


def _tree(steps: Sequence[Step], width: int) -> list[Line]:
    rows = list(_rows(steps))
    heads = ("in", "out", "rejected", "took")
    sizes = [max(len(head), *(cells(row.figures[n]) for row in rows)) for n, head in enumerate(heads)]
    types = min(max(cells(row.type) for row in rows), 12)
    room = width - 2 - types - sum(sizes) - 2 * len(sizes) - 2
    names = max(12, min(room, max(len("step"), *(cells(row.prefix + row.name) for row in rows))))

    def fields(name: str, kind: str, figures: Sequence[str]) -> str:
        right = "".join("  " + pad(figure, size, right=True) for figure, size in zip(figures, sizes, strict=True))
        return f"{pad(clip(name, names), names)}  {pad(clip(kind, types), types)}{right}"

    lines = [Line().add("  " + fields("step", "type", heads), "dim")]
    titles = {step.step_id: step.title for step in steps}
    for row in rows:
        whole = fields(row.prefix + row.name, row.type, row.figures)
        split = len(row.prefix)
        name, rest = whole[split : split + len(clip(row.name, names - split))], ""
        rest = whole[split + len(name) :]
        lines.append(Line([Span("  " + row.prefix, "dim"), Span(name, "name"), Span(rest)]))
        lines.extend(_details(row, titles, width))
    return lines


def _rows(steps: Sequence[Step]) -> Iterator[_Row]:
    known = {step.step_id for step in steps}
    children: dict[str | None, list[Step]] = {}
    for step in steps:
        parent = step.parent_step_id
        children.setdefault(parent if parent in known and parent != step.step_id else None, []).append(step)
    seen: set[int] = set()

    def walk(parent: str | None, before: str) -> Iterator[_Row]:
        siblings = children.get(parent, [])
        for position, step in enumerate(siblings):
            if id(step) in seen:
                continue
            seen.add(id(step))
            last = position == len(siblings) - 1
            below = before + ("   " if last else "│  ")
            has_children = bool(children.get(step.step_id))
            yield _Row(step, before + ("└─ " if last else "├─ "), below + ("│  " if has_children else "   "))
            yield from walk(step.step_id, below)

    yield from walk(None, "")
    # Parents that are each other's children hang in no tree; they are shown all the same.
    yield from (_Row(step, "?─ ", "   ") for step in steps if id(step) not in seen)


def _details(row: _Row, titles: Mapping[str, str], width: int) -> Iterator[Line]:
    step, room = row.step, width - 2 - len(row.below)
    lines: list[Line] = []
    equation = balance(step)
    if equation:
        parts = [equation, *_lost(step)]
        lines.extend(flow(Line(), [part for part in parts if _size(part) <= room], room))
        # A cause that is longer than the line is set on lines of its own, whole.
        lines.extend(
            Line().add(text, part[0].style)
            for part in parts
            if _size(part) > room
            for text in wrap("".join(span.text for span in part), room)
        )
    reasons = sorted((step.rejection_counts or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    if reasons:
        parts = [[Span(clean(reason)), Span(f" {number(n)}", "bold")] for reason, n in reasons[:12]]
        if len(reasons) > 12:
            parts.append([Span(f"{len(reasons) - 12} more reasons", "dim")])
        lines.extend(flow(Line().add("✖ ", "bad"), parts, room))
    rules = [_asked(rule) for rule in step.rules or () if isinstance(rule, Mapping)]
    if rules:
        lines.extend(flow(Line().add("rules ", "dim"), rules, room))
    if step.after and not step.after_inferred:
        names = ", ".join(titles.get(step_id, step_id) for step_id in step.after)
        lines.append(Line().add(clip(clean(f"after {names}"), room), "dim"))
    for decision in step.decisions or ():
        if isinstance(decision, Mapping):
            lines.extend(flow(Line().add("★ ", "good"), _decision(decision), room, "  "))
    if step.error is not None:
        lines.extend(_error("", step.error, room))
    for said in step.contradictions or ():
        lines.extend(Line().add(text, "warn") for text in wrap(f"! {said}", room))
    lines.extend(_losses("", step, room))
    for line in lines:
        yield Line([Span("  " + row.below, "dim"), *line])


def _asked(rule: Mapping[str, Any]) -> list[Span]:
    spans = [Span(clean(f"{rule.get('field')} {rule.get('op')} {fact(rule.get('threshold'), 30)}"))]
    if rule.get("evaluated") is not None:
        spans.append(Span(f" failed {number(rule.get('failed'))} of {number(rule['evaluated'])}", "dim"))
    if rule.get("uncomparable"):
        spans.append(Span(f" ({number(rule['uncomparable'])} could not be compared)", "warn"))
    return spans


def balance(step: Step) -> list[Span]:
    """A step's items as an equation, what is not accounted for included; empty when nothing was counted."""
    counts = step.counts or {}
    left = [f"{number(counts[key])} {key}" for key in LEFT if counts.get(key)]
    right = [f"{number(counts[key])} {key}" for key in RIGHT if counts.get(key)]
    if counts.get("accepted_by_count"):
        right.append(f"{number(counts['accepted_by_count'])} accepted, not itemised")
    if counts.get("rejected_by_count"):
        right.append(f"{number(counts['rejected_by_count'])} rejected, not itemised")
    if not left and not right:
        return []
    unaccounted = counts.get("unaccounted", step.unaccounted)
    spans = [Span(" + ".join(left) or "0 in"), Span(" = ", "dim"), Span(" + ".join(right) or "0")]
    if unaccounted and unaccounted > 0 and not right:
        return [*spans[:2], Span(f"{number(unaccounted)} unaccounted", "warn")]
    if unaccounted is None:
        return [*spans, Span(" + ? unaccounted", "dim")]
    sign = "-" if unaccounted < 0 else "+"
    return [*spans, Span(f" {sign} {number(abs(unaccounted))} unaccounted", "warn" if unaccounted else "dim")]


def _size(part: Sequence[Span]) -> int:
    return sum(cells(span.text) for span in part)


def _lost(step: Step) -> Iterator[list[Span]]:
    for edge in step.edges:
        source = f" after {clean(edge.step_name)}" if len(step.edges) > 1 and edge.step_name else ""
        if edge.lost_between is None:
            yield [Span(clean(f"? lost before{source}: {edge.cause or 'not known'}"), "dim")]
        else:
            words = f"{number(edge.lost_between)} lost before{source}"
            yield [Span(words, "warn" if edge.lost_between else "dim")]


def _decision(decision: Mapping[str, Any]) -> list[list[Span]]:
    selected = decision.get("selected")
    winners = selected if isinstance(selected, list) else [selected]
    parts = [[Span("selected "), Span(value_text(winner, 40), "name")] for winner in winners[:3]]
    if len(winners) > 3:
        parts.append([Span(f"and {len(winners) - 3} more")])
    score = decision.get("score")
    facts = [value_text(decision["reason"])] if decision.get("reason") else []
    facts += [f"score {fact(score)}"] if score is not None else []
    if facts:
        parts.append([Span(f"({', '.join(facts)})", "dim")])
    return parts


def _after_run(run: Run) -> list[str]:
    chosen = [
        winner
        for step in run.steps
        for decision in step.decisions or ()
        if isinstance(decision, Mapping)
        for winner in decision.get("selected") or ()
    ]
    commands = [command for command in (why_command(run.run_id, winner) for winner in chosen[-1:]) if command]
    if not commands and run.steps and is_clean(run.run_id):
        commands = [f"dxray why {shlex.quote(run.run_id)} ITEM"]
    if run.status == "failed" and is_clean(run.pipeline):
        commands.append(f"dxray runs --status failed --pipeline {shlex.quote(run.pipeline)}")
    return commands
