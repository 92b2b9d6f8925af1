"""Anthropic's client: messages as steps of the run that is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxray.integrations.adapter import Handle, known, needed
from dxray.integrations.model_calls import (
    Api,
    Told,
    async_manager_method,
    async_method,
    manager_method,
    put,
    sync_method,
)

VERSIONS = ("anthropic", (0, 60), (3,))


class MessageTold(Told):
    def whole(self, answer: Any) -> None:
        self.took(model=answer.model)
        self._usage(answer.usage)
        self.stop = answer.stop_reason
        for block in answer.content:
            self._block(block)
            if block.type == "text":
                self.texts.append(block.text)

    def part(self, chunk: Any) -> None:
        if chunk.type == "message_start":
            self.took(model=chunk.message.model)
            self._usage(chunk.message.usage)
        elif chunk.type == "content_block_start":
            self._block(chunk.content_block)
        elif chunk.type == "content_block_delta" and chunk.delta.type == "text_delta":
            self.texts.append(chunk.delta.text)
        elif chunk.type == "message_delta":
            self._usage(chunk.usage)
            self.stop = chunk.delta.stop_reason or self.stop

    def _block(self, block: Any) -> None:
        if block.type == "tool_use":
            self.tools.append(block.name)

    def _usage(self, usage: Any) -> None:
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            count = getattr(usage, name, None)
            if count or name in ("input_tokens", "output_tokens"):
                self.took(**{name: count})


def _messages(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": given.get("model"),
        "temperature": given.get("temperature"),
        "messages": given.get("messages"),
        "instructions": given.get("system"),
        "tools": given.get("tools"),
        "schema": given.get("output_format"),
    }


MESSAGES = Api("anthropic.messages", _messages, MessageTold)


def instrument(client: Any = None) -> Handle:
    """Record the calls of `client`, by default of all clients, within runs that are open; `off()` ends that.

    Raises `ImportError` where anthropic is not installed.
    """
    needed("anthropic", "anthropic")
    if not known(*VERSIONS):
        return Handle()
    undo = []
    for owner, is_async in _owners(client):
        method = async_method if is_async else sync_method
        undo += [put(owner, name, method, MESSAGES) for name in ("create", "parse") if hasattr(owner, name)]
        undo.append(put(owner, "stream", async_manager_method if is_async else manager_method, MESSAGES))
    return Handle(*undo)


def _owners(client: Any) -> list[tuple[Any, bool]]:
    """The messages of one client, else the classes of all; and whether their methods are awaited."""
    if client is not None:
        mine = [client.messages, client.beta.messages]
        return [(one, type(one).__name__.startswith("Async")) for one in mine]
    from anthropic.resources import beta, messages

    return [
        (messages.Messages, False),
        (messages.AsyncMessages, True),
        (beta.messages.Messages, False),
        (beta.messages.AsyncMessages, True),
    ]
