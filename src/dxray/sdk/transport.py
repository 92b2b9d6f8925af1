"""One POST of one batch, and what the answer means."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, NamedTuple

CONNECT_S = 3.0
READ_S = 30.0
RETRIABLE = frozenset((429, 502, 503, 504))


class Fate(Enum):
    """What became of a batch."""

    COMMITTED = "committed"
    RETRY = "retry"  # not now: the server is away or busy
    REFUSED = "refused"  # never: the server will not take it


class Answer(NamedTuple):
    """The fate of a batch, what the server said, and how long it asks to wait (seconds)."""

    fate: Fate
    detail: str = ""
    retry_after: float | None = None
    rejected: int = 0


class Transport:
    """HTTP to one server. Made in the thread that ships: urllib3 takes 100 ms to import."""

    def __init__(self, api_url: str, api_key: str | None) -> None:
        import urllib3

        self._errors = (urllib3.exceptions.HTTPError, OSError)
        self._pool: Any = urllib3.PoolManager(
            num_pools=1,
            maxsize=4,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
        )
        self._url = f"{api_url}/ingest"
        self._headers = {"Content-Type": "application/msgpack", "Content-Encoding": "zstd"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def post(self, data: bytes) -> Answer:
        """Send a packed batch. 2xx means committed; connection errors and 429, 502, 503, 504 mean later."""
        try:
            response = self._pool.request("POST", self._url, body=data, headers=self._headers, redirect=False)
        except self._errors as error:
            return Answer(Fate.RETRY, f"{type(error).__name__}")
        if 200 <= response.status < 300:
            return Answer(Fate.COMMITTED, rejected=_rejected(response.data))
        detail = f"HTTP {response.status}"
        if response.status in RETRIABLE:
            return Answer(Fate.RETRY, detail, _seconds(response.headers.get("Retry-After")))
        return Answer(Fate.REFUSED, detail)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def _rejected(body: bytes) -> int:
    """How many records of a committed batch the server could not take."""
    try:
        return len(json.loads(body).get("rejected", ()))
    except (ValueError, AttributeError, TypeError):
        return 0


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else min(float(text), 300.0)
    except ValueError:
        return None
