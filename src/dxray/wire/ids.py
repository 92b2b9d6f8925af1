"""Ids: time-ordered, made without a library below Python 3.14 (RFC 9562, version 7)."""

from __future__ import annotations

import os
import re
import time

RUN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def uuid7_hex() -> str:
    """A UUIDv7 as 32 hex digits: 48 bits of milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10), "big")
    value = (millis & 0xFFFFFFFFFFFF) << 80
    value |= 0x7000 << 64 | (noise >> 68) << 64
    value |= 0x8000000000000000 | (noise & 0x3FFFFFFFFFFFFFFF)
    return f"{value:032x}"


def new_run_id() -> str:
    """A run id that sorts by time: `run_` and a UUIDv7."""
    return "run_" + uuid7_hex()


def is_run_id(text: str) -> bool:
    """Whether `text` may name a run: 1 to 128 of `A-Za-z0-9._:-`, and neither `.` nor `..`."""
    return RUN_ID.fullmatch(text) is not None and text not in (".", "..")
