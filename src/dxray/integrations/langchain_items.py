"""Which items a LangChain value holds: documents, and mappings with an `id`; and how they are named.

A document's id is its own, else one of its metadata, else its source and a hash of its content (chunks share a source),
else the hash alone: the same document has the same id at every stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage

ID_KEYS = ("id", "_id", "doc_id", "document_id", "chunk_id")
SOURCE_KEYS = ("source", "url", "file_path", "title")
NAME_KEYS = ("title", "name")
TEXT = 2_000  # characters of a text in an input or output
SHOWN = 200  # characters of a document's content in its evidence
FACTS = 16  # entries of a document's metadata in its evidence
PLAIN = (str, int, float, bool, type(None))

Items = dict[str, Any]  # by id, in order
Lists = dict[str, Items]  # the lists of items in a value, by key


def is_item(value: Any) -> bool:
    """A document, or a mapping with an id that is no message and no tool call."""
    if isinstance(value, Document):
        return True
    return isinstance(value, Mapping) and "id" in value and "role" not in value and "type" not in value


def id_of(item: Any) -> str:
    if not isinstance(item, Document):
        return str(item["id"])
    if item.id is not None:
        return str(item.id)
    facts = item.metadata
    for key in ID_KEYS:
        if facts.get(key) is not None:
            return str(facts[key])
    content = hashlib.blake2b(item.page_content.encode("utf-8", "replace"), digest_size=6).hexdigest()
    source = source_of(item)
    return content if source is None else f"{source}#{content}"


def source_of(item: Any) -> Any:
    facts = item.metadata if isinstance(item, Document) else item
    return next((facts[key] for key in SOURCE_KEYS if facts.get(key) is not None), None)


def name_of(item: Any) -> str | None:
    facts = item.metadata if isinstance(item, Document) else item
    for key in NAME_KEYS:
        if isinstance(facts.get(key), str):
            return str(facts[key])
    return item.page_content[:80] if isinstance(item, Document) else None


def evidence_of(item: Any) -> dict[str, Any]:
    facts = item.metadata if isinstance(item, Document) else item
    kept = {key: value for key, value in list(facts.items())[:FACTS] if type(value) in PLAIN and key != "id"}
    if isinstance(item, Document):
        kept["content"] = item.page_content[:SHOWN]
    return kept


def by_id(values: Sequence[Any]) -> Items:
    return {id_of(value): value for value in values if is_item(value)}


def lists_in(value: Any) -> Lists:
    """The lists of items in a state or an update, by key; of a bare list, under the empty key.

    Empty lists are told too: a stage that lets nothing through returns one. An update may be a mapping, a
    dataclass or a model, a `Command`, or several of those.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value or is_item(value[0]):
            return {"": by_id(value)}
        found: Lists = {}
        for one in value:
            if not isinstance(one, BaseMessage | str):
                for key, items in lists_in(one).items():
                    found.setdefault(key, {}).update(items)
        return found
    if isinstance(value, Document):
        return {"": by_id([value])}
    fields = ((key, _items(held)) for key, held in fields_of(value).items())
    return {key: items for key, items in fields if items is not None}


def _items(held: Any) -> Items | None:
    """The items of one field; None where it holds something else."""
    if isinstance(held, list | tuple):
        if held and isinstance(held[-1], ToolMessage):
            return _of_tools(held)
        return by_id(held) if not held or is_item(held[0]) else None
    return by_id([held]) if isinstance(held, Document) else None


def _of_tools(messages: Sequence[Any]) -> Items | None:
    """The items that a model is now told of: the artifacts of the last messages, where tools sent them."""
    found: Items = {}
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        if isinstance(message.artifact, list | tuple):
            found = {**by_id(message.artifact), **found}
    return found or None


def fields_of(value: Any) -> Mapping[str, Any]:
    """The fields of a state: of a mapping, of a `Command`'s update, of a dataclass or a model."""
    update = getattr(value, "update", None)
    if not isinstance(value, Mapping) and isinstance(update, Mapping):
        value = update
    if isinstance(value, Mapping):
        return value
    return getattr(value, "__dict__", {}) if not isinstance(value, (*PLAIN, type)) else {}


def brief(value: Any) -> Any:
    """What of a value is worth keeping as an input or output: its texts and numbers, its items as ids."""
    if isinstance(value, str):
        return value[:TEXT]
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, BaseMessage):
        return _message(value)
    if is_item(value):
        return id_of(value)
    if isinstance(value, list | tuple):
        return [brief(one) for one in value[-64:]]
    if type(value).__name__ == "Command":
        return {key: brief(getattr(value, key)) for key in ("resume", "goto", "update") if getattr(value, key, None)}
    return {str(key): brief(held) for key, held in list(fields_of(value).items())[:64]} or type(value).__name__


def _message(message: BaseMessage) -> dict[str, Any]:
    content = message.content
    told: dict[str, Any] = {"type": message.type, "content": content[:TEXT] if isinstance(content, str) else "(parts)"}
    calls = getattr(message, "tool_calls", None)
    if calls:
        told["tool_calls"] = [{"name": call["name"], "args": brief(call["args"])} for call in calls]
    return told
