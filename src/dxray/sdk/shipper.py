"""Posts batches in the background, the newest backlog of a dead server's time included, and backs off."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dxray.sdk.guard import guard, logger
from dxray.sdk.settings import Settings
from dxray.sdk.spool import Frame

if TYPE_CHECKING:
    from dxray.sdk.transport import Answer, Transport

THREADS = 2  # the server decodes one batch while it inserts another
BACKOFF_S = 0.5
BACKOFF_CAP_S = 30.0
LOG_EVERY_S = 60.0

Settled = Callable[[Frame, str | None, int], None]

_url_shown = False


class Shipper:
    """A queue of batches and the threads that empty it."""

    def __init__(self, settings: Settings, settled: Settled) -> None:
        self._settings = settings
        self._settled = settled
        self._queue: deque[Frame] = deque()
        self._outstanding: dict[int, Frame] = {}
        self._failed = 0  # attempts, ever
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._failures = 0
        self._not_before = 0.0
        self._logged_at = -LOG_EVERY_S
        self._stopped = False
        self._show: str | None = None

    def submit(self, frame: Frame) -> None:
        """Take a batch."""
        with self._changed:
            self._queue.append(frame)
            self._outstanding[frame.seq] = frame
            if not self._threads or (len(self._queue) > 1 and len(self._threads) < THREADS):
                self._spawn()
            self._changed.notify()

    def wait(self, timeout: float, patient: bool = True) -> bool:
        """Wait until nothing is outstanding; False when the time is up, or, impatient, at the next failure."""
        with self._changed:
            self._not_before = 0.0  # somebody waits: try now
            self._changed.notify_all()
            before = self._failed
            self._changed.wait_for(lambda: not self._outstanding or (not patient and self._failed > before), timeout)
            return not self._outstanding

    def outstanding(self) -> list[Frame]:
        """The batches that are not committed yet."""
        with self._changed:
            return list(self._outstanding.values())

    def announce(self, run: Any) -> None:
        """Print a run's address once it is there, at most once a process, and only on a terminal."""
        if self._settings.show_url and not _url_shown and sys.stderr is not None and sys.stderr.isatty():
            self._show = getattr(run, "url", None)

    def stop(self) -> None:
        """No further attempts; what is queued stays in the spool."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _spawn(self) -> None:
        thread = threading.Thread(target=self._work, name="dxray-shipper", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        from dxray.sdk.transport import Transport

        transport = Transport(self._settings.api_url, self._settings.api_key)
        while True:
            frame = self._next()
            if frame is None:
                transport.close()
                return
            with guard:
                self._ship(transport, frame)

    def _next(self) -> Frame | None:
        with self._changed:
            while not self._stopped:
                wait = self._not_before - time.monotonic()
                if self._queue and wait <= 0:
                    return self._queue.popleft()
                self._changed.wait(wait if self._queue else None)
        return None

    def _ship(self, transport: Transport, frame: Frame) -> None:
        from dxray.sdk.transport import Fate

        try:
            data = frame.read()
        except OSError:
            self._done(frame, "spool_gone")
            return
        answer = transport.post(data)
        if answer.fate is Fate.COMMITTED:
            self._failures = 0
            if answer.rejected:
                logger.warning("dxray: the server could not take %d records of a batch", answer.rejected)
            self._done(frame, None, answer.rejected)
            self._print_url()
        elif answer.fate is Fate.REFUSED:
            self._log(f"the server at {self._settings.api_url} refused a batch ({answer.detail}); it is dropped")
            self._done(frame, "refused")
        elif self._settings.offline_mode == "drop":
            self._done(frame, "server_away")
        else:
            self._later(frame, answer)

    def _later(self, frame: Frame, answer: Answer) -> None:
        """Full jitter on an exponential, under a cap (AWS Architecture Blog, 2015)."""
        with self._changed:
            self._failures += 1
            self._failed += 1
            ceiling = min(BACKOFF_CAP_S, BACKOFF_S * 2 ** min(self._failures, 10))
            pause = random.uniform(0, ceiling)
            self._not_before = time.monotonic() + max(pause, answer.retry_after or 0.0)
            self._queue.appendleft(frame)
            self._changed.notify_all()
        self._log(
            f"{self._settings.api_url} does not take batches ({answer.detail}); "
            "runs wait in the spool and are sent when it does"
        )

    def _done(self, frame: Frame, cause: str | None, rejected: int = 0) -> None:
        self._settled(frame, cause, rejected)
        with self._changed:
            del self._outstanding[frame.seq]
            if not self._outstanding:
                self._changed.notify_all()

    def _log(self, message: str) -> None:
        now = time.monotonic()
        if now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            logger.warning("dxray: %s", message)

    def _print_url(self) -> None:
        global _url_shown
        if self._show is not None and not _url_shown:
            _url_shown = True
            sys.stderr.write(f"X-Ray: {self._show}\n")
