"""The client asks what it should, reads what it gets, and says what went wrong in one line."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dxray.client import Client, ClientError, ServerNotReachable
from tests.unit import cli_answers as answers


@pytest.fixture
def client(httpserver: HTTPServer) -> Client:
    return Client(httpserver.url_for(""), timeout=2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_the_address_and_the_key_come_from_arguments_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DXRAY_API_URL", raising=False)
    assert Client().api_url == "http://localhost:8000"
    monkeypatch.setenv("DXRAY_API_URL", "http://example.test:1/")
    assert Client().api_url == "http://example.test:1"
    assert Client("http://other.test").api_url == "http://other.test"


def test_the_key_travels_as_a_bearer_and_shows_nowhere(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/healthz", headers={"Authorization": "Bearer dxr_secret"}).respond_with_json({"ok": 1})
    client = Client(httpserver.url_for(""), "dxr_secret")
    assert client.health() == {"ok": 1}
    assert "dxr_secret" not in repr(client)


def test_filters_become_parameters_and_those_not_given_stay_away(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/runs", query_string={"pipeline": "a b&c", "since": "2026-11-23T10:00:00Z", "limit": "5"}
    ).respond_with_json({"runs": [answers.summary()], "total": 1})
    page = client.runs(pipeline="a b&c", since=datetime(2026, 11, 23, 10, tzinfo=UTC), limit=5)
    assert page[0].pipeline == "competitor_selection"


def test_rates_and_names_of_steps_become_parameters(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/steps", query_string={"step_type": "filter", "rejection_rate_gt": "0.9", "name": "f"}
    ).respond_with_json({"steps": [answers.step(2, "f", "filter", {})], "total": 1})
    assert client.steps(step_type="filter", rejection_rate_gt=0.9, name="f")[0].title == "f"


def test_steps_and_pipelines_print_one_a_line(client: Client, httpserver: HTTPServer) -> None:
    evil = "f\x1b[2J"
    step = answers.step(2, evil, "filter", {}, input_count=375, output_count=64, rejection_rate=0.829)
    step |= {"run_id": "r1", "pipeline": "shop"}
    httpserver.expect_request("/steps").respond_with_json({"steps": [step], "total": 7})
    one = {"pipeline": "shop", "runs": 3, "completed": 1, "failed": 2, "last_run_at": None}
    one["worst_step"] = {"step_name": "keep", "rejection_rate": 0.9}
    httpserver.expect_request("/pipelines").respond_with_json({"pipelines": [one, {"pipeline": "new"}]})
    page, pipelines = client.steps(), client.pipelines()
    first, rest = str(page).splitlines()
    assert first.split() == ["f�", "375", "→", "64", "82.9", "%", "rejected", "filter", "shop", "r1"]
    assert rest == "1 of 7 steps"
    assert str(pipelines).splitlines()[0] == "shop        3 runs, last –  2 failed  keep rejects 90.0 %"
    assert [found.pipeline for found in pipelines] == ["shop", "new"]
    assert page._repr_html_().startswith("<pre")
    assert pipelines._repr_html_().startswith("<pre")


@pytest.mark.parametrize("item", ["a/b?c=d&e#f", "-5", "日本 語", "x\x00\x1b[31m\n", "%2F", "..", "+"])
def test_an_item_of_any_characters_arrives_as_it_is(client: Client, httpserver: HTTPServer, item: str) -> None:
    httpserver.expect_request(f"/runs/{answers.RUN_ID}/why", query_string={"item": item}).respond_with_json(
        answers.rejected(item_id=item)
    )
    assert client.why(answers.RUN_ID, item).item_id == item


def test_an_item_may_be_a_number(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/runs/r:1/why", query_string={"item": "7"}).respond_with_json(answers.rejected())
    assert client.why("r:1", 7).verdict == "rejected"


@pytest.mark.parametrize("run_id", ["a/b", "..", ".", "", "x y", "é", "a" * 129])
def test_an_id_that_no_run_can_have_is_not_asked_for(client: Client, run_id: str) -> None:
    with pytest.raises(ClientError, match="there is no run") as caught:
        client.run(run_id)
    assert caught.value.status == 404


def test_events_come_page_after_page(client: Client, httpserver: HTTPServer) -> None:
    pages = {"": (["a", "b"], "c1"), "c1": (["c"], "c2"), "c2": ([], None)}
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.args.get("cursor", ""))
        assert request.args["outcome"] == "rejected"
        items, following = pages[asked[-1]]
        return _json({"events": [{"item_id": item} for item in items], "next_cursor": following})

    httpserver.expect_request("/runs/r/events").respond_with_handler(answer)
    events = client.events("r", outcome="rejected")
    assert asked == []
    assert [event.item_id for event in events] == ["a", "b", "c"]
    assert asked == ["", "c1", "c2"]


def test_a_posted_run_says_whether_it_is_new(client: Client, httpserver: HTTPServer) -> None:
    body = {"success": True, "message": "stored", "data": {"run_id": "r1"}}
    httpserver.expect_ordered_request("/runs", method="POST", json={"pipeline": "p"}).respond_with_json(
        body, status=201
    )
    httpserver.expect_ordered_request("/runs", method="POST").respond_with_json(body, status=200)
    assert client.post_run({"pipeline": "p"}).created
    again = client.post_run({"pipeline": "p"})
    assert (again.run_id, again.created) == ("r1", False)


def test_a_run_that_is_no_json_is_refused_here(client: Client) -> None:
    with pytest.raises(ClientError, match="cannot be written as JSON"):
        client.post_run({"pipeline": "p", "input": object()})
    with pytest.raises(ClientError, match="cannot be written as JSON"):
        client.post_run({"pipeline": "p", "input": float("nan")})


def test_a_problem_document_becomes_one_line_with_the_fix(client: Client, httpserver: HTTPServer) -> None:
    problem = {"title": "Not found", "status": 404, "detail": "there is no\nrun \x1b[31m'nope'", "fix": "look"}
    httpserver.expect_request("/runs/nope").respond_with_json(problem, status=404)
    with pytest.raises(ClientError) as caught:
        client.run("nope")
    assert str(caught.value) == "there is no run 'nope' (look)"
    assert (caught.value.status, caught.value.problem["title"]) == (404, "Not found")


@pytest.mark.parametrize("content", [b"<html>hello</html>", b"[1]", b"", b"\xff", b"[" * 100_000])
def test_something_else_on_that_port_is_told(client: Client, httpserver: HTTPServer, content: bytes) -> None:
    httpserver.expect_request("/runs").respond_with_data(content, status=200)
    with pytest.raises(ClientError, match="not as an X-Ray server does"):
        client.runs()


def test_an_answer_of_another_form_is_told(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/runs").respond_with_json({"runs": [{"run_id": 3}]})
    with pytest.raises(ClientError, match=r"not understood here .*run_id"):
        client.runs()


def test_long_integers_are_kept(client: Client, httpserver: HTTPServer) -> None:
    digits = "7" * 5000
    httpserver.expect_request("/runs/r").respond_with_data('{"run_id": "r", "output": ' + digits + "}")
    assert client.run("r").output == digits


def test_nothing_there_says_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServerNotReachable) as caught:
        Client(url).runs()
    assert str(caught.value) == (
        f'nothing answers at {url}: start a server with "dxray serve", or name another with --api-url'
    )
    assert caught.value.status == 0


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "nonsense", "http://h:99999999"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ServerNotReachable, match=r"no address of a server|nothing answers"):
        Client(url).runs()


def test_a_server_that_is_too_slow_is_told(httpserver: HTTPServer) -> None:
    def answer(_: Request) -> Response:
        import time

        time.sleep(0.6)
        return _json({})

    httpserver.expect_request("/runs").respond_with_handler(answer)
    with pytest.raises(ServerNotReachable, match=r"did not answer within 0.2 s"):
        Client(httpserver.url_for(""), timeout=0.2).runs()


def test_waiting_ends_when_ready_and_gives_up_in_time(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/readyz").respond_with_json({"detail": "opening"}, status=503)
    httpserver.expect_ordered_request("/readyz").respond_with_json({"status": "ok"})
    client.wait_ready(timeout=5)
    with pytest.raises(ServerNotReachable):
        Client(f"http://127.0.0.1:{free_port()}").wait_ready(timeout=0.2)


def _json(body: dict[str, Any]) -> Response:
    import json

    return Response(json.dumps(body), content_type="application/json")
