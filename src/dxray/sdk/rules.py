"""Recorded rules: a predicate that answers, and leaves a trace that can be evaluated again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any

from dxray.sdk.guard import guard
from dxray.sdk.losses import UNKNOWN_OPERATOR
from dxray.sdk.values import as_text, json_text
from dxray.wire.predicates import UnknownOperator, comparable, comparison
from dxray.wire.records import Op, Rule

if TYPE_CHECKING:
    from dxray.sdk.step import Step

# These answer True for None or NaN by themselves; a value that cannot be compared must be False.
_NEEDS_CHECK = frozenset(("==", "!=", "in", "not_in"))


class Predicate:
    """`field op threshold`: evaluates without recording. Raises `UnknownOperator` for an unknown operator."""

    __slots__ = ("_check", "_compare", "field", "op", "reason", "threshold")

    def __init__(self, field: str, op: str, threshold: Any, reason: str | None = None) -> None:
        self.field = field
        self.op = op
        self.threshold = threshold
        self.reason = reason or f"{field}_failed"
        self._compare = comparison(op)
        self._check = op in _NEEDS_CHECK

    def holds(self, value: Any) -> bool:
        """Whether the value satisfies the predicate; False where it cannot be compared. Never raises."""
        try:
            if self._check and not comparable(value):
                return False
            return bool(self._compare(value, self.threshold))
        except Exception:
            self._odd(value)
            return False

    def _odd(self, value: Any) -> None:
        """The comparison raised."""

    def passes(self, item_id: Any, value: Any) -> bool:
        """Whether `value` satisfies the predicate. Never raises."""
        return self.holds(value)


class StepRule(Predicate):
    """A rule of a step, made by `step.require(...)`."""

    __slots__ = ("_number", "_odd_by_thread", "_step", "_text", "counts", "uncomparable")

    def __init__(self, step: Step, number: int, field: str, op: str, threshold: Any, reason: str | None) -> None:
        try:
            super().__init__(field, op, threshold, reason)
        except UnknownOperator:
            step._lost(UNKNOWN_OPERATOR, 1)  # shown on the run, and the step is not taken as complete
            raise
        self._step = step
        self._number = number
        self._text = json_text(threshold)[0]
        self.start_again()

    def start_again(self) -> None:
        """Count from nothing: when it is made, and in a forked child."""
        self.counts: Counter[int] = Counter()  # by Op, counted where rows are encoded
        self.uncomparable = 0
        self._odd_by_thread: Counter[int] = Counter()  # so that no lock is needed: each thread has its own number

    def passes(self, item_id: Any, value: Any) -> bool:
        """Whether `value` satisfies the rule. Records what was observed, and on False the rejection too."""
        try:
            if self._check and not comparable(value):
                passed = False
            else:
                passed = bool(self._compare(value, self.threshold))
        except Exception:
            self._odd(value)
            passed = False
        step = self._step
        rows = step._rows
        rows += (8 if passed else 9, item_id, self._number, value)
        if len(rows) >= step._limit:
            with guard:
                step._spill()
        return passed

    def _odd(self, value: Any) -> None:
        """Count a value of another kind than the threshold; what compares with nothing is counted with its row."""
        if comparable(value):
            self._odd_by_thread[get_ident()] += 1

    def same_as(self, other: StepRule) -> bool:
        """Whether two rules ask the same; by their recorded form, since thresholds may be of any type."""
        return (self.field, self.op, self.reason, self._text) == (other.field, other.op, other.reason, other._text)

    def recorded(self) -> Rule:
        """The rule as it travels, with its counts so far."""
        passed, failed = self.counts[Op.RULE_PASSED], self.counts[Op.RULE_FAILED] + self.counts[Op.RULE_ALSO_FAILED]
        return Rule(
            field=as_text(self.field),
            op=self.op,
            threshold=self._text,
            reason=as_text(self.reason),
            evaluated=passed + failed,
            failed=failed,
            uncomparable=self.uncomparable + sum(list(self._odd_by_thread.values())),
        )


class RuleSet:
    """Several rules evaluated together, all of them on every item, so that none hides another."""

    __slots__ = ("_rules", "_step")

    def __init__(self, step: Step, rules: Sequence[Predicate]) -> None:
        self._step = step
        self._rules = tuple(rules)

    def passes(self, item_id: Any, values: Mapping[str, Any]) -> bool:
        """Whether every rule holds for `values` (field -> value; a missing field fails its rule).

        Every rule's outcome is recorded; the first that fails gives the rejection its reason.
        """
        rows: list[Any] = []
        passed, rejected = True, False
        for rule in self._rules:
            value = None
            with guard:
                value = values.get(rule.field)
            if not isinstance(rule, StepRule):
                passed = False  # it could not be made, so nothing passes it
            elif rule.holds(value):
                rows += (Op.RULE_PASSED, item_id, rule._number, value)
            else:
                rows += (Op.RULE_ALSO_FAILED if rejected else Op.RULE_FAILED, item_id, rule._number, value)
                passed, rejected = False, True
        with guard:
            self._step._add(rows)
        return passed


class NeverPasses(Predicate):
    """What a rule that could not be made becomes: it rejects nothing by itself and passes nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("", "==", None)

    def passes(self, item_id: Any, value: Any) -> bool:
        """False."""
        return False
