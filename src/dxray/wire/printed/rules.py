"""How the health of rules reads: each rule with its counts, and the values around its limit as a row of blocks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from dxray.wire.answers.rules import NearMisses, RuleHealth, Rules
from dxray.wire.printed.why import ask_next
from dxray.wire.text import WIDTH, Line, Span, Style, cells, clean, clip, fact, flow, is_clean, number, percent, wrap

_RULES = 20
_REASONS = 6
_BLOCKS = "▁▂▃▄▅▆▇█"
_UNKNOWN_SOLE = {
    "not_all_asked": "not all rules were asked of every item; step.require_all([…]) asks them",
    "not_read": "not all observations were read, or they did not arrive",
    "not_counted": "not counted",
}
_NO_MARGIN = {
    "no_numbers": "no number was observed",
    "one_value": "all observed values are the same",
    "too_far_apart": "the values lie too far apart",
    "not_read": "no observations were read",
}


def rules_lines(answer: Rules, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """The sentence, then each rule: what it dropped, what lies around its limit, whether it is needed."""
    head = Line().add(answer.pipeline or "all pipelines", "name").add("  ").add(_counts(answer), "dim")
    lines = [head, *(Line().add(text, "bold") for text in wrap(answer.sentence, width))]
    many = len({rule.pipeline for rule in answer.rules}) > 1
    step: list[str] = []
    for rule in answer.rules[:_RULES]:
        where = [rule.pipeline or "", rule.step_name] if many else [rule.step_name]
        lines.append(Line())
        if where != step:
            parts = [[Span(clip(clean(name), max(20, width - 6)), "name")] for name in where]
            lines += flow(Line().add("  "), parts, width)
            step = where
        lines += _rule(rule, width)
    if len(answer.rules) > _RULES:
        lines += [Line(), Line().add(f"  and {number(len(answer.rules) - _RULES)} more rules; --json has them", "dim")]
    lines += _without(answer, width)
    lines += _not_known(answer, width)
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _counts(answer: Rules) -> str:
    said = [
        "1 run" if answer.runs == 1 else f"{number(answer.runs)} runs",
        "1 rule" if len(answer.rules) == 1 else f"{number(len(answer.rules))} rules",
    ]
    left = answer.not_looked_at
    if left.get("runs"):
        said.append(f"{number(left['runs'])} older runs not looked at")
    if left.get("observations"):
        said.append(f"margins without {number(left['observations'])} older observations")
    return " · ".join(said)


def _rule(rule: RuleHealth, width: int) -> Iterator[Line]:
    text = f"{clean(rule.field)} {clean(rule.op).replace('_', ' ')} {_threshold(rule)}"
    head = Line().add("  ").add(clip(text, width - 2), "info").add("  ")
    reason = clean(rule.reason or "")
    if cells(text) + cells(reason) + 4 <= width:
        yield head.add(reason, "dim")
    else:
        yield from (head, Line().add("    ").add(clip(reason, width - 4), "dim"))
    said, style = _dropped(rule)
    yield from (Line().add("    ").add(part, style) for part in wrap(said + _sole(rule), max(30, width - 4)))
    if rule.near_misses is not None:
        yield from _histogram(rule.near_misses, rule.field, width)
    elif rule.no_margin in _NO_MARGIN and rule.kills:
        yield Line().add(f"    no distance to the limit: {_NO_MARGIN[rule.no_margin]}", "dim")
    for said, style in _notes(rule):
        for text in wrap(said, max(30, width - 4)):
            yield Line().add("    ").add(text, style)


def _dropped(rule: RuleHealth) -> tuple[str, Style]:
    if rule.unknown is not None:
        return str(rule.unknown.detail), "warn"
    if rule.never_ran:
        return f"never asked in {number(rule.runs)} runs", "warn"
    if rule.fires_never:
        most = f"; at most {percent(rule.interval[1])} of values would (95 %)" if len(rule.interval) == 2 else ""
        return f"never failed, asked {number(rule.evaluated)} times{most}", "warn"
    low, high = rule.interval if len(rule.interval) == 2 else (0.0, 1.0)
    share = f"{percent(rule.rate)}, {100 * low:.0f}–{100 * high:.0f} %"
    return f"dropped {number(rule.kills)} of {number(rule.evaluated)} ({share})", "bold"


def _sole(rule: RuleHealth) -> str:
    if not rule.kills:
        return ""
    if rule.sole_kills is not None:
        some = "all" if rule.sole_kills == rule.kills else number(rule.sole_kills) if rule.sole_kills else "none"
        return f"; {some} of them by this rule alone"
    if rule.sole_kills_range is not None:
        low, high = rule.sole_kills_range
        return f"; {number(low)} to {number(high)} of them by this rule alone"
    return ""


def _histogram(near: NearMisses, field: str, width: int) -> Iterator[Line]:
    """A block for each bin, higher for more, what was outside the limit to the left of the line."""
    most = max((one.n for one in near.bins), default=0)
    if not most:
        sides = [f"{number(n)} {side}" for n, side in ((near.below, "outside"), (near.above, "inside")) if n]
        yield Line().add(f"    nothing came near the limit: {' and '.join(sides)}, all far from it", "dim")
        return
    line = Line().add("    ").add(f"{number(near.below):>8} ", "dim")
    for one in near.bins:
        if one.from_ == 0:
            line.add("│", "bold")
        style: Style = "bad" if one.from_ < 0 else "good"
        line.add(_BLOCKS[min(7, 8 * one.n // (most + 1))] if one.n else " ", style)
    yield line.add(f" {number(near.above)}", "dim")
    if near.within is not None:
        said = (
            f"{number(near.failed)} outside and {number(near.passed)} inside lie within {near.within:.4g} of the limit"
        )
        text = f"{said}; a block is {near.within:.4g} of {clean(field)}"
        yield from (Line().add(" " * 13).add(part, "dim") for part in wrap(text, max(30, width - 13)))


def _notes(rule: RuleHealth) -> Iterator[tuple[str, Style]]:
    for other in rule.redundant_with[:3]:
        both = "and the other way round" if other.get("mutual") else f"on all {number(other.get('support'))} items"
        yield (
            f"failed only where {other.get('field')} {other.get('op')} ({other.get('reason')}) failed too, {both}",
            "warn",
        )
    if rule.sole_kills is None and rule.kills and rule.sole_unknown in _UNKNOWN_SOLE:
        yield f"how many by this rule alone is not known exactly: {_UNKNOWN_SOLE[rule.sole_unknown]}", "dim"
    if rule.uncomparable:
        yield f"{number(rule.uncomparable)} values could not be compared: missing, or of another type", "warn"
    drift = rule.drift or {}
    if (rule.thresholds or 0) > 1:
        yield _limits(rule, drift.get("versions") or []), "dim"
    if drift.get("changed"):
        first, last = drift.get("first") or {}, drift.get("last") or {}
        said = f"it dropped {percent(first.get('rate'))} in the first runs and {percent(last.get('rate'))} in the last"
        yield f"{said}: more of a change than chance makes", "warn"


def _threshold(rule: RuleHealth) -> str:
    """The limit; of several how many, the range of those that are numbers, and the last."""
    last, n = fact(rule.threshold, 40), rule.thresholds or 1
    if n <= 1:
        return last
    found = [one.get("threshold") for one in (rule.drift or {}).get("versions") or ()]
    numbers = [one for one in found if isinstance(one, int | float) and not isinstance(one, bool)]
    span = f" from {fact(min(numbers))} to {fact(max(numbers))}" if numbers and len(numbers) == n == len(found) else ""
    return f"{last} (the last of {number(n)} limits{span})"


def _limits(rule: RuleHealth, versions: list[dict[str, Any]]) -> str:
    shown = [f"{fact(one.get('threshold'), 20)} ({percent(one.get('rate'))})" for one in versions[-4:]]
    more = (
        f"{number(rule.thresholds)} limits over time, lastly "
        if (rule.thresholds or 0) > len(shown)
        else "limits over time: "
    )
    return more + " → ".join(shown)


def _without(answer: Rules, width: int) -> Iterator[Line]:
    reasons = answer.without_rule.get("reasons") or []
    if not reasons:
        return
    yield Line()
    yield Line().add("  Dropped without a rule", "bold").add("  (cannot be evaluated again)", "dim")
    for one in reasons[:_REASONS]:
        what = f"{clean(one.get('reason') or 'no reason')} in {clean(one.get('step_name'))}"
        yield Line().add(f"    {number(one.get('rejections')):>8} × ").add(clip(what, width - 18))
    if len(reasons) > _REASONS:
        yield Line().add(f"    and {number(len(reasons) - _REASONS)} more reasons", "dim")
    if answer.without_rule.get("hint"):
        hint = str(answer.without_rule["hint"])
        yield from (Line().add("    ").add(text, "info") for text in wrap(hint, max(30, width - 4)))


def _not_known(answer: Rules, width: int) -> Iterator[Line]:
    if answer.unknown:
        yield Line()
    for one in answer.unknown:
        for position, text in enumerate(wrap(f"{number(one.get('n'))} {one.get('detail')}", max(30, width - 4))):
            yield Line().add("    " if position else "  ? ", "warn").add(text)


def _next(answer: Rules) -> list[str]:
    if answer.did_you_mean:
        names = [one for one in answer.did_you_mean if is_clean(one)]
        return [f"dxray rules --pipeline {shlex.quote(one)}" for one in names[:2]]
    first = answer.look_first or {}
    step, pipeline = str(first.get("step_name", "")), str(first.get("pipeline", ""))
    if not first or not is_clean(step + pipeline):
        return []
    found = [_sweep(rule, pipeline) for rule in answer.rules if _is_first(rule, first)]
    return [*filter(None, found[:1]), f"dxray steps --pipeline {shlex.quote(pipeline)} --name {shlex.quote(step)}"]


def _is_first(rule: RuleHealth, first: dict[str, Any]) -> bool:
    return all(getattr(rule, name) == first.get(name) for name in ("pipeline", "step_name", "reason", "field", "op"))


def _sweep(rule: RuleHealth, pipeline: str) -> str:
    """The command that moves the limit over the values that lie around it; none for a limit that is no number."""
    bins, limit = rule.near_misses.bins if rule.near_misses else [], rule.threshold
    plain = isinstance(limit, int | float) and not isinstance(limit, bool) and rule.op in ("<", "<=", ">", ">=")
    if not (bins and plain and rule.reason and is_clean(rule.reason)):
        return ""
    reach = max(abs(bins[0].from_), abs(bins[-1].to))
    ends = f"{limit - reach:.4g}..{limit + reach:.4g}"
    return f"dxray whatif --pipeline {shlex.quote(pipeline)} --sweep {shlex.quote(rule.reason)} {ends}"
