"""Reads that do not need one another, side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_AT_ONCE = 4


def together(first: Callable[[], Any], *others: Callable[[], Any]) -> list[Any]:
    """What each of these calls returns; the first is made here. Returns, or raises, when none of them still reads.

    The threads are its own: a short question does not wait for the reads of a long one.
    """
    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(others))), "dxray-read") as beside:
        try:
            waiting = [beside.submit(one) for one in others]
            return [first(), *(one.result() for one in waiting)]
        except BaseException:
            beside.shutdown(cancel_futures=True)
            raise
