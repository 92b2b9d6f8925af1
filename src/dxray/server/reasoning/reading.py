"""Reads that do not need one another, side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

_POOL = ThreadPoolExecutor(4, "dxray-read")  # its threads start with the first use; what they run waits for no other


def together(first: Callable[[], Any], *others: Callable[[], Any]) -> list[Any]:
    """What each of these calls returns; the first is made here. Returns, or raises, when none of them still reads."""
    beside = [_POOL.submit(one) for one in others]
    try:
        return [first(), *(one.result() for one in beside)]
    finally:
        wait(beside)
