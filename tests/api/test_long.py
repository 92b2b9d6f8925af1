"""Questions that take seconds, some of a server that really listens: worked out once, given up when nobody waits."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from fastapi import APIRouter, Query, Request, Response
from starlette.testclient import TestClient

from dxray.server.answers_cache import MOVING_S, AnswerCache, seconds_good
from dxray.server.api.long import answered
from dxray.server.api.parts import Parameters, PartsHere, asked
from dxray.server.app import create_app
from dxray.server.errors import Invalid
from dxray.server.settings import Settings
from dxray.server.store.base import Reader
from dxray.server.store.cancel import Cancelled
from tests.api.conftest import connect

MANY = {
    "run_id": "many",
    "pipeline": "p",
    "steps": [{"name": "s", "events": [{"item_id": str(n), "outcome": "accepted"} for n in range(1000)]}],
}


class SlowQuery(Parameters):
    q: str | None = None
    rows: int = 0


class Slow:
    """A question that counts how often it was begun, and how it ended."""

    __module__ = __name__
    __name__ = "slow"

    def __init__(self) -> None:
        self.begun: list[threading.Event] = []
        self.ended: list[type | None] = []

    def __call__(self, reader: Reader, q: str | None, rows: int) -> dict[str, Any]:
        self.begun.append(threading.Event())
        try:
            if q == "fail":
                raise Invalid("it cannot be", field="q")
            beside = pa.table({"run_id": pa.repeat("many", rows), "x": np.arange(rows)})
            self.begun[-1].set()
            n = reader.count_by("events", ["event_no", "x"], beside=beside).num_rows if rows else 0
        except BaseException as error:
            self.ended.append(type(error))
            raise
        self.ended.append(None)
        return {"n": n, "times": len(self.begun)}


def router(slow: Slow) -> APIRouter:
    found = APIRouter()

    @found.get("/slow")
    async def get_slow(request: Request, parts: PartsHere, query: Annotated[SlowQuery, Query()]) -> Response:
        return await answered(request, parts, slow, lambda: asked(parts, query))

    return found


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def api(tmp_path: Path, slow: Slow) -> Iterator[TestClient]:
    client = connect(tmp_path)
    client.app.include_router(router(slow))  # type: ignore[attr-defined]
    with client:
        client.post("/runs", json=MANY)
        yield client


@pytest.fixture
def server(tmp_path: Path, slow: Slow) -> Iterator[tuple[uvicorn.Server, int]]:
    app = create_app(Settings(data=tmp_path))
    app.include_router(router(slow))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    number = int(listener.getsockname()[1])
    until(lambda: server.started, 60)
    connection = http.client.HTTPConnection("127.0.0.1", number)
    connection.request("POST", "/runs", json.dumps(MANY), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()
    yield server, number
    server.should_exit = True
    thread.join(30)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def port(server: tuple[uvicorn.Server, int]) -> int:
    return server[1]


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def asking(port: int, target: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
    return connection


LONG = "/slow?rows=3000000"  # each beside every event: many seconds, of which most are one query


def test_who_leaves_stops_the_query(port: int, slow: Slow) -> None:
    connection = asking(port, LONG)
    until(lambda: len(slow.begun) == 1 and slow.begun[0].is_set(), 30)
    time.sleep(0.3)
    assert not slow.ended
    connection.close()
    began = time.monotonic()
    until(lambda: bool(slow.ended), 20)
    assert slow.ended == [Cancelled]
    assert time.monotonic() - began < 5


def test_who_stays_has_the_answer_although_another_left(port: int, slow: Slow) -> None:
    target = "/slow?rows=5000"
    first, second = asking(port, target), asking(port, target)
    until(lambda: len(slow.begun) == 1 and slow.begun[0].is_set(), 30)
    first.close()
    answer = http.client.HTTPResponse(second)
    answer.begin()
    assert answer.status == 200
    assert b'"times":1' in answer.read()
    second.close()
    assert slow.ended == [None]


def test_a_closing_server_gives_up(server: tuple[uvicorn.Server, int], slow: Slow) -> None:
    with asking(server[1], LONG):
        until(lambda: len(slow.begun) == 1 and slow.begun[0].is_set(), 30)
        server[0].should_exit = True
        until(lambda: bool(slow.ended), 20)
    assert slow.ended == [Cancelled]


def test_the_same_is_worked_out_once_until_something_is_stored(api: TestClient, slow: Slow) -> None:
    def times(**params: Any) -> int:
        found: dict[str, int] = api.get("/slow", params=params).json()
        return found["times"]

    assert [times(), times(), times(q="x"), times()] == [1, 1, 2, 1]
    api.post("/runs/many/labels", json={"label": "bad"})
    assert [times(), times()] == [3, 3]
    api.post("/runs", json={"pipeline": "p"})
    assert [times(), times(q="x")] == [4, 5]
    api.put("/views/v", json={"q": "one"})
    assert [times(q="view:v"), times(q="one")] == [6, 6]
    api.put("/views/v", json={"q": "two"})
    assert times(q="view:v") == 7


def test_many_who_ask_at_once_are_answered_by_one(api: TestClient, slow: Slow) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.get("/slow", params={"rows": 2_000}).json(), range(8)))
    assert answers == [answers[0]] * 8
    assert len(slow.begun) == 1


def test_an_error_is_told_and_not_kept(api: TestClient, slow: Slow) -> None:
    for n in (1, 2):
        answer = api.get("/slow", params={"q": "fail"})
        assert (answer.status_code, answer.json()["detail"]) == (422, "it cannot be")
        assert len(slow.begun) == n
    assert api.get("/slow", params={"q": "view:none"}).status_code == 422
    assert api.get("/slow", params={"row": 1}).json()["fix"] == "did you mean 'rows'?"


# --- what is kept ---------------------------------------------------------------------------------------------


def test_the_cache_is_bounded_and_forgets_what_is_old() -> None:
    now = [0.0]
    cache = AnswerCache(entries=3, size=10, clock=lambda: now[0])
    for n in range(4):
        cache.put(1, f"k{n}", b"ab", float("inf"))
    assert [cache.get(1, f"k{n}") for n in range(4)] == [None, b"ab", b"ab", b"ab"]
    cache.get(1, "k1")
    cache.put(1, "large", b"x" * 6, 5.0)
    assert (cache.get(1, "k2"), cache.get(1, "k1"), cache.bytes) == (None, b"ab", 10)
    cache.put(1, "too large", b"x" * 11, 5.0)
    assert cache.get(1, "too large") is None and len(cache) == 3
    cache.put(1, "k1", b"cd", 1.0)
    assert cache.get(1, "k1") == b"cd"
    now[0] = 5.0
    assert (cache.get(1, "large"), cache.get(1, "k1"), cache.get(1, "k3")) == (None, None, b"ab")
    assert (cache.get(2, "k3"), len(cache), cache.bytes) == (None, 0, 0)
    cache.put(1, "late", b"ab", 5.0)  # begun before something was stored
    assert (cache.get(1, "late"), cache.get(2, "late")) == (None, None)


@pytest.mark.parametrize(
    ("given", "moves"),
    [
        ({"since": "7d"}, True),
        ({"until": "15m", "pipeline": "p"}, True),
        ({"since": "2026-11-23T08:00:00Z", "until": None}, False),
        ({"q": "status:failed since:7d"}, True),
        ({"bad": {"q": 'x until:"1h"'}}, True),
        ({"sets": [{"since": "1w"}]}, True),
        ({"q": "pipeline:since", "limit": 7}, False),
        ({}, False),
    ],
)
def test_what_the_clock_moves_is_kept_shortly(api: TestClient, given: dict[str, Any], moves: bool) -> None:
    reader = api.app.state.parts.store.project("default")  # type: ignore[attr-defined]
    assert seconds_good(reader, given) == (MOVING_S if moves else float("inf"))


def test_while_a_run_is_running_nothing_is_kept_for_long(api: TestClient) -> None:
    reader = api.app.state.parts.store.project("default")  # type: ignore[attr-defined]
    api.post("/runs", json={"pipeline": "p", "status": "running"})
    assert seconds_good(reader, {}) == MOVING_S
