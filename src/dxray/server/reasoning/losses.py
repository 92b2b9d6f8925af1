"""What of a run did not arrive: its losses by cause, and the steps at which nothing may be taken as complete."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dxray.server.filters import Clause
from dxray.server.store.base import Reader
from dxray.wire.records import VALUE_LOSSES

Counts = dict[str, int]  # by cause

_COLUMNS = ("run_id", "step_id", "cause", "n")
_MOST = 2**63 - 1  # what JSON readers still take as a whole number of 64 bits


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one run, those of its steps included, and of each step; None stands for no known step."""

    run: Counts = field(default_factory=dict)
    steps: Mapping[str | None, Counts] = field(default_factory=dict)

    def at(self, step_id: str) -> Counts:
        """The losses that are known to be of a step."""
        return self.steps.get(step_id, {})

    def of_events(self) -> bool:
        """Whether events of the run are known to be lost."""
        return _of_events(self.run)

    def events_at(self, step_id: str) -> bool:
        """Whether events of a step are known to be lost. A value that was changed is no event that is lost."""
        return _of_events(self.at(step_id))

    def events_elsewhere(self, step_ids: Collection[str]) -> bool:
        """Whether events were lost of which none of these steps is known to be the step.

        They may be of any step: also of one that ended and has all events that it spoke of, since what was said
        after its end is lost together with the record that would speak of it.
        """
        return any(step_id not in step_ids and _of_events(counts) for step_id, counts in self.steps.items())


NONE = Losses()


def losses_of(reader: Reader, run_ids: Sequence[str]) -> dict[str, Losses]:
    """The losses of these runs; a run without any has no entry."""
    if not run_ids:
        return {}
    rows = reader.select("losses", _COLUMNS, [Clause("run_id", "in", list(run_ids))])
    found: dict[str, tuple[Counts, dict[str | None, Counts]]] = {}
    for run_id, step_id, cause, n in zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True):
        of_run, of_steps = found.setdefault(run_id, ({}, {}))
        for counts in (of_run, of_steps.setdefault(step_id, {})):
            counts[cause] = min(counts.get(cause, 0) + n, _MOST)
    return {
        run_id: Losses(_sorted(of_run), {step_id: _sorted(counts) for step_id, counts in of_steps.items()})
        for run_id, (of_run, of_steps) in found.items()
    }


def _of_events(counts: Counts) -> bool:
    return any(cause not in VALUE_LOSSES for cause in counts)


def _sorted(counts: Counts) -> Counts:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
