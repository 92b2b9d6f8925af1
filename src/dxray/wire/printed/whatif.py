"""How what-if reads: the change, the curve, the reasons afterwards, the runs whose winner changes, and what is open."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from dxray.wire.answers.whatif import CurvePoint, FlippedItem, Named, RuleChange, Whatif, WinnerChange
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import WIDTH, Line, Style, cells, clean, clip, fact, is_clean, number, pad, wrap

_HEIGHT = 8  # rows of the curve
_WIDEST = 100
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_RUNS = 12
_EXAMPLES = 8
_REASONS = 12


def whatif_lines(answer: Whatif, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """What-if: the sentence, then what it rests on."""
    lines = [Line().add(answer.pipeline or "all pipelines", "name").add("  ").add(_scope(answer), "dim")]
    lines += [Line().add(text, "bold") for text in wrap(answer.sentence, width)]
    if answer.curve:
        lines += [Line(), *curve_lines(answer.curve, width)]
    if answer.changes:
        lines += _estimate(answer, width)
        lines += _reasons(answer, width)
        lines += _winners(answer, width)
        lines += _examples(answer, width)
        lines += _open(answer, width)
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _scope(answer: Whatif) -> str:
    if not answer.changes:
        return f"{number(answer.runs)} runs"
    said = [f"{number(answer.replayed)} of {number(answer.runs)} runs have the rule"]
    if answer.not_looked_at:
        said = [f"the newest {number(answer.replayed)} of {number(answer.runs_with_rule)} runs with the rule"]
    return " · ".join([*said, (answer.exactness or "").replace("_", " ")])


def pair(both: Sequence[int]) -> str:
    """`12`, or `12 to 15` where only bounds are known."""
    if len(both) != 2:
        return "–"
    return number(both[0]) if both[0] == both[1] else f"{number(both[0])} to {number(both[1])}"


# The curve


def curve_lines(curve: Sequence[CurvePoint], width: int = WIDTH) -> Iterator[Line]:
    """A column for each threshold, as far as the width allows: full to what is certain, light to what may be."""
    whole = [one for one in curve if len(one.flipped) == 2]
    if not whole:
        return
    most = max(one.flipped[1] for one in whole)
    label = max(cells(number(most)), 3)
    columns = min(len(whole), max(2, min(width, _WIDEST) - label - 5))
    # Of the thresholds that share a column, the highest is drawn, so that no peak goes missing.
    parts = [whole[n * len(whole) // columns : (n + 1) * len(whole) // columns] for n in range(columns)]
    drawn = [max(part, key=lambda one: (one.flipped[1], one.flipped[0])).flipped for part in parts]
    wide = max(1, (min(width, _WIDEST) - label - 5) // columns)
    yield Line().add("  items decided otherwise, at each threshold", "dim")
    for row in reversed(range(_HEIGHT)):
        head = number(most) if row == _HEIGHT - 1 else "0" if row == 0 else ""
        line = Line().add(f"  {pad(head, label, right=True)} ", "dim").add("▏", "dim")
        for low, high in drawn:
            full = _cell(low, most, row)
            light = full == " " and high * _HEIGHT > most * row and high > 0
            line.add(("░" if light else full) * wide, "dim" if light else "info")
        yield line
    first, last = fact(curve[0].threshold), fact(curve[-1].threshold)
    gap = max(1, columns * wide - cells(first) - cells(last))
    yield Line().add(" " * (label + 4) + first + " " * gap + last, "dim")
    if any(one.flipped[0] != one.flipped[1] for one in whole):
        yield Line().add(" " * (label + 4)).add("█", "info").add(" certainly  ", "dim").add("░ at most", "dim")


def _cell(value: int, most: int, row: int) -> str:
    if most <= 0:
        return " "
    eighths = round(8 * (value * _HEIGHT / most - row))
    return _EIGHTHS[min(8, max(0, eighths))]


# What it rests on


def _estimate(answer: Whatif, width: int) -> Iterator[Line]:
    """What is sure beside what a sample says."""
    found = answer.flipped_estimate
    if found is None or len(found.interval) != 2:
        return
    yield Line()
    yield Line().add("  Items decided otherwise", "bold")
    yield Line().add("  for certain       ").add(pair(answer.flipped), "bold")
    about = "" if found.about is None else f"about {number(found.about)}, "
    line = Line().add("  by the sample     ").add(f"{about}{pair(found.interval)} (95 %)", "bold")
    said = f"{number(found.looked_at)} of {number(found.items)} items kept their evidence, by chance"
    yield from _beside(line.add("  "), said, width, "dim")


def _reasons(answer: Whatif, width: int) -> Iterator[Line]:
    rows = [one for one in answer.by_reason_after if one.after != [one.before, one.before]][:_REASONS]
    if not rows:
        return
    yield Line()
    yield Line().add("  Items by reason", "bold")
    titles = [clean(one.reason) if one.reason else "not rejected" for one in rows]
    size = min(max(map(cells, titles)), max(16, width - 40))
    for title, one in zip(titles, rows, strict=True):
        line = Line().add("  ").add(pad(clip(title, size), size), "name" if one.reason else "")
        yield line.add(f"  {number(one.before)} → ").add(pair(one.after), "bold")


def _winners(answer: Whatif, width: int) -> Iterator[Line]:
    if not answer.winner_changes:
        return
    yield Line()
    yield Line().add("  Runs with another outcome", "bold")
    alike: dict[tuple[bool, str], list[WinnerChange]] = {}
    for one in answer.winner_changes:
        alike.setdefault((one.changes == "yes", _change(one)), []).append(one)
    told = 0
    for (certain, change), runs in list(alike.items())[:_RUNS]:
        line = Line().add("  ✖ " if certain else "  ? ", "bad" if certain else "warn")
        line.add(clip(clean(runs[0].run_id), 42), "name")
        line.add(f" and {number(len(runs) - 1)} more like it" if len(runs) > 1 else "", "dim").add("  ")
        yield from _beside(line, change, width, "")
        told += len(runs)
    total = answer.winners_changed[1] if len(answer.winners_changed) == 2 else len(answer.winner_changes)
    if total > told:
        yield Line().add(f"    and {number(total - told)} more", "dim")


def _change(one: WinnerChange) -> str:
    before = _titles(one.from_)
    if one.exactness == "certain":
        return f"{before} → {_titles(one.to) or 'nothing'}"
    if one.again:
        return f"{before} → not known until {' and '.join(map(clean, one.again))} has run again"
    open_ = [*one.to, *one.may_win]
    return f"{before} → perhaps {_titles(open_) or 'nothing'}" + (" or others" if one.may_be_others else "")


def _titles(items: Sequence[Named]) -> str:
    shown = ", ".join(clip(clean(one.title), 40) for one in items[:3])
    return f"{shown} and {len(items) - 3} more" if len(items) > 3 else shown


def _examples(answer: Whatif, width: int) -> Iterator[Line]:
    if not answer.examples:
        return
    yield Line()
    yield Line().add("  Examples", "bold")
    told: dict[tuple[str, str], FlippedItem] = {}
    for one in answer.examples:  # an item that comes in many runs is told once
        told.setdefault((one.item_id, _example(one)), one)
    for one in list(told.values())[:_EXAMPLES]:
        kept = one.now == "kept"
        line = Line().add("  + " if kept else "  - ", "good" if kept else "bad")
        line.add(clip(clean(one.title), 40), "name").add("  ")
        yield from _beside(line, _example(one), width, "dim")


def _beside(head: Line, text: str, width: int, style: Style) -> Iterator[Line]:
    """`text` behind `head` where there is room, else below it."""
    if sum(cells(span.text) for span in head) + cells(text) <= width:
        yield head.add(text, style)
        return
    yield head
    for part in wrap(text, max(30, width - 6)):
        yield Line().add("      ").add(part, style)


def _example(one: FlippedItem) -> str:
    said = f"{clean(one.field)} {fact(one.observed)}: " if one.field is not None and one.observed is not None else ""
    how = "" if one.exactness == "certain" else "perhaps "
    now = f"{how}{one.now} by {clean(one.step_name)}"
    return f"{said}{now}" + (f", {clean(one.then)}" if one.then and one.exactness == "certain" else "")


def _open(answer: Whatif, width: int) -> Iterator[Line]:
    if not answer.unknown:
        return
    yield Line()
    yield Line().add("  Not certain, because", "bold")
    for one in answer.unknown[:6]:
        for position, text in enumerate(wrap(one.detail or "", max(30, width - 4))):
            yield Line().add("    " if position else "  ? ", "warn").add(text)
        for text in wrap(one.hint, max(30, width - 4)) if one.hint else ():
            yield Line().add("    ").add(text, "info")


def _next(answer: Whatif) -> list[str]:
    found = [why_command(one.run_id, one.from_[0].item_id) for one in answer.winner_changes[:1] if one.from_]
    found += [flip_command(one.run_id, one.item_id) for one in answer.examples if one.now == "kept"][:1]
    if not answer.curve and len(answer.changes) == 1:
        found.append(_sweep(answer.changes[0], answer.pipeline))
    return [one for one in dict.fromkeys(found) if one]


def _sweep(change: RuleChange, pipeline: str | None) -> str:
    ends = [value for value in [*change.from_, change.to] if isinstance(value, int | float)]
    ends = [value for value in ends if not isinstance(value, bool)]
    if not ends or not is_clean(change.reason) or change.op not in ("<", "<=", ">", ">="):
        return ""
    low, high = min(ends), max(ends)
    reach = (high - low) or abs(high) / 2 or 1
    of = f"--pipeline {shlex.quote(pipeline)} " if pipeline and is_clean(pipeline) else ""
    return f"dxray whatif {of}--sweep {shlex.quote(change.reason)} {fact(low - reach)}..{fact(high + reach)}"


def flip_command(run_id: str, item: str) -> str:
    """A command ready to be copied; empty for an id that cannot be typed as it shows."""
    why = why_command(run_id, item)
    return why and f"dxray flip{why.removeprefix('dxray why')}"
