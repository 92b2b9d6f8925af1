"""Attributes as plain values, bounded in depth and length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

DEEPEST = 16  # of a value inside values
LONGEST = 65_536  # bytes of JSON of an input, an output or the other attributes; as the SDK has it
NAME = 500  # characters of a name, and of an id
_LARGEST = 2**53

Attributes = dict[str, Any]


def attributes_of(said: Iterable[KeyValue], limit: int) -> tuple[Attributes, int]:
    """Attributes by key, the last of equal keys, and how many were over the limit."""
    out: Attributes = {}
    over = 0
    for one in said:
        if len(out) >= limit and one.key not in out:
            over += 1
        else:
            out[one.key] = plain(one.value)
    return out, over


def plain(value: AnyValue, depth: int = 0) -> Any:
    """An attribute's value as JSON has it: bytes as hex, what lies too deep as a mark, NaN and infinities as text."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if depth >= DEEPEST:
        return "…"
    if which == "array_value":
        return [plain(one, depth + 1) for one in value.array_value.values]
    if which == "kvlist_value":
        return {one.key: plain(one.value, depth + 1) for one in value.kvlist_value.values}
    if which == "bytes_value":
        return value.bytes_value.hex()
    found = getattr(value, which)
    return str(found) if isinstance(found, float) and not math.isfinite(found) else found


def text(value: Any, limit: int = LONGEST) -> str | None:
    """A value as a text of at most so many characters; None for nothing."""
    if value is None or value == "":
        return None
    said = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return said[:limit]


def number(value: Any) -> float | None:
    """A finite number, also where it was written as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def from_json(value: Any) -> Any:
    """What a text says in JSON; the value itself where it is no text, or no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return value


def json_text(value: Any, name: str, marks: list[str]) -> str | None:
    """A value as JSON text for a record, cut where it is too long, with a mark that says so."""
    if value is None or value == {} or value == "":
        return None
    found = msgspec.json.encode(value)
    if len(found) <= LONGEST:
        return found.decode()
    marks.append(f"{name}: cut at {LONGEST} bytes")
    said = value if isinstance(value, str) else found.decode()
    return msgspec.json.encode(said[: LONGEST // 4]).decode()


def facts(said: Any, limit: int = 64) -> Attributes:
    """A document's metadata as evidence: so many keys, long texts cut, what is nested as JSON text."""
    found = from_json(said)
    if found in (None, "", {}):
        return {}
    if not isinstance(found, Mapping):
        return {"metadata": _fact(found)}
    return {str(key)[:NAME]: _fact(value) for key, value in list(found.items())[:limit]}


def _fact(value: Any) -> Any:
    if isinstance(value, str):
        return value[:2000]
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) <= _LARGEST else str(value)
    return msgspec.json.encode(value).decode()[:2000]
