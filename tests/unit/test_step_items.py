"""The items of a step as the client asks for them and a terminal shows them; a run of a list with its summary."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dxray import Client
from dxray.wire.answers import Run, StepItems
from dxray.wire.printed.step_items import step_items_lines
from dxray.wire.text import cells, plain

ROWS: list[dict[str, Any]] = [
    {"item_id": "sku-1", "name": "A\u202ecase", "outcome": "rejected", "reason": "too_dear",
     "evidence": {"price": 129.5}},
    {"item_id": "x" * 90, "outcome": None, "score": 0.25, "rank": 3, "evidence": {"note": "y" * 200}},
]  # fmt: skip
ANSWER: dict[str, Any] = {
    "run_id": "r",
    "step_id": "s3",
    "step_name": "filter",
    "sentence": "filter names 9 items: 9 rejected.",
    "items": ROWS,
    "total": 9,
    "of": 9,
    "outcomes": {"rejected": 9},
    "hint": "call step.accept(item_id)",
    "new_field": 1,
}


def test_a_page_reads_as_rows_that_fit_a_terminal() -> None:
    answer = StepItems.read(ANSWER)
    text = str(answer)
    assert text.splitlines()[0] == "filter names 9 items: 9 rejected."
    assert "rejected" in text
    assert "too_dear · price 129.5" in text
    assert "0.25 (#3)" in text
    assert "2 of 9" in text
    assert "call step.accept(item_id)" in text
    assert "\u202e" not in text
    assert max(cells(line) for line in plain(step_items_lines(answer, 80)).splitlines()) <= 80
    assert [one.item_id for one in answer] == [row["item_id"] for row in ROWS]
    assert (len(answer), answer[0].reason) == (2, "too_dear")
    assert answer.to_dict() == ANSWER


def test_the_client_sends_what_was_asked_and_no_more(httpserver: HTTPServer) -> None:
    asked: list[str] = []

    def answered(request: Request) -> Response:
        asked.append(request.url)
        return Response('{"run_id": "r", "items": []}', content_type="application/json")

    httpserver.expect_request("/runs/r/items").respond_with_handler(answered)
    with Client(httpserver.url_for("")) as client:
        client.step_items("r", "s3", sort="-evidence.price & more", q='name:"a b"', limit=5, offset=10)
        client.step_items("r", "s3")
    first, second = (parse_qs(urlsplit(url).query) for url in asked)
    assert first == {
        "step_id": ["s3"], "sort": ["-evidence.price & more"], "q": ['name:"a b"'], "limit": ["5"], "offset": ["10"],
    }  # fmt: skip
    assert second == {"step_id": ["s3"]}


def test_a_run_of_a_list_has_a_summary() -> None:
    raw = {
        "run_id": "r",
        "summary": {"input": {"product": "Case"}, "items_in": 9, "labels": ["bad"], "worst_step": None},
    }
    run = Run.read(raw)
    assert run.summary is not None
    assert (run.summary.input, run.summary.items_in, run.summary.labels) == ({"product": "Case"}, 9, ["bad"])
    assert Run.read({"run_id": "r"}).summary is None
