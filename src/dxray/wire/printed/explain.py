"""How explain reads: the sentence, the funnel as bars, the slices with their rates, and what to ask next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from math import exp

from dxray.wire.answers.explain import Condition, Explain, Slice, SplitStep
from dxray.wire.printed.why import ask_next
from dxray.wire.text import WIDTH, Line, Style, cells, clean, clip, fact, is_clean, number, pad, percent, wrap

_BAR = 20
_STEPS = 12
_CAUSES = 5
_OTHERS = 3  # descriptions of one cause
_LEFT_OUT = 4
_SIGNS: Mapping[str, str] = {"==": "=", ">=": "≥", "<": "<"}


def explain_lines(answer: Explain, width: int = WIDTH, asked: Mapping[str, str] | None = None) -> list[Line]:
    """Explain, and with `asked` (the filters `a` and `b`) the commands that lead on."""
    lines = [*_head(answer, width)]
    lines += [Line().add(text, "bold") for text in wrap(answer.sentence, width)]
    if any(step.pass_a is not None or step.pass_b is not None for step in answer.funnel):
        lines += [Line(), *_funnel(answer, width)]
    if answer.slices:
        lines += [Line(), *_slices(answer, width)]
    lines += _left_out(answer, width)
    if asked is not None:
        lines.extend(ask_next(_next(answer, asked)))
    return lines


def _head(answer: Explain, width: int) -> Iterator[Line]:
    """What was asked, and what the two sets are."""
    said = [answer.outcome or "rejected"]
    if answer.step_name is not None:
        said.append(f"at {answer.step_name}")
    if answer.overlap:
        said.append(f"{number(answer.overlap)} runs in both left out")
    if answer.tested:
        said.append(f"{number(answer.tested)} slices compared")
    if answer.share_looked_at is not None and answer.share_looked_at < 1:
        said.append(f"{percent(answer.share_looked_at)} of the events looked at")
    yield from _wrapped(Line().add("explain", "name").add("  "), " · ".join(said), width)
    for name, q, runs in (("b", answer.b, answer.runs_b), ("a", answer.a, answer.runs_a)):
        many = f"  {number(runs)} {'run' if runs == 1 else 'runs'}"
        *first, last = wrap("" if q is None else q if q.strip() else "all runs", width - 5 - cells(many)) or [""]
        for position, text in enumerate((*first, last)):
            line = Line().add(" " * 5 if position else f"  {name}  ", "dim").add(text, "name")
            yield line.add(many if position == len(first) else "", "dim")


def _wrapped(line: Line, said: str, width: int, style: Style = "dim") -> Iterator[Line]:
    """A text behind what stands in a line already, and below it where it is long."""
    indent = cells(line.plain)
    for text in wrap(said, max(30, width - indent)):
        yield line.add(text, style)
        line = Line().add(" " * indent)


# The funnel


def _funnel(answer: Explain, width: int) -> Iterator[Line]:
    yield Line().add("  What goes on from each step", "bold").add("  in a, then in b, of what came to it", "dim")
    steps = answer.funnel[:_STEPS]
    size = min(max(cells(clean(step.step_name)) for step in steps), max(12, width - 2 * _BAR - 44))
    most = max((abs(step.delta_ln_pass or 0.0) for step in steps), default=0.0)
    for step in steps:
        line = Line().add("  ").add(pad(clip(clean(step.step_name), size), size), "name").add("  ")
        yield _two_bars(line, step, most)
    if len(answer.funnel) > _STEPS:
        yield Line().add(f"  and {number(len(answer.funnel) - _STEPS)} more steps", "dim")
    if answer.delta_ln_output is not None:
        came = "" if answer.delta_ln_input is None else f"; of what came in, {_times(answer.delta_ln_input)}"
        yield Line().add(f"  For each run {_times(answer.delta_ln_output)} as much comes out in b as in a{came}", "dim")


def _two_bars(line: Line, step: SplitStep, most: float) -> Line:
    delta = step.delta_ln_pass
    worst = delta is not None and abs(delta) == most and most > 0.02
    for rate, style in ((step.pass_a, "dim"), (step.pass_b, "warn" if worst else "info")):
        filled = 0 if rate is None else min(_BAR, max(int(rate > 0), round(_BAR * min(rate, 1))))
        own: Style = "dim" if style == "dim" else "warn" if style == "warn" else "info"
        line.add("█" * filled, own).add("·" * (_BAR - filled), "dim").add(f" {_passed(rate):>7}  ")
    if delta is None:
        return line.add("not known", "dim")
    line.add(f"{_times(delta):>6}", "bold" if worst else "")
    if step.mix is not None and abs(step.mix) >= 0.01:
        line.add(f"  {_times(step.mix)} by other input", "dim")
    return line


def _passed(rate: float | None) -> str:
    if rate is None or rate <= 1:
        return percent(rate)
    return f"× {rate:.3g}"


def _times(delta: float) -> str:
    return f"× {exp(min(delta, 300)):.3g}"


# Slices


def _slices(answer: Explain, width: int) -> Iterator[Line]:
    yield Line().add("  What stands out", "bold").add(f"  {_did(answer)} in a → b", "dim")
    for place, one in enumerate([one for one in answer.slices if one.main][:_CAUSES], 1):
        yield from _slice(one, place, width, _counted(answer))
        others = [other for other in answer.slices if other.cause == one.cause and not other.main]
        for other in others[:_OTHERS]:
            rates = f"{percent(other.rate_a)} → {percent(other.rate_b)} of {number(other.n_b)}"
            yield from _wrapped(Line().add("      or ", "dim"), f"{conditions_line(other.conditions)}  {rates}", width)


def _did(answer: Explain) -> str:
    return f"{answer.outcome}, of all {_counted(answer)} with this,"


def _counted(answer: Explain) -> str:
    """An item counts at each of its steps: that is a verdict."""
    return "runs" if answer.counted == "runs" else "verdicts"


def _slice(one: Slice, place: int, width: int, counted: str) -> Iterator[Line]:
    texts = wrap(conditions_line(one.conditions), max(30, width - 6))
    for position, text in enumerate(texts):
        yield Line().add("      " if position else f"  {place:>2}  ", "dim").add(text, "name")
    line = Line().add("      ").add(percent(one.rate_a), "good").add(" → ").add(percent(one.rate_b), "bad")
    line.add(f" of {number(one.n_b)} {counted}")
    if one.risk_ratio is not None:
        line.add(f"  × {one.risk_ratio:.3g}", "bold")
    if len(one.interval) == 2:
        line.add(f"  {_short(one.interval[0])}–{_short(one.interval[1])} (95 %)", "dim")
    yield line
    said = [f"{percent(one.support)} of those in b"]
    if one.coverage is not None:
        said.append(f"{percent(min(one.coverage, 1))} of the rise")
    if one.counter_examples:
        said.append(f"{number(one.counter_examples)} against it")
    if one.p_adjusted is not None:
        said.append(f"by chance: {'≤ ' if one.p_adjusted <= 0.001 else ''}{max(one.p_adjusted, 0.001):.2g}")
    if one.estimated:
        said.append("estimated from a sample")
    yield from _wrapped(Line().add("      "), " · ".join(said), width)
    if one.examples:
        yield from _wrapped(Line().add("      "), "such as " + ", ".join(one.examples), width)


def _short(ratio: float) -> str:
    return f"{ratio:.3g}" if ratio < 1000 else number(round(ratio))


def conditions_line(conditions: Sequence[Condition]) -> str:
    """`input.kind = "toys", evidence.price ≥ 60`."""
    return clean(", ".join(f"{one.field} {_SIGNS.get(one.op, one.op)} {fact(one.value)}" for one in conditions))


def _left_out(answer: Explain, width: int) -> Iterator[Line]:
    if not answer.left_out:
        return
    yield Line()
    yield Line().add("  Not looked at, or not known", "bold")
    for one in answer.left_out[:_LEFT_OUT]:
        yield from _wrapped(Line().add("    "), f"{one.field}: {one.why}", width)
    if len(answer.left_out) > _LEFT_OUT:
        yield Line().add(f"    and {number(len(answer.left_out) - _LEFT_OUT)} more", "dim")


def _next(answer: Explain, asked: Mapping[str, str]) -> list[str]:
    """A run of what stands out; the other outcome of the same sets."""
    if not answer.runs_a or not answer.runs_b:
        return ["dxray runs"]
    found = [f"dxray show {shlex.quote(run)}" for one in answer.slices[:1] for run in one.examples[:1] if is_clean(run)]
    if all(is_clean(q) for q in asked.values()):
        other = "accepted" if answer.outcome == "rejected" else "rejected"
        found.append(f"dxray explain --a {shlex.quote(asked['a'])} --b {shlex.quote(asked['b'])} --outcome {other}")
    return found
