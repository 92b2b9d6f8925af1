"""Asks a server over HTTP, with typed answers. `local()` starts a server for a notebook or a test."""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from dxray.wire.answers import (
    Answer,
    Blame,
    Diff,
    Event,
    Funnel,
    Items,
    Labels,
    Lineage,
    Pipeline,
    Pipelines,
    Posted,
    Run,
    Runs,
    Steps,
    Why,
    WhyRank,
)
from dxray.wire.ids import is_run_id
from dxray.wire.text import clean

if TYPE_CHECKING:
    import subprocess

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


class Client:
    """A server, to ask.

    `api_url` defaults to `DXRAY_API_URL`, then to http://localhost:8000; `api_key` to `DXRAY_API_KEY`;
    `timeout` is in seconds, for each request. Every method raises `ClientError`, or its kind
    `ServerNotReachable`. A client may be used from several threads, and as a context manager.
    """

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

    # Questions

    def runs(
        self,
        *,
        pipeline: str | None = None,
        status: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Runs:
        """A page of runs, newest first. Times may be words such as `7d`; `q` is a filter such as `status:failed`."""
        return self._ask(
            Runs,
            "/runs",
            pipeline=pipeline,
            status=status,
            since=since,
            until=until,
            q=q,
            limit=limit,
            offset=offset,
        )

    def run(self, run_id: str) -> Run:
        """One run with its steps and their counts."""
        return self._ask(Run, _run_path(run_id))

    def steps(
        self,
        *,
        step_type: str | None = None,
        name: str | None = None,
        pipeline: str | None = None,
        rejection_rate_gt: float | None = None,
        rejection_rate_lt: float | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Steps:
        """A page of steps across runs, newest first. Rates lie in 0..1, and the limits are strict."""
        return self._ask(
            Steps,
            "/steps",
            step_type=step_type,
            name=name,
            pipeline=pipeline,
            rejection_rate_gt=rejection_rate_gt,
            rejection_rate_lt=rejection_rate_lt,
            since=since,
            until=until,
            q=q,
            limit=limit,
            offset=offset,
        )

    def events(
        self,
        run_id: str,
        *,
        step_id: str | None = None,
        outcome: str | None = None,
        reason: str | None = None,
        item: str | None = None,
    ) -> Iterator[Event]:
        """All events of a run that fit, page after page, as they are asked for."""
        path, cursor = _run_path(run_id) + "/events", None
        while True:
            page = self.get(path, step_id=step_id, outcome=outcome, reason=reason, item=item, cursor=cursor)
            for raw in page.get("events") or ():
                yield _typed(Event, raw)
            following = page.get("next_cursor")
            if following is None or following == cursor:
                return
            cursor = following

    def pipelines(self) -> list[Pipeline]:
        """The pipelines, with their health."""
        return Pipelines(_typed(Pipeline, raw) for raw in self.get("/pipelines").get("pipelines") or ())

    def why(self, run_id: str, item: str | int) -> Why:
        """What became of an item in a run, and why."""
        return self._ask(Why, _run_path(run_id) + "/why", item=str(item))

    def why_rank(self, run_id: str, item: str | int, over: str | int) -> WhyRank:
        """Why an item stands before or behind another in a run, and what would swap them."""
        return self._ask(WhyRank, _run_path(run_id) + "/why-rank", item=str(item), over=str(over))

    def funnel(self, run_id: str) -> Funnel:
        """Where the items of a run went: in, out and lost, by step and between steps."""
        return self._ask(Funnel, _run_path(run_id) + "/funnel")

    def lineage(self, run_id: str, item: str | int, *, levels: int | None = None) -> Lineage:
        """What an item came from, back to the beginning, and what came of it, so many `levels` down."""
        return self._ask(Lineage, _run_path(run_id) + "/lineage", item=str(item), levels=levels)

    def items(
        self,
        id: str | int | None = None,
        *,
        name: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Items:
        """An item across runs, newest first, by its id or by its name."""
        return self._ask(Items, "/items", id=None if id is None else str(id), name=name, limit=limit, offset=offset)

    def diff(self, a: str, b: str) -> Diff:
        """Where two runs parted, and what became of what."""
        return self._ask(Diff, "/diff", a=a, b=b)

    def blame(
        self,
        pipeline: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
    ) -> Blame:
        """Which steps are to blame for what labels say was wrong."""
        return self._ask(Blame, "/blame", pipeline=pipeline, since=since, until=until, q=q)

    def labels(self, run_id: str) -> Labels:
        """The labels of a run that stand."""
        return self._ask(Labels, _run_path(run_id) + "/labels")

    def label(self, run_id: str, label: str, item: str | int | None = None, note: str | None = None) -> Labels:
        """Say of a run that it was `good` or `bad`, or of an item that it was `expected`, `wrong` or to `keep`."""
        said = {"label": label, "item_id": None if item is None else str(item), "note": note}
        body = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
        return _typed(Labels, self._send("POST", _run_path(run_id) + "/labels", body)[1])

    def unlabel(self, run_id: str, number: int) -> Labels:
        """Take back a label of a run, by its number."""
        return _typed(Labels, self._send("DELETE", f"{_run_path(run_id)}/labels/{number}")[1])

    # Recording and operations

    def post_run(self, run: Mapping[str, Any]) -> Posted:
        """Record one whole run, written by hand. The same run again changes nothing."""
        try:
            body = json.dumps(run, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ClientError(0, {"detail": f"the run cannot be written as JSON: {error}"}) from error
        status, answer = self._send("POST", "/runs", body)
        data = answer.get("data") or {}
        raw = {"run_id": data.get("run_id", ""), "created": status == 201, "message": answer.get("message")}
        return _typed(Posted, raw)

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
        return _typed(kind, self.get(path, **params))

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


class LocalClient(Client):
    """A server of its own, started as a child process, and its client. Made by `local()`.

    `data` is its folder; `log` holds the last lines that it printed.
    """

    def __init__(self, process: subprocess.Popen[bytes], api_url: str, data: Path) -> None:
        super().__init__(api_url)
        self.data = data
        self._process = process
        self.log: deque[str] = deque(maxlen=200)
        self._owner = os.getpid()
        _drain(process, self.log)
        atexit.register(self.close)

    def close(self) -> None:
        """Stop the server; its data goes too, unless a folder was named. Idempotent."""
        super().close()
        if os.getpid() == self._owner:  # not in a fork that ends
            atexit.unregister(self.close)
            _stop(self._process)

    def _check_alive(self) -> None:
        if self._process.poll() is not None:
            raise ServerNotReachable(f"the server at {self.api_url} ended by itself")


def local(data: str | os.PathLike[str] | None = None, port: int = 0) -> LocalClient:
    """Start a server on `port` of this machine, a free one by default, and return its client, ready to be asked.

    What is recorded goes to the folder `data`, else to a temporary one. The server ends at `close()`, at
    the end of a `with`, or with this process. Raises `ServerNotReachable` with what it said when it
    does not start.
    """
    import shutil
    import subprocess
    import tempfile

    folder = Path(data) if data is not None else Path(tempfile.mkdtemp(prefix="dxray-"))
    serve = ["serve", "--json", "--until-eof", "--port", str(port), "--data", str(folder)]
    serve += [] if data is not None else ["--forget"]
    # -P: a module of the caller's folder must not stand in for one of the server's.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "dxray", *serve],
        stdin=subprocess.PIPE,  # its end tells the server that this process has ended, however it did
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_child_env(),
    )
    try:
        client = LocalClient(process, _first_words(process), folder)
    except BaseException:
        _stop(process)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    client.wait_ready()
    return client


def _first_words(process: subprocess.Popen[bytes]) -> str:
    """The address that a starting server prints. Raises `ServerNotReachable` with what it prints instead."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    try:
        api_url = str(json.loads(line)["api_url"])
    except (ValueError, KeyError, TypeError):
        process.terminate()
        with process.stdout, process.stderr:
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
        last = said[-1].removeprefix("dxray: ") if said else repr(line)
        raise ServerNotReachable(f"the server did not start: {last}") from None
    return api_url


def _child_env() -> dict[str, str]:
    # A store that was named for another server is not this one's.
    return {name: value for name, value in os.environ.items() if name != "DXRAY_STORE"}


def _drain(process: subprocess.Popen[bytes], log: deque[str]) -> None:
    """Read on what the server prints, so that a full pipe never stops it."""
    import threading

    def read(stream: IO[bytes]) -> None:
        with stream:
            log.extend(line.decode(errors="replace").rstrip() for line in stream)

    for stream in (process.stdout, process.stderr):
        threading.Thread(target=read, args=(stream,), name="dxray-local", daemon=True).start()


def _stop(process: subprocess.Popen[bytes]) -> None:
    import subprocess

    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _typed(kind: type[AnyAnswer], raw: Any) -> AnyAnswer:
    try:
        return kind.read(raw)
    except (msgspec.ValidationError, AttributeError) as error:
        detail = f"the server's answer is not understood here ({kind.__name__}: {error})"
        raise ClientError(0, {"detail": detail, "fix": "upgrade dxray here or there"}) from error


def _run_path(run_id: str) -> str:
    # An address cannot carry every text, and no run has such an id.
    if not is_run_id(run_id):
        fix = "a run id has 1 to 128 of A-Z a-z 0-9 . _ : -"
        raise ClientError(404, {"title": "Not found", "detail": f"there is no run {run_id!r}", "fix": fix})
    return "/runs/" + quote(run_id, safe=":")


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
