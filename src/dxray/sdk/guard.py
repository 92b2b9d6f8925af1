"""One guard makes "the host is never broken" true: what goes wrong in here is counted, not raised."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from types import TracebackType

from dxray.wire.predicates import UnknownOperator

logger = logging.getLogger("dxray")

LOG_EVERY_S = 60.0
HANDLER_S = 1.0  # for a lock: a signal's handler may have interrupted the very thread that holds it

SPEAKING = (UnknownOperator,)  # errors of ours whose text holds nothing that was recorded


class Guard:
    """`with guard:` swallows any `Exception`, counts it by type, and logs at most one a minute.

    Loud where `loud` is set (our own tests): the exception goes on.
    """

    __slots__ = ("_logged_at", "counts", "loud")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.loud = bool(os.environ.get("DXRAY_LOUD"))
        self._logged_at = -LOG_EVERY_S

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        if isinstance(error, Exception):
            return self.caught(error)
        return False

    def caught(self, error: Exception) -> bool:
        """Count an exception; True when it ends here."""
        self.counts[type(error).__name__] += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            # Of others the type only: an exception's text may hold what the user recorded.
            what = type(error).__name__ + (f": {error}" if type(error) in SPEAKING else "")
            logger.warning(
                "dxray could not record something (%s); the pipeline goes on. So far: %s",
                what,
                dict(self.counts),
            )
        return not self.loud


guard = Guard()
