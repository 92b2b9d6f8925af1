"""One POST of one batch, and what the answer means."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any, NamedTuple

from dxray.wire.codec import DIGEST, digest

CONNECT_S = 3.0
READ_S = 30.0
MOST_RETRY_AFTER_S = 300.0
RETRIABLE = frozenset((429, 502, 503, 504))
TOO_LARGE = 413


class Fate(Enum):
    """What became of a batch."""

    COMMITTED = "committed"
    RETRY = "retry"  # not now: the server is away or busy
    TOO_LARGE = "too large"  # not in one piece
    REFUSED = "refused"  # never: the server will not take it


class Answer(NamedTuple):
    """The fate of a batch, what the server said, how long it asks to wait (seconds), and which records it rejected."""

    fate: Fate
    detail: str = ""
    retry_after: float | None = None
    rejected: tuple[int, ...] = ()


class Transport:
    """HTTP to one server. Made in the thread that ships: urllib3 takes 100 ms to import."""

    def __init__(self, api_url: str, api_key: str | None, read_s: float = READ_S) -> None:
        import urllib3

        self._errors = (urllib3.exceptions.HTTPError, OSError)
        self._pool: Any = urllib3.PoolManager(
            num_pools=1,
            maxsize=8,
            retries=False,
            timeout=urllib3.Timeout(connect=min(CONNECT_S, read_s), read=read_s),
        )
        self._url = f"{api_url}/ingest"
        self._headers = {"Content-Type": "application/msgpack", "Content-Encoding": "zstd"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def post(self, data: bytes) -> Answer:
        """Send a packed batch. 2xx means committed; connection errors and 429, 502, 503, 504 mean later."""
        try:
            response = self._pool.request(
                "POST", self._url, body=data, headers={**self._headers, DIGEST: digest(data)}, redirect=False
            )
        except self._errors as error:
            return Answer(Fate.RETRY, type(error).__name__)
        detail = f"HTTP {response.status}"
        if 200 <= response.status < 300:
            rejected = _rejected(response.data)
            if rejected is None:  # a proxy or a login page, perhaps
                return Answer(Fate.RETRY, f"{detail}, but not from X-Ray")
            return Answer(Fate.COMMITTED, rejected=rejected)
        if response.status in RETRIABLE:
            return Answer(Fate.RETRY, detail, _seconds(response.headers.get("Retry-After")))
        return Answer(Fate.TOO_LARGE if response.status == TOO_LARGE else Fate.REFUSED, detail)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def _rejected(body: bytes) -> tuple[int, ...] | None:
    """Which records of a committed batch the server could not take; None where the answer is another's."""
    try:
        answer = json.loads(body)
        if "accepted" not in answer:
            return None
        return tuple(int(one["index"] if isinstance(one, dict) else one[0]) for one in answer.get("rejected", ()))
    except (ValueError, AttributeError, TypeError, LookupError):
        return None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "nan")
    except ValueError:  # a date, perhaps: backing off will do
        return None
    return min(max(seconds, 0.0), MOST_RETRY_AFTER_S) if math.isfinite(seconds) else None
