"""Any Python value -> something that can be stored, with a note of what had to change.

Nothing here raises for any value, and nothing calls more of a user's object than it must.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

VALUE_LIMIT = 65_536  # bytes of one value
DEPTH_LIMIT = 64
LENGTH_LIMIT = 10_000  # elements of one collection, once a value has to be walked
REPR_LIMIT = 200

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=lambda o: plain(o)).encode


def safe_repr(value: object) -> str:
    """`repr(value)`, cut, or the name of its type where that fails."""
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
    return text if len(text) <= REPR_LIMIT else text[:REPR_LIMIT] + "…"


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
        return base64.b64encode(bytes(value)).decode()
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
        text = _dumps(value)
        fits = len(text) <= VALUE_LIMIT and (text.isascii() or len(text.encode()) <= VALUE_LIMIT)
        if fits and "\u0000" not in text:
            return text, []
    except Exception:  # the walk below says what was wrong
        text = ""
    marks: list[str] = []
    mended = mend(value, marks)
    text = _dumps(mended)
    if len(text.encode()) > VALUE_LIMIT:
        marks.append(f"cut at {VALUE_LIMIT} bytes")
        text = _dumps({"cut": text.encode()[: VALUE_LIMIT // 2].decode(errors="ignore")})
    return text, sorted(set(marks))


def as_text(value: Any, limit: int = 1024) -> str:
    """Any value as a short text that can travel: a name, a version, a reason."""
    if type(value) is str and value.isascii() and len(value) <= limit and "\x00" not in value:
        return value
    mended = mend(value if isinstance(value, str) else plain(value) if value is not None else "None", [])
    return (mended if isinstance(mended, str) else safe_repr(mended))[:limit]


def as_optional_text(value: Any) -> str | None:
    """As `as_text`; None stays None."""
    return None if value is None else as_text(value)


def as_count(value: Any, limit: int = 2**63 - 1) -> int:
    """A count as an int. Raises ValueError for what is none, or past the limit."""
    count = int(value)
    if not -limit <= count <= limit:
        raise ValueError("a count is out of range")
    return count


def snapshot(value: Any, marks: list[str]) -> Any:
    """A copy of a value that later changes do not reach, made of what JSON knows."""
    if value is None or type(value) in (bool, int, str):
        return value
    text, found = json_text(value)
    marks.extend(found)
    return json.loads(text)


def mend(value: Any, marks: list[str], depth: int = 0, above: tuple[int, ...] = ()) -> Any:
    """A copy of a value made of what JSON knows, appending to `marks` what was changed."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _mend_text(value, marks)
    if isinstance(value, int):
        return _mend_int(value, marks)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        marks.append("not a finite number: kept as text")
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if depth >= DEPTH_LIMIT:
        marks.append(f"cut at depth {DEPTH_LIMIT}")
        return safe_repr(type(value).__name__)
    if id(value) in above:
        marks.append("cycle cut")
        return "<cycle>"
    above = (*above, id(value))
    if isinstance(value, dict):
        return _mend_dict(value, marks, depth, above)
    if isinstance(value, list | tuple):
        if len(value) > LENGTH_LIMIT:
            marks.append(f"cut at {LENGTH_LIMIT} elements")
        return [mend(element, marks, depth + 1, above) for element in value[:LENGTH_LIMIT]]
    simpler = plain(value)
    if type(simpler) is str:
        marks.append(f"{type(value).__name__}: kept as text")
    return mend(simpler, marks, depth + 1, above)


def _mend_text(value: str, marks: list[str]) -> str:
    if len(value) > VALUE_LIMIT:
        marks.append(f"cut at {VALUE_LIMIT} characters")
        value = value[:VALUE_LIMIT]
    if "\x00" in value:
        marks.append("NUL replaced")
        value = value.replace("\x00", "\ufffd")
    try:
        value.encode()
    except UnicodeEncodeError:
        marks.append("lone surrogate replaced")
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return str(value)


def _mend_int(value: int, marks: list[str]) -> int | str:
    if -(2**63) <= value < 2**63:
        return int(value)
    marks.append("integer past 64 bits: kept as text")
    try:
        return str(int(value))
    except ValueError:  # longer than Python's own limit of digits
        return hex(value)


def _mend_dict(value: dict[Any, Any], marks: list[str], depth: int, above: tuple[int, ...]) -> dict[str, Any]:
    mended: dict[str, Any] = {}
    for key, element in list(value.items())[:LENGTH_LIMIT]:
        name = _mend_text(key, marks) if isinstance(key, str) else safe_repr(key)
        mended[name] = mend(element, marks, depth + 1, above)
    if len(value) > LENGTH_LIMIT:
        marks.append(f"cut at {LENGTH_LIMIT} keys")
    return mended
