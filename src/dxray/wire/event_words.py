"""The column `extra`: what only few events have, as JSON text (only the server imports this).

In a table of events a column of nothing but nulls costs an insert as much as one of numbers: what is rare shares one.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.wire.chunks import RULES, Chunks, coded
from dxray.wire.evidence import plain_text
from dxray.wire.evidence_arrays import EvidenceArrays, Ints
from dxray.wire.records import Op

NUL_MARK = "NUL characters were replaced"

_encode = msgspec.json.Encoder().encode


class EventWords:
    """Collects words about single rows, then gives the column."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._words: dict[int, dict[str, Any]] = {}

    def of(self, row: int) -> dict[str, Any]:
        return self._words.setdefault(row, {})

    def mark(self, row: int, mark: str) -> None:
        self.of(row).setdefault("marks", []).append(mark)

    def note_sent(self) -> None:
        """What the chunks say of single rows."""
        for chunk, start in zip(self._chunks.all, self._chunks.starts.tolist(), strict=True):
            for row, by in chunk.by.items():
                self.of(start + row)["decided_by"] = by
            for row, cause in chunk.kept.items():
                self.of(start + row)["kept_because"] = cause
            for row, marks in chunk.marks.items():
                self.of(start + row).setdefault("marks", []).extend(marks)

    def note_references(self) -> None:
        """What merged and referring rows refer to."""
        for op in (Op.MERGED, Op.REFERS):
            rows = self._chunks.rows(op)
            if rows is None:
                continue
            kinds = ["merged_into"] * len(rows) if op == Op.MERGED else self._chunks.b[rows].tolist()
            for row, other, kind in zip(rows.tolist(), self._chunks.a[rows].tolist(), kinds, strict=True):
                word = self.of(row)
                word["ref_item"] = plain_text(other)
                word["ref_kind"] = None if kind is None else plain_text(kind)

    def note_evidence(self, evidence: EvidenceArrays) -> None:
        """Evidence that was kept as text."""
        for row, text in evidence.texts.items():
            self.of(row)["evidence_text"] = text
            self.mark(row, "evidence: kept as text, not queryable by key")

    def column(self, sampled_out: list[Ints]) -> pa.Array:
        """The column; `sampled_out` are the rows whose evidence was."""
        codes, found = self._common(sampled_out)
        if not self._words and not found:
            return pa.nulls(self._chunks.n, pa.string())
        for row, word in self._words.items():
            common = msgspec.json.decode(found[codes[row]]) if codes[row] >= 0 else {}
            codes[row] = len(found)
            found.append(_encode(_clean_values({**common, **word})).decode())
        return coded(codes, found)

    def _common(self, sampled_out: list[Ints]) -> tuple[Any, list[str]]:
        """What many rows have in common: `p`, that evidence was sampled out, that a rule decided. -1 for none."""
        chunks = self._chunks
        ps: dict[float, int] = {}
        p_of = [0 if c.p is None else 1 + ps.setdefault(c.p, len(ps)) for c in chunks.all]
        ruled = any(chunks.present[op] for op in RULES)
        if not ps and not sampled_out and not ruled:
            return np.full(chunks.n if self._words else 0, -1, dtype=np.int32), []
        codes = 4 * np.repeat(np.array(p_of, dtype=np.int32), chunks.lengths)
        for rows in sampled_out:
            codes[rows] += 2
        if ruled:
            codes += np.isin(chunks.ops, RULES)
        values = [None, *ps]
        found: list[str] = []
        used = np.unique(codes)
        place = np.full(int(used[-1]) + 1, -1, dtype=np.int32)
        for code in used.tolist():
            if code:
                place[code] = len(found)
                found.append(_encode(_common_word(values[code >> 2], bool(code & 2), bool(code & 1))).decode())
        return place[codes], found

    # --- NUL, which PostgreSQL cannot hold ---

    def without_nul(self, array: pa.Array) -> pa.Array:
        """Texts, one a row, with a visible character in place of NUL; such rows are marked."""
        if not has_nul(array):
            return array
        for row in _with_nul(array).tolist():
            self.mark(row, NUL_MARK)
        return pc.replace_substring(array, "\0", "␀")

    def lists_without_nul(self, array: pa.ListArray) -> pa.ListArray:
        """The same for lists of texts."""
        values = array.values
        if not has_nul(values):
            return array
        rows = np.searchsorted(array.offsets.to_numpy(), _with_nul(values), side="right") - 1
        for row in np.unique(rows).tolist():
            self.mark(row, NUL_MARK)
        values = pc.replace_substring(values, "\0", "␀")
        return pa.ListArray.from_arrays(array.offsets, values, mask=array.is_null())


def has_nul(array: pa.Array) -> bool:
    data = array.buffers()[2]
    return data is not None and data.size > 0 and not np.frombuffer(data, dtype=np.uint8).all()


def without_nul(text: str) -> str:
    return text.replace("\0", "␀") if "\0" in text else text


def _with_nul(array: pa.Array) -> Ints:
    return np.flatnonzero(pc.fill_null(pc.match_substring(array, "\0"), False).to_numpy(zero_copy_only=False))


def _clean_values(word: dict[str, Any]) -> dict[str, Any]:
    return {k: without_nul(v) if type(v) is str else v for k, v in word.items()}


def _common_word(p: float | None, sampled_out: bool, by_rule: bool) -> dict[str, Any]:
    word: dict[str, Any] = {}
    if p is not None:
        word["p"] = p
    if sampled_out:
        word["evidence_state"] = "sampled_out"
    if by_rule:
        word["decided_by"] = "rule"
    return word
