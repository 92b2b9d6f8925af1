"""Whether the same input leads to the same decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Printed
from dxray.wire.text import Line


class EntryStep(Answer):
    """A step at which repeated runs part first, and how often the decision then differs."""

    pipeline: str | None = None
    step_name: str = ""
    first: int = 0
    share: float = 0.0
    interval: list[float] = []
    flipped: int = 0
    decided: int = 0
    amplification: float | None = None
    amplification_interval: list[float] = []
    labels: dict[str, int] = {}
    example: dict[str, str] = {}


class Choice(Answer):
    """What some runs of an input decided. `items` is None where their output stands for the decision."""

    runs: int = 0
    items: list[Any] | None = None
    examples: list[str] = []


class UnstableInput(Answer):
    """An input that led to several decisions or outputs."""

    _nested: ClassVar[tuple[str, ...]] = ("choices",)

    pipeline: str | None = None
    input: Any = None
    runs: int = 0
    newest: str | None = None
    decisions: int | None = None
    outputs: int | None = None
    entropy: float | None = None
    undecided: int = 0
    choices: list[Choice] = []


class NotKnown(Answer):
    """Runs or steps of which something cannot be said, and why."""

    cause: str | None = None
    n: int = 0
    detail: str | None = None
    hint: str | None = None


class Stability(Printed):
    """Whether the same input leads to the same decision; the steps where most parts first."""

    _nested: ClassVar[tuple[str, ...]] = ("entry_steps", "unstable", "unknown")

    pipeline: str | None = None
    runs: int = 0
    groups: int = 0
    repeats: int = 0
    repetitions: dict[str, int] | None = None
    decision_of: str | None = None
    decided: int = 0
    flipped: int = 0
    flip_rate: float | None = None
    interval: list[float] = []
    pair_flip_rate: float | None = None
    entropy: float | None = None
    alpha: float | None = None
    tar: float | None = None
    tar_interval: list[float] = []
    outputs_known: int = 0
    identical: int = 0
    compared: int = 0
    diverged: int = 0
    entry_steps: list[EntryStep] = []
    unrecorded: int = 0
    undecided: int = 0
    unstable: list[UnstableInput] = []
    not_looked_at: dict[str, int] = {}
    unknown: list[NotKnown] = []
    sentence: str = ""
    did_you_mean: list[str] | None = None

    def __iter__(self) -> Iterator[EntryStep]:
        return iter(self.entry_steps)

    def __len__(self) -> int:
        return len(self.entry_steps)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.stability import stability_lines

        return stability_lines(self, width)
