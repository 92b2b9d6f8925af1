"""What waits in memory to be flushed, bounded in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from dxray.sdk.values import is_cut
from dxray.wire.records import Events

WAKE_BYTES = 16 * 1024 * 1024  # more than this is flushed at once
BEHIND_BYTES = 32 * 1024 * 1024  # from here on a chunk of a caller's waits a moment
PENDING_BYTES = 64 * 1024 * 1024  # and from here on what comes is lost
YIELD_BYTES = 128 * 1024  # about a chunk
YIELD_S = 0.005  # for so much: the interpreter's own switch interval

Encoder = Callable[[Events], list[tuple[bytes, int]]]  # records, each with its number of events


class Pending(NamedTuple):
    """A record that waits to be flushed, and what matters of it should it be lost."""

    record: bytes | Events
    size: int  # about; of what is not encoded yet, in memory
    run_id: str
    step_id: str | None = None
    events: int = 0
    encoder: Encoder | None = None
    cut: int = 0  # values of which a part is gone


def encoded(one: Pending) -> list[tuple[bytes, Pending]]:
    """Its records, each with what matters of it; the first of them says how many values were cut."""
    if isinstance(one.record, bytes):
        return [(one.record, one)]
    assert one.encoder is not None
    event = replace(one.record, marks={**one.record.marks})  # should somebody interrupt, it is encoded once more
    records = one.encoder(event)
    said = [one._replace(record=b"", events=n) for _, n in records]
    said[0] = said[0]._replace(cut=sum(map(is_cut, event.marks.values())))
    return [(record, of) for (record, _), of in zip(records, said, strict=True)]


class Memory:
    """A queue that many threads put into, and one takes from.

    An interrupt comes after a call or where a loop turns back: what must not come apart is one line without either.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[Pending] = deque()
        self._first: list[Pending] = []  # what came before, and is being packed
        self._number = 0  # of the batch that was placed last
        self.bytes = 0  # of all

    def __len__(self) -> int:
        return len(self._first) + len(self._queue)

    def clear(self) -> list[Pending]:
        """All that waits, which nobody will pack any more."""
        with self._lock:
            left = self.waiting()
            self._first, self.bytes = [], 0
            return left

    def pause(self, size: int) -> None:
        """Wait a moment for room: the flusher needs the interpreter more than the caller does."""
        with self._changed:
            self._changed.wait(YIELD_S * max(1, size // YIELD_BYTES))

    def put(self, one: Pending, whatever: bool = False) -> bool:
        """Take one; False where there is no room. What alone is too much comes in where nothing else is."""
        with self._lock:
            if self.bytes + one.size > PENDING_BYTES and self.bytes > 0 and not whatever:
                return False
            self.bytes += one.size
            self._queue += (one,)
            return True

    def waiting(self) -> list[Pending]:
        """All that waits, the oldest first, for the one that packs it. It stays here until it is `placed`."""
        with self._lock:
            empty: deque[Pending] = deque()
            self._first, self._queue = [*self._first, *self._queue], empty
            return self._first

    def placed(self, number: int, n: int, rest: list[Pending]) -> None:
        """The first `n` have gone with batch `number`, but for the `rest` of them; said twice, it is done once."""
        with self._lock:
            if self._number != number:
                less = sum(one.size for one in self._first[:n]) - sum(one.size for one in rest)
                self._first, self.bytes, self._number = [*rest, *self._first[n:]], self.bytes - less, number
            self._changed.notify_all()
