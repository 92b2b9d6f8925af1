"""Anthropic's client as it records: the real client, its transport answered here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic, RateLimitError

import dxray
from dxray.integrations.model_calls import fingerprint
from dxray.sdk.guard import guard
from dxray.testing import Capture, capture

MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m-1-2026",
    "content": [{"type": "text", "text": "hello"}, {"type": "tool_use", "id": "t1", "name": "look_up", "input": {}}],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 11, "output_tokens": 3},
}
ASKED: Any = {
    "model": "m-1",
    "max_tokens": 64,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "?"}],
    "tools": [{"name": "look_up", "input_schema": {"type": "object"}}],
}
TOOK = {"model": "m-1-2026", "input_tokens": 11, "output_tokens": 3}
WHOLE = ("anthropic.messages", TOOK, {"text": "hello", "tool_calls": ["look_up"], "stop": "tool_use"})


def _events() -> Iterator[dict[str, Any]]:
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for text in ("hel", "lo"):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    yield {"type": "content_block_stop", "index": 0}
    tool = {"type": "tool_use", "id": "t1", "name": "look_up", "input": {}}
    yield {"type": "content_block_start", "index": 1, "content_block": tool}
    yield {"type": "content_block_stop", "index": 1}
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}}
    yield {"type": "message_stop"}


def answer(request: httpx2.Request) -> httpx2.Response:
    asked = json.loads(request.content)
    if asked["model"] == "busy":
        return httpx2.Response(429, json={"type": "error", "error": {"type": "rate_limit_error", "message": "later"}})
    if asked.get("stream"):
        lines = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in _events())
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=lines.encode())
    return httpx2.Response(200, json=MESSAGE)


def client_of() -> Anthropic:
    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return Anthropic(api_key="k", max_retries=0, http_client=http)


def async_client() -> AsyncAnthropic:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return AsyncAnthropic(api_key="k", max_retries=0, http_client=http)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    monkeypatch.setattr(guard, "loud", True)
    with capture() as captured, dxray.instrument_anthropic():
        yield captured


def told(captured: Capture) -> list[tuple[str, Any, Any]]:
    steps = sorted(captured.steps, key=lambda step: step.position)
    return [(step.name, json.loads(step.usage or "{}"), json.loads(step.output or "{}")) for step in steps]


def test_a_message_is_a_step_of_the_open_run(recorded: Capture) -> None:
    with dxray.XRay("p").run():
        assert client_of().messages.create(**ASKED).stop_reason == "tool_use"
    assert told(recorded) == [WHOLE]
    (step,) = recorded.steps
    config = {"model": "m-1", "prompt": fingerprint(["Be brief."]), "tools": ["look_up"]}
    assert (step.type, json.loads(step.config or "{}")) == ("generate", config)


def test_streams_of_both_kinds_tell_when_they_end(recorded: Capture) -> None:
    client = client_of()
    with dxray.XRay("p").run():
        with client.messages.create(stream=True, **ASKED) as stream:
            kinds = [event.type for event in stream]
        assert kinds == [event["type"] for event in _events()]
        with client.messages.stream(**ASKED) as helper:
            assert "".join(helper.text_stream) == "hello"
            assert helper.get_final_message().usage.output_tokens == 3
    assert told(recorded) == [WHOLE] * 2


def test_a_stream_that_is_left_ends_early(recorded: Capture) -> None:
    with dxray.XRay("p").run(), client_of().messages.stream(**ASKED) as helper:
        next(helper)
    (step,) = recorded.steps
    assert helper.response.is_closed and step.error is None
    assert json.loads(step.metadata or "{}") == {"left_early": True}
    assert json.loads(step.usage or "{}")["input_tokens"] == 11


def test_async_messages_and_streams(recorded: Capture) -> None:
    async def all_of_them() -> None:
        client = async_client()
        with dxray.XRay("p").run():
            await asyncio.gather(client.messages.create(**ASKED), client.messages.create(**ASKED))
            stream = await client.messages.create(stream=True, **ASKED)
            assert [event async for event in stream]
            async with client.messages.stream(**ASKED) as helper:
                assert await helper.get_final_text() == "hello"

    asyncio.run(all_of_them())
    assert told(recorded) == [WHOLE] * 4


@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_server_refuses_is_the_callers_and_marks_the_step(recorded: Capture, streamed: bool) -> None:
    messages, asked = client_of().messages, {**ASKED, "model": "busy"}
    call = messages.stream(**asked).__enter__ if streamed else lambda: messages.create(**asked)
    with dxray.XRay("p").run(), pytest.raises(RateLimitError):
        call()
    (step,) = recorded.steps
    assert "RateLimitError" in str(step.error) and recorded.runs[0].status == "completed"


def test_one_client_alone_off_and_outside_of_a_run() -> None:
    from anthropic.resources.messages import Messages

    before = Messages.create, Messages.stream
    mine, other = client_of(), client_of()
    with capture() as captured:
        with dxray.instrument_anthropic(mine):
            mine.messages.create(**ASKED)
            with dxray.XRay("p").run():
                mine.messages.create(**ASKED)
                mine.beta.messages.create(**ASKED)
                other.messages.create(**ASKED)
        with dxray.XRay("p").run():
            mine.messages.create(**ASKED)
        assert told(captured) == [WHOLE] * 2
    assert (Messages.create, Messages.stream) == before
