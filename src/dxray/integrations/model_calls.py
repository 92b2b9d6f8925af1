"""Calls of a model's client as steps: what it ran with, what it took, what it said.

A call is a step of the run that is open; outside of a run nothing is recorded. The client's own answer, stream or
exception is what the caller gets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar, copy_context
from copy import copy
from functools import wraps
from typing import Any

from dxray.integrations.model_streams import watch
from dxray.sdk import context
from dxray.sdk.guard import guard
from dxray.sdk.null import NullStep
from dxray.sdk.step import Step

LLM = "llm"  # the reason of what a model dropped; its words are evidence
INSTRUCTING = ("system", "developer")  # roles whose text is the prompt's own; the rest is what it is asked about
TEXT = 2_000  # characters kept of what a model said

_QUIET: ContextVar[Callable[[], bool] | None] = ContextVar("dxray_quiet", default=None)


def hush(while_: Callable[[], bool]) -> None:
    """Clients are quiet in this context while `while_()` is true: another adapter records the call."""
    _QUIET.set(while_)


def fingerprint(value: Any) -> str:
    """A short hash of any value's content; the same text has the same one in every process."""
    text = json.dumps(value, sort_keys=True, default=_plain, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", exclude_none=True)
    # What can be read only once is the client's to read.
    return type(value).__name__ if hasattr(value, "__next__") or not isinstance(value, Iterable) else list(value)


def config_of(
    *,
    model: Any,
    temperature: Any = None,
    messages: Any = None,
    instructions: Any = None,
    tools: Any = None,
    schema: Any = None,
) -> dict[str, Any]:
    """What a call ran with. `prompt` is the fingerprint of its instructions, where it has none of all messages."""
    said = [instructions] if instructions else []
    if isinstance(messages, list | tuple):
        said += [one for one in messages if isinstance(one, Mapping) and one.get("role") in INSTRUCTING]
    config = {
        "model": model,
        "temperature": temperature,
        "prompt": fingerprint(said or messages),
        "tools": [_tool_name(tool) for tool in tools] if tools else None,
        "schema": _schema_name(schema),
    }
    return {key: value for key, value in config.items() if isinstance(value, str | int | float | list)}


def _tool_name(tool: Any) -> str:
    if isinstance(tool, Mapping):
        inner = tool.get("function")
        tool = inner if isinstance(inner, Mapping) else tool
        return str(tool.get("name") or tool.get("type"))
    return str(getattr(tool, "name", None) or getattr(tool, "__name__", type(tool).__name__))


def _schema_name(schema: Any) -> str | None:
    if isinstance(schema, type):
        return schema.__name__
    inner = schema.get("json_schema") if isinstance(schema, Mapping) else None
    return str(inner["name"]) if isinstance(inner, Mapping) and "name" in inner else None


class Told:
    """What an answer tells: gathered of a whole one by `whole`, of a stream by `part` after `part`."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] = {}
        self.texts: list[str] = []
        self.tools: list[str] = []
        self.stop: str | None = None

    def whole(self, answer: Any) -> None:
        raise NotImplementedError

    def part(self, chunk: Any) -> None:
        raise NotImplementedError

    def took(self, **usage: Any) -> None:
        self.usage.update({key: value for key, value in usage.items() if isinstance(value, str | int | float)})

    def output(self) -> dict[str, Any]:
        told = {"text": "".join(self.texts)[:TEXT], "tool_calls": self.tools, "stop": self.stop}
        return {key: value for key, value in told.items() if value}


class Api:
    """One resource of a client: its step's name and type, how its arguments are read and its answer."""

    on = True

    def __init__(
        self, name: str, asked: Callable[[Mapping[str, Any]], dict[str, Any]], told: type[Told], kind: str = "generate"
    ) -> None:
        self.name = name
        self.asked = asked  # arguments to those of `config_of`
        self.told = told
        self.kind = kind


class Call:
    """One call that is on its way."""

    def __init__(self, api: Api, given: Mapping[str, Any]) -> None:
        self.told = api.told()
        self._context = copy_context()  # the step is begun and ended in it: the caller's stays as it is
        self._step: Step | None = self._context.run(context.RUN.get().step, api.name, api.kind)
        self._context.run(self._step.__enter__)
        with guard:
            self._step.set_output_count(0)  # items are named where they are read out of what it says
            asked = api.asked({key: value for key, value in given.items() if _is_given(value)})
            self._step.set_config(**config_of(**asked))
            self._step.set_input({"messages": asked.get("messages")})

    def answered(self, answer: Any, awaited: bool) -> Any:
        """Read an answer, or watch a stream until it ends. Returns what the client returned."""
        with guard:
            held = answer
            if type(answer).__name__ == "LegacyAPIResponse":  # `with_raw_response`: what it parses it keeps
                held = None if awaited and hasattr(answer.http_response, "aiter_bytes") else answer.parse()
            if hasattr(held, "_iterator") and watch(held, self):
                return answer
            if held is not None:
                self.told.whole(held)
        self.end(None)
        return answer

    def part(self, chunk: Any) -> None:
        with guard:
            self.told.part(chunk)

    def end(self, error: BaseException | None, early: bool = False) -> None:
        """The end, once: of an answer, of a stream, or of a stream that was left."""
        with guard:
            step, self._step = self._step, None
            if step is None:
                return
            if self.told.usage:
                step.set_usage(**self.told.usage)
            if output := self.told.output():
                step.set_output(output)
            if early:
                step.set_metadata("left_early", True)
            trace = None if error is None else error.__traceback__
            self._context.run(step.__exit__, None if error is None else type(error), error, trace)


def _is_given(value: Any) -> bool:
    """Whether an argument says something, and may be read: an iterator is the client's to read."""
    return value is not None and type(value).__name__ not in ("Omit", "NotGiven") and not hasattr(value, "__next__")


def _begin(api: Api, given: Mapping[str, Any]) -> Call | None:
    """None where nothing is to be recorded: no run is open, or another adapter records it."""
    with guard:
        quiet = _QUIET.get()
        if api.on and context.RUN.get() is not None and (quiet is None or not quiet()):
            return Call(api, given)
    return None


def _always() -> bool:
    return True


def sync_method(original: Callable[..., Any], api: Api) -> Callable[..., Any]:
    """A client's method that records; what it calls of the client itself is quiet."""

    @wraps(original)
    def call(*args: Any, **given: Any) -> Any:
        began = _begin(api, given)
        if began is None:
            return original(*args, **given)
        token = _QUIET.set(_always)
        try:
            answer = original(*args, **given)
        except BaseException as error:
            began.end(error)
            raise
        finally:
            _QUIET.reset(token)
        return began.answered(answer, awaited=False)

    return call


def async_method(original: Callable[..., Any], api: Api) -> Callable[..., Any]:
    """The same of a method that is awaited. What is wrong with its arguments is raised at the call, as before."""

    @wraps(original)
    def call(*args: Any, **given: Any) -> Any:
        return awaited(original(*args, **given), api, given)

    return call


async def awaited(pending: Awaitable[Any], api: Api, given: Mapping[str, Any]) -> Any:
    began = _begin(api, given)
    if began is None:
        return await pending
    token = _QUIET.set(_always)
    try:
        answer = await pending
    except BaseException as error:
        began.end(error)
        raise
    finally:
        _QUIET.reset(token)
    return began.answered(answer, awaited=True)


def manager_method(original: Callable[..., Any], api: Api, is_async: bool = False) -> Callable[..., Any]:
    """A method that returns a manager, which asks when it is entered: what it asks with is what is recorded."""

    @wraps(original)
    def call(*args: Any, **given: Any) -> Any:
        manager = original(*args, **given)
        with guard:
            place = next((name for name in vars(manager) if name.endswith("__api_request")), None)
            if place is not None:
                request = getattr(manager, place)
                made: Any = awaited(request, api, given) if is_async else _asking(request, api, given)
                setattr(manager, place, made)
        return manager

    return call


def async_manager_method(original: Callable[..., Any], api: Api) -> Callable[..., Any]:
    return manager_method(original, api, is_async=True)


def _asking(request: Callable[[], Any], api: Api, given: Mapping[str, Any]) -> Callable[[], Any]:
    return lambda: sync_method(lambda **_: request(), api)(**given)


def put(owner: Any, name: str, method: Callable[..., Callable[..., Any]], api: Api) -> Callable[[], None]:
    """Put `method` of an api in the place of a class's or an object's own; returns what takes it off again."""
    api = copy(api)
    own = vars(owner).get(name)
    mine = method(getattr(owner, name), api)
    setattr(owner, name, mine)

    def back() -> None:
        api.on = False
        if vars(owner).get(name) is not mine:
            return  # somebody stands on it: it stays, and records nothing
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    return back


# -- what a model decided -------------------------------------------------------------------------------


def decisions(
    step: Step | NullStep,
    parsed: Any,
    *,
    kept: str = "kept",
    dropped: str = "dropped",
    key: str = "id",
    reason: str = "reason",
    among: Iterable[Any] | None = None,
) -> None:
    """Record what a model kept and dropped, as its structured output lists it.

    `parsed` is that output: a model, a dataclass, a mapping, or its JSON text; `kept` and `dropped` name its lists. An
    entry is an id, or something with `key` (its id) and `reason` (the model's words: evidence, never a code). Of the
    ids `among` is given, others are the model's own invention: they are counted in the step's metadata, and no items.
    """
    with guard:
        if isinstance(parsed, str | bytes):
            parsed = json.loads(parsed)
        known = None if among is None else {str(one) for one in among}
        made_up = 0
        for name, outcome in ((kept, step.accept), (dropped, step.reject)):
            for entry in _part(parsed, name) or ():
                item, words = _entry(entry, key, reason)
                if known is not None and str(item) not in known:
                    made_up += 1
                    continue
                outcome(item, LLM, None if words is None else {"said": str(words)[:TEXT]}, "model")
        if made_up:
            step.set_metadata("not_among_candidates", made_up)


def _entry(entry: Any, key: str, reason: str) -> tuple[Any, Any]:
    if isinstance(entry, str | int):
        return entry, None
    item = _part(entry, key)
    if item is None:
        raise LookupError(f"an entry of a model's output has no {key!r}")
    return item, _part(entry, reason)


def _part(whole: Any, name: str) -> Any:
    return whole.get(name) if isinstance(whole, Mapping) else getattr(whole, name, None)


__all__ = ["Api", "Call", "Told", "config_of", "decisions", "fingerprint", "hush", "put"]
