"""Which items could have been meant? Nearest ids and names."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

from dxray.server.filters import Clause
from dxray.server.store.base import Reader

_LOOKED_AT = 2_000
_OFFERED = 5
_ALIKE = 0.6


def named(reader: Reader, run_id: str, name: str) -> list[dict[str, Any]]:
    """The items of a run with exactly this name."""
    where = [Clause("run_id", "==", run_id), Clause("name", "==", name)]
    ids = reader.count_by("events", ["item_id"], where).column("item_id").to_pylist()
    return [{"item_id": item, "name": name} for item in sorted(ids)]


def nearest_items(reader: Reader, run_id: str, asked: str) -> list[dict[str, Any]]:
    """Up to five items of a run whose id or name contains what was asked for, or is like it."""
    here = Clause("run_id", "==", run_id)
    found: dict[str, str | None] = {}
    for where in ([here, Clause("item_id|name", "contains", asked)], [here, Clause("outcome", "not_null")]):
        rows = reader.select("events", ["item_id", "name"], where, limit=_LOOKED_AT).to_pylist()
        for row in rows:
            found[row["item_id"]] = row["name"] or found.get(row["item_id"])
    ranked = sorted(((-_alike(asked, item, name), item) for item, name in found.items()))
    return [{"item_id": item, "name": found[item]} for alike, item in ranked[:_OFFERED] if -alike >= _ALIKE]


def _alike(asked: str, item: str, name: str | None) -> float:
    return max(_ratio(asked.lower(), text.lower()) for text in (item, name or ""))


def _ratio(one: str, other: str) -> float:
    if one and one in other:
        return 1.0 + len(one) / len(other)
    matcher = SequenceMatcher(None, one[:100], other[:100])
    if matcher.real_quick_ratio() < _ALIKE or matcher.quick_ratio() < _ALIKE:
        return 0.0
    return matcher.ratio()
