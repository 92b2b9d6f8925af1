"""Rules with other limits: what a change is, and what a rule would have said of the values that it observed.

Verdicts are Kleene's three: `NO`, `MAYBE`, `YES`, so that *and* is the least and *or* the greatest. A rule is evaluated
with the operators of `wire.predicates`, as the SDK does. What is stored of a value is not always the value (a text may
have been a Decimal, a list is stored as text): the record itself is the test. Where the rule's own limit, asked of the
stored value, does not give what was recorded, and where a text could have been a number, the value counts as unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dxray.wire.predicates import OPERATORS, comparable

Array = np.ndarray[Any, Any]

NO, MAYBE, YES = 0, 1, 2
_NUMERIC: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NEEDS_CHECK = ("==", "!=", "in", "not_in")
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule of a step, as it was recorded."""

    rule_id: str
    field: str
    op: str
    threshold: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """Another threshold, or none at all, for the rules with a reason; everywhere, or at the steps of a name or an id.

    `field` and `op` narrow it to one of several rules that share a reason.
    """

    reason: str
    threshold: Any = None
    disable: bool = False
    step_name: str | None = None
    step_id: str | None = None
    field: str | None = None
    op: str | None = None

    def is_of(self, limit: Limit, step_name: str, step_id: str) -> bool:
        """Whether it changes this rule of this step."""
        wanted = (self.step_name, self.step_id, self.field, self.op)
        has = (step_name, step_id, limit.field, limit.op)
        return limit.reason == self.reason and all(w is None or w == h for w, h in zip(wanted, has, strict=True))

    def changes(self, limit: Limit) -> bool:
        """Whether the rule is another one with it."""
        return self.disable or not same(self.threshold, limit.threshold)


@dataclass(frozen=True, slots=True)
class Observed:
    """Values of a field, one for each item: a number, one of `words` (texts, booleans, None), or not known."""

    number: Array  # float64, NaN where it is none
    code: Array  # int32, of `words`; -1 where it is none
    words: tuple[Any, ...]

    @property
    def known(self) -> Array:
        """Where there is a value; None is one."""
        return ~np.isnan(self.number) | (self.code >= 0)

    def where(self, keep: Array) -> Observed:
        """The same, known only where `keep` says."""
        return Observed(np.where(keep, self.number, np.nan), np.where(keep, self.code, -1), self.words)

    def value(self, place: int) -> Any:
        """The value of one item; None too where it is not known."""
        if self.code[place] >= 0:
            return self.words[self.code[place]]
        number = float(self.number[place])
        return None if number != number else number


def verdicts(observed: Observed, op: str, threshold: Any) -> Array:
    """What the predicate says of each value: `YES`, `NO`, and `MAYBE` of those that are not known."""
    out = np.where(observed.known, NO, MAYBE).astype(np.int8)
    numbers = ~np.isnan(observed.number)
    if numbers.any():
        out[numbers] = np.where(_of_numbers(observed.number[numbers], op, threshold), YES, NO)
    has = observed.code >= 0
    if has.any():
        said = np.array([_of_word(word, op, threshold) for word in observed.words], dtype=np.int8)
        out[has] = said[observed.code[has]]
    return out


def _of_numbers(values: Array, op: str, threshold: Any) -> Array:
    if is_number(threshold) and op in _NUMERIC:
        threshold = as_double(threshold)
        return np.asarray(_NUMERIC[op](values, threshold))
    if op == "between" and _are_numbers(threshold) and len(threshold) == 2:
        return np.asarray((threshold[0] <= values) & (values <= threshold[1]))
    distinct, places = np.unique(values, return_inverse=True)
    return np.array([holds(float(one), op, threshold) for one in distinct], dtype=bool)[places]


def as_double(number: float) -> float:
    """The number as a double; what has more digits than one holds is infinite."""
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _of_word(word: Any, op: str, threshold: Any) -> int:
    if isinstance(word, str):
        if word in _TRUTH and not _has_text(threshold):
            return YES if holds(_TRUTH[word], op, threshold) else NO
        if word[:1] in ("[", "{") or (not _has_text(threshold) and _may_be_number(word)):
            return MAYBE  # a list is stored as text, and so is a Decimal
    return YES if holds(word, op, threshold) else NO


def holds(value: Any, op: str, threshold: Any) -> bool:
    """Whether a value satisfies a predicate, as the SDK says; False where the two cannot be compared."""
    try:
        if op in _NEEDS_CHECK and not comparable(value):
            return False
        return bool(OPERATORS[op](value, threshold))
    except Exception:  # noqa: BLE001 - thresholds are recorded data of any type
        return False


def is_number(value: Any) -> bool:
    """Whether it is a number, and not a truth."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(is_number(one) for one in value)


def _has_text(threshold: Any) -> bool:
    return isinstance(threshold, str) or (
        isinstance(threshold, list | tuple) and any(isinstance(one, str) for one in threshold)
    )


def _may_be_number(word: str) -> bool:
    try:
        return float(word) == float(word)
    except ValueError:
        return False


def same(one: Any, other: Any) -> bool:
    """Whether two thresholds are the same; True is not 1."""
    return (type(one) is type(other) and one == other) or (is_number(one) and is_number(other) and one == other)


def kind_of(threshold: Any) -> str:
    """What kind of threshold it is: one cannot stand for another."""
    if isinstance(threshold, bool):
        return "a truth"
    if is_number(threshold):
        return "a number"
    if isinstance(threshold, str):
        return "a text"
    if isinstance(threshold, list | tuple):
        return "a list"
    return "no value" if threshold is None else "an object"


def only_looser(op: str, old: Any, new: Any) -> bool:
    """Whether all that passed the old limit certainly passes the new one."""
    if op in ("<", "<=", ">", ">=") and is_number(old) and is_number(new):
        return bool(new >= old) if op in ("<", "<=") else bool(new <= old)
    if op == "between" and _are_numbers(old) and _are_numbers(new) and len(old) == len(new) == 2:
        return bool(new[0] <= old[0] and old[1] <= new[1])
    if op in ("in", "not_in") and isinstance(old, list | tuple) and isinstance(new, list | tuple):
        wide, narrow = (new, old) if op == "in" else (old, new)
        return all(one in wide for one in narrow)
    return same(old, new)


def asked_again(limit: Limit, change: Change | None, observed: Observed, before: Array) -> Array:
    """A rule's verdicts with a change, given its verdicts before."""
    if change is None or not change.changes(limit):
        return before
    if change.disable:
        return np.full(len(before), YES, dtype=np.int8)
    after = verdicts(observed, limit.op, change.threshold)
    open_ = after == MAYBE
    if only_looser(limit.op, limit.threshold, change.threshold):
        after[open_ & (before == YES)] = YES
    elif only_looser(limit.op, change.threshold, limit.threshold):
        after[open_ & (before == NO)] = NO
    return after


def change_of(changes: Sequence[Change], limit: Limit, step_name: str, step_id: str) -> Change | None:
    """The change that applies to a rule of a step: the last that names it."""
    found = [one for one in changes if one.is_of(limit, step_name, step_id)]
    return found[-1] if found else None
