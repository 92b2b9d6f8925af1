"""What was lost, by run, step and cause: counted here, and told to the server with the next batch."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dxray.wire.records import VALUE_LOSSES, Loss

Key = tuple[str, str | None, str]  # run ('' where nobody knows), step, cause

UNKNOWN_OPERATOR = "unknown_operator"  # a rule that was never made: all that was recorded may have arrived
NO_EVENTS = VALUE_LOSSES | {UNKNOWN_OPERATOR}
MOST_KEYS = 10_000  # past it, losses are told without their run


@dataclass(slots=True, eq=False)
class Slip:
    """Losses that are counted, or told, together. One that was interrupted goes on where it was."""

    lost: Sequence[Loss] = ()  # new ones, which count
    again: Sequence[Loss] = ()  # counted before, and told in a batch that was lost itself
    told: Sequence[Loss] = ()  # of those that count, what the server knows now
    done: int = 0  # so many of all these


class Losses:
    """The losses of a channel."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._untold: dict[Key, int] = {}
        self._lock = threading.RLock()  # a signal's handler may record too

    def add(self, cause: str, n: int, run_id: str = "", step_id: str | None = None) -> None:
        """Count `n` more. They are told once."""
        if n > 0:
            self.settle(Slip(lost=[Loss(run_id=run_id, step_id=step_id, cause=cause, n=n)]))

    def settle(self, slip: Slip) -> None:
        """Count what a slip says, once however often this is called. They are told once."""
        changes = [*((loss, loss.n) for loss in (*slip.lost, *slip.again)), *((loss, -loss.n) for loss in slip.told)]
        with self._lock:
            for number, (loss, change) in enumerate(changes):
                if number < slip.done:
                    continue
                key = self._key(loss)
                untold, total = self._untold.get(key, 0) + change, self.total[loss.cause] + loss.n
                # Each in one line: no interrupt comes between.
                if number < len(slip.lost):
                    self.total[loss.cause], self._untold[key], slip.done = total, untold, number + 1
                else:
                    self._untold[key], slip.done = untold, number + 1

    def untold(self) -> list[Loss]:
        """What the server does not know yet."""
        with self._lock:
            for key in [key for key, n in self._untold.items() if n <= 0]:
                del self._untold[key]
            return [Loss(run_id=run, step_id=step, cause=cause, n=n) for (run, step, cause), n in self._untold.items()]

    def events(self) -> int:
        """How many events were recorded and lost, ever."""
        return sum(n for cause, n in self.total.items() if cause not in NO_EVENTS)

    def _key(self, loss: Loss) -> Key:
        key = (loss.run_id, loss.step_id, loss.cause)
        return key if key in self._untold or len(self._untold) < MOST_KEYS else ("", None, loss.cause)
