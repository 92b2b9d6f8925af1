"""The shape of a posted run, and where exactly a body departs from it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec

from dxray.server.errors import BadRequest, Invalid, nearest
from dxray.wire.records import OUTCOMES

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Millis = Annotated[float, msgspec.Meta(ge=0)]
ItemId = str | int


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class PostedEvent(_Strict):
    item_id: ItemId
    outcome: str
    reason: str | None = None
    evidence: dict[str, Any] | None = None
    score: float | None = None
    parts: dict[str, float] | None = None  # of the score
    parents: list[ItemId] | None = None
    name: str | None = None
    kind: str | None = None
    into: ItemId | None = None  # of a merged item
    by: Literal["code", "rule", "model", "person"] | None = None


class PostedRule(_Strict):
    field: str
    op: str
    threshold: Any
    reason: str


class PostedDecision(_Strict):
    decision: str
    selected: ItemId | list[ItemId] | None
    reason: str | None = None
    score: float | None = None
    alternatives: list[ItemId | dict[str, Any]] | None = None


class PostedStep(_Strict):
    name: str
    step_type: str | None = None
    step_id: str | None = None
    parent_step_id: str | None = None
    after: list[str] | None = None
    attempt: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    input: Any = None
    output: Any = None
    input_count: _Count | None = None
    output_count: _Count | None = None
    rejection_counts: dict[str, _Count] | None = None
    cutoff: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    config: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    rules: list[PostedRule] = []
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: _Millis | None = None
    error: str | dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    events: list[PostedEvent] = []
    decisions: list[PostedDecision] = []


class PostedRun(_Strict):
    pipeline: Annotated[str, msgspec.Meta(min_length=1)]
    run_id: str | None = None
    input: Any = None
    output: Any = None
    status: str = "completed"
    error: str | dict[str, Any] | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: _Millis | None = None
    metadata: dict[str, Any] | None = None
    environment: str | None = None
    code_version: str | None = None
    variant: str | None = None
    parent_run_id: str | None = None
    trace_id: str | None = None
    steps: list[PostedStep] = []


_NESTED: dict[str, type[_Strict]] = {
    "steps": PostedStep,
    "events": PostedEvent,
    "rules": PostedRule,
    "decisions": PostedDecision,
}
_JSON_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
_S = TypeVar("_S", bound=_Strict)


def convert(raw: Any, kind: type[_S]) -> _S:
    """`raw` as a `kind`. Raises `Invalid` that names the field by its full path."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        # Only now the slow way, to name the place exactly: msgspec says steps[...], not steps[3].
        _find(raw, kind, "")
        raise
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply", fix="at most some hundred levels") from error


def _find(raw: Any, kind: type[_Strict], path: str) -> None:
    """Raise `Invalid` for the first thing wrong with `raw`, seen as a `kind`, at `path`."""
    if not isinstance(raw, dict):
        refuse(path or "the body", f"expected an object, got {_json_name(raw)}")
    dot = f"{path}." if path else ""
    known = kind.__struct_fields__
    for name in raw:
        if name not in known:
            shown = name if re.fullmatch(r"\w{1,100}", name) else f"[{name[:100]!r}]"
            refuse(dot + shown, "there is no such field", nearest(name[:100], known))
    for name in kind.__struct_fields__:
        children = raw.get(name)
        if name in _NESTED and isinstance(children, list):
            for number, child in enumerate(children):
                _find(child, _NESTED[name], f"{dot}{name}[{number}]")
    flat = {k: ([] if k in _NESTED and isinstance(v, list) else v) for k, v in raw.items()}
    try:
        msgspec.convert(flat, kind)
    except msgspec.ValidationError as error:
        missing = re.match(r"Object missing required field `(.+?)`", str(error))
        if missing is not None:
            refuse(dot + missing[1], "is missing", f"add {missing[1]!r}")
        said, _, where = str(error).partition(" - at `$")
        refuse((dot + where.rstrip("`").lstrip(".")) or "the body", said.replace("`", "").replace(" | ", " or "))


def _json_name(raw: Any) -> str:
    return _JSON_NAMES.get(type(raw), "a number")


def refuse(field: str, what: str, fix: str | None = None) -> NoReturn:
    """Raise `Invalid` for the field at this path."""
    raise Invalid(f"{field}: {what}", field=field, fix=fix)


def outcome_of(event: PostedEvent, path: str) -> int:
    """The outcome's number. Refuses what the outcome cannot carry."""
    try:
        number = OUTCOMES.index(event.outcome)
    except ValueError:
        refuse(f"{path}.outcome", f"there is no outcome {event.outcome!r}", nearest(event.outcome, OUTCOMES))
    if event.outcome == "rejected" and not event.reason:
        refuse(f"{path}.reason", "a rejected item has a reason", "add a short code, such as 'price_too_high'")
    if event.outcome == "merged" and event.into is None:
        refuse(f"{path}.into", "a merged item says which item it went into", "add 'into': the other item's id")
    if event.into is not None and event.outcome != "merged":
        refuse(f"{path}.into", f"only a merged item goes into another; this one is {event.outcome}")
    if event.parents is not None and event.outcome != "produced":
        refuse(f"{path}.parents", f"only a produced item has parents; this one is {event.outcome}")
    if event.kind is not None and event.outcome != "produced":
        refuse(f"{path}.kind", f"only a produced item has a kind; this one is {event.outcome}")
    if event.parts is not None and event.score is None:
        refuse(f"{path}.parts", "parts belong to a score", "add 'score'")
    return number
