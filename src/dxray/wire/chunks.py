"""Chunks of events side by side: what belongs to a chunk, and what to each row (only the server imports this)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain, repeat
from typing import Any

import numpy as np
import pyarrow as pa

from dxray.wire.buffers import values_of
from dxray.wire.evidence import Scope, plain_text
from dxray.wire.evidence_arrays import Ints, objects
from dxray.wire.records import Events, Op

OPS = Op.PRODUCED_WITH + 1
RULES = (Op.RULE_PASSED, Op.RULE_FAILED, Op.RULE_ALSO_FAILED)

Codes = np.ndarray[Any, np.dtype[np.int32]]


class Chunks:
    """The rows of all chunks in a row, and the arrays that everything else is made of."""

    def __init__(self, chunks: Sequence[Events], scopes: Sequence[Scope]) -> None:
        self.all = chunks
        self.scopes = scopes
        self.ops = np.frombuffer(b"".join([chunk.ops for chunk in chunks]), dtype=np.uint8)
        self.n = len(self.ops)
        self.lengths: Ints = np.array([len(chunk.ops) for chunk in chunks], dtype=np.intp)
        self.starts: Ints = np.cumsum(self.lengths) - self.lengths
        self.present: list[bool] = (np.bincount(self.ops, minlength=OPS) > 0).tolist()

    @cached_property
    def chunk_of(self) -> Codes:
        """The number of each row's chunk."""
        return np.repeat(np.arange(len(self.all), dtype=np.int32), self.lengths)

    def numbers(self) -> Codes:
        """Event numbers."""
        first = np.array([chunk.first for chunk in self.all], dtype=np.intp)
        rows = np.arange(self.n, dtype=np.intp)
        return (rows + np.repeat(first - self.starts, self.lengths)).astype(np.int32)

    def by_chunk(self, values: Sequence[str]) -> pa.Array:
        """A text per chunk, as a column of rows."""
        numbers: dict[str, int] = {}
        codes = np.array([numbers.setdefault(v, len(numbers)) for v in values], dtype=np.int32)
        return pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(codes, self.lengths)), pa.array(list(numbers), pa.string())
        )

    def listed_a(self) -> list[Any]:
        return list(chain.from_iterable(repeat(None, len(c.ops)) if c.a is None else values_of(c.a) for c in self.all))

    @cached_property
    def a(self) -> np.ndarray[Any, np.dtype[np.object_]]:
        return objects(self.listed_a())

    @cached_property
    def b(self) -> np.ndarray[Any, np.dtype[np.object_]]:
        return objects(list(chain.from_iterable(repeat(None, len(c.ops)) if c.b is None else c.b for c in self.all)))

    def rows(self, *ops: int) -> Ints | None:
        """The rows with one of these ops; None when there are none."""
        if not any(self.present[op] for op in ops):
            return None
        wanted = np.zeros(256, dtype=np.bool_)
        wanted[list(ops)] = True
        return np.flatnonzero(wanted[self.ops])

    def are_only(self, ops: Sequence[int]) -> bool:
        return not any(there for op, there in enumerate(self.present) if op not in ops)

    def rule_numbers(self, rows: Ints) -> Ints:
        """The number of each row's rule, in the list of all chunks' rules."""
        counts = np.array([len(chunk.rules) for chunk in self.all], dtype=np.intp)
        base = np.cumsum(counts) - counts
        own = np.fromiter(self.a[rows].tolist(), dtype=np.intp, count=len(rows))
        found: Ints = base[self.chunk_of[rows]] + own
        return found


def coded(codes: Codes, values: Sequence[str]) -> pa.Array:
    """A dictionary array; -1 is null."""
    missing = codes < 0
    indices = pa.array(codes, mask=missing) if missing.any() else pa.array(codes)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(values), pa.string()))


def texts(values: list[Any]) -> pa.Array:
    """Texts or None; whatever else was sent becomes text."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, TypeError):
        return pa.array([v if v is None or type(v) is str else plain_text(v) for v in values], pa.string())


def id_texts(values: list[Any]) -> pa.Array:
    """Ids as text: 7 and "7" are one item."""
    try:
        array = pa.array(values, pa.string())
        if array.null_count == 0:
            return array
    except (pa.ArrowException, TypeError):
        pass
    return pa.array([v if type(v) is str else plain_text(v) for v in values], pa.string())
