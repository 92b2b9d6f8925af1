"""What OpenInference says of a span, and after it the generative conventions of OpenTelemetry (`gen_ai.*`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dxray.server.otlp.values import NAME, Attributes, facts, from_json, number, text

KIND = "openinference.span.kind"
DOCUMENTS = 10_000  # of one list that become items
_KINDS = {
    "RETRIEVER": "retrieve",
    "RERANKER": "rank",
    "LLM": "generate",
    "TOOL": "tool",
    "CHAIN": "transform",
    "AGENT": "transform",
    "EMBEDDING": "transform",
    "PROMPT": "transform",
    "GUARDRAIL": "transform",
    "EVALUATOR": "transform",
}
_OPERATIONS = {
    "chat": "generate",
    "text_completion": "generate",
    "generate_content": "generate",
    "retrieval": "retrieve",
    "execute_tool": "tool",
    "embeddings": "transform",
    "invoke_agent": "transform",
    "invoke_workflow": "transform",
    "create_agent": "transform",
    "plan": "transform",
}
RETRIEVED, RERANKED_IN, RERANKED_OUT = (
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
)
_LISTS = (RETRIEVED, RERANKED_IN, RERANKED_OUT)
_GEN_AI_DOCUMENTS = "gen_ai.retrieval.documents"

# Of usage, the word of the SDK and those of the conventions, the first that is there.
_USAGE = {
    "input_tokens": ("llm.token_count.prompt", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("llm.token_count.completion", "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "total_tokens": ("llm.token_count.total",),
    "cost": ("llm.cost.total",),
}
_MODELS = ("llm.model_name", "gen_ai.response.model", "gen_ai.request.model", "reranker.model_name",
           "embedding.model_name")  # fmt: skip
_INPUT = ("input.value", "gen_ai.input.messages", "gen_ai.retrieval.query.text", "gen_ai.tool.call.arguments",
          "reranker.query")  # fmt: skip
_OUTPUT = ("output.value", "gen_ai.output.messages", "gen_ai.tool.call.result")
_REQUEST = "gen_ai.request."


@dataclass(slots=True)
class Document:
    """A document of a span: an item."""

    item_id: str
    name: str | None
    score: float | None
    evidence: Attributes


@dataclass(slots=True)
class Said:
    """What a span says in these conventions; `rest` are the attributes that are in none of the fields."""

    type: str | None = None
    input: Any = None
    output: Any = None
    config: Attributes = field(default_factory=dict)
    usage: Attributes = field(default_factory=dict)
    retrieved: list[Document] | None = None
    came: list[Document] | None = None  # to a reranker
    left: list[Document] | None = None
    over: int = 0  # documents that are more than are taken
    rest: Attributes = field(default_factory=dict)


def said_in(attributes: Attributes) -> Said:
    """What the attributes of a span say."""
    rest = dict(attributes)
    out = Said(type=_type(rest))
    lists, out.over = _documents(rest)
    out.retrieved, out.came, out.left = (lists.get(prefix) for prefix in _LISTS)
    if out.retrieved is None and _GEN_AI_DOCUMENTS in rest:
        out.retrieved = _gen_ai_documents(rest, out)
    out.input = _first_of(rest, _INPUT)
    out.output = _first_of(rest, _OUTPUT)
    model = _first(rest, _MODELS)
    for word, names in _USAGE.items():
        count = number(_first(rest, names))
        if count is not None:
            out.usage[word] = int(count) if count.is_integer() and abs(count) < 2**53 else count
    if model is not None:
        out.config["model"] = model
        if out.usage:
            out.usage["model"] = model
    parameters = from_json(rest.pop("llm.invocation_parameters", None))
    if isinstance(parameters, Mapping):
        out.config |= {str(key)[:NAME]: value for key, value in parameters.items()}
    elif parameters is not None:
        out.config["invocation_parameters"] = parameters
    for name in [one for one in rest if one.startswith(_REQUEST)]:
        out.config.setdefault(name.removeprefix(_REQUEST), rest.pop(name))
    top_k = rest.pop("reranker.top_k", None)
    if top_k is not None:
        out.config["top_k"] = top_k
    out.rest = rest
    return out


def _type(rest: Attributes) -> str | None:
    """The type of a step; None for a span of which neither convention speaks."""
    kind = rest.get(KIND)
    if isinstance(kind, str):
        return _KINDS.get(kind.strip().upper(), "transform")
    operation = rest.get("gen_ai.operation.name")
    return _OPERATIONS.get(operation, "transform") if isinstance(operation, str) else None


def _first(rest: Attributes, names: tuple[str, ...]) -> Any:
    """The first value of these; all of them are taken out."""
    found = [value for name in names if (value := rest.pop(name, None)) not in (None, "")]
    return found[0] if found else None


def _first_of(rest: Attributes, names: tuple[str, ...]) -> Any:
    """The first of these that is there, as JSON where it is JSON; others stay."""
    for name in names:
        if rest.get(name) not in (None, ""):
            value = rest.pop(name)
            mime = rest.pop(name.replace(".value", ".mime_type"), "") if name.endswith(".value") else "json"
            return from_json(value) if "json" in str(mime) else value
    return None


def _documents(rest: Attributes) -> tuple[dict[str, list[Document]], int]:
    """The lists of documents that are written flat, `PREFIX.N.document.FIELD`, in the order of their numbers."""
    found: dict[str, dict[int, Attributes]] = {}
    for name in [one for one in rest if one.startswith(_LISTS)]:
        prefix = next(one for one in _LISTS if name.startswith(one))
        place, _, what = name[len(prefix) :].partition(".")
        if what.startswith("document.") and place.isascii() and place.isdigit() and len(place) < 10:
            found.setdefault(prefix, {}).setdefault(int(place), {})[what[9:]] = rest.pop(name)
    lists = {
        prefix: [_document(by_place[place]) for place in sorted(by_place)[:DOCUMENTS]]
        for prefix, by_place in found.items()
    }
    return lists, sum(max(0, len(by_place) - DOCUMENTS) for by_place in found.values())


def _document(said: Attributes) -> Document:
    content = text(said.get("content"))
    item_id = text(said.get("id"), NAME) or _made_id(content or text(said) or "")
    evidence = facts(said.get("metadata"))
    if content is not None:
        evidence["content"] = content[:2000]
    return Document(item_id, None if content is None else content[:120], number(said.get("score")), evidence)


def _gen_ai_documents(rest: Attributes, out: Said) -> list[Document] | None:
    """A list of objects with `id` and `score`, as a value or as JSON text."""
    listed = from_json(rest[_GEN_AI_DOCUMENTS])
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        return None
    del rest[_GEN_AI_DOCUMENTS]
    out.over += max(0, len(listed) - DOCUMENTS)
    return [_document(dict(one)) for one in listed[:DOCUMENTS]]


def _made_id(content: str) -> str:
    """The id of a document without one: the same for the same content."""
    return "doc:" + hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=8).hexdigest()
