"""The way to a server over HTTP: requests, answers, and what becomes of their errors."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from dxray.wire.answers.base import Answer
from dxray.wire.text import clean

if TYPE_CHECKING:
    import urllib3

DEFAULT_URL = "http://localhost:8000"
READY_WITHIN = 30.0

AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


class ClientError(Exception):
    """A question that was not answered.

    `status` is the HTTP status, 0 when none came; `problem` is the server's problem document (RFC 9457:
    `title`, `detail`, and here `field` and `fix`). The message is one line that is safe to print.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        detail = problem.get("detail") or problem.get("title") or f"the server answered {status}"
        fix = problem.get("fix")
        super().__init__(clean(f"{detail} ({fix})" if fix else detail))


class ServerNotReachable(ClientError):
    """Nothing that could answer was there, or it did not answer in time."""

    def __init__(self, detail: str) -> None:
        super().__init__(0, {"title": "Server not reachable", "detail": detail})


class Connection:
    """A server that is asked over HTTP. Every method raises `ClientError`, or its kind `ServerNotReachable`."""

    def __init__(self, api_url: str | None = None, api_key: str | None = None, timeout: float = 30.0) -> None:
        self.api_url = (api_url or os.environ.get("DXRAY_API_URL") or DEFAULT_URL).rstrip("/")
        self._key = api_key or os.environ.get("DXRAY_API_KEY") or None
        self.timeout = timeout
        self._made: urllib3.PoolManager | None = None
        parts = urlsplit(self.api_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            shown = clean(self.api_url)
            raise ServerNotReachable(f"{shown!r} is no address of a server; write it like {DEFAULT_URL}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.api_url!r})"

    def health(self) -> dict[str, Any]:
        """What `/healthz` says."""
        return self.get("/healthz")

    def wait_ready(self, timeout: float = READY_WITHIN) -> None:
        """Return once the server is ready. Raises `ServerNotReachable` if it is not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.get("/readyz")
                return
            except ClientError as error:
                # Anything but "not there" and "not yet" will not change by waiting.
                if not (isinstance(error, ServerNotReachable) or error.status in (502, 503, 504)):
                    raise
                if time.monotonic() > deadline:
                    raise
                self._check_alive()
            time.sleep(0.05)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON of any address of the API, for what has no method here. Parameters that are None are left out."""
        pairs = [(name, _param(value)) for name, value in params.items() if value is not None]
        query = urlencode(pairs, errors="replace")
        return self._send("GET", f"{path}?{query}" if query else path)[1]

    def close(self) -> None:
        """Let go of the connections. Idempotent."""
        if self._made is not None:
            self._made.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_alive(self) -> None:
        """Raise when waiting is in vain; a server that is somebody else's may always come."""

    def _ask(self, kind: type[AnyAnswer], path: str, **params: Any) -> AnyAnswer:
        return typed(kind, self.get(path, **params))

    def _post(self, kind: type[AnyAnswer], path: str, **said: Any) -> AnyAnswer:
        known = {name: value for name, value in said.items() if value is not None}
        try:
            body = json.dumps(known, default=_param, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ClientError(0, {"detail": f"the question cannot be written as JSON: {error}"}) from error
        return typed(kind, self._send("POST", path, body.encode())[1])

    def _pool(self) -> urllib3.PoolManager:
        if self._made is None:
            import urllib3  # 100 ms, for those who ask something

            headers = {"Accept": "application/json", "User-Agent": "dxray-client"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._made = urllib3.PoolManager(maxsize=4, headers=headers, retries=False)
        return self._made

    def _send(self, method: str, target: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        pool = self._pool()
        import urllib3

        headers = dict(pool.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = pool.request(method, self.api_url + target, body=body, headers=headers, timeout=self.timeout)
            content = answer.data
        except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError) as error:
            raise ServerNotReachable(_stalled(self.api_url, self.timeout, error)) from error
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            raise ServerNotReachable(
                f"nothing answers at {clean(self.api_url)}: "
                'start a server with "dxray serve", or name another with --api-url'
            ) from error
        return answer.status, self._read(answer.status, content)

    def _read(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content, parse_int=_parse_int)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ClientError(
                status,
                {
                    "detail": f"{self.api_url} answered {status}, and not as an X-Ray server does",
                    "fix": "is something else on that port? name the server with --api-url",
                },
            )
        if status >= 400:
            if "detail" in answer and not isinstance(answer["detail"], str):
                answer["detail"] = json.dumps(answer["detail"])
            raise ClientError(status, answer)
        return answer


def typed(kind: type[AnyAnswer], raw: Any) -> AnyAnswer:
    """An answer read as `kind`. Raises `ClientError` where it cannot be."""
    try:
        return kind.read(raw)
    except (msgspec.ValidationError, AttributeError) as error:
        detail = f"the server's answer is not understood here ({kind.__name__}: {error})"
        raise ClientError(0, {"detail": detail, "fix": "upgrade dxray here or there"}) from error


def _param(value: Any) -> str:
    if isinstance(value, datetime):
        at = value if value.tzinfo is not None else value.astimezone()
        return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _parse_int(digits: str) -> int | str:
    # Python refuses integers of more digits than this; recorded ones may have them.
    return int(digits) if len(digits) < 4300 else digits


def _stalled(api_url: str, timeout: float, error: Exception) -> str:
    import urllib3

    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return f"{clean(api_url)} did not answer within {timeout:g} s: is it busy? look at its log"
    return f"{clean(api_url)} broke off in mid-answer: ask again, and look at its log if it stays so"
