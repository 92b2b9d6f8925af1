"""How a diff reads: where the runs parted, the steps side by side, what became of what, what was set otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dxray.wire.answers.diff import Diff, DiffStep
from dxray.wire.printed.why import OUTCOME, ask_next, why_command
from dxray.wire.text import (
    DASH,
    WIDTH,
    Line,
    Span,
    Style,
    cells,
    clean,
    clip,
    fact,
    flow,
    fold,
    is_clean,
    number,
    pad,
    value_text,
    wrap,
)

MOST = 8  # of a list

LABELS: dict[str, tuple[str, Style, str]] = {
    "same": ("=", "dim", "same"),
    "config_changed": ("≠", "bad", "config changed"),
    "nondeterministic_here": ("≠", "bad", "same input, other output"),
    "unknown_cause": ("?", "warn", "differs, cause unknown"),
    "inherited": ("↳", "warn", "its input differs already"),
    "structural": ("±", "bad", "not in both runs"),
}
_KEEPS = ("accepted", "selected", "produced")


def diff_lines(diff: Diff, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """A diff: the first divergence and the sentence, the steps side by side, the flips; `commands` to go on with."""
    lines = [_head(diff, width)]
    lines.extend(Line().add(text, "bold") for text in wrap(diff.sentence, width) if diff.sentence)
    lines.append(Line())
    lines.extend(_runs(diff, width))
    if diff.steps:
        lines.extend(_steps(diff, width))
    lines.extend(_config(diff, width))
    lines.extend(_minimal(diff, width))
    lines.extend(_flips(diff, width))
    lines.extend(_moves(diff, width))
    lines.extend(_items(diff, width))
    if diff.unknown is not None:
        lines.append(Line())
        lines.extend(_wrapped("unknown", "warn", diff.unknown.detail or diff.unknown.cause or "", width))
    if diff.hint:
        lines.extend(_wrapped("hint", "info", diff.hint, width))
    if commands:
        lines.extend(ask_next(_after(diff)))
    return lines


def _head(diff: Diff, width: int) -> Line:
    first = diff.first_divergence
    if first is None:
        known = diff.unknown is None
        return Line().add("NO DIFFERENCE" if known else "NO DIFFERENCE KNOWN", "badge-good" if known else "badge-warn")
    said = str(first.get("label"))
    inherited = said == "inherited"
    label = "its input differs already" if inherited else LABELS.get(said, ("", "", said))[2]
    line = Line().add("PARTED BEFORE" if inherited else "PARTED AT", "badge-bad").add("  ")
    line.add(clip(value_text(first.get("step_name"), 200), max(20, width - cells(label) - 20)), "name")
    return line.add("  ").add(label, "dim")


def _runs(diff: Diff, width: int) -> Iterator[Line]:
    for side, run_id in (("A", diff.a), ("B", diff.b)):
        run = (diff.runs or {}).get(side.lower()) or {}
        winners = (diff.winners or {}).get(side.lower()) or []
        line = Line().add(f"  {side}  ", "info").add(clean(run_id), "name")
        parts = [
            [Span(clean(run.get(name)), "dim")] for name in ("pipeline", "status", "code_version") if run.get(name)
        ]
        if winners:
            parts.append([Span("selected ", "dim"), Span(_name(winners[0], 40), "good")])
            if len(winners) > 1:
                parts.append([Span(f"and {number(len(winners) - 1)} more", "dim")])
        yield from flow(line.add("  "), parts, width)


def _steps(diff: Diff, width: int) -> Iterator[Line]:
    yield from (Line(), Line().add("  Steps", "bold"))
    sides = [[_through(step, side) for step in diff.steps] for side in ("a", "b")]
    names = min(max(cells(_title(step)) for step in diff.steps), max(16, width // 3))
    sizes = [max(cells(head), *(cells(text) for text in some)) for head, some in zip("AB", sides, strict=True)]
    head = Line().add(" " * (6 + names))
    for side, size in zip("AB", sizes, strict=True):
        head.add(f"  {pad(side, size, right=True)}", "dim")
    yield head
    first = (diff.first_divergence or {}).get("step_id")
    for step, a, b in zip(diff.steps, *sides, strict=True):
        sign, style, label = LABELS.get(step.label, ("·", "", step.label))
        here = first is not None and step.step_id == first
        line = Line().add("  ▶ " if here else "    ", "bad").add(f"{sign} ", style)
        line.add(pad(clip(_title(step), names), names), "name" if here else "")
        line.add(f"  {pad(a, sizes[0], right=True)}").add(f"  {pad(b, sizes[1], right=True)}", "" if a == b else "bold")
        yield from flow(line.add("  "), list(_notes(step, label, style)), width)


def _minimal(diff: Diff, width: int) -> Iterator[Line]:
    """What `isolate` found: sentences, those that are certain first."""
    if diff.minimal_changes is None:
        return
    yield from (Line(), Line().add("  What flips the decision", "bold"))
    if not diff.minimal_changes:
        said = "nothing to flip: no item is known to come through in the one run and not in the other"
        yield from (Line().add("    ").add(text, "dim") for text in wrap(said, max(30, width - 4)))
    sure = sorted(diff.minimal_changes, key=lambda one: one.get("exactness") != "certain")
    for one in sure[:MOST]:
        certain = one.get("exactness") == "certain"
        for position, text in enumerate(wrap(value_text(one.get("sentence"), 400), max(30, width - 4))):
            yield (
                Line()
                .add("    " if position else "  ✔ " if certain else "  ? ", "good" if certain else "warn")
                .add(text)
            )
    if len(sure) > MOST:
        yield Line().add(f"    and {number(len(sure) - MOST)} more; --json lists them", "dim")


def _title(step: DiffStep) -> str:
    name = clean(step.step_name) + (f" #{step.occurrence}" if (step.occurrence or 1) > 1 else "")
    return "  " * min(len(step.path or ()), 8) + name


def _through(step: DiffStep, side: str) -> str:
    found = step.a if side == "a" else step.b
    if found is None:
        return DASH
    return f"{number(found.get('input_count'))} → {number(found.get('output_count'))}"


def _notes(step: DiffStep, label: str, style: Style) -> Iterator[list[Span]]:
    if step.label == "structural" and (step.a is None or step.b is None):
        label = f"only in {'A' if step.b is None else 'B'}"
    elif step.differs is None:
        label = "not known"
    yield [Span(clean(label), style)]
    if step.order_only:
        yield [Span("only the order", "dim")]
    items = step.items or {}
    words = (("flipped", "changed outcome"), ("only_a", "only in A"), ("only_b", "only in B"))
    for name, text in words:
        if items.get(name):
            yield [Span(f"{number(items[name])} {text}", "bold" if name == "flipped" else "dim")]
    for side, found in (("A", step.a), ("B", step.b)):
        earlier = len((found or {}).get("superseded") or ())
        if earlier:
            yield [Span(f"{side}: after {number(earlier)} superseded attempt{'s' if earlier > 1 else ''}", "dim")]
        if found is not None and found.get("error") is not None:
            yield [Span(f"{side}: failed", "bad")]


def _config(diff: Diff, width: int) -> Iterator[Line]:
    changes = diff.config_changes or []
    if changes:
        yield from (Line(), Line().add("  Config", "bold"))
    for change in changes[:MOST]:
        where = value_text(change.get("step_name") or "the run", 40)
        what = str(change.get("reason") or change.get("field"))
        line = Line().add("    ").add(where, "name").add("  ").add(clip(clean(what), 40)).add("  ")
        a, b = (_setting(change.get(side)) for side in ("a", "b"))
        if cells(line.plain) > width // 2:
            yield from fold(line, width)
            line = Line().add("      ")
        yield from flow(line, [[Span("A ", "info"), Span(a)], [Span("B ", "info"), Span(b)]], width)
    yield from _more(len(changes), (diff.totals or {}).get("config_changes"))


def _setting(value: Any) -> str:
    if isinstance(value, Mapping) and {"field", "op", "threshold"} <= set(value):
        return clean(f"{value['field']} {value['op']} {fact(value['threshold'], 40)}")
    return DASH if value is None else fact(value, 60)


def _flips(diff: Diff, width: int) -> Iterator[Line]:
    if diff.flips:
        yield from (Line(), Line().add("  Changed outcome", "bold"))
    names = min(max((cells(_name(flip, 60)) for flip in diff.flips[:MOST]), default=0), max(16, width // 3))
    for flip in diff.flips[:MOST]:
        line = Line().add("    ").add(pad(clip(_name(flip, 60), names), names), "name").add("  ")
        where = [Span("at ", "dim"), Span(value_text(flip.get("step_name"), 40))]
        yield from flow(line, [where, _side("A", flip.get("a")), _side("B", flip.get("b"))], width)
    yield from _more(len(diff.flips), (diff.totals or {}).get("flips"))


def _side(name: str, found: Any) -> list[Span]:
    side = found if isinstance(found, Mapping) else {}
    outcome = str(side.get("outcome") or DASH)
    sign, style = OUTCOME.get(outcome, ("·", ""))
    spans = [Span(f"{name} ", "info"), Span(f"{sign} {clean(outcome)}", style)]
    reason, score = side.get("reason"), side.get("score")
    if reason:
        spans.append(Span(f" {value_text(reason, 40)}", "bold"))
    if score is not None and not (outcome in _KEEPS and reason):
        spans.append(Span(f" {fact(score)}", "dim"))
    return spans


def _moves(diff: Diff, width: int) -> Iterator[Line]:
    moves = diff.rank_moves or []
    if moves:
        yield from (Line(), Line().add("  Changed rank", "bold"))
    for move in moves[: MOST // 2]:
        a, b = move.get("a") or {}, move.get("b") or {}
        line = Line().add("    ").add(_name(move, 40), "name").add("  ")
        where = [Span("at ", "dim"), Span(value_text(move.get("step_name"), 40))]
        sides = [
            [Span(f"{name} ", "info"), Span(f"#{number(one.get('rank'))}"), Span(f" {fact(one.get('score'))}", "dim")]
            for name, one in (("A", a), ("B", b))
        ]
        yield from flow(line, [where, *sides], width)
    yield from _more(len(moves), (diff.totals or {}).get("rank_moves"), MOST // 2)


def _items(diff: Diff, width: int) -> Iterator[Line]:
    totals = diff.totals or {}
    blank = True
    for label, rows, n in (
        ("only in A", diff.departures, totals.get("departures")),
        ("only in B", diff.arrivals, totals.get("arrivals")),
    ):
        if not rows:
            continue
        if blank:
            yield Line()
            blank = False
        parts = [
            [Span(_name(row, 40), "name"), Span(f" {value_text(row.get('step_name'), 24)}", "dim")] for row in rows
        ]
        shown = parts[: MOST // 2]
        more = (n or len(parts)) - len(shown)
        shown += [[Span(f"and {number(more)} more", "dim")]] if more > 0 else []
        yield from flow(Line().add(f"  {label}  ", "info"), shown, width)


def _more(shown: int, total: int | None, most: int = MOST) -> Iterator[Line]:
    left = (total if total is not None else shown) - min(shown, most)
    if left > 0:
        yield Line().add(f"    and {number(left)} more; --json lists them", "dim")


def _name(row: Mapping[str, Any], width: int) -> str:
    return value_text(row.get("name") or row.get("item_id"), width)


def _wrapped(label: str, style: Style, text: str, width: int) -> Iterator[Line]:
    for position, part in enumerate(wrap(text, width - cells(label) - 4)):
        yield Line().add(f"  {pad('' if position else label, cells(label))}  ", style).add(part)


def _after(diff: Diff) -> Sequence[str]:
    """What to ask next: why of the first flip in each run, else of what was selected, and what was shown of a run."""
    winners = diff.winners or {}
    flip = diff.flips[:1]
    commands = [
        why_command(run_id, row.get("item_id"))
        for side, run_id in (("a", diff.a), ("b", diff.b))
        for row in (flip or (winners.get(side) or ())[:1])
    ]
    commands += [f"dxray show {shlex.quote(diff.a)}" if is_clean(diff.a) else ""]
    return [command for command in dict.fromkeys(commands) if command]
