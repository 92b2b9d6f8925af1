"""What can stand in a filter of runs: its fields, and the values that are recorded under one."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from dxray.server.errors import nearest
from dxray.server.filters import Clause, FilterError, Known
from dxray.server.reasoning.selection import RUNS, STEPS, labels_of, runs_where
from dxray.server.reasoning.shown import parsed
from dxray.server.store.base import Reader, Value
from dxray.wire.records import LABELS

_OF_A_STEP = ("step", "step_name", "step_type", "reason", "rejection_rate", "input_count", "output_count")
# What may stand in a filter of runs, with what is looked up elsewhere than in the runs.
FIELDS: Mapping[str, Known] = {
    **RUNS.fields,
    **{name: STEPS.fields[name] for name in _OF_A_STEP},
    "label": Known("label", values=LABELS),
}
_IDS = ("run_id", "parent_run_id", "trace_id")  # nearly every run has one of its own

_NEWEST = 5_000  # runs whose inputs, or ids, are looked at
_WITH_STEPS = 2_000  # runs whose steps are looked at, where the filter says which runs
_OPENED = 500  # runs whose inputs are searched for keys
_OPENED_BYTES = 4_000_000
_FIRST_OPENED = 50
_DEEPEST = 4
_LONGEST = 200  # characters of a value that somebody would type
_EXAMPLE = 60

Counted = Literal["runs", "steps"]


@dataclass(slots=True)
class _Found:
    """Values with how often they are there; of the runs that fit, so many were looked at."""

    counts: Mapping[str, int]
    counted: Counted
    looked_at: int
    of: int


# --- names ----------------------------------------------------------------------------------------------------


def names(reader: Reader, *, q: str | None = None, prefix: str = "", limit: int = 20) -> dict[str, Any]:
    """The fields that begin with a text or hold it: those of the grammar, then recorded keys, often ones first.

    Keys are those of the inputs, outputs and metadata of the newest runs that fit. Raises `FilterError`.
    """
    seen, examples, looked_at = _keys(reader, runs_where(reader, q))
    rows: list[dict[str, Any]] = [
        *({"field": name, "kind": known.kind, "runs": None, "example": None} for name, known in FIELDS.items()),
        *(
            {"field": path, "kind": "any", "runs": n, "example": examples[path]}
            for path, n in sorted(seen.items(), key=lambda one: (-one[1], one[0]))
        ),
    ]
    fit = _begun([row["field"] for row in rows], prefix)
    by_name = {row["field"]: row for row in rows}
    return {
        "fields": [by_name[name] for name in fit[:limit]],
        "total": len(fit),
        "looked_at": looked_at,
        "sentence": f"{_many(len(fit), 'field')} can stand here: {len(FIELDS)} belong to every filter, and the newest "
        f"{_many(looked_at, 'run')} that fit bring {_many(len(seen), 'key')} of their own."
        if not prefix
        else f"{_many(len(fit), 'field')} can stand here that {'begins' if len(fit) == 1 else 'begin'} with this text, "
        f"or {'holds' if len(fit) == 1 else 'hold'} it.",
    }


def _keys(reader: Reader, where: Sequence[Clause]) -> tuple[Counter[str], dict[str, str], int]:
    """The paths to values in the JSON texts of the newest runs, in how many they are, and a value of the newest."""
    seen: Counter[str] = Counter()
    examples: dict[str, str] = {}
    looked_at = size = 0
    wanted = _FIRST_OPENED
    while wanted:
        rows = reader.select("runs", tuple(RUNS.roots), where, ["-started_at", "-run_id"], wanted, looked_at)
        size += rows.nbytes
        looked_at += rows.num_rows
        for row in rows.to_pylist():
            for path, value in _paths(row):
                seen[path] += 1
                examples.setdefault(path, value)
        # As many more as are likely to be no more bytes than are opened at most.
        left = (_OPENED_BYTES - size) * looked_at // max(size, 1)
        wanted = min(_OPENED - looked_at, left) if rows.num_rows == wanted and left > 0 else 0
    return seen, examples, looked_at


def _paths(row: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for root, text in row.items():
        value = parsed(text)
        if isinstance(value, dict):
            yield from _within(root, value, 1)


def _within(path: str, value: dict[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for key, child in value.items():
        if not _can_be_typed(key):
            continue
        if isinstance(child, dict) and depth < _DEEPEST:
            yield from _within(f"{path}.{key}", child, depth + 1)
        elif not isinstance(child, dict | list) and child is not None:
            yield f"{path}.{key}", str(child).lower() if isinstance(child, bool) else str(child)[:_EXAMPLE]


def _can_be_typed(key: str) -> bool:
    """Whether a path may have this key: dots lead further down, and a colon ends the path."""
    return 0 < len(key) <= _LONGEST and not any(one.isspace() or one in '.:"' or _unseen(one) for one in key)


# --- values ---------------------------------------------------------------------------------------------------


def values(reader: Reader, field: str, *, q: str | None = None, prefix: str = "", limit: int = 20) -> dict[str, Any]:
    """The values of a field that begin with a text or hold it, often ones first. Raises `FilterError`.

    `as_text`: a filter that takes it for a number may find other values too.
    """
    known = _known(field)
    where = runs_where(reader, q)
    found = _Found({}, "runs", 0, 0) if known.kind in ("number", "time") else _found(reader, field, known, where)
    typed = {value: n for value, n in found.counts.items() if len(value) <= _LONGEST and not any(map(_unseen, value))}
    often = sorted(typed, key=lambda value: (-typed[value], value))
    fit = _begun(often, prefix)
    partly = found.looked_at < found.of
    shared = _shared(found.counts, 1 if partly else 2) if known.kind == "any" else frozenset()
    return {
        "field": field,
        "kind": known.kind,
        "values": [{"value": value, "n": typed[value], "as_text": _number(value) in shared} for value in fit[:limit]],
        "counted": found.counted,
        "total": len(fit),
        "left_out": len(found.counts) - len(typed),
        "looked_at": found.looked_at,
        "of": found.of,
        "unknown": {"cause": "not_looked_at", "detail": _not_looked_at(found)} if partly else None,
        "sentence": _sentence(field, known, fit, typed, found),
    }


def _known(field: str) -> Known:
    root, dot, key = field.partition(".")
    if dot and key and root in RUNS.roots:
        return Known(field, "any")
    known = FIELDS.get(field)
    if known is None:
        every = [*FIELDS, *(f"{name}.KEY" for name in RUNS.roots)]
        raise FilterError(f"there is no field {field[:200]!r} here", field="field", fix=nearest(field[:200], every))
    return known


def _found(reader: Reader, field: str, known: Known, where: Sequence[Clause]) -> _Found:
    if field == "label":
        return _labels(reader, where)
    if field in _OF_A_STEP:
        return _of_steps(reader, known, where)
    if known.kind == "any" or field in _IDS:
        return _of_the_newest(reader, known, where)
    table = reader.count_by("runs", [known.column], where)
    counts = {value: n for value, n in _pairs(table[known.column], table["n"]) if value is not None}
    total = sum(table["n"].to_pylist())
    return _Found({**dict.fromkeys(known.values, 0), **counts}, "runs", total, total)


def _labels(reader: Reader, where: Sequence[Clause]) -> _Found:
    said = {(str(row["run_id"]), str(row["label"])) for row in labels_of(reader, [])}
    ids = sorted({run_id for run_id, _ in said})
    fit = reader.select("runs", ["run_id"], [*where, Clause("run_id", "in", ids)])["run_id"].to_pylist() if said else []
    known = set(fit)
    counts = Counter(label for run_id, label in said if run_id in known)
    return _Found({**dict.fromkeys(LABELS, 0), **counts}, "runs", len(known), len(known))


def _of_the_newest(reader: Reader, known: Known, where: Sequence[Clause]) -> _Found:
    column: str | Value = Value(known.column, "text") if known.kind == "any" else known.column
    table = reader.select("runs", [column], where, ["-started_at", "-run_id"], _NEWEST)
    total = _total(reader, where) if table.num_rows == _NEWEST else table.num_rows
    return _Found(_counted(table.column(0)), "runs", table.num_rows, total)


def _of_steps(reader: Reader, known: Known, where: Sequence[Clause]) -> _Found:
    """Of all steps; where the filter says which runs, of the steps of the newest of them."""
    columns = known.column.split("|")
    beside, looked_at = None, 0
    if where:
        newest = reader.select("runs", ["run_id"], where, ["-started_at", "-run_id"], _WITH_STEPS)
        beside, looked_at = pa.table({"run_id": newest["run_id"]}), newest.num_rows
        if not looked_at:
            return _Found({}, "steps", 0, 0)
    total = looked_at if 0 < looked_at < _WITH_STEPS else _total(reader, where)
    table = reader.count_by("steps", columns, beside=beside)
    counts: Counter[str] = Counter()
    for column in columns:
        for value, n in _pairs(table[column], table["n"]):
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    counts[one] += n
    return _Found(counts, "steps", looked_at or total, total)


def _total(reader: Reader, where: Sequence[Clause]) -> int:
    total: int = reader.count_by("runs", (), where)["n"][0].as_py()
    return total


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    found = column.drop_null().combine_chunks().value_counts()
    return dict(_pairs(found.field("values"), found.field("counts")))


def _pairs(values: Any, counts: Any) -> Iterator[tuple[Any, int]]:
    return zip(values.to_pylist(), counts.to_pylist(), strict=True)


# --- what was typed, and what is said -------------------------------------------------------------------------


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shared(values: Iterable[str], least: int) -> frozenset[float | None]:
    """The numbers that are written in at least so many ways."""
    written = Counter(number for number in map(_number, values) if number is not None)
    return frozenset(number for number, n in written.items() if n >= least)


def _begun(texts: Sequence[str], prefix: str) -> list[str]:
    """The texts that hold this one, in their order; first those that begin with it."""
    begun = prefix.casefold()
    holding = [text for text in texts if begun in text.casefold()]
    return sorted(holding, key=lambda text: not text.casefold().startswith(begun))


def _unseen(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")  # no line of a page takes it


def _not_looked_at(found: _Found) -> str:
    looked_at = f"only the newest {found.looked_at:,} of {_many(found.of, 'run')} were looked at"
    return f"{looked_at}: a value that only older ones have is not here"


def _sentence(field: str, known: Known, fit: Sequence[str], counts: Mapping[str, int], found: _Found) -> str:
    if known.kind == "number":
        return f"{field} is a number: it is compared, as in {field}:>0.9."
    if known.kind == "time":
        return f"{field} takes an age or a time, as in {field}:7d."
    if not fit:
        return f"No such value of {field} is recorded."
    among = (
        f"the newest {found.looked_at:,} of {_many(found.of, 'run')}"
        if found.looked_at < found.of
        else (_many(found.of, "run"))
    )
    often = f"{fit[0][:_EXAMPLE]} ({_many(counts[fit[0]], found.counted.removesuffix('s'))})"
    return f"{field} has {_many(len(fit), 'value')} among {among}; first comes {often}."


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
