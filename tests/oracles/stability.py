"""Stability, against what is known: published agreement rates of a model, a worked example, and planted noise.

The recorded answers of a model (in the folder that `DXRAY_LLM_RUNS` names, else `data/llm_runs` beside the checkout, or
in `shared` there; not read where it is not) and pipelines whose steps differ by chance are recorded by the SDK and
stored as a server stores them. Whether the intervals hold what they should is simulated on the pure part.
"""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dxray import XRay, testing
from dxray.server.questions.stability import stability
from dxray.server.reasoning.agreement import agreement
from dxray.server.reasoning.divergence import Pair, Parted, entries, in_a_ring, shuffled
from dxray.server.reasoning.intervals import wilson
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord
from tests.oracles.figures import Figure

TASKS = {"navigate": (150, 250), "public_relations": (85, 110), "college_mathematics": (45, 100)}
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part C: four coders, twelve units, 0 for no value.
CODED = ((1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0), (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
         (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0), (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0))  # fmt: skip
STEPS = ("generate", "search", "rank", "choose")


def stored(records: list[AnyRecord]) -> DuckStore:
    """A store that holds what was recorded, as a server makes it."""
    for record in records:
        check(record)
    tables = dict(build([Sent("default", "oracle", 1, records)], ShapeBook(), PipelineMemory()).tables)
    store = DuckStore()
    store.insert(Commit(tables))
    return store


def asked(store: DuckStore, **parameters: Any) -> dict[str, Any]:
    """The answer of a store, which is closed then."""
    try:
        return stability(store.project("default"), **parameters)
    finally:
        store.close()


# --- published figures ------------------------------------------------------------------------------------------


def folder() -> Path | None:
    """Where the recorded answers are."""
    named, checkout = os.environ.get("DXRAY_LLM_RUNS"), Path(__file__).parents[2]
    places = [Path(named)] if named else [checkout.parent / one / "data" / "llm_runs" for one in (".", "shared")]
    return next((one for one in places if one.is_dir()), None)


def answers_of(task: str) -> list[dict[str, str]]:
    """The recorded answers of a task."""
    place = folder()
    assert place is not None
    with (place / f"{task}.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def agreed(task: str) -> tuple[int, int]:
    """How many questions of a task got the same raw answer each time, and of how many."""
    with testing.capture() as captured:
        xray = XRay(task)
        for row in answers_of(task):
            with xray.run(input=row["rubric_id"]) as run:
                run.set_output(row["response"])
        found = asked(stored(captured.records))
    return found["identical"], found["outputs_known"]


def published() -> Iterator[Figure]:
    """Nothing where the recorded answers are not here."""
    if folder() is None:
        return
    for task, (same, of) in TASKS.items():
        found = agreed(task)
        yield Figure("6 stability", f"{task}: TARr@5", f"{same}/{of}", f"{found[0]}/{found[1]}", found == (same, of))


def textbook() -> Figure:
    coded = np.array(CODED) - 1
    unit = np.broadcast_to(np.arange(coded.shape[1]), coded.shape).ravel()
    alpha = agreement(unit, coded.ravel()).alpha or 0.0
    return Figure(
        "6 stability", "alpha of Krippendorff's example", ".743", f"{alpha:.3f}"[1:], abs(alpha - 0.743) < 5e-4
    )


# --- planted noise ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noise:
    """How often each step does something else, and how often a run that first did so there decides otherwise."""

    differs: tuple[float, ...]
    flips: tuple[float, ...]

    def draw(self, chance: random.Random) -> tuple[int | None, bool]:
        """The first step of a run that does something else, and whether the run decides otherwise."""
        for step, (differs, flips) in enumerate(zip(self.differs, self.flips, strict=True)):
            if chance.random() < differs:
                return step, chance.random() < flips
        return None, False


def noise(chance: random.Random) -> Noise:
    """Noise of some pipeline. What differs at the choice itself is another choice."""
    differs = tuple(chance.choice((0.05, 0.1, 0.2)) for _ in STEPS)
    return Noise(differs, (*(chance.choice((0.0, 0.2, 0.5, 0.9)) for _ in STEPS[1:]), 1.0))


def record(xray: XRay, group: int, number: int, first: int | None, flips: bool) -> str:
    """A run of which the step `first` does something else, and what follows too. Returns its id."""

    def odd(step: int) -> bool:
        return first is not None and first <= step

    with xray.run(input={"ask": group}) as run:
        words = [f"w{group}", *([f"w{group}.{number}"] if odd(0) else [])]
        with run.step("generate", step_type="generate") as step:
            step.set_config(model="m1")
            step.produce_many(words)
        items = [f"i{group}.{n}" for n in range(4)] + ([f"x{group}.{number}"] if odd(1) else [])
        with run.step("search", step_type="retrieve") as step:
            step.set_config(source="s1")
            step.produce_many(items, parents=[words[:1]] * len(items))
        with run.step("rank", step_type="rank") as step:
            step.set_input_count(len(items))
            step.set_config(by="score")
            for place, item in enumerate(items):
                step.score(item, 1 / (2 + place) + (number / 1000 if odd(2) and place == 2 else 0))
                step.accept(item)
        with run.step("choose", step_type="select") as step:
            step.set_input_count(len(items))
            step.set_config(by="score")
            step.decide(decision="choose", selected=items[1] if flips else items[0], alternatives=items)
        run.set_output({"selected": number if flips else 0})
        return run.run_id


def planted(seed: int, groups: int, runs: int) -> tuple[dict[str, Any], dict[str, tuple[int | None, bool]]]:
    """The answer about a pipeline with noise, and the truth about each run."""
    chance = random.Random(seed)
    made = noise(chance)
    truth: dict[str, tuple[int | None, bool]] = {}
    with testing.capture() as captured:
        xray = XRay("planted", code_version="1")
        for group in range(groups):
            for number in range(1, runs + 1):
                first, flips = made.draw(chance)
                truth[record(xray, group, number, first, flips)] = (first, flips)
        found = asked(stored(captured.records))
    return found, truth


def wrong_in(found: dict[str, Any], truth: dict[str, tuple[int | None, bool]], groups: int, runs: int) -> list[str]:
    """What of an answer is not so."""
    ids, flipped = list(truth), [flips for _, flips in truth.values()]
    split = [len(set(flipped[n * runs : (n + 1) * runs])) > 1 for n in range(groups)]
    wrong = [] if (found["repeats"], found["flipped"]) == (groups, sum(split)) else ["groups that flip"]
    for entry in found["entry_steps"]:
        a, b = (truth[entry["example"][side]] for side in "ab")
        first = min(one for one in (a[0], b[0]) if one is not None)
        if STEPS[first] != entry["step_name"]:
            wrong.append(f"{entry['step_name']}, in truth {STEPS[first]}")
    first_by_step, flips_by_step = expected(truth, ids, groups, runs)
    said = {entry["step_name"]: entry["first"] for entry in found["entry_steps"]}
    if said != first_by_step:
        wrong.append(f"entries {said}, in truth {first_by_step}")
    if {entry["step_name"]: entry["flipped"] for entry in found["entry_steps"]} != flips_by_step:
        wrong.append("amplification")
    return wrong


def expected(
    truth: dict[str, tuple[int | None, bool]], ids: list[str], groups: int, runs: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Of the pairs that are compared, how many first part at each step, and how many of these flip."""
    firsts: Counter[str] = Counter()
    flips: Counter[str] = Counter()
    for group in range(groups):
        for a, b in in_a_ring(sorted(ids[group * runs : (group + 1) * runs], key=shuffled)):
            steps = [one for one in (truth[a][0], truth[b][0]) if one is not None]
            if steps and not (set(steps) == {3} and truth[a][1] == truth[b][1] and len(steps) == 2):
                firsts[STEPS[min(steps)]] += 1
                flips[STEPS[min(steps)]] += truth[a][1] != truth[b][1]
    return dict(firsts), {name: flips[name] for name in firsts}


# --- whether the intervals hold what they should -------------------------------------------------------------------


def simulated(seed: int) -> Iterator[tuple[str, bool]]:
    """One history by chance, and whether each interval holds the truth."""
    chance = random.Random(seed)
    made, groups, runs = noise(chance), chance.choice((20, 60, 150)), chance.choice((2, 3, 5))
    parted, split = [], 0
    for group in range(groups):
        drawn = [made.draw(chance) for _ in range(runs)]
        split += len({flips for _, flips in drawn}) > 1
        parted += [_parted(group, one, other) for one, other in in_a_ring(drawn)]
    p = sum(_first_chance(made, step) * flips for step, flips in enumerate(made.flips))
    low, high = wilson(split, groups)
    yield "flip rate", low <= 1 - p**runs - (1 - p) ** runs <= high
    truth = pair_truth(made)
    apart = sum(first for first, _ in truth)
    for entry in entries(parted):
        first, flips = truth[STEPS.index(entry.step_name)]
        low, high = entry.share.interval
        yield "share", low <= first / apart <= high
        low, high = entry.amplification.interval
        yield "amplification", low <= flips / first <= high


def _parted(group: int, one: tuple[int | None, bool], other: tuple[int | None, bool]) -> Parted:
    steps = [step for step, _ in (one, other) if step is not None]
    same = not steps or (min(steps) == len(STEPS) - 1 and one == other)
    return Parted(Pair(group, "p", "a", "b", one[1] != other[1], None), None if same else STEPS[min(steps)], "l")


def _first_chance(made: Noise, step: int) -> float:
    return float(made.differs[step] * np.prod([1 - one for one in made.differs[:step]]))


def pair_truth(made: Noise) -> list[tuple[float, float]]:
    """By step, the chance that two runs first part there, and that they do and decide otherwise."""
    states: list[tuple[int | None, bool, float]] = [(None, False, float(np.prod([1 - one for one in made.differs])))]
    for step, flips in enumerate(made.flips):
        first = _first_chance(made, step)
        states += [(step, True, first * flips), (step, False, first * (1 - flips))]
    found = [[0.0, 0.0] for _ in STEPS]
    for one in states:
        for other in states:
            parted = _parted(0, one[:2], other[:2])
            if parted.step_name is not None:
                both = one[2] * other[2]
                found[STEPS.index(parted.step_name)][0] += both
                found[STEPS.index(parted.step_name)][1] += both * (one[1] != other[1])
    return [(first, flips) for first, flips in found]


def coverage(simulations: int) -> Iterator[Figure]:
    held: Counter[str] = Counter()
    asked_: Counter[str] = Counter()
    for seed in range(simulations):
        for what, inside in simulated(seed):
            asked_[what] += 1
            held[what] += inside
    for what in asked_:
        share = held[what] / asked_[what]
        yield Figure("6 stability", f"{simulations} simulations: 95 % intervals of the {what} hold it", ">= 93 %",
                     f"{100 * share:.1f} %", share >= 0.93)  # fmt: skip


def figures(full: bool) -> list[Figure]:
    """500 simulations, and some dozens of pipelines through the real path."""
    pipelines, groups, runs = (36, 12, 4) if full else (4, 8, 4)
    wrong = []
    for seed in range(pipelines):
        found, truth = planted(seed, groups, runs)
        wrong += [f"{seed}: {one}" for one in wrong_in(found, truth, groups, runs)]
    exact = Figure("6 stability", f"{pipelines} pipelines with planted noise: where runs first part, what flips", "all",
                   "all" if not wrong else "; ".join(wrong[:3]), not wrong)  # fmt: skip
    return [*(published() if full else ()), textbook(), exact, *coverage(500)]
