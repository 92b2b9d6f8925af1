"""What was lost, by run, step and cause: counted here, and told to the server with the next batch."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from dxray.wire.records import VALUE_LOSSES, Loss

Key = tuple[str, str | None, str]  # run ('' where nobody knows), step, cause

MOST_KEYS = 10_000  # past it, losses are told without their run


class Losses:
    """The losses of a channel."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._untold: dict[Key, int] = {}
        self._lock = threading.RLock()  # a signal's handler may record too

    def add(self, cause: str, n: int, run_id: str = "", step_id: str | None = None) -> None:
        """Count `n` more. They are told once."""
        if n > 0:
            with self._lock:
                self.total[cause] += n
                self._note(run_id, step_id, cause, n)

    def tell_again(self, losses: Iterable[Loss]) -> None:
        """Losses that were told in a batch which was lost itself."""
        with self._lock:
            for loss in losses:
                self._note(loss.run_id, loss.step_id, loss.cause, loss.n)

    def take(self) -> list[Loss]:
        """What the server does not know yet."""
        with self._lock:
            untold, self._untold = self._untold, {}
        return [Loss(run_id=run, step_id=step, cause=cause, n=n) for (run, step, cause), n in untold.items()]

    def events(self) -> int:
        """How many events were lost, ever."""
        return sum(n for cause, n in self.total.items() if cause not in VALUE_LOSSES)

    def _note(self, run_id: str, step_id: str | None, cause: str, n: int) -> None:
        key = (run_id, step_id, cause)
        if key not in self._untold and len(self._untold) >= MOST_KEYS:
            key = ("", None, cause)
        self._untold[key] = self._untold.get(key, 0) + n
