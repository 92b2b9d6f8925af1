"""Runs that go on in a web application: Flask and Django over WSGI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, Response
from werkzeug.test import Client

from dxray import XRay, current_run
from dxray.integrations.wsgi import XRayMiddleware
from dxray.testing import Capture, capture


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture() as captured:
        yield captured


def rank(item: str) -> None:
    with current_run().step("rank", "rank") as step:
        step.score(item, 0.5)


def application(**options: Any) -> Flask:
    app = Flask("service")
    app.wsgi_app = XRayMiddleware(app.wsgi_app, XRay("service"), **options)  # type: ignore[method-assign]

    @app.get("/rank/<item>")
    def ranked(item: str) -> str:
        rank(item)
        return current_run().run_id or "None"

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[bytes]:
            for n in range(3):
                rank(f"p{n}")
                yield b"x"

        return Response(parts())

    return app


def test_a_request_goes_on_in_the_run_and_under_the_step_that_sent_it(captured: Capture) -> None:
    xray, client = XRay("shop"), application().test_client()
    with xray.run() as run, run.step("ask_ranker", "tool") as step:
        headers = dict(xray.inject({}))
    assert client.get("/rank/a", headers=headers).text == run.run_id
    assert client.get("/stream", headers=headers).data == b"xxx"
    assert not current_run()
    ranks = [one for one in captured.steps if one.name == "rank"]
    assert {(one.run_id, one.parent_step_id) for one in ranks} == {(run.run_id, step.step_id)}
    assert [event.item_id for event in captured.events] == ["a", "p0", "p1", "p2"]


def test_without_a_run_nothing_is_recorded_unless_it_is_asked_for(captured: Capture) -> None:
    assert application().test_client().get("/rank/a").text == "None"
    assert captured.records == []
    assert application(new_runs=True).test_client().get("/rank/a", buffered=True).text.startswith("run_")
    assert [(run.pipeline, run.status) for run in captured.runs] == [("service", "completed")]


def test_a_body_is_closed_once_and_an_exception_of_the_application_passes(captured: Capture) -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            rank("in the body")
            yield b"1"
            raise LookupError("the user's own")

        def close(self) -> None:
            closed.append(bool(current_run()))

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/fails":
            raise LookupError("before the body")
        start_response("200 OK", [])
        return Body()

    wrapped = XRayMiddleware(app, XRay("service"))
    environ = {"HTTP_DXRAY_RUN_ID": "run_7", "PATH_INFO": "/"}
    body: Any = wrapped(environ, lambda *_: None)
    assert next(body) == b"1"
    with pytest.raises(LookupError, match="the user's own"):
        next(body)
    body.close()
    assert closed == [True]
    assert not current_run()
    with pytest.raises(LookupError, match="before the body"):
        wrapped({**environ, "PATH_INFO": "/fails"}, lambda *_: None)
    assert not current_run()
    assert [event.item_id for event in captured.events] == ["in the body"]


def test_django_goes_on_in_the_run(captured: Capture) -> None:
    from tests.integrations.django_site import wsgi_application

    client = Client(XRayMiddleware(wsgi_application(), XRay("service")))
    assert client.get("/rank", headers={"dxray-run-id": "run_7"}).text == "run_7"
    assert client.get("/stream", headers={"dxray-run-id": "run_8"}).data == b"xx"
    assert client.get("/rank").text == "None"
    assert [step.run_id for step in captured.steps] == ["run_7", "run_8", "run_8"]
