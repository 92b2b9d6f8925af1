"""Disabled mode: the same surface, recording nothing. Rules still evaluate, so the pipeline decides as before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from dxray.sdk import wide
from dxray.sdk.guard import guard
from dxray.sdk.rules import NeverPasses, Predicate


class NullRuleSet:
    """Several rules that answer and record nothing."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Iterable[Predicate]) -> None:
        self._rules = tuple(rules)

    def passes(self, item_id: Any, values: Mapping[str, Any]) -> bool:
        """Whether every rule holds; a missing field fails its rule."""
        with guard:
            return all(rule.passes("", values.get(rule.field)) for rule in self._rules)
        return False


class _Null:
    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return None

    def set_input(self, value: Any) -> None:
        """Nothing."""

    def set_output(self, value: Any) -> None:
        """Nothing."""

    def set_metadata(self, key: str, value: Any) -> None:
        """Nothing."""


class NullStep(_Null):
    """What a step is where nothing is recorded."""

    __slots__ = ()
    step_id = ""

    def __enter__(self) -> NullStep:
        return self

    def accept(self, item_id: Any, reason: Any = None, evidence: Any = None, by: Any = None) -> None:
        """Nothing."""

    def reject(self, item_id: Any, reason: Any, evidence: Any = None, by: Any = None) -> None:
        """Nothing."""

    def produce(
        self, item_id: Any, name: Any = None, parents: Any = None, *, kind: Any = None, evidence: Any = None
    ) -> None:
        """Nothing."""

    def merge(self, item_id: Any, into: Any, evidence: Any = None) -> None:
        """Nothing."""

    def score(self, item_id: Any, score: Any, parts: Any = None) -> None:
        """Nothing."""

    def refer(self, item_id: Any, to: Any, kind: str = "beaten_by") -> None:
        """Nothing."""

    def cutoff(self, k: int) -> None:
        """Nothing."""

    def decide(
        self, decision: str, selected: Any = None, reason: Any = None, score: Any = None, alternatives: Any = None
    ) -> None:
        """Nothing."""

    def require(self, field: str, op: str, threshold: Any, reason: str | None = None) -> Predicate:
        """A rule that still evaluates."""
        with guard:
            return Predicate(field, op, threshold, reason)
        return NeverPasses()

    def require_all(self, rules: Iterable[Any]) -> NullRuleSet:
        """Rules that still evaluate."""
        with guard:
            return NullRuleSet(rule if isinstance(rule, Predicate) else Predicate(*rule) for rule in rules)
        return NullRuleSet((NeverPasses(),))

    def produce_many(self, ids: Any, names: Any = None, parents: Any = None, evidence: Any = None) -> None:
        """Nothing."""

    def accept_many(self, ids: Any, reason: Any = None, evidence: Any = None) -> None:
        """Nothing."""

    def reject_many(self, ids: Any, reason: Any, evidence: Any = None) -> None:
        """Nothing."""

    def score_many(self, ids: Any, scores: Any, parts: Any = None) -> None:
        """Nothing."""

    def filtered(self, before: Any, after: Iterable[Any], reason: str, key: Any = None) -> list[Any]:
        """What the filter left."""
        return list(after)

    def mask(self, frame: Any, keep: Any, reason: str, id: Any = None) -> Any:
        """What the mask keeps."""
        return wide.masked(frame, keep)

    def set_config(self, **config: Any) -> None:
        """Nothing."""

    def set_usage(self, **usage: Any) -> None:
        """Nothing."""

    def set_input_count(self, count: int) -> None:
        """Nothing."""

    def set_output_count(self, count: int) -> None:
        """Nothing."""


class NullRun(_Null):
    """What a run is where nothing is recorded. Falsy."""

    __slots__ = ()
    run_id = ""
    url = ""

    def __enter__(self) -> NullRun:
        return self

    def step(
        self, name: str, step_type: Any = None, *, after: Any = None, attempt: Any = None, capture: Any = None
    ) -> NullStep:
        """A step that records nothing."""
        return NULL_STEP

    def wait(self) -> None:
        """Nothing."""

    def why(self, item: Any, timeout: float = 10.0) -> Any:
        """Raises LookupError: nothing was recorded."""
        raise LookupError("nothing was recorded: dxray is disabled (DXRAY_DISABLED), or no run is open here")


NULL_STEP = NullStep()
NULL_RUN = NullRun()
