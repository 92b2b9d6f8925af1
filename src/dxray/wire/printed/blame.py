"""How blame reads: a bar for each step, what was wrong there, what is not known, and what to ask next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from dxray.wire.answers.blame import Blame, BlamedStep, Fault, Undecided
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import WIDTH, Line, Style, cells, clean, clip, is_clean, number, pad, wrap

_STEPS = 12
_EXAMPLES = 3  # of a step
_CAUSES = 4
_BAR = 24
_COLOURS: dict[str, Style] = {"bad_generation": "bad", "recall_loss": "bad"}


def blame_lines(answer: Blame, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """Blame: the sentence, a bar for each step, examples, and what the record does not explain."""
    head = Line().add(answer.pipeline or "all pipelines", "name").add("  ").add(_counts(answer), "dim")
    lines = [head, *(Line().add(text, "bold") for text in wrap(answer.sentence, width))]
    if answer.steps:
        lines += [Line(), *_bars(answer, width)]
        lines += _examples(answer, width)
    lines += _not_known(answer, width)
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _counts(answer: Blame) -> str:
    runs = _many(answer.labelled, "labelled run")
    n = answer.complaints or 0
    labels = f"{_many(n, 'label')} {'says' if n == 1 else 'say'} that something was wrong"
    said = [runs, labels]
    if n:
        said[1] += f": {number(answer.explained or 0)} explained, {number(answer.undecided)} undecided"
    if answer.not_looked_at:
        said.append(f"{_many(answer.not_looked_at, 'older run')} not looked at")
    return " · ".join(said)


def _many(n: int, what: str) -> str:
    return f"{number(n)} {what}{'' if n == 1 else 's'}"


def _bars(answer: Blame, width: int) -> Iterator[Line]:
    """Full to the share that was found, and light to what it may be at most."""
    shown = answer.steps[:_STEPS]
    many = len({step.pipeline for step in answer.steps}) > 1
    titles = [f"{step.pipeline} · {step.step_name}" if many else step.step_name for step in shown]
    size = min(max(cells(clean(title)) for title in titles), max(16, width - _BAR - 50))
    for title, step in zip(titles, shown, strict=True):
        line = Line().add("  ").add(pad(clip(clean(title), size), size), "name").add("  ")
        yield (
            _bar(line, step)
            .add(f"  {100 * step.share:>3.0f} %  ", "bold")
            .add(pad(_interval(step), 10), "dim")
            .add(f"  {number(step.faults)} of {number(answer.explained or 0)}")
        )
        parts = [f"{number(n)} {_plain(kind)}" for kind, n in step.classes.items() if n]
        first = f"; the earliest in {number(step.earliest)}" if step.earliest else ""
        yield Line().add(" " * (size + 4)).add(clip(clean(", ".join(parts) + first), width - size - 4), "dim")
    if len(answer.steps) > _STEPS:
        yield Line().add(f"  and {number(len(answer.steps) - _STEPS)} more steps", "dim")
    legend = "█ share of the explained labels that lead to the step   ░ what it may be at most, from so few labels"
    yield from (Line().add(f"  {text}", "dim") for text in wrap(legend, max(30, width - 2)))


def _bar(line: Line, step: BlamedStep) -> Line:
    high = step.interval[1] if len(step.interval) == 2 else step.share
    found, most = (min(_BAR, max(0, round(_BAR * share))) for share in (step.share, high))
    worst = max(step.classes, key=lambda kind: step.classes[kind], default="")
    line.add("█" * found, _COLOURS.get(worst, "warn"))
    return line.add("░" * (most - found), "dim").add(" " * (_BAR - max(most, found)))


def _interval(step: BlamedStep) -> str:
    if len(step.interval) != 2:
        return ""
    low, high = step.interval
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def _plain(kind: str) -> str:
    return {"mis_ranked": "wrongly ranked"}.get(kind, kind.replace("_", " "))


def _examples(answer: Blame, width: int) -> Iterator[Line]:
    yield Line()
    yield Line().add("  What was wrong", "bold")
    for step in answer.steps[:_STEPS]:
        alike: dict[str | None, list[Fault]] = {}
        for fault in answer.faults:
            if fault.step_name == step.step_name:
                alike.setdefault(fault.detail, []).append(fault)
        if alike:
            yield Line().add("  ").add(step.step_name, "name")
        most = sorted(alike.values(), key=lambda one: -len(one))
        for faults in most[:_EXAMPLES]:
            yield from _example(faults, width)
        if len(most) > _EXAMPLES:
            yield Line().add(f"    and {number(len(most) - _EXAMPLES)} other items", "dim")


def _example(faults: Sequence[Fault], width: int) -> Iterator[Line]:
    first = faults[0]
    for position, text in enumerate(wrap(first.detail or "", max(30, width - 4))):
        yield Line().add("    " if position else "  ✖ ", "bad").add(text)
    more = f" and {number(len(faults) - 1)} more" if len(faults) > 1 else ""
    yield Line().add("    ").add(f"{clip(clean(first.run_id), width - 40)}, labelled {first.label}{more}", "dim")
    if first.earliest is None and isinstance(first.unknown, dict):
        for text in wrap(f"perhaps not the first: {first.unknown.get('detail')}", max(30, width - 4)):
            yield Line().add("    ").add(text, "warn")
    if first.never_seen and first.hint:
        for text in wrap(first.hint, max(30, width - 4)):
            yield Line().add("    ").add(text, "info")


def _not_known(answer: Blame, width: int) -> Iterator[Line]:
    grouped: dict[tuple[str | None, str | None, str | None], list[Undecided]] = {}
    for one in answer.unknown:
        grouped.setdefault((one.cause, one.detail, one.hint), []).append(one)
    if not grouped:
        return
    yield Line()
    yield Line().add("  Undecided", "bold")
    most = sorted(grouped.items(), key=lambda one: -len(one[1]))
    for (cause, detail, hint), found in most[:_CAUSES]:
        said = f"{number(len(found))} × {(cause or '').replace('_', ' ')}: {detail}"
        for position, text in enumerate(wrap(said, max(30, width - 4))):
            yield Line().add("    " if position else "  ? ", "warn").add(text)
        for text in wrap(hint, max(30, width - 4)) if hint else ():
            yield Line().add("    ").add(text, "info")
    if len(most) > _CAUSES:
        yield Line().add(f"  and {number(len(most) - _CAUSES)} other causes", "dim")


def _next(answer: Blame) -> list[str]:
    if answer.did_you_mean:
        names = [name for name in answer.did_you_mean if is_clean(name)]
        return [f"dxray blame --pipeline {shlex.quote(name)}" for name in names[:2]]
    if not answer.labelled:
        return ["dxray label last bad", "dxray label RUN wrong ITEM"]
    found = [why_command(fault.run_id, fault.item_id) for fault in answer.faults[:2]]
    found += [why_command(one.run_id, one.item_id) for one in answer.unknown[:1]]
    return [one for one in dict.fromkeys(found) if one]
