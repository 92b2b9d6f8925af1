"""Stored values as an answer shows them: times in RFC 3339, JSON texts as the JSON they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

Row = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_encode = msgspec.json.Encoder(enc_hook=str).encode


def when(micros: int | None) -> datetime | None:
    """Microseconds since 1970 as a time in UTC, written as RFC 3339; null for what no calendar holds."""
    if micros is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None


def embedded(text: str | None) -> msgspec.Raw | str | None:
    """A JSON text as a part of an answer, checked but not built. What is no JSON is shown as the text it is."""
    if text is None:
        return None
    try:
        return _raw(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def parsed(text: str | None, otherwise: Any = None) -> Any:
    """The value of a JSON text; `otherwise` where there is none, or it is no JSON."""
    if text is None:
        return otherwise
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return otherwise


def to_json(answer: Any) -> bytes:
    """An answer's bytes. Numbers that JSON does not have become null."""
    return _encode(answer)
