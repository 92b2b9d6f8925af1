"""Answers that are still right, kept so that a question which takes seconds is not worked out twice.

An answer follows from what is stored, the parameters and the clock.

- What is stored: the store counts its changes (`Store.version`: every commit, labels among them, every deletion, counts
  brought up to date in the background, and a heartbeat of a producer that had been silent). An answer is kept with the
  count from before it was worked out, so a commit beside it makes it old, never wrong; when the count moves on, all are
  forgotten.
- The parameters are in the key. Views are filled in before: a view that changed is another key.
- The clock moves `since:7d`, and makes a running run abandoned without any commit. Where a time is given as an age, or
  a run is running, an answer is good for `MOVING_S` seconds. No run begins to run without a commit: while none runs, an
  answer stands as long as the version does.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dxray.server.filters import Clause
from dxray.server.store.base import Reader

MOVING_S = 5.0  # people do not notice it; a page that asks again while it is looked at does not work in vain
ENTRIES = 256
BYTES = 32 * 1024 * 1024

_TIMES = ("since", "until")
_AGE = re.compile(r"\d+\w")
_AGES_IN = re.compile(r"\b(?:since|until):")


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: bytes
    until: float


class AnswerCache:
    """The answers used last, at most so many and so large. Used from one thread."""

    def __init__(
        self, *, entries: int = ENTRIES, size: int = BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries, self._size, self._clock = entries, size, clock
        self._version = -1
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, version: int, key: str) -> bytes | None:
        """The answer of a question at this version of the data, if it is still right."""
        self._move_to(version)
        kept = self._kept.get(key)
        if kept is None or version != self._version:
            return None
        if kept.until <= self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept.answer

    def put(self, version: int, key: str, answer: bytes, seconds: float) -> None:
        """Keep an answer that was begun at this version, for so many seconds; none that is old or too large."""
        self._move_to(version)
        if version != self._version or len(answer) > self._size:
            return
        self._drop(key)
        self._kept[key] = _Kept(answer, self._clock() + seconds)
        self.bytes += len(answer)
        while len(self._kept) > self._entries or self.bytes > self._size:
            self._drop(next(iter(self._kept)))

    def _move_to(self, version: int) -> None:
        if version > self._version:
            self._version = version
            self._kept.clear()
            self.bytes = 0

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= len(kept.answer)


def seconds_good(reader: Reader, asked: Mapping[str, Any]) -> float:
    """How long an answer to these parameters stays right while nothing is stored. Ask before the question."""
    if _moves(asked) or reader.count_by("runs", (), [Clause("status", "==", "running")])["n"][0].as_py():
        return MOVING_S
    return float("inf")


def _moves(value: Any, name: str = "") -> bool:
    """Whether a time in the parameters is an age; any time within a filter is taken for one."""
    if isinstance(value, Mapping):
        return any(_moves(child, str(key)) for key, child in value.items())
    if isinstance(value, list | tuple):
        return any(_moves(child, name) for child in value)
    if not isinstance(value, str):
        return False
    return (name in _TIMES and _AGE.fullmatch(value) is not None) or _AGES_IN.search(value) is not None
