"""A thread that does, again and again, what no request should wait for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("dxray.store")


class Housekeeping:
    """Calls `work` every `every` seconds until it is stopped; what it raises is logged."""

    def __init__(self, work: Callable[[], None], every: float) -> None:
        self._work = work
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dxray-housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait for what it is at, and end it. Idempotent."""
        self._stopped.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self._work()
            except Exception:
                log.exception("housekeeping failed; it is tried again in %s s", self._every)
