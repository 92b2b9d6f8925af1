"""Where two runs parted."""

from __future__ import annotations

from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.answers.frames import frame
from dxray.wire.text import Line


class DiffStep(Answer):
    """A step of the two runs, side by side; `a` or `b` is None where it is not in that run.

    `label`: `same`, `config_changed`, `nondeterministic_here` (same input and config, other output), `unknown_cause`,
    `inherited` (its input differs) or `structural` (not in both). `differs` is None where the record does not say.
    """

    step_name: str = ""
    step_id: dict[str, str | None] | None = None
    step_type: str | None = None
    path: list[str] | None = None
    occurrence: int | None = None
    label: str = ""
    differs: bool | None = None
    order_only: bool | None = None
    a: dict[str, Any] | None = None
    b: dict[str, Any] | None = None
    items: dict[str, int] | None = None
    unknown: Unknown | None = None
    hint: str | None = None


class Diff(Printed):
    """Where two runs parted, and what became of what. The lists are cut; `totals` says how many there are."""

    _nested: ClassVar[tuple[str, ...]] = ("steps",)

    a: str = ""
    b: str = ""
    sentence: str = ""
    first_divergence: dict[str, Any] | None = None
    first_effect: dict[str, Any] | None = None
    runs: dict[str, Any] | None = None
    run_input: str | None = None
    run_output: str | None = None
    steps: list[DiffStep] = []
    flips: list[dict[str, Any]] = []
    rank_moves: list[dict[str, Any]] | None = None
    arrivals: list[dict[str, Any]] | None = None
    departures: list[dict[str, Any]] | None = None
    winners: dict[str, Any] | None = None
    config_changes: list[dict[str, Any]] | None = None
    minimal_changes: list[Any] | None = None
    totals: dict[str, int | None] | None = None
    unknown: Unknown | None = None
    hint: str | None = None

    def to_frame(self) -> Any:
        """The flips as a pandas DataFrame, a row each. Raises `ImportError` where pandas is not installed."""
        head = ["item_id", "name", "step_name"]
        fields = ["outcome", "reason", "score"]
        rows = [
            {
                **{name: flip.get(name) for name in head},
                **{f"{field}_{side}": (flip.get(side) or {}).get(field) for field in fields for side in ("a", "b")},
            }
            for flip in self.flips
        ]
        columns = [*head, *(f"{field}_{side}" for field in fields for side in ("a", "b"))]
        return frame(rows, columns)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.diff import diff_lines

        return diff_lines(self, width)
