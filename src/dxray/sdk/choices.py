"""What a decision was made from, as users write it -> columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dxray.sdk import wide
from dxray.sdk.guard import guard
from dxray.sdk.values import as_score

Lost = Callable[[str, int], None]

_PLAIN = frozenset((str, int))


def choices_of(given: Any, lost: Lost) -> tuple[list[Any], Sequence[float | None], Sequence[str | None]]:
    """Ids, scores and reasons of one choice or several; `lost` is told the cause and number of what is none.

    A choice is an id, or `{"id": ..., "score": ..., "reason": ...}`; several may be a mapping of scores by id.
    """
    if given is None:
        return [], [], []
    if isinstance(given, Mapping) and not {"id", "item_id"} & given.keys():
        given = [{"id": item_id, "score": score} for item_id, score in given.items()]
    choices = wide.one_or_several(given)
    if _PLAIN.issuperset(map(type, choices)):  # most often
        choices = list(dict.fromkeys(choices))  # named twice is chosen once
        none = [None] * len(choices)
        return choices, none, none
    rows = [_choice(choice, lost) for choice in choices]
    named = [row for row in rows if row[0] is not None]
    lost("not_recorded", len(rows) - len(named))  # a choice without an id is nobody
    return [row[0] for row in named], [row[1] for row in named], [row[2] for row in named]


def _choice(choice: Any, lost: Lost) -> tuple[Any, float | None, str | None]:
    try:
        if not isinstance(choice, Mapping):
            return choice, None, None
        item_id, score, reason = choice.get("id", choice.get("item_id")), choice.get("score"), choice.get("reason")
    except Exception as error:
        guard.caught(error)
        lost("truncated", 1)
        return choice, None, None
    points = as_score(score)
    lost("truncated", score is not None and points is None)
    return item_id, points, reason
