"""OpenAI's client as it records: the real client, its transport answered here."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage
from langgraph.graph import START, MessagesState, StateGraph
from openai import APIConnectionError, AsyncOpenAI, BadRequestError, OpenAI
from pydantic import BaseModel

import dxray
from dxray.integrations.model_calls import decisions, fingerprint
from dxray.sdk.guard import guard
from dxray.testing import Capture, capture

CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-1-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
}
RESPONSE = {
    "id": "r1",
    "object": "response",
    "created_at": 1,
    "model": "m-1-2026",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "x",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 11,
        "output_tokens": 3,
        "total_tokens": 14,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
ASKED: Any = {
    "model": "m-1",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}],
}


def chunks() -> Iterator[bytes]:
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1-2026"}
    for text in ("hel", "lo"):
        yield _event({**base, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
    yield _event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield _event({**base, "choices": [], "usage": CHAT["usage"]})
    yield b"data: [DONE]\n\n"


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def answer(request: httpx2.Request) -> httpx2.Response:
    asked = json.loads(request.content)
    if asked.get("model") == "none":
        return httpx2.Response(400, json={"error": {"message": "no such model"}})
    if request.url.path.endswith("/embeddings"):
        one = {"object": "embedding", "index": 0, "embedding": [0.5]}
        usage = {"prompt_tokens": 4, "total_tokens": 4}
        return httpx2.Response(200, json={"object": "list", "model": "e-1", "data": [one], "usage": usage})
    if request.url.path.endswith("/responses"):
        if asked.get("stream"):
            done = _event({"type": "response.completed", "sequence_number": 1, "response": RESPONSE})
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=done)
        return httpx2.Response(200, json=RESPONSE)
    if asked.get("stream"):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(chunks()))
    return httpx2.Response(200, json=CHAT)


def client_of(handler: Callable[[httpx2.Request], httpx2.Response] = answer) -> OpenAI:
    return OpenAI(api_key="k", max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(handler)))


def async_client() -> AsyncOpenAI:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return AsyncOpenAI(api_key="k", max_retries=0, http_client=http)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    monkeypatch.setattr(guard, "loud", True)
    with capture() as captured, dxray.instrument_openai():
        yield captured


def told(captured: Capture) -> list[tuple[str, Any, Any]]:
    steps = sorted(captured.steps, key=lambda step: step.position)
    return [(step.name, json.loads(step.usage or "{}"), json.loads(step.output or "{}")) for step in steps]


TOOK = {"model": "m-1-2026", "input_tokens": 11, "output_tokens": 3}
WHOLE = ("openai.chat", TOOK, {"text": "hello", "stop": "stop"})


def test_a_call_is_a_step_of_the_open_run(recorded: Capture) -> None:
    client = client_of()
    with dxray.XRay("p").run() as run, run.step("write") as step:
        assert client.chat.completions.create(temperature=0.2, **ASKED).choices[0].message.content == "hello"
    write, call = sorted(recorded.steps, key=lambda step: step.position)
    assert call.parent_step_id == write.step_id == step.step_id and call.type == "generate"
    assert told(recorded)[1] == WHOLE
    config = json.loads(call.config or "{}")
    assert config == {"model": "m-1", "temperature": 0.2, "prompt": fingerprint(ASKED["messages"][:1])}


def test_outside_of_a_run_and_when_off_nothing_is_recorded() -> None:
    from openai.resources.chat.completions import Completions

    before = Completions.create
    with capture() as captured:
        with dxray.instrument_openai():
            assert Completions.create is not before
            client_of().chat.completions.create(**ASKED)
        assert Completions.create is before
        with dxray.XRay("p").run():
            client_of().chat.completions.create(**ASKED)
        assert captured.steps == []


def test_one_client_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = client_of(), client_of()
    with capture() as captured:
        with dxray.instrument_openai(mine), dxray.XRay("p").run():
            mine.chat.completions.create(**ASKED)
            other.chat.completions.create(**ASKED)
        assert told(captured) == [WHOLE]
        assert "create" not in vars(mine.chat.completions)


def test_a_client_and_all_of_them_record_a_call_once(recorded: Capture) -> None:
    client = client_of()
    with dxray.instrument_openai(client), dxray.XRay("p").run():
        client.chat.completions.create(**ASKED)
    assert told(recorded) == [WHOLE]


def test_what_the_server_refuses_is_the_callers_and_marks_the_step(recorded: Capture) -> None:
    with dxray.XRay("p").run(), pytest.raises(BadRequestError):
        client_of().chat.completions.create(**{**ASKED, "model": "none"})
    assert "BadRequestError" in str(recorded.steps[0].error)
    assert recorded.runs[0].status == "completed"


def test_wrong_arguments_are_the_clients_to_refuse(recorded: Capture) -> None:
    with dxray.XRay("p").run(), pytest.raises(TypeError, match="Missing required arguments"):
        async_client().chat.completions.create(model="m-1")  # type: ignore[call-overload]
    assert recorded.steps == []


def test_a_stream_is_what_it_was_and_tells_when_it_ends(recorded: Capture) -> None:
    client = client_of()
    plain = type(client_of().chat.completions.create(stream=True, **ASKED))
    with dxray.XRay("p").run():
        stream = client.chat.completions.create(stream=True, **ASKED)
        assert type(stream) is plain
        assert not recorded.steps or recorded.steps[0].ended_at is None
        with stream as chunked:
            texts = [chunk.choices[0].delta.content for chunk in chunked if chunk.choices]
        assert texts == ["hel", "lo", None]
    assert told(recorded) == [WHOLE]


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_stream_that_is_left_ends_early(recorded: Capture, how: str) -> None:
    with dxray.XRay("p").run():
        stream = client_of().chat.completions.create(stream=True, **ASKED)
        next(stream)
        response = stream.response
        if how == "closed":
            stream.close()
        else:
            del stream
            gc.collect()
        assert response.is_closed
    (step,) = recorded.steps
    assert json.loads(step.metadata or "{}") == {"left_early": True}
    assert json.loads(step.output or "{}") == {"text": "hel"} and step.error is None


def test_a_stream_that_breaks_raises_what_it_raised(recorded: Capture) -> None:
    def broken() -> Iterator[bytes]:
        yield from list(chunks())[:1]
        raise httpx2.ReadError("gone")

    def breaking(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=broken())

    with dxray.XRay("p").run():
        stream = client_of(breaking).chat.completions.create(stream=True, **ASKED)
        with pytest.raises(APIConnectionError):
            list(stream)
    (step,) = recorded.steps
    assert json.loads(step.error or "{}")["type"] == "APIConnectionError"
    assert json.loads(step.output or "{}") == {"text": "hel"}


def test_the_helper_that_streams_and_the_one_that_parses(recorded: Capture) -> None:
    class Answer(BaseModel):
        text: str

    def parsed(request: httpx2.Request) -> httpx2.Response:
        message = {"role": "assistant", "content": '{"text": "hi"}'}
        return httpx2.Response(
            200, json={**CHAT, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
        )

    with dxray.XRay("p").run():
        with client_of().chat.completions.stream(**ASKED) as stream:
            assert stream.get_final_completion().choices[0].message.content == "hello"
        done = client_of(parsed).chat.completions.parse(response_format=Answer, **ASKED)
        assert done.choices[0].message.parsed == Answer(text="hi")
        assert client_of().chat.completions.with_raw_response.create(**ASKED).parse().id == "c1"
    assert told(recorded) == [WHOLE, ("openai.chat", TOOK, {"text": '{"text": "hi"}', "stop": "stop"}), WHOLE]
    assert [json.loads(step.config or "{}").get("schema") for step in recorded.steps] == [None, "Answer", None]


def test_responses_and_embeddings(recorded: Capture) -> None:
    client = client_of()
    with dxray.XRay("p").run():
        assert client.responses.create(model="m-1", instructions="Be brief.", input="?").output_text == "hello"
        for event in client.responses.create(model="m-1", input="?", stream=True):
            assert event.type == "response.completed"
        client.embeddings.create(model="e-1", input=["a"])
    done = ("openai.responses", TOOK, {"text": "hello", "stop": "completed"})
    assert told(recorded) == [done, done, ("openai.embeddings", {"model": "e-1", "input_tokens": 4}, {})]
    assert [step.type for step in recorded.steps] == ["generate", "generate", "tool"]


def test_calls_at_the_same_time_each_have_their_step(recorded: Capture) -> None:
    async def both() -> None:
        client = async_client()
        with dxray.XRay("p").run():
            await asyncio.gather(*(client.chat.completions.create(**ASKED) for _ in range(3)))
            stream = await client.chat.completions.create(stream=True, **ASKED)
            async with stream:
                assert [chunk async for chunk in stream]

    asyncio.run(both())
    assert told(recorded) == [WHOLE] * 4


def test_what_can_be_read_once_is_left_to_the_client(recorded: Capture) -> None:
    seen = []

    def look(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content)["messages"])
        return answer(request)

    with dxray.XRay("p").run():
        client_of(look).chat.completions.create(model="m-1", messages=(one for one in ASKED["messages"]))
    assert seen == [ASKED["messages"]] and len(recorded.steps) == 1


def test_a_call_that_langchain_records_is_recorded_once(recorded: Capture) -> None:
    client = client_of()

    class Wrapped(SimpleChatModel):
        @property
        def _llm_type(self) -> str:
            return "wrapped"

        def _call(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
            return str(client.chat.completions.create(**ASKED).choices[0].message.content)

    def around(state: MessagesState) -> dict[str, Any]:
        text = Wrapped().invoke("?").content
        client.chat.completions.create(**ASKED)  # this one is not LangChain's
        return {"messages": [("ai", text)]}

    graph = StateGraph(MessagesState).add_node(around).add_edge(START, "around").compile(name="g")
    with dxray.instrument_langchain():
        assert graph.invoke({"messages": []})["messages"][-1].content == "hello"
    names = [step.name for step in sorted(recorded.steps, key=lambda step: step.position)]
    assert names == ["around", "Wrapped", "openai.chat"]


def test_what_a_model_decided_is_recorded_as_the_models(recorded: Capture) -> None:
    class Entry(BaseModel):
        id: str
        reason: str

    class Screened(BaseModel):
        kept: list[Entry]
        dropped: list[Entry]

    parsed = Screened(kept=[Entry(id="a", reason="fits")], dropped=[Entry(id="b", reason="too old")])
    with dxray.XRay("p").run() as run:
        with run.step("screen") as step:
            decisions(step, parsed)
        with run.step("text") as step:
            decisions(step, '{"yes": ["a", "zzz"], "no": []}', kept="yes", dropped="no", among=["a", "b"])
    assert recorded.outcomes("screen") == {"a": "accepted", "b": "rejected"}
    facts = [
        (event.reason, event.evidence) for event in recorded.events if event.step_name == "screen" and event.outcome
    ]
    assert facts == [("llm", {"said": "fits"}), ("llm", {"said": "too old"})]
    assert recorded.outcomes("text") == {"a": "accepted"}
    last = max(recorded.steps, key=lambda step: step.position)
    assert json.loads(last.metadata or "{}") == {"not_among_candidates": 1}


def test_an_error_of_ours_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from dxray.integrations.openai import ChatTold

    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(guard, "loud", False)
    monkeypatch.setattr(ChatTold, "whole", broken)
    monkeypatch.setattr(ChatTold, "part", broken)
    with capture() as captured, dxray.instrument_openai(), dxray.XRay("p").run():
        assert client_of().chat.completions.create(**ASKED).id == "c1"
        assert len(list(client_of().chat.completions.create(stream=True, **ASKED))) == 4
        assert len(captured.steps) == 2
