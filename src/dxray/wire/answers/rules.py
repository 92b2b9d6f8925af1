"""How the rules of steps do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.text import Line


class Bin(Answer):
    """So many values whose margin lies in [from, to)."""

    from_: float = msgspec.field(default=0.0, name="from")
    to: float = 0.0
    n: int = 0


class NearMisses(Answer):
    """How close values came to a limit, in the unit of the field."""

    _nested: ClassVar[tuple[str, ...]] = ("bins",)

    values: int = 0
    spread: float | None = None
    within: float | None = None
    failed: int = 0
    failed_alone: int = 0
    passed: int = 0
    below: int = 0
    above: int = 0
    bins: list[Bin] = []


class RuleHealth(Answer):
    """One rule. Counts are None where nothing says how often it was asked."""

    pipeline: str | None = None
    step_name: str = ""
    reason: str | None = None
    field: str = ""
    op: str = ""
    threshold: Any = None
    thresholds: int | None = None
    steps: int | None = None
    runs: int | None = None
    evaluated: int | None = None
    kills: int | None = None
    uncomparable: int | None = None
    rate: float | None = None
    interval: list[float] = []
    sole_kills: int | None = None
    sole_kills_range: list[int] | None = None
    sole_unknown: str | None = None
    near_misses: NearMisses | None = None
    no_margin: str | None = None
    fires_never: bool | None = None
    never_ran: bool | None = None
    redundant_with: list[dict[str, Any]] = []
    drift: dict[str, Any] | None = None
    unknown: Unknown | None = None


class Rules(Printed):
    """The rules, first the one whose limit to look at first."""

    _nested: ClassVar[tuple[str, ...]] = ("rules",)

    pipeline: str | None = None
    runs: int = 0
    rules: list[RuleHealth] = []
    look_first: dict[str, Any] | None = None
    without_rule: dict[str, Any] = {}
    not_looked_at: dict[str, int] = {}
    unknown: list[dict[str, Any]] = []
    sentence: str = ""
    did_you_mean: list[str] | None = None

    def __iter__(self) -> Iterator[RuleHealth]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.rules import rules_lines

        return rules_lines(self, width)
