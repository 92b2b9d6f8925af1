"""Any Python value -> something that can be stored, with a note of what had to change.

Nothing here raises for any value, and nothing calls more of a user's object than it must.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from dxray.sdk.guard import guard
from dxray.sdk.mending import TEXT_LIMIT, TOTAL_LIMIT, Mender

VALUE_LIMIT = TEXT_LIMIT  # bytes of one value
REPR_LIMIT = 200
NAME_LIMIT = 1024  # characters of a name, a reason, a version
SCALARS = frozenset((str, int, float, bool, type(None)))

_COLLECTIONS = frozenset((dict, list, tuple, set, frozenset))

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=lambda o: plain(o)).encode


def safe_repr(value: object) -> str:
    """`repr(value)`, cut, or the name of its type where that fails or would be long in coming."""
    kind = type(value)
    if kind in _COLLECTIONS:
        return f"<{kind.__name__}>"
    try:
        text = repr(value)
    except Exception:
        return f"<{kind.__name__}>"
    return text if len(text) <= REPR_LIMIT else text[:REPR_LIMIT] + "…"


def is_small(value: Any) -> bool:
    """Whether a value can be given to an encoder: nested collections may have a billion leaves, or no end.

    Looks into plain collections only, and no further than `TOTAL_LIMIT` elements.
    """
    left = TOTAL_LIMIT
    waiting = [value]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is dict:
            inner: Iterable[Any] = one.values()
        elif kind is list or kind is tuple:
            inner = one
        else:
            continue
        left -= len(one)
        if left < 0:
            return False
        waiting.extend(value for value in inner if type(value) not in SCALARS)
    return True


def plain(value: Any) -> Any:
    """What an encoder that does not know a type may encode instead. Never raises."""
    try:
        for convert in _CONVERSIONS:
            found = convert(value)
            if found is not None:
                return found
    except Exception:
        return safe_repr(value)
    return safe_repr(value)


def _of_standard_types(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value[:VALUE_LIMIT])).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted(value, key=safe_repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return None


def _of_protocols(value: Any) -> Any:
    kind = type(value)
    if callable(getattr(kind, "model_dump", None)):  # pydantic
        return value.model_dump(mode="json")
    module = kind.__module__.partition(".")[0]
    if module == "decimal" or module == "uuid" or module == "pathlib":
        return str(value)
    if module in ("numpy", "pandas", "polars", "pyarrow", "torch", "jax", "jaxlib"):
        if getattr(value, "ndim", 0) == 0 and callable(getattr(kind, "item", None)):
            return value.item()
        for name in ("tolist", "to_pylist", "to_list"):
            if callable(getattr(kind, name, None)):
                return getattr(value, name)()
    if module == "enum" or hasattr(kind, "__members__"):
        return value.value
    return None


_CONVERSIONS: tuple[Callable[[Any], Any], ...] = (_of_standard_types, _of_protocols)


def is_cut(marks: Iterable[str]) -> bool:
    """Whether marks, with or without a name before them, say that a part of a value is gone."""
    return any(mark.rpartition(": ")[2].startswith(("cut", "cycle cut")) for mark in marks)


def json_text(value: Any) -> tuple[str, list[str]]:
    """A value as JSON text of at most `VALUE_LIMIT` bytes, and marks: what was changed to store it.

    The common value takes one pass in C; what that refuses (NaN, cycles, depth, odd keys, lone
    surrogates) is walked and mended.
    """
    try:
        text = _dumps(value) if is_small(value) else "x" * (VALUE_LIMIT + 1)
        fits = len(text) <= VALUE_LIMIT and (text.isascii() or len(text.encode()) <= VALUE_LIMIT)
        if fits and "\u0000" not in text:
            return text, []
    except Exception:  # the walk below says what was wrong
        text = ""
    marks: list[str] = []
    text = _dumps(mend(value, marks))
    if len(text.encode()) > VALUE_LIMIT:
        marks.append(f"cut at {VALUE_LIMIT} bytes")
        text = _dumps({"cut": text.encode()[: VALUE_LIMIT // 2].decode(errors="ignore")})
    return text, sorted(set(marks))


def as_text(value: Any, limit: int = NAME_LIMIT) -> str:
    """Any value as a short text that can travel: a name, a version, a reason. Never raises."""
    if type(value) is str and value.isascii() and len(value) <= limit and "\x00" not in value:
        return value
    if type(value) is int and -(2**63) <= value < 2**63:
        return str(value)
    if not issubclass(type(value), str):
        value = plain(value) if value is not None else "None"
    mended = mend(value, [])
    return (mended if isinstance(mended, str) else safe_repr(mended))[:limit]


def id_text(item_id: Any) -> str:
    """An id as items are told apart by it: whole, where that is not endless."""
    if type(item_id) is str:
        return item_id
    try:
        return str(item_id) if is_small(item_id) else as_text(item_id)
    except Exception:
        return as_text(item_id)


def as_optional_text(value: Any) -> str | None:
    """As `as_text`; None stays None."""
    return None if value is None else as_text(value)


def as_score(score: Any) -> float | None:
    """A score as a number; None where it is none."""
    if score is None or type(score) is float:
        return score
    try:
        return float(score)
    except Exception as error:
        guard.caught(error)
        return None


def as_count(value: Any, limit: int = 2**63 - 1) -> int:
    """A count as an int. Raises ValueError for what is none, or past the limit."""
    count = int(value)
    if not -limit <= count <= limit:
        raise ValueError("a count is out of range")
    return count


def mend(value: Any, marks: list[str]) -> Any:
    """A copy of a value made of what JSON knows, adding to `marks` what was changed. Never raises."""
    return Mender(marks, plain).mend(value)


def snapshot(value: Any, marks: list[str]) -> Any:
    """A copy of a value that later changes do not reach, made of what JSON knows."""
    if value is None or type(value) in (bool, int, str):
        return value
    text, found = json_text(value)
    marks.extend(found)
    return json.loads(text)
