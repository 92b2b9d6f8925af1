"""Runs that go on in a web application: FastAPI, Starlette and Django over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from dxray import XRay, current_run
from dxray.integrations.asgi import XRayMiddleware
from dxray.testing import Capture, capture


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture() as captured:
        yield captured


def rank(item: str) -> None:
    with current_run().step("rank", "rank") as step:
        step.score(item, 0.5)


def application(**options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(XRayMiddleware, xray=XRay("service"), **options)

    @app.get("/sync")
    def sync(item: str) -> dict[str, str]:
        rank(item)
        return {"run": current_run().run_id or "None"}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for n in range(3):
                await asyncio.sleep(0)
                rank(f"p{n}")
                yield b"x"

        return StreamingResponse(parts())

    @app.get("/fails")
    async def fails() -> None:
        rank("before")
        raise LookupError("the user's own")

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(str(bool(current_run())))
        await socket.close()

    return app


def test_a_request_goes_on_in_the_run_and_under_the_step_that_sent_it(captured: Capture) -> None:
    xray, client = XRay("shop"), TestClient(application())
    with xray.run() as run, run.step("ask_ranker", "tool") as step:
        headers = xray.inject({})
        assert client.get("/sync", params={"item": "a"}, headers=headers).json() == {"run": run.run_id}
        assert client.get("/stream", headers=headers).content == b"xxx"
    ranks = [one for one in captured.steps if one.name == "rank"]
    assert {(one.run_id, one.parent_step_id) for one in ranks} == {(run.run_id, step.step_id)}
    assert len({one.step_id for one in ranks}) == 4
    assert [one.pipeline for one in captured.runs] == ["shop"]
    assert [event.item_id for event in captured.events] == ["a", "p0", "p1", "p2"]


def test_baggage_carries_a_run_too(captured: Capture) -> None:
    client = TestClient(application())
    headers = {"Baggage": "user=7, dxray-run-id=run_7;ttl=1,dxray-pipeline=my%20shop"}
    assert client.get("/sync?item=a", headers=headers).json() == {"run": "run_7"}
    assert client.get("/sync?item=a", headers={"Baggage": "user=7"}).json() == {"run": "None"}
    assert client.get("/sync?item=a", headers={"dxray-run-id": "no run!"}).json() == {"run": "None"}
    assert {one.run_id for one in captured.steps} == {"run_7"}


def test_without_a_run_nothing_is_recorded_unless_it_is_asked_for(captured: Capture) -> None:
    assert TestClient(application()).get("/sync?item=a").json() == {"run": "None"}
    assert captured.records == []
    trace = "0af7651916cd43dd8448eb211c80319c"
    client = TestClient(application(new_runs=True))
    client.get("/sync?item=a", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    client.get("/sync?item=b", headers={"traceparent": "nonsense"})
    runs = captured.runs
    assert [(run.pipeline, run.status, run.trace_id) for run in runs] == [
        ("service", "completed", trace),
        ("service", "completed", None),
    ]
    assert len({step.run_id for step in captured.steps}) == 2


def test_exceptions_sockets_and_the_lifespan_pass_through(captured: Capture) -> None:
    with TestClient(application(new_runs=True)) as client:  # runs the lifespan
        with pytest.raises(LookupError, match="the user's own"):
            client.get("/fails")
        with client.websocket_connect("/socket", headers={"dxray-run-id": "run_7"}) as socket:
            assert socket.receive_text() == "False"
    assert [run.status for run in captured.runs] == ["failed"]


def test_requests_at_the_same_time_keep_to_their_runs(captured: Capture) -> None:
    async def both() -> list[str]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(5):
                await asyncio.sleep(0)
                rank(current_run().run_id)
            seen.append(current_run().run_id)

        seen: list[str] = []
        wrapped = XRayMiddleware(app, XRay("service"))
        scopes = [{"type": "http", "headers": [(b"dxray-run-id", f"run_{n}".encode())]} for n in range(4)]
        await asyncio.gather(*(wrapped(scope, None, None) for scope in scopes))  # type: ignore[arg-type]
        return seen

    assert sorted(asyncio.run(both())) == [f"run_{n}" for n in range(4)]
    assert not current_run()
    assert all(event.item_id == event.run_id for event in captured.events)
    assert len(captured.events) == 20


def test_django_goes_on_in_the_run(captured: Capture) -> None:
    from tests.integrations.django_site import asgi_application, client_of

    app = XRayMiddleware(asgi_application(), XRay("service"))
    assert client_of(app).get("/rank", headers={"dxray-run-id": "run_7"}).text == "run_7"
    assert [(step.run_id, step.name) for step in captured.steps] == [("run_7", "rank")]
