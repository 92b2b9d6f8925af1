"""What the adapters of OpenAI's and Anthropic's clients cost a call, whose transport answers at once."""

from __future__ import annotations

from typing import Any

import httpx2
from anthropic import Anthropic
from openai import OpenAI

import dxray
from bench._turns import by_turns

ROUNDS = 15
CALLS = 100
SAID = [{"role": "user", "content": "Which of these is an accessory of a phone? " * 20}]
CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "both"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "both"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 1},
}


def http(answer: dict[str, Any]) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=answer)))


def rows() -> list[tuple[str, float, float, int]]:
    """Name, seconds without, seconds with, calls: the best of rounds taken in turns."""
    chat = OpenAI(api_key="none", http_client=http(CHAT)).chat.completions
    messages = Anthropic(api_key="none", http_client=http(MESSAGE)).messages
    said: Any = SAID
    asked = (
        ("openai chat", dxray.instrument_openai, lambda: chat.create(model="m", messages=said)),
        (
            "anthropic messages",
            dxray.instrument_anthropic,
            lambda: messages.create(model="m", messages=said, max_tokens=9),
        ),
    )
    return [(name, *by_turns(instrument, call, ROUNDS, CALLS), CALLS) for name, instrument, call in asked]
