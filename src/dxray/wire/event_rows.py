"""Chunks of events -> the tables `events` and `lineage` (only the server imports this)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, compress, repeat
from operator import is_not
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.wire.buffers import evidence_column, texts_of
from dxray.wire.chunks import OPS, RULES, Chunks, Codes, coded, id_texts, texts
from dxray.wire.event_words import EventWords, has_nul, without_nul
from dxray.wire.evidence import Scope, ShapeBook, plain_text, short_hash
from dxray.wire.evidence_arrays import EvidenceArrays, Ints, objects
from dxray.wire.records import OUTCOMES, Events, Op, Rule

_T = pa.string()
_WITH_REASON = (Op.ACCEPTED, Op.REJECTED, Op.SELECTED, Op.OUTRANKED)
_WITH_EVIDENCE = (Op.ACCEPTED, Op.REJECTED, Op.MERGED, Op.CONSUMED, Op.SCORED, Op.PRODUCED_WITH)
_WITH_SCORE = (Op.SELECTED, Op.OUTRANKED)
_HAS_EVIDENCE = bytes(1 if op in _WITH_EVIDENCE else 0 for op in range(256))
_EVIDENCE_OPS = bytes(_WITH_EVIDENCE)


def _codes_of(codes: dict[int, int]) -> Codes:
    table = np.full(OPS, -1, dtype=np.int32)
    for op, code in codes.items():
        table[op] = code
    return table


_OUTCOME_OF = _codes_of(
    {**{op: op for op in range(len(OUTCOMES))}, Op.RULE_FAILED: Op.REJECTED, Op.PRODUCED_WITH: Op.PRODUCED}
)
_PASSED_OF = _codes_of({Op.RULE_PASSED: 1, Op.RULE_FAILED: 0, Op.RULE_ALSO_FAILED: 0})


def event_tables(chunks: Sequence[Events], scopes: Sequence[Scope], book: ShapeBook) -> dict[str, pa.Table]:
    """`events`, and `lineage` where an item has parents. The chunks, at least one, have passed `columns.check`."""
    return EventRows(Chunks(chunks, scopes), book).tables()


class EventRows:
    """The rows of some chunks, as they become columns."""

    def __init__(self, chunks: Chunks, book: ShapeBook) -> None:
        self.c = chunks
        self.book = book
        self.words = EventWords(chunks)

    def tables(self) -> dict[str, pa.Table]:
        c, words = self.c, self.words
        evidence = self._evidence()
        arrays = evidence.columns(c.n)
        words.note_sent()
        words.note_references()
        words.note_evidence(evidence)
        columns: dict[str, Any] = {
            "project": c.by_chunk([project for project, _ in c.scopes]),
            "run_id": c.by_chunk([chunk.run_id for chunk in c.all]),
            "step_id": c.by_chunk([without_nul(chunk.step_id) for chunk in c.all]),
            "event_no": pa.array(c.numbers()),
            "at": pa.array(np.repeat(np.array([chunk.at for chunk in c.all], dtype=np.int64), c.lengths)),
            "item_id": words.without_nul(self._item_ids()),
            "outcome": coded(_OUTCOME_OF[c.ops], OUTCOMES),
            "reason": words.without_nul(self._reasons()),
            "score": self._scores(),
            "name": words.without_nul(self._names()),
            **self._rules(),
            "shape_id": arrays["shape_id"],
            "num": arrays["num"],
            "str": words.lists_without_nul(arrays["str"]),
        }
        columns["extra"] = words.column(evidence.sampled_out)
        found = {"events": pa.table(columns)}
        lineage = self._lineage(columns)
        if lineage is not None:
            found["lineage"] = lineage
        return found

    def _item_ids(self) -> pa.Array:
        pieces: list[pa.Array] = []
        for chunk in self.c.all:
            ids = chunk.ids if type(chunk.ids) is list else texts_of(chunk.ids)
            pieces.append(id_texts(ids) if type(ids) is list else ids)
        return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)

    def _reasons(self) -> pa.Array:
        c = self.c
        if all(chunk.a is None for chunk in c.all):
            return pa.nulls(c.n, _T)
        if c.are_only(_WITH_REASON):
            return texts(c.listed_a())
        rows, failed = c.rows(*_WITH_REASON), c.rows(Op.RULE_FAILED)
        if rows is None and failed is None:
            return pa.nulls(c.n, _T)
        reasons = np.full(c.n, None, dtype=object)
        if rows is not None:
            reasons[rows] = c.a[rows]
        if failed is not None:
            reasons[failed] = objects([rule.reason for rule in self._all_rules()])[c.rule_numbers(failed)]
        return texts(reasons.tolist())

    def _scores(self) -> pa.Array:
        c = self.c
        pieces: list[tuple[Ints, list[Any]]] = []
        scored, chosen = c.rows(Op.SCORED), c.rows(*_WITH_SCORE)
        if scored is not None:
            pieces.append((scored, c.a[scored].tolist()))
        if chosen is not None:
            pieces.append((chosen, c.b[chosen].tolist()))
        if not pieces:
            return pa.nulls(c.n, pa.float64())
        scores = np.full(c.n, np.nan)
        for rows, values in pieces:
            scores[rows] = self._score_values(rows, values)
        return pa.array(scores, mask=np.isnan(scores))

    def _score_values(self, rows: Ints, values: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Scores as doubles, NaN for none; what is no finite number is marked."""
        try:
            if not set(map(type, values)) <= {float, int, type(None)}:
                raise TypeError
            scores = np.array(values, dtype=np.float64)
        except (TypeError, OverflowError):
            scores = np.array([_double(v) for v in values])
        if not np.isfinite(scores).all():
            scores[np.isinf(scores)] = np.nan
            for at in np.flatnonzero(np.isnan(scores)).tolist():
                if values[at] is not None:
                    self.words.mark(int(rows[at]), f"score: {plain_text(values[at])[:60]} is no finite number")
        return scores

    def _names(self) -> pa.Array:
        c = self.c
        plain, given = c.rows(Op.PRODUCED), c.rows(Op.PRODUCED_WITH)
        if plain is None and given is None:
            return pa.nulls(c.n, _T)
        names = np.full(c.n, None, dtype=object)
        if plain is not None:
            names[plain] = c.a[plain]
        if given is not None:
            for row, what in zip(given.tolist(), c.a[given].tolist(), strict=True):
                if isinstance(what, list):
                    names[row] = what[0] if what else None
                    if len(what) > 2 and what[2] is not None:
                        self.words.of(row)["kind"] = plain_text(what[2])
        return texts(names.tolist())

    # --- rules ---

    def _all_rules(self) -> list[Rule]:
        return [rule for chunk in self.c.all for rule in chunk.rules]

    def _rules(self) -> dict[str, pa.Array]:
        c = self.c
        rows = c.rows(*RULES)
        if rows is None:
            return {"rule_id": pa.nulls(c.n, _T), "passed": pa.nulls(c.n, pa.bool_())}
        ids: dict[str, int] = {}
        code_of_rule = np.array([ids.setdefault(rule_id(r), len(ids)) for r in self._all_rules()], dtype=np.int32)
        codes = np.full(c.n, -1, dtype=np.int32)
        codes[rows] = code_of_rule[c.rule_numbers(rows)]
        passed = _PASSED_OF[c.ops]
        return {"rule_id": coded(codes, tuple(ids)), "passed": pa.array(passed == 1, mask=passed < 0)}

    # --- evidence ---

    def _evidence(self) -> EvidenceArrays:
        c = self.c
        arrays = EvidenceArrays(self.book)
        by_key: dict[tuple[Scope, tuple[str, ...]], list[tuple[Ints, list[Any]]]] = {}
        for chunk, scope, start in zip(c.all, c.scopes, c.starts.tolist(), strict=True):
            if chunk.b is not None:
                self._evidence_by_row(arrays, scope, start, chunk)
            if chunk.wide:
                columns = {without_nul(key): column for key, column in chunk.wide.items()}
                keys = tuple(sorted(columns))
                numbers = chunk.wide_rows if chunk.wide_rows is not None else np.arange(len(chunk.ops))
                rows = np.array(numbers, dtype=np.intp) + start
                by_key.setdefault((scope, keys), []).append((rows, [columns[key] for key in keys]))
        for (scope, keys), parts in by_key.items():
            self._evidence_by_key(arrays, scope, keys, parts)
        self._rule_evidence(arrays)
        return arrays

    def _evidence_by_row(self, arrays: EvidenceArrays, scope: Scope, start: int, chunk: Events) -> None:
        values, n = chunk.b or [], len(chunk.ops)
        rows = np.arange(start, start + n, dtype=np.intp)
        if chunk.ops.translate(None, _EVIDENCE_OPS):  # some rows hold something else there
            mask = chunk.ops.translate(_HAS_EVIDENCE)
            values = list(compress(values, mask))
            rows = rows[np.frombuffer(mask, dtype=np.bool_)]
        if values:
            arrays.add(scope, rows, values)

    def _evidence_by_key(
        self, arrays: EvidenceArrays, scope: Scope, keys: tuple[str, ...], parts: list[tuple[Ints, list[Any]]]
    ) -> None:
        if len(parts) > 1 and all(type(column) is list for _, columns in parts for column in columns):
            joined = [
                list(chain.from_iterable(pieces)) for pieces in zip(*(columns for _, columns in parts), strict=True)
            ]
            parts = [(np.concatenate([rows for rows, _ in parts]), joined)]  # a column costs as much as many values
        for rows, opened in parts:
            columns = [
                evidence_column(column, self.book.class_of_null(scope, key))
                for key, column in zip(keys, opened, strict=True)
            ]
            arrays.add_columns(scope, rows, keys, columns)

    def _rule_evidence(self, arrays: EvidenceArrays) -> None:
        """The observed values of rules, under the rule's field. They are ledger: False is a value here."""
        c = self.c
        rows = c.rows(*RULES)
        if rows is None:
            return
        groups: dict[tuple[Scope, str], int] = {}
        group_of_rule = [
            groups.setdefault((scope, without_nul(rule.field)), len(groups))
            for chunk, scope in zip(c.all, c.scopes, strict=True)
            for rule in chunk.rules
        ]
        group_of = np.array(group_of_rule, dtype=np.intp)[c.rule_numbers(rows)]
        for (scope, name), group in groups.items():
            mine = rows[group_of == group]
            arrays.add_columns(scope, mine, (name,), [c.b[mine].tolist()])

    # --- lineage ---

    def _lineage(self, columns: dict[str, Any]) -> pa.Table | None:
        c = self.c
        pieces: list[tuple[Ints, list[Any]]] = []
        plain, given = c.rows(Op.PRODUCED), c.rows(Op.PRODUCED_WITH)
        if plain is not None:
            pieces.append((plain, c.b[plain].tolist()))
        if given is not None:
            pieces.append((given, [w[1] if type(w) is list and len(w) > 1 else None for w in c.a[given].tolist()]))
        rows, parents = _parents(pieces)
        if not parents:
            return None
        ids = id_texts(parents)
        if has_nul(ids):
            ids = pc.replace_substring(ids, "\0", "␀")
        keys = ("project", "run_id", "step_id", "event_no", "item_id")
        return pa.table({**{key: columns[key].take(pa.array(rows)) for key in keys}, "parent_id": ids})


def _parents(pieces: list[tuple[Ints, list[Any]]]) -> tuple[Ints, list[Any]]:
    """Rows (once for each parent) and parents."""
    found_rows: list[Ints] = [np.zeros(0, dtype=np.intp)]
    found: list[Any] = []
    for rows, lists in pieces:
        given = np.fromiter(map(is_not, lists, repeat(None)), dtype=np.bool_, count=len(lists))
        lists = list(compress(lists, given.tolist()))
        if set(map(type, lists)) - {list}:
            lists = [v if type(v) is list else [v] for v in lists]
        lengths = np.fromiter(map(len, lists), dtype=np.intp, count=len(lists))
        found_rows.append(np.repeat(rows[given], lengths))
        found += chain.from_iterable(lists)
    return np.concatenate(found_rows), found


def _double(value: Any) -> float:
    try:
        return float("nan") if value is None or isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def rule_id(rule: Rule) -> str:
    """A rule's version, by its content."""
    return _rule_id(rule.field, rule.op, rule.threshold, rule.reason)


@lru_cache(maxsize=4096)
def _rule_id(field: str, op: str, threshold: str, reason: str) -> str:
    return short_hash([field, op, threshold, reason])
