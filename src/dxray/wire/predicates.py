"""The operators of rules, and how they compare: one meaning for the SDK, the server and replay."""

from __future__ import annotations

import operator
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "in": lambda value, members: value in members,
    "not_in": lambda value, members: value not in members,
    "between": lambda value, bounds: bounds[0] <= value <= bounds[1],
}


# What other languages and people write instead.
_MEANT = {
    "=<": "<=",
    "=>": ">=",
    "=": "==",
    "===": "==",
    "is": "==",
    "<>": "!=",
    "!==": "!=",
    "not in": "not_in",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2260": "!=",
    "lt": "<",
    "lte": "<=",
    "le": "<=",
    "gt": ">",
    "gte": ">=",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}


class UnknownOperator(ValueError):
    """The operator is none of `OPERATORS`; the message names the nearest, and holds nothing that was recorded."""


def comparison(op: str) -> Callable[[Any, Any], Any]:
    """The function `(value, threshold) -> bool` of an operator. Raises `UnknownOperator`."""
    try:
        return OPERATORS[op]
    except (KeyError, TypeError):
        said = op[:40] if type(op) is str else f"<{type(op).__name__}>"
        meant = _MEANT.get(said.strip().lower())
        near = [meant] if meant else get_close_matches(said, OPERATORS, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UnknownOperator(f"operator {said!r} is not known{hint} Known: {' '.join(OPERATORS)}") from None


def comparable(value: Any) -> bool:
    """Whether a value can be compared at all: None, NaN and what has no single truth cannot, and count as False."""
    try:
        return value is not None and bool(value == value)
    except Exception:  # noqa: BLE001 - a user's `__eq__` may raise anything
        return False


def margin(op: str, value: Any, threshold: Any) -> float | None:
    """How far a value is inside (>= 0) or outside (< 0) a numeric limit, in the value's unit; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if op == "between":
        low, high = threshold
        return float(min(value - low, high - value))
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        return None
    if op in ("<", "<="):
        return float(threshold - value)
    if op in (">", ">="):
        return float(value - threshold)
    return None
