"""What the bad ones share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Printed
from dxray.wire.text import Line


class Condition(Answer):
    """`field` is a reason, a step's name, or a key of evidence, input or metadata."""

    field: str = ""
    op: str = "=="
    value: Any = None


class Slice(Answer):
    """A part in which the outcome became more frequent. Slices of one `cause` describe nearly the same rows."""

    _nested: ClassVar[tuple[str, ...]] = ("conditions",)

    conditions: list[Condition] = []
    text: str = ""
    n_a: int = 0
    n_b: int = 0
    with_outcome_a: int | None = None
    with_outcome_b: int | None = None
    rate_a: float | None = None
    rate_b: float | None = None
    rate_b_interval: list[float] = []
    support: float | None = None
    coverage: float | None = None
    risk_ratio: float | None = None
    interval: list[float] = []
    p_adjusted: float | None = None
    score: float | None = None
    counter_examples: int | None = None
    examples: list[str] = []
    cause: int | None = None
    main: bool = True
    estimated: bool = False


class SplitStep(Answer):
    """A step of the funnel of both sets: `delta_ln_pass = mix + rate`."""

    step_name: str = ""
    in_a: int | None = None
    in_b: int | None = None
    out_a: int | None = None
    out_b: int | None = None
    pass_a: float | None = None
    pass_b: float | None = None
    delta_ln_pass: float | None = None
    mix: float | None = None
    rate: float | None = None


class LeftOut(Answer):
    """What was not looked at, or is not known."""

    field: str = ""
    why: str = ""


class Explain(Printed):
    """What the runs of set b share that those of set a do not; the best slices first."""

    _nested: ClassVar[tuple[str, ...]] = ("funnel", "slices", "left_out")

    a: str | None = None  # the filters
    b: str | None = None
    outcome: str = ""
    step_name: str | None = None
    runs_a: int = 0
    runs_b: int = 0
    overlap: int = 0
    counted: str = "items"  # or runs; an item counts at each of its steps
    n_a: int | None = None
    n_b: int | None = None
    with_outcome_a: int | None = None
    with_outcome_b: int | None = None
    rate_a: float | None = None
    rate_b: float | None = None
    funnel: list[SplitStep] = []
    delta_ln_input: float | None = None
    delta_ln_output: float | None = None
    mix_by: str | None = None
    slices: list[Slice] = []
    tested: int = 0
    share_looked_at: float | None = None
    left_out: list[LeftOut] = []
    sentence: str = ""

    def __iter__(self) -> Iterator[Slice]:
        return iter(self.slices)

    def __len__(self) -> int:
        return len(self.slices)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.explain import explain_lines

        return explain_lines(self, width)
