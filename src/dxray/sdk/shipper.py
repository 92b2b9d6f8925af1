"""Posts batches in the background: new ones first, what had to wait behind them and slowly, and backs off."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from dxray.sdk import transport
from dxray.sdk.guard import guard, logger
from dxray.sdk.settings import Settings
from dxray.sdk.spool import Frame

if TYPE_CHECKING:
    from dxray.sdk.deliver import Delivery
    from dxray.sdk.segment import Segment
    from dxray.sdk.transport import Transport

THREADS = 4  # the server decodes some batches while it inserts others
BACKOFF_S = 0.5
BACKOFF_CAP_S = 30.0
LOG_EVERY_S = 60.0
BACKLOG_BATCHES_S = 20.0  # what had to wait is sent no faster: a thousand clients come back at once
BACKLOG_BYTES_S = 4 * 1024 * 1024

Settled = Callable[[Frame, "Delivery"], None]

_url_shown = False
_jitter = SystemRandom().uniform  # never the host's own generator, which it may have seeded; and forks differ


def backoff(failures: int, away: float) -> float:
    """Seconds to wait after so many failures in a row: full jitter, after the cap (AWS Architecture Blog, 2015).

    `away`: the seconds since the first of them. No pause is longer than that, so what waits is tried again before
    twice the outage is over.
    """
    return _jitter(0, min(BACKOFF_CAP_S, BACKOFF_S * 2 ** min(failures, 10), max(BACKOFF_S, away)))


class Shipper:
    """Two queues of batches, and the threads that empty them.

    `settled` is told what became of a batch; `more` gives batches that dead processes left, when there is nothing else.
    """

    def __init__(self, settings: Settings, settled: Settled, more: Callable[[], list[Frame]]) -> None:
        self._settings = settings
        self._settled = settled
        self._more = more
        self._transport = transport.Transport  # as it is now: a test's capture, that begins or ends later, has another
        self._fresh: deque[Frame] = deque()
        self._backlog: deque[Frame] = deque()
        self._outstanding: set[Frame] = set()  # our own that are neither committed nor given up
        self._in_flight = 0
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._failures = 0  # in a row
        self._failed = 0  # ever
        self._away_since = 0.0
        self._not_before = 0.0
        self._backlog_not_before = 0.0
        self._waited_for = 0  # how many callers wait
        self._may_have_more = True
        self._logged_at = -LOG_EVERY_S
        self._stopped = False
        self._show: str | None = None

    # -- what the channel asks -------------------------------------------------------------------

    def submit(self, frame: Frame) -> None:
        """Take a batch; once, should somebody interrupt this and it be called again."""
        with self._changed:
            if frame.taken:
                return
            again = frame in self._outstanding
            self._outstanding.add(frame)
            if not (again and (frame in self._fresh or frame in self._backlog)):
                (self._backlog if self._failures else self._fresh).append(frame)
            if not self._threads:
                self._spawn()
            elif len(self._fresh) > 1:
                self._help()
            self._changed.notify()

    def wait(self, timeout: float, patient: bool = True) -> bool:
        """Wait until nothing is outstanding; False when the time is up, or, impatient, at the next failure."""
        with self._changed:
            self._not_before = 0.0  # somebody waits: try now
            self._waited_for += 1
            self._changed.notify_all()
            before = self._failed
            self._changed.wait_for(lambda: not self._outstanding or (not patient and self._failed > before), timeout)
            self._waited_for -= 1
            return not self._outstanding

    def outstanding(self) -> list[Frame]:
        """The batches that are not committed yet."""
        with self._changed:
            return list(self._outstanding)

    @property
    def is_away(self) -> bool:
        """Whether the server did not take the last batch that it was sent."""
        return self._failures > 0

    def withdraw(self, segment: Segment, into: list[Frame]) -> None:
        """Take back the batches of a segment, into a list that may hold some already; not those that are being sent."""
        with self._changed:
            found = [frame for frame in (*self._backlog, *self._fresh) if frame.segment is segment]
            gone = set(found)
            backlog = deque(frame for frame in self._backlog if frame not in gone)
            fresh = deque(frame for frame in self._fresh if frame not in gone)
            left, taken = self._outstanding - gone, [*into, *found]
            # In one line: no interrupt comes between, so that each has one holder.
            self._backlog, self._fresh, self._outstanding, into[:] = backlog, fresh, left, taken
            self._changed.notify_all()

    def look_for_more(self) -> None:
        """There may be batches of dead processes again."""
        with self._changed:
            self._may_have_more = True
            self._changed.notify()

    def announce(self, run: Any) -> None:
        """Print a run's address once it is there, at most once a process, and only on a terminal."""
        if self._settings.show_url and not _url_shown and sys.stderr is not None and sys.stderr.isatty():
            self._show = getattr(run, "url", None)

    def finish(self, timeout: float) -> bool:
        """At exit: ship what can be shipped in that time, in this thread where no other works. Then it is over."""
        deadline = time.monotonic() + timeout
        if any(thread.is_alive() for thread in self._threads):
            self.wait(timeout)
        else:
            with guard:
                self._drain(deadline)
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            return not self._outstanding

    # -- the threads -----------------------------------------------------------------------------

    def _spawn(self) -> None:
        thread = threading.Thread(target=self._work, name="dxray-shipper", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: `finish` ships what is left
            return
        self._threads.append(thread)

    def _work(self) -> None:
        way = self._transport(self._settings.api_url, self._settings.api_key)
        while (frame := self._next()) is not None:
            self._ship_one(way, frame)
        way.close()

    def _drain(self, deadline: float) -> None:
        while (queue := self._fresh or self._backlog) and (left := deadline - time.monotonic()) > 0:
            before = self._failed
            way = self._transport(self._settings.api_url, self._settings.api_key, read_s=left)
            with self._changed:
                frame = queue.popleft()
                frame.taken = True
                self._in_flight += 1
            self._ship_one(way, frame)
            way.close()
            if self._failed > before:
                return

    def _next(self) -> Frame | None:
        """The batch to send now, waiting for one; None at the end."""
        while True:
            with self._changed:
                while not self._stopped and not self._may_look():
                    frame, pause = self._ready()
                    if frame is not None:
                        frame.taken = True
                        self._in_flight += 1
                        self._help()
                        return frame
                    self._changed.wait(pause)
                if self._stopped:
                    return None
                self._may_have_more = False
            with guard:
                found = self._more()
                with self._changed:
                    self._backlog.extend(found)
                    self._may_have_more = bool(found)

    def _help(self) -> None:
        """More threads where more waits: the server commits together what comes together."""
        if (self._fresh or self._backlog) and not self._failures and len(self._threads) < THREADS:
            self._spawn()

    def _may_look(self) -> bool:
        return self._may_have_more and not (self._fresh or self._backlog or self._failures)

    def _ready(self) -> tuple[Frame | None, float | None]:
        """A batch that may go now, or how long to wait before asking again (None: until something changes)."""
        now = time.monotonic()
        if self._failures and self._in_flight:
            return None, None  # one attempt at a time shows whether the server is back
        pause = self._not_before - now
        if pause > 0:
            return None, pause
        if self._fresh:
            return self._fresh.popleft(), None
        if not self._backlog:
            return None, None
        pause = 0.0 if self._waited_for else self._backlog_not_before - now
        if pause > 0:
            return None, pause
        frame = self._backlog.popleft()
        cost = max(1 / BACKLOG_BATCHES_S, frame.length / BACKLOG_BYTES_S)
        self._backlog_not_before = max(now, self._backlog_not_before) + cost
        return frame, None

    def _ship_one(self, way: Transport, frame: Frame) -> None:
        from dxray.sdk.deliver import Delivery
        from dxray.sdk.transport import Fate

        try:
            self._ship(way, frame)
        except Exception as error:
            guard.caught(error)
            self._later(frame, Delivery([], Fate.RETRY, type(error).__name__))
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _ship(self, way: Transport, frame: Frame) -> None:
        from dxray.sdk.deliver import Delivery
        from dxray.sdk.transport import Fate

        try:
            data = frame.read()
        except OSError as error:
            self._done(frame, Delivery([], refused=[(b"", f"the spool lost it: {error.strerror or error}")]))
            return
        delivery = frame.delivery or Delivery([data])
        if delivery.go_on(way) is Fate.RETRY and self._settings.offline_mode != "drop":
            frame.delivery = delivery if delivery.left != [data] else None
            self._later(frame, delivery)
            return
        if delivery.fate is Fate.COMMITTED:
            # failpoint: ship.committed
            with self._changed:
                self._failures = 0
        for _, said in delivery.refused:
            self._log(f"the server at {self._settings.api_url} refused a batch ({said}); it lies in the quarantine")
        self._done(frame, delivery)
        # failpoint: ship.forgotten
        self._print_url()

    def _later(self, frame: Frame, delivery: Delivery) -> None:
        with self._changed:
            now = time.monotonic()
            if not self._failures:
                self._away_since = now
            if now >= self._not_before or not self._failures:  # else it was under way when another failed
                self._failures += 1
            self._failed += 1
            asked = (delivery.retry_after or 0.0) * _jitter(1.0, 1.2)
            pause = max(backoff(self._failures, now - self._away_since), asked)
            self._not_before = max(self._not_before, now + pause)
            self._backlog.appendleft(frame)
            self._backlog.extend(self._fresh)
            self._fresh.clear()
            self._changed.notify_all()
        # failpoint: ship.backoff
        self._log(
            f"{self._settings.api_url} does not take batches ({delivery.detail}); "
            "runs wait in the spool and are sent when it does"
        )

    def _done(self, frame: Frame, delivery: Delivery) -> None:
        self._settled(frame, delivery)
        with self._changed:
            self._outstanding.discard(frame)
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
