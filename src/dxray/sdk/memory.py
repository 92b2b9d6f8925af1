"""What waits in memory to be flushed, bounded in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dxray.wire.records import Events, Loss

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
    loss: Loss | None = None
    encoder: Encoder | None = None
    cut: int = 0  # values of which a part is gone


class Memory:
    """A queue that many threads put into, and one takes from."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Pending] = deque()
        self.bytes = 0  # of what waits, and of what is being packed

    def __len__(self) -> int:
        return len(self._queue)

    def clear(self) -> list[Pending]:
        """All that waits, which nobody will pack any more."""
        with self._changed:
            left = list(self._queue)
            self._queue.clear()
            self.bytes -= sum(one.size for one in left)
            return left

    def pause(self, size: int) -> None:
        """Wait a moment for room: the flusher needs the interpreter more than the caller does."""
        with self._changed:
            self._changed.wait(YIELD_S * max(1, size // YIELD_BYTES))

    def put(self, one: Pending, whatever: bool = False) -> bool:
        """Take one; False where there is no room. What alone is too much comes in where nothing else is."""
        with self._changed:
            if self.bytes + one.size > PENDING_BYTES and self.bytes > 0 and not whatever:
                return False
            self._queue.append(one)
            self.bytes += one.size
            return True

    def pop(self) -> Pending:
        """The one that has waited longest; its bytes count until they are `freed`."""
        return self._queue.popleft()

    def put_back(self, taken: list[Pending]) -> None:
        """What was popped, and comes first again."""
        self._queue.extendleft(reversed(taken))

    def freed(self, taken: Iterable[Pending]) -> None:
        """What was popped is packed."""
        with self._changed:
            self.bytes -= sum(one.size for one in taken)
            self._changed.notify_all()
