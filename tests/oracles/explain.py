"""Explain, against real incidents of which the cause is known, planted causes, and sets that differ by chance alone.

The incidents are read from the folder that `DXRAY_INCIDENTS` names, else from `data/incidents` beside the checkout, or
in a folder `shared` there; where there is none, that line says so, and counts as reached. A row of an incident is
already a leaf with counts, and goes through the same search as events do. A cause is found *in k* when it is one of the
first k slices in the order in which they are listed: by score, the causes with their other descriptions.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dxray.server.reasoning.slice_causes import causes
from dxray.server.reasoning.slice_chance import clusters_of
from dxray.server.reasoning.slices import Bools, Dimension, Floats, Ints, Rows
from tests.oracles.figures import Figure

SECTION = "5 explain"
_MINUTES = 4  # of set A, before the minute of the incident
_COLUMNS = ("min", "cnt", "value")
_SIZES = (2, 3, 4, 5, 6, 8, 10, 10)  # values of the planted attributes
_OF_RUNS = (0, 3, 6)  # of these every run has one value
_LIFT = 0.4
_SHAPES = ((100, 200), (20, 200), (8, 300), (300, 20))  # runs a side, events of each, of sets without a cause
_LEAST_RUNS = 20  # of each set, in which a planted cause lies: what a few runs have may be these runs


def folder() -> Path | None:
    """Where the incidents are."""
    checkout = Path(__file__).resolve().parents[2]
    named = os.environ.get("DXRAY_INCIDENTS")
    places = [Path(named)] if named else [checkout.parent / one / "data" / "incidents" for one in (".", "shared")]
    return next((one for one in places if (one / "incidents.json").is_file()), None)


# Incidents


@dataclass(slots=True)
class Incident:
    """One incident: leaves of both sets, and what its causes are, as sets of (dimension, code)."""

    rows: Rows
    causes: list[frozenset[tuple[int, int]]]


def read(place: Path, said: dict[str, Any]) -> Incident:
    """An incident of `incidents.json`."""
    at = said["timestamp"]
    with (place / said["file"]).open(encoding="utf-8") as file:
        lines = [one for one in csv.DictReader(file) if at - 60 * _MINUTES <= int(one["min"]) <= at]
    names = [name for name in lines[0] if name not in _COLUMNS]
    values = {name: sorted({one[name] for one in lines}) for name in names}
    codes = [np.array([values[name].index(one[name]) for one in lines]) for name in names]
    n, v = (np.array([float(one[column]) for one in lines]) for column in ("cnt", "value"))
    in_b = np.array([int(one["min"]) == at for one in lines])
    twice = [np.concatenate([own, own]) for own in codes]
    kind = np.repeat([0, -1], len(lines))
    count = np.concatenate([v, n - v])
    rows = Rows([Dimension(len(values[name])) for name in names], twice, np.tile(in_b, 2), kind, count).only(count > 0)
    found = [
        frozenset((names.index(name), values[name].index(str(value))) for name, value in cause.items())
        for cause in said["causes"]
        if all(str(value) in values[name] for name, value in cause.items())
    ]
    return Incident(rows, found)


def listed(rows: Rows) -> list[frozenset[tuple[int, int]]]:
    """The conditions of the slices, in the order of the answer."""
    return [frozenset((one.dimension, one.low) for one in found.conditions) for found in causes(rows).slices]


def by_risk_ratio(rows: Rows) -> list[frozenset[tuple[int, int]]]:
    """What is commonly done: by the ratio of the rate in a slice to that of the rest of B, with 2 % of its outcomes."""
    b = rows.only(rows.in_b)
    n_all, v_all = b.count.sum(), b.count[b.kind >= 0].sum()
    found: list[tuple[float, int, frozenset[tuple[int, int]]]] = []
    for chosen in _subsets(len(b.dimensions)):
        key = np.zeros(len(b.kind), dtype=np.int64)
        for one in chosen:
            key = key * b.dimensions[one].size + b.codes[one]
        _, first, cell = np.unique(key, return_index=True, return_inverse=True)
        n, v = np.bincount(cell, b.count), np.bincount(cell, b.count * (b.kind >= 0))
        rest = np.maximum((v_all - v) / np.maximum(n_all - n, 1e-9), 1e-9)
        for place in np.flatnonzero(v >= 0.02 * v_all).tolist():
            named = frozenset((one, int(b.codes[one][first[place]])) for one in chosen)
            found.append((float(v[place] / n[place] / rest[place]), -len(chosen), named))
    return [named for _, _, named in sorted(found, key=lambda one: one[:2], reverse=True)]


def _subsets(many: int) -> list[tuple[int, ...]]:
    from itertools import combinations

    return [chosen for order in (1, 2, 3) for chosen in combinations(range(many), order)]


def incidents() -> list[Figure]:
    """The shares of incidents of which the cause is found in one, three and five."""
    wanted = "first >= 78 %, in three >= 93 %, in five >= 97 %"
    place = folder()
    if place is None:
        return [Figure(SECTION, "real incidents", wanted, "skipped: data/incidents is not on this machine", True)]
    said = json.loads((place / "incidents.json").read_text(encoding="utf-8"))
    ours, ratio = [], []
    for one in said:
        incident = read(place, one)
        ours.append(_place(listed(incident.rows), incident.causes))
        ratio.append(_place(by_risk_ratio(incident.rows), incident.causes))
    shares = [100 * float(np.mean([place < k for place in ours])) for k in (1, 3, 5)]
    others = [100 * float(np.mean([place < k for place in ratio])) for k in (1, 3, 5)]
    reached = " / ".join(f"{one:.1f}" for one in shares) + " % (risk ratio: "
    reached += " / ".join(f"{one:.1f}" for one in others) + " %)"
    ok = all(round(share, 1) >= least for share, least in zip(shares, (78, 93, 97), strict=True))
    return [Figure(SECTION, f"{len(said)} real incidents", wanted, reached, ok)]


def _place(found: Sequence[frozenset[tuple[int, int]]], causes: Sequence[frozenset[tuple[int, int]]]) -> int:
    return next((place for place, one in enumerate(found) if one in causes), len(found) + 1_000)


# Planted causes, and none


def planted(
    seed: int, order: int, runs: int = 100, events: int = 200, everywhere: float = 0.0
) -> tuple[Rows, frozenset[tuple[int, int]]]:
    """Two sets of runs, of so many events each. Rates vary from run to run; in B, those of one slice are higher, or
    all of them by `everywhere`."""
    chance = np.random.default_rng(seed)
    run = np.repeat(np.arange(2 * runs), events)
    side = np.arange(2 * runs) >= runs
    codes = []
    for place, size in enumerate(_SIZES):
        p = chance.dirichlet(np.full(size, 2.0))
        own = chance.choice(size, 2 * runs, p=p)[run] if place in _OF_RUNS else chance.choice(size, len(run), p=p)
        codes.append(own.astype(np.int64))
    rate = np.clip(chance.uniform(0.05, 0.3) * np.exp(chance.normal(0, 0.4, 2 * runs)), 0.01, 0.9)[run]
    rate = np.where(side[run], np.minimum(rate + everywhere, 1), rate)
    cause = frozenset[tuple[int, int]]()
    if order:
        cause, inside = _slice(codes, side[run], run, order, chance)
        rate = np.where(inside & side[run], np.minimum(rate + _LIFT, 1), rate)
    kind = np.where(chance.random(len(run)) < rate, 0, -1)
    cluster: Ints = clusters_of(side.tolist(), seed)[run]
    count: Floats = np.ones(len(run))
    return Rows([Dimension(size) for size in _SIZES], codes, side[run], kind, count, cluster=cluster), cause


def _slice(
    codes: Sequence[Ints], in_b: Bools, run: Ints, order: int, chance: np.random.Generator
) -> tuple[frozenset[tuple[int, int]], Bools]:
    """A slice with enough support, and not nearly all there is."""
    while True:
        chosen = sorted(chance.choice(len(_SIZES), order, replace=False).tolist())
        cause = frozenset((one, int(chance.integers(_SIZES[one]))) for one in chosen)
        inside = np.ones(len(run), dtype=np.bool_)
        for one, code in cause:
            inside &= codes[one] == code
        support = (inside & in_b).sum() / in_b.sum()
        runs = min(len(np.unique(run[inside & side])) for side in (in_b, ~in_b))
        if 0.01 <= support <= 0.8 and runs >= _LEAST_RUNS:
            return cause, inside


def planted_causes(trials: int) -> list[Figure]:
    """How often a planted cause is the first slice, by how many conditions it has."""
    out = []
    for order in (1, 2, 3):
        found = 0
        for trial in range(trials):
            rows, cause = planted(1_000 * order + trial, order)
            found += listed(rows)[:1] == [cause]
        share = 100 * found / trials
        out.append(
            Figure(SECTION, f"planted, order {order}", "first >= 98 %", f"{share:.1f} % of {trials}", share >= 98)
        )
    return out


def no_cause(trials: int) -> list[Figure]:
    """How often sets that differ by chance alone have a finding."""
    out = []
    for test, rise in (("no cause, rates vary by run", 0.0), ("no cause, all of it rose by 0.15", 0.15)):
        found = 0
        for trial in range(trials):
            rows, _ = planted(90_000 + trial, 0, *_SHAPES[trial % len(_SHAPES)], everywhere=rise)
            found += bool(causes(rows).slices)
        out.append(Figure(SECTION, test, "a finding in <= 5 %", f"{found} of {trials}", found <= 0.05 * trials))
    return out


def figures(full: bool) -> list[Figure]:
    """What explain is checked against; with `full`, as many trials as the figures ask for."""
    return [*incidents(), *planted_causes(200 if full else 4), *no_cause(200 if full else 8)]
