"""How stability reads: what flips, where repeated runs part first and what of it reaches the decision, examples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dxray.wire.answers.stability import EntryStep, Stability, UnstableInput
from dxray.wire.printed.why import ask_next
from dxray.wire.text import (
    WIDTH,
    Line,
    Style,
    cells,
    clean,
    clip,
    is_clean,
    number,
    pad,
    percent,
    value_text,
    wrap,
)

_STEPS = 12
_INPUTS = 5
_CHOICES = 3
_BAR = 24


def stability_lines(answer: Stability, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """Stability: the sentence, the figures, a bar for each step where runs part, the inputs that agree least."""
    head = Line().add(answer.pipeline or "all pipelines", "name").add("  ").add(_counts(answer), "dim")
    lines = [head, *(Line().add(text, "bold") for text in wrap(answer.sentence, width))]
    if answer.decided or answer.outputs_known:
        lines += [Line(), *_figures(answer)]
    if answer.entry_steps:
        lines += [Line(), *_entries(answer, width)]
    if answer.unstable:
        lines += [Line(), *_inputs(answer, width)]
    lines += _not_known(answer, width)
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _counts(answer: Stability) -> str:
    said = ["1 run" if answer.runs == 1 else f"{number(answer.runs)} runs"]
    said.append(f"{number(answer.repeats)} of {number(answer.groups)} inputs repeated")
    sizes = answer.repetitions
    if sizes:
        least, most = sizes.get("least"), sizes.get("most")
        said.append(f"{number(least)} times each" if least == most else f"{number(least)} to {number(most)} times")
    left = answer.not_looked_at
    if left.get("runs"):
        said.append(f"{number(left['runs'])} older runs not looked at")
    return " · ".join(said)


def _figures(answer: Stability) -> Iterator[Line]:
    if answer.flip_rate is not None:
        style: Style = "good" if not answer.flipped else "bad" if answer.flip_rate > 0.1 else "warn"
        what = "of inputs flip their decision" if answer.decision_of == "selected" else "of inputs change their output"
        yield _figure(percent(answer.flip_rate), what, _interval(answer.interval), style)
        if answer.pair_flip_rate is not None:
            yield _figure(percent(answer.pair_flip_rate), "chance that two runs of one input differ in it", "", "")
    if answer.tar is not None and answer.decision_of == "selected":
        yield _figure(
            percent(answer.tar), "of inputs give the identical output every time", _interval(answer.tar_interval), ""
        )
    if answer.alpha is not None:
        said = "Krippendorff's alpha: 1 is full agreement, 0 no more than by chance"
        yield _figure(f"{answer.alpha:.3f}", said, "", "")
    if answer.entropy:
        yield _figure(f"{answer.entropy:.2f} bit", "entropy of the decision, the mean over inputs", "", "")


def _figure(value: str, what: str, interval: str, style: Style) -> Line:
    line = Line().add("  ").add(pad(value, 9, right=True), style or "bold").add(f"  {what}")
    return line.add(f"  {interval}", "dim") if interval else line


def _interval(interval: list[float]) -> str:
    return f"{100 * interval[0]:.0f}–{100 * interval[1]:.0f} %" if len(interval) == 2 else ""


def _entries(answer: Stability, width: int) -> Iterator[Line]:
    """Of each step a bar of the pairs that part there: those whose decision differs full, the harmless ones light."""
    yield (
        Line()
        .add("  Where repeated runs part first", "bold")
        .add(f"  ({number(answer.compared)} pairs compared, {number(answer.diverged)} part)", "dim")
    )
    shown = answer.entry_steps[:_STEPS]
    size = min(max(cells(clean(step.step_name)) for step in shown), max(16, width - _BAR - 13))
    for step in shown:
        line = Line().add("  ").add(pad(clip(clean(step.step_name), size), size), "name").add("  ")
        line = _bar(line, step).add(f"  {100 * step.share:>3.0f} %  ", "bold")
        reach = _reach(step)
        if sum(cells(span.text) for span in line) + cells(reach) <= width:
            yield line.add(reach)
            continue
        yield line
        yield from (Line().add(" " * (size + 4)).add(text) for text in wrap(reach, max(30, width - size - 4)))
    if len(answer.entry_steps) > _STEPS:
        yield Line().add(f"  and {number(len(answer.entry_steps) - _STEPS)} more steps", "dim")
    yield Line().add(f"  {'█' * 2} what is decided differs too  {'░' * 2} harmless", "dim")


def _bar(line: Line, step: EntryStep) -> Line:
    length = min(_BAR, max(1, round(_BAR * step.share)))
    reaching = step.flipped / step.decided if step.decided else 0.0
    full = min(length, max(1 if step.flipped else 0, round(length * reaching)))
    return line.add("█" * full, "bad").add("░" * (length - full), "warn").add(" " * (_BAR - length))


def _reach(step: EntryStep) -> str:
    if step.amplification is None:
        return "what was decided is not known"
    if not step.flipped:
        most = f"{100 * step.amplification_interval[-1]:.0f} %"
        return f"harmless in all {number(step.decided)} pairs (at most {most} reach the decision)"
    said = _interval(step.amplification_interval)
    return f"reaches the decision in {number(step.flipped)} of {number(step.decided)} pairs ({said})"


def _inputs(answer: Stability, width: int) -> Iterator[Line]:
    yield Line().add("  Inputs that agree least", "bold")
    for one in answer.unstable[:_INPUTS]:
        yield Line().add("  ").add(value_text(one.input, width - 4), "name")
        yield from (Line().add("    ").add(text, "dim") for text in wrap(_of_input(one), max(30, width - 4)))
        for choice in one.choices[:_CHOICES]:
            line = Line().add("    ").add(f"{number(choice.runs):>4} × ")
            what = "another output" if choice.items is None else _chosen(choice.items)
            example = clip(clean(choice.examples[0]), 40) if choice.examples else ""
            room = width - 11 - cells(example) - 2
            if room >= 30 or cells(clean(what)) <= room:
                yield line.add(clip(clean(what), room), "info").add(f"  {example}", "dim")
            else:
                yield line.add(clip(clean(what), width - 11), "info")
                yield Line().add(" " * 11).add(example, "dim")
        if len(one.choices) > _CHOICES:
            yield Line().add(f"         and {number((one.decisions or 0) - _CHOICES)} more", "dim")
    if len(answer.unstable) > _INPUTS:
        yield Line().add("  more with --json", "dim")


def _of_input(one: UnstableInput) -> str:
    said = [f"{number(one.runs)} runs"]
    said += [f"{number(one.decisions)} decisions"] if one.decisions else []
    said += [f"{number(one.outputs)} outputs"] if one.outputs else []
    said += [f"{number(one.undecided)} not known"] if one.undecided else []
    said += [f"newest {one.newest}"] if one.newest else []  # tells inputs apart that read the same
    return " · ".join(said)


def _chosen(items: list[object]) -> str:
    names = [str(item.get("name") or item.get("item_id")) if isinstance(item, dict) else str(item) for item in items]
    return ", ".join(names) or "nothing"


def _not_known(answer: Stability, width: int) -> Iterator[Line]:
    left = answer.not_looked_at.get("pairs")
    if left:
        yield Line()
        yield Line().add(f"  {number(left)} more pairs were not compared step by step", "dim")
    if not answer.unknown:
        return
    yield Line()
    yield Line().add("  Not known", "bold")
    for one in answer.unknown:
        for position, text in enumerate(wrap(f"{one.detail or one.cause} ({number(one.n)})", max(30, width - 4))):
            yield Line().add("    " if position else "  ? ", "warn").add(text)
        for text in wrap(one.hint, max(30, width - 4)) if one.hint else ():
            yield Line().add("    ").add(text, "info")


def _next(answer: Stability) -> list[str]:
    if answer.did_you_mean:
        names = [one for one in answer.did_you_mean if is_clean(one)]
        return [f"dxray stability --pipeline {shlex.quote(one)}" for one in names[:2]]
    found = [(step.example.get("a", ""), step.example.get("b", "")) for step in answer.entry_steps[:2]]
    for one in answer.unstable[:1]:
        examples = [choice.examples[0] for choice in one.choices[:2] if choice.examples]
        found += [(examples[0], examples[1])] if len(examples) == 2 else []
    commands = [f"dxray diff {shlex.quote(a)} {shlex.quote(b)}" for a, b in found if a and b and is_clean(a + b)]
    return list(dict.fromkeys(commands))[:3]
