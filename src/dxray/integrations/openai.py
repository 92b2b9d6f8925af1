"""OpenAI's client: chat completions, responses and embeddings as steps of the run that is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxray.integrations.adapter import Handle, known, needed
from dxray.integrations.model_calls import Api, Told, async_method, put, sync_method

VERSIONS = ("openai", (2, 0), (4,))


class ChatTold(Told):
    def whole(self, answer: Any) -> None:
        self._usage(answer)
        for choice in answer.choices[:1]:
            self._said(choice.message, choice.finish_reason)

    def part(self, chunk: Any) -> None:
        self._usage(chunk)
        for choice in chunk.choices[:1]:
            self._said(choice.delta, choice.finish_reason)

    def _usage(self, answer: Any) -> None:
        self.took(model=answer.model)
        if answer.usage is not None:
            self.took(input_tokens=answer.usage.prompt_tokens, output_tokens=answer.usage.completion_tokens)
            self.took(cost=getattr(answer.usage, "cost", None))

    def _said(self, message: Any, stop: str | None) -> None:
        self.stop = stop or self.stop
        if message is None:
            return
        if message.content:
            self.texts.append(message.content)
        names = (call.function.name for call in message.tool_calls or () if getattr(call, "function", None))
        self.tools += [name for name in names if name]


class ResponseTold(Told):
    def whole(self, answer: Any) -> None:
        self.took(model=answer.model)
        if answer.usage is not None:
            self.took(input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens)
        self.stop = answer.status
        self.texts = [answer.output_text]
        self.tools = [one.name for one in answer.output if one.type == "function_call"]

    def part(self, chunk: Any) -> None:
        if chunk.type in ("response.completed", "response.incomplete", "response.failed"):
            self.whole(chunk.response)


class EmbeddingsTold(Told):
    def whole(self, answer: Any) -> None:
        self.took(model=answer.model, input_tokens=answer.usage.prompt_tokens)


def _chat(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": given.get("model"),
        "temperature": given.get("temperature"),
        "messages": given.get("messages"),
        "tools": given.get("tools"),
        "schema": given.get("response_format"),
    }


def _response(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": given.get("model"),
        "temperature": given.get("temperature"),
        "messages": given.get("input"),
        "instructions": given.get("instructions"),
        "tools": given.get("tools"),
        "schema": given.get("text_format"),
    }


def _embeddings(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": given.get("model"), "messages": given.get("input")}


CHAT = Api("openai.chat", _chat, ChatTold)
RESPONSES = Api("openai.responses", _response, ResponseTold)
EMBEDDINGS = Api("openai.embeddings", _embeddings, EmbeddingsTold, kind="tool")

METHODS = (  # of each resource, with what it is called in a client; `stream` asks through `create`
    ("chat.completions", CHAT, ("create", "parse")),
    ("responses", RESPONSES, ("create", "parse")),
    ("embeddings", EMBEDDINGS, ("create",)),
)


def instrument(client: Any = None) -> Handle:
    """Record the calls of `client`, by default of all clients, within runs that are open; `off()` ends that.

    Raises `ImportError` where openai is not installed.
    """
    needed("openai", "openai")
    if not known(*VERSIONS):
        return Handle()
    undo = []
    for path, api, names in METHODS:
        for owner, is_async in _owners(client, path):
            method = async_method if is_async else sync_method
            undo += [put(owner, name, method, api) for name in names if hasattr(owner, name)]
    return Handle(*undo)


def _owners(client: Any, path: str) -> list[tuple[Any, bool]]:
    """A resource of one client, else the classes of all; and whether its methods are awaited."""
    if client is not None:
        for part in path.split("."):
            client = getattr(client, part)
        return [(client, type(client).__name__.startswith("Async"))]
    from openai.resources.chat.completions import AsyncCompletions, Completions
    from openai.resources.embeddings import AsyncEmbeddings, Embeddings
    from openai.resources.responses import AsyncResponses, Responses

    both: dict[str, tuple[Any, Any]] = {
        "chat.completions": (Completions, AsyncCompletions),
        "responses": (Responses, AsyncResponses),
        "embeddings": (Embeddings, AsyncEmbeddings),
    }
    return [(both[path][0], False), (both[path][1], True)]
