"""What-if over sampled evidence: how often the estimate's interval holds what the full evidence would have shown.

Pipelines of a search and a filter whose second rule sees only what the first lets pass. The evidence that comes with
what was found would tell what the second says of the rest, and is sampled by the SDK itself; the truth is what the
harness gave it. Some pipelines ran several times with the same items, of which the hash keeps the same in every run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch

from dxray import XRay, testing
from dxray.sdk.capture import Sampler
from dxray.server.questions.whatif import whatif
from dxray.server.reasoning.limits import Change
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import Run
from tests.oracles.figures import Figure

CAP, NEW_CAP, FLOOR = 40.0, 80.0, 3.0


@dataclass(slots=True)
class Made:
    """A pipeline that ran so many times, and how many items another cap would let pass in all of its runs."""

    name: str
    truth: int


def made(seed: int) -> Made:
    """Draw it, and run it."""
    chance = random.Random(seed)
    name, runs, passing = f"p{seed}", chance.choice((1, 1, 1, 2, 5)), chance.choice((0.05, 0.3, 0.8))
    items = [f"https://shop.example/{seed}/{n}" for n in range(chance.randint(20, 400))]
    prices = {item: chance.uniform(0, 100) for item in items}
    ratings = {item: 4.0 if chance.random() < passing else 2.0 for item in items}
    p, truth = chance.choice((0.03, 0.1, 0.4)), 0
    with patch("dxray.sdk.run.Sampler", lambda: Sampler(p)):
        for _ in range(runs):
            some = [item for item in items if chance.random() < 0.8]
            _run(name, some, prices, ratings)
            truth += sum(CAP < prices[item] <= NEW_CAP and ratings[item] >= FLOOR for item in some)
    return Made(name, truth)


def _run(name: str, items: list[str], prices: dict[str, float], ratings: dict[str, float]) -> None:
    with XRay(name).run(input=1) as run:
        with run.step("search", "retrieve", capture="sample") as step:
            for item in items:
                step.produce(item, evidence={"rating": ratings[item]})
        with run.step("keep", "filter") as step:
            cap = step.require("price", "<=", CAP, reason="dear")
            floor = step.require("rating", ">=", FLOOR, reason="poor")
            for item in items:
                if cap.passes(item, prices[item]) and floor.passes(item, ratings[item]):
                    step.accept(item)


def asked(seeds: range) -> Iterator[tuple[bool, bool, bool]]:
    """Of each pipeline: whether its bounds hold the truth, whether a sample narrowed them, and if the interval holds
    it."""
    with testing.capture() as captured:
        worlds = [made(seed) for seed in seeds]
        records = sorted(captured.records, key=lambda one: type(one) is not Run)
    store = DuckStore()
    try:
        store.insert(Commit(build([Sent("default", "o", 1, records)], ShapeBook(), PipelineMemory()).tables))
        for world in worlds:
            found = whatif(store.project("default"), changes=[Change("dear", NEW_CAP)], pipeline=world.name)
            estimate, (least, most) = found["flipped_estimate"], found["flipped"]
            low, high = (least, most) if estimate is None else estimate["interval"]
            yield least <= world.truth <= most, estimate is not None, low <= world.truth <= high
    finally:
        store.close()


def figures(full: bool) -> list[Figure]:
    """Coverage over several hundred recorded pipelines."""
    worlds, together = (1_000, 50) if full else (60, 60)
    found = [one for start in range(0, worlds, together) for one in asked(range(start, start + together))]
    held = [holds for _, narrowed, holds in found if narrowed]
    outside = sum(not bounds for bounds, _, _ in found)
    share = sum(held) / max(1, len(held))
    return [
        Figure("8 sampling", f"what-if over {worlds:,} sampled pipelines: truth outside the bounds", "0", f"{outside}",
               outside == 0),
        Figure("8 sampling", "the same: estimates that hold the truth, where the sample narrows the bounds", ">= 94 %",
               f"{share:.1%} of {len(held):,}", share >= 0.94 and len(held) * 4 >= worlds),
    ]  # fmt: skip
