"""Is a generated value what sets a bad run apart? Compared with other runs of the same input. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dxray.server.reasoning.intervals import more_often_by_chance
from dxray.server.reasoning.journey import Unknown

_BY_CHANCE = 0.025
_USUAL = 0.5


@dataclass(frozen=True, slots=True)
class Generations:
    """What a step generated, in runs of one pipeline with one input: by run, the values, by name or else by id.

    `complained`: runs with a label that says that something was wrong; the others nobody complained about.
    `good`: those labelled good; `in_good_outcome`: the values from which what they chose came.
    """

    by_run: Mapping[str, Collection[str]]
    complained: Collection[str]
    good: Collection[str]
    in_good_outcome: Collection[str]


def judge(value: str, run_id: str, step: str, known: Generations | None) -> str | Unknown | None:
    """What is bad about a value, in words; None where it is as good as any; `Unknown` where nothing tells.

    - Good: what a run labelled good chose came from it.
    - Bad: runs with complaints have it more often than the others do, by more than chance (Fisher, one-sided 2.5 %);
      or none of the others has it, where it is unusual for a run to have values of its own.
    - Good: a run labelled good has it too, or at least half of the others.
    """
    if known is None:
        return Unknown(
            "not_recorded",
            f"the run has no input, so whether {step} generates {_quoted(value)} otherwise cannot be compared",
            "give xray.run(input=…)",
        )
    others = {one: values for one, values in known.by_run.items() if one not in known.complained and one != run_id}
    if value in known.in_good_outcome:
        return None
    if not others:
        return Unknown(
            "nothing_to_compare",
            f"no other run with this input shows what {step} generates otherwise",
            f"record more runs, or label {_quoted(value)} wrong if it is",
        )
    bad = [values for one, values in known.by_run.items() if one in known.complained or one == run_id]
    here, there = sum(value in one for one in bad), sum(value in one for one in others.values())
    if there and more_often_by_chance(here, len(bad), there, len(others)) <= _BY_CHANCE:
        return (
            f"generated {_quoted(value)}, as {here} of {len(bad)} runs with a complaint did; of the {len(others)} "
            f"others with the same input only {there} did"
        )
    if not there and _repeats(others, known.by_run[run_id]):
        return f"generated {_quoted(value)}, which none of {len(others)} other runs with the same input did"
    if any(value in others[one] for one in known.good if one in others) or there >= _USUAL * len(others):
        return None
    return Unknown(
        "nothing_to_compare",
        f"whether {_quoted(value)} is a bad value for {step} to generate, {there} of "
        f"{len(others)} runs with the same input and no complaint do not tell",
        f"label more runs good or bad, or label {_quoted(value)} wrong if it is",
    )


def _repeats(others: Mapping[str, Collection[str]], own: Collection[str]) -> bool:
    """Whether runs share most of what they generate: else that no other has a value says nothing."""
    shares = []
    for run_id, values in others.items():
        elsewhere = set(own).union(*(some for one, some in others.items() if one != run_id))
        shares.append(len(set(values) & elsewhere) / len(set(values)) if values else 0.0)
    return sum(shares) / len(shares) > _USUAL


def _quoted(value: str) -> str:
    return f'"{value}"'
