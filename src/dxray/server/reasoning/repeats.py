"""Which runs put the same question to the same system, and what each of them decided. Pure functions on rows.

The same question: the same pipeline and input (by its fingerprint, else by its text, which must be whole). The same
system: the same code version, variant and environment, and the same settings (config, cut-off, rules) at every step
that all runs of the question have; of a setting that holds what an earlier step made, only the template counts. A step
that only some of them have splits nothing: that it ran at all may be the difference that is asked about. Where neither
a version nor any setting is recorded, the system is taken to be the same, and those runs are counted.

What a run decided are the items that were selected at the step which, of those that select in runs of this question,
stands last. A run without that step chose nothing, if nothing of it is missing. Where no two runs of a question chose
the same, and none has an item of another, their ids may be made anew in each run: then nobody knows what differs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxray.server.reasoning.alignment import RUN_CONFIG
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.reasoning.templates import template, texts_in

Settings = Mapping[str, tuple[Any, ...]]  # by step name
Choice = tuple[str, ...]  # items, in the order of their ids


@dataclass(slots=True)
class Repetition:
    """A run, its steps, and what is known of what it decided; `unknown` says why nothing is."""

    row: Row
    steps: Sequence[Row] = ()
    settings: Settings = field(default_factory=dict)
    output: str | None = None
    choice: Choice | None = None
    unknown: str | None = None

    @property
    def run_id(self) -> str:
        return str(self.row["run_id"])

    @property
    def events(self) -> int:
        """How many were recorded."""
        return sum(step["recorded_events"] or 0 for step in self.steps)


def said(row: Row, name: str) -> str | None:
    """What stands for a recorded value: its fingerprint, else its text; None where there is none, or it was cut."""
    if row[f"{name}_fingerprint"] is not None:
        return str(row[f"{name}_fingerprint"])
    marks = parsed(row["marks"], ())
    if row[name] is None or any(isinstance(mark, str) and mark.startswith(f"{name}:") for mark in marks or ()):
        return None
    return json.dumps(parsed(row[name], row[name]), sort_keys=True)


def question_of(row: Row) -> tuple[Any, ...] | None:
    """What a run was asked, and of which version; None where its input is not known."""
    asked = said(row, "input")
    return None if asked is None else (row["pipeline"], asked, *(row[name] for name in RUN_CONFIG))


def by_question(runs: Iterable[Repetition]) -> list[list[Repetition]]:
    """Runs that were asked the same, together."""
    found: dict[tuple[Any, ...] | None, list[Repetition]] = defaultdict(list)
    for run in runs:
        found[question_of(run.row)].append(run)
    return list(found.values())


def emptied(steps: Sequence[Row], texts: Mapping[str, Row], made: Mapping[str, Sequence[str]]) -> list[Row]:
    """Steps whose config is a template: what steps before them made is no setting. `texts` and `made` by step id."""
    found: list[Row] = []
    before: list[str] = []
    for step in sorted(steps, key=lambda step: step["position"]):
        row = texts.get(step["step_id"]) or {}
        if row.get("config") is not None:
            step = {**step, "config_fingerprint": template(parsed(row["config"], row["config"]), before)}
        found.append(step)
        before += [*texts_in(parsed(row.get("output"), None)), *made.get(step["step_id"], ())]
    return found


def settings_of(steps: Iterable[Row], rules: Mapping[str, Sequence[str]]) -> dict[str, tuple[Any, ...]]:
    """How each step was set up, by its name; `rules` are those of each step, by its id."""
    found: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for step in steps:
        config = step["config_fingerprint"] or step.get("config")
        found[step["step_name"]].add((config, step["cutoff"], *sorted(rules.get(step["step_id"], ()))))
    return {name: tuple(sorted(some, key=repr)) for name, some in found.items()}


def is_set_up(run: Repetition) -> bool:
    """Whether anything is recorded of how the run's system was set up."""
    if any(run.row[name] is not None for name in RUN_CONFIG):
        return True
    return any(one != (None, None) for some in run.settings.values() for one in some)


def alike(runs: Sequence[Repetition]) -> list[list[Repetition]]:
    """Runs of one question, split where a step that all of them have was set up otherwise."""
    common = set.intersection(*(set(run.settings) for run in runs)) if runs else set()
    groups: dict[tuple[Any, ...], list[Repetition]] = defaultdict(list)
    for run in runs:
        groups[tuple(run.settings[name] for name in sorted(common))].append(run)
    return list(groups.values())


def deciding(runs: Sequence[Repetition]) -> str | None:
    """The name of the step that decides: of those that select, the one that stands last on the average."""
    places: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        for step in run.steps:
            if step["decided"] or step["selected"]:
                places[step["step_name"]].append(step["position"])
    return max(places, key=lambda name: (sum(places[name]) / len(places[name]), name), default=None)


def deciding_steps(run: Repetition, name: str | None) -> list[Row]:
    """The steps of that name in a run, without attempts that a later one took the place of."""
    steps = [step for step in run.steps if step["step_name"] == name]
    return [
        step
        for step in steps
        if all(one["attempt"] <= step["attempt"] for one in steps if one["position"] > step["position"])
    ]


def choose(run: Repetition, steps: Sequence[Row], winners: Mapping[str, Sequence[str]], lossy: bool) -> None:
    """Set what a run decided at these steps, or why that is not known. `winners` are the items by step."""
    if lossy or any(step["missing_events"] for step in steps):
        run.unknown = "dropped"
    elif not steps and not _whole(run.steps):
        run.unknown = "not_recorded"
    elif any(step["ended_at"] is None and step["events"] is None for step in steps):
        run.unknown = "not_ended"
    elif any((step["selected"] or 0) != len(winners.get(step["step_id"], ())) for step in steps):
        run.unknown = "contradiction"
    elif any(not (step["decided"] or step["selected"]) and step["entered"] for step in steps):
        run.unknown = "not_recorded"
    if run.unknown is None:
        run.choice = tuple(sorted(item for step in steps for item in winners.get(step["step_id"], ())))


def share_no_choice(group: Sequence[Repetition]) -> bool:
    """Whether two or more runs of a group chose something, and no two of them chose an item together."""
    chosen = [set(run.choice) for run in group if run.choice]
    return len(chosen) > 1 and sum(map(len, chosen)) == len(set.union(*chosen))


def _whole(steps: Sequence[Row]) -> bool:
    """Whether no step is missing between those that are there."""
    return bool(steps) and {step["position"] for step in steps} == set(range(len(steps)))
