"""How the items of a step read: the sentence, then a line for each item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dxray.wire.answers.step_items import StepItem, StepItems
from dxray.wire.printed.why import OUTCOME
from dxray.wire.text import DASH, WIDTH, Line, Span, beside, clean, clip, fact, number, wrap

_LONGEST = 28  # of an item's id, and of its name


def step_items_lines(answer: StepItems, width: int = WIDTH) -> list[Line]:
    """The items of a step: the sentence, a line for each, how many more there are, and what to record."""
    lines = [Line().add(text, "bold") for text in wrap(answer.sentence, width)]
    if answer.items:
        lines.extend([Line(), *_items(answer, width)])
    if answer.total is not None and answer.total > len(answer.items):
        shown = f"{number(len(answer.items))} of {number(answer.total)}"
        lines.append(Line().add(f"  {shown}; limit and offset show others", "dim"))
    if answer.hint:
        lines.extend(Line().add(f"  {text}", "warn") for text in wrap(answer.hint, width - 2))
    return lines


def _items(answer: StepItems, width: int) -> Iterator[Line]:
    columns = [
        [Span(clip(clean(one.item_id), _LONGEST), "name") for one in answer.items],
        [Span(clip(clean(one.name or ""), _LONGEST)) for one in answer.items],
        [_outcome(one) for one in answer.items],
        [Span(_place(one), "dim") for one in answer.items],
        [_why(one) for one in answer.items],
    ]
    return beside(columns, width)


def _outcome(one: StepItem) -> Span:
    sign, style = OUTCOME.get(one.outcome or "", ("·", ""))
    return Span(clean(f"{sign} {one.outcome or 'observed'}"), style)


def _place(one: StepItem) -> str:
    if one.score is None:
        return ""
    return f"{fact(one.score)} (#{one.rank})" if one.rank else fact(one.score)


def _why(one: StepItem) -> Span:
    facts = one.evidence.items() if isinstance(one.evidence, Mapping) else ()
    said = [one.reason or "", ", ".join(f"{key} {fact(value)}" for key, value in facts)]
    return Span(clean(" · ".join(part for part in said if part) or DASH))
