"""What the items of two runs carry to a step that made something else of them: the same facts, or others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of, shapes_of
from dxray.server.store.base import Reader

ITEMS = 200  # of those that changed, so many are looked at

_COLUMNS = ("step_id", "event_no", "item_id", "score", "shape_id", "num", "str", "evidence_text")
_Carried = dict[tuple[str, str], dict[str, Any]]  # by step and item


@dataclass(frozen=True, slots=True)
class OtherFact:
    """A fact of an item that both runs recorded, and not the same."""

    item_id: str
    key: str
    a: Any
    b: Any
    step_id: str  # of the first run
    before: bool  # at a step before, so that it came in so


def other_fact(
    reader: Reader, run_ids: tuple[str, str], items: Sequence[str], before: Sequence[tuple[str, str]], here: Any
) -> OtherFact | None:
    """The first fact that differs: at the steps `before`, pairs of ids in their order, else `here`.

    What came with a score at the step itself is what the step made of the item, and tells nothing of what came in.
    """
    pairs = [*before, here]
    carried = [
        _carried(reader, run_id, items, [pair[side] for pair in pairs], here[side])
        for side, run_id in enumerate(run_ids)
    ]
    for step_a, step_b in pairs:
        for item in items:
            one, other = (found.get((step, item), {}) for found, step in zip(carried, (step_a, step_b), strict=True))
            for key in one.keys() & other.keys():
                if one[key] != other[key]:
                    return OtherFact(item, key, one[key], other[key], step_a, step_a != here[0])
    return None


def _carried(reader: Reader, run_id: str, items: Sequence[str], steps: Sequence[str], here: str) -> _Carried:
    where = [
        Clause("run_id", "==", run_id),
        Clause("step_id", "in", list(steps)),
        Clause("item_id", "in", list(items)),
        Clause("shape_id|evidence_text", "not_null"),
    ]
    rows = reader.select("events", _COLUMNS, where, ["step_id", "event_no"]).to_pylist()
    shapes = shapes_of(reader, rows)
    found: _Carried = {}
    for row in rows:
        if row["step_id"] != here or row["score"] is None:
            found.setdefault((row["step_id"], row["item_id"]), {}).update(evidence_of(row, shapes) or {})
    return found
