"""A model call of LangChain: what it ran with, what it took, what it said."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import BaseMessage

from dxray.integrations.langchain_items import brief
from dxray.integrations.model_calls import config_of
from dxray.sdk.step import Step

COST_KEYS = ("cost", "total_cost")


def asked(step: Step, serialized: Any, prompt: Any, more: dict[str, Any]) -> None:
    params, facts = more.get("invocation_params") or {}, more.get("metadata") or {}
    model = params.get("model") or params.get("model_name") or facts.get("ls_model_name")
    messages = [_told(one) for one in prompt]
    step.set_config(
        **config_of(
            model=model or ((serialized or {}).get("id") or ["unknown"])[-1],
            temperature=params.get("temperature", facts.get("ls_temperature")),
            messages=messages,
            tools=params.get("tools") or params.get("functions"),
        )
    )
    step.set_input({"messages": messages})
    step.set_output_count(0)  # what it says is text: items are named where they are read out of it


def _told(message: Any) -> dict[str, Any]:
    """A message as a mapping with a role, as the clients take it."""
    if not isinstance(message, BaseMessage):
        return {"role": "user", "content": message}
    return {"role": message.type, "content": message.content}


def answered(step: Step, response: Any) -> None:
    first = next((one for several in response.generations for one in several), None)
    message = getattr(first, "message", None)
    output = response.llm_output or {}
    told = getattr(message, "response_metadata", None) or {}
    tokens = getattr(message, "usage_metadata", None) or {}
    counts = output.get("token_usage") or output.get("usage") or {}
    usage = {
        "model": told.get("model_name") or told.get("model") or output.get("model_name"),
        "input_tokens": tokens.get("input_tokens", counts.get("prompt_tokens")),
        "output_tokens": tokens.get("output_tokens", counts.get("completion_tokens")),
        "cost": next((held[key] for held in (told, output, counts) for key in COST_KEYS if key in held), None),
    }
    if usage := {key: value for key, value in usage.items() if value is not None}:
        step.set_usage(**usage)
    if message is not None:
        step.set_output(brief(message))
    elif first is not None:
        step.set_output(brief(first.text))
