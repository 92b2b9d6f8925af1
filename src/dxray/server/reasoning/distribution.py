"""How recorded values lie: numbers in bins, texts by how often they are there, each by what became of the items.

Pure functions on columns, one value an item.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.slices import Bools, Floats

BINS = 24
_NEAR = 1e-14  # of the largest
_TEXTS = 20  # the most frequent
_LONGEST = 200  # characters of a text that is shown


def distribution(numbers: Floats, texts: pa.Array, kept: Bools, dropped: Bools, edge: float | None) -> dict[str, Any]:
    """NaN and null stand for no value; infinite numbers are in no bin. With `edge` no bin lies on both sides of it."""
    there = np.isfinite(numbers)
    values = numbers[there]
    words = texts.is_valid().to_numpy(zero_copy_only=False) & ~there
    return {
        "n": len(values),
        "without": len(numbers) - len(values),
        "least": float(values.min()) if len(values) else None,
        "greatest": float(values.max()) if len(values) else None,
        "bins": _bins(values, kept[there], dropped[there], edge),
        "values": _texts(texts.filter(pa.array(words)), kept[words], dropped[words]),
    }


def edges_of(low: float, high: float, edge: float | None) -> Floats:
    """The edges of about `BINS` equal bins, the outer ones cut at `low` and `high`; what equals `edge` begins a bin."""
    base = low if edge is None else edge
    low, high = min(low, base), max(high, base)
    width = high / BINS - low / BINS
    if not width > _NEAR * max(abs(low), abs(high)):  # equal, or too near to each other for bins between
        return np.array([low, base, high] if low < base else [low, high])
    # Halves, and quotients before differences: the values may be as far apart as numbers can be.
    below = ceil(base / width - low / width) if low < base else 0
    above = max(1, ceil(high / width - base / width))
    steps = np.arange(-max(below, low < base), above + 1)
    with np.errstate(over="ignore"):
        found: Floats = np.clip(2 * (base / 2 + width / 2 * steps), low, high)
    found[steps == 0] = base
    return found


def _bins(values: Floats, kept: Bools, dropped: Bools, edge: float | None) -> list[dict[str, Any]]:
    if not len(values):
        return []
    edges = edges_of(float(values.min()), float(values.max()), edge)
    many = len(edges) - 1
    at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, many - 1)
    each = (np.bincount(at[of], minlength=many).tolist() for of in (np.ones(len(at), dtype=np.bool_), kept, dropped))
    columns = zip(edges[:-1].tolist(), edges[1:].tolist(), *each, strict=True)
    return [dict(zip(("from", "to", "n", "kept", "dropped"), one, strict=True)) for one in columns]


def _texts(texts: pa.Array, kept: Bools, dropped: Bools) -> list[dict[str, Any]]:
    found = pc.dictionary_encode(texts)
    words, at = found.dictionary, found.indices.to_numpy()
    n, held, lost = (np.bincount(at[of], minlength=len(words)) for of in (slice(None), kept, dropped))
    most = np.argsort(-n, kind="stable")[:_TEXTS]
    return [
        {"value": word[:_LONGEST], "n": int(n[one]), "kept": int(held[one]), "dropped": int(lost[one])}
        for one, word in zip(most, words.take(pa.array(most)).to_pylist(), strict=True)
    ]
