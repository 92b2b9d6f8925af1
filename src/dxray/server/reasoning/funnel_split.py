"""Which step is it? The exact split of how much more, or less, comes out of a pipeline in set B than in set A.

What goes out of one step after the other is a product, so its logarithm is a sum: with o_k the items that go on from
step k in all runs of a set, o_0 those that came in, and the runs' number R,

    ln(o_n/R in B : in A) = delta ln(o_0/R) + sum over k of delta ln(o_k/o_k-1)

exactly, whatever the steps are (one that brings items in has a pass rate above 1). The change of one step's pass rate
is split once more, by groups g of runs that have one value of an attribute in common, with s_g the group's share of
what came to the step and p_g its own pass rate: p = sum of s_g·p_g, and

    mix  = sum of (s_gB - s_gA)·(p_gA + p_gB)/2 / L,    rate = delta ln p - mix,    L = (p_B - p_A)/(ln p_B - ln p_A)

Mix is what other input alone does, rate what the step does otherwise with the same. The attribute is the one with the
largest mix effect over all steps, among those with at most 50 values of which the sets share four fifths of their runs:
what only one set has cannot tell mix from rate. A group that one set lacks has the other's pass rate.

Where a step did not say in every run how many items went on, its terms, and those of the step after it, are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from dxray.server.reasoning.attributes import Attribute
from dxray.server.reasoning.slices import Bools, Floats, Ints

_GROUPS = 50
_IN_BOTH = 0.8  # of the runs of each set


@dataclass(frozen=True, slots=True)
class Flows:
    """Steps of many runs as rows: the run's number, the number of the step's name, and items in and out (NaN where not
    known). Names are in dataflow order."""

    names: Sequence[str]
    run: Ints
    name: Ints
    came: Floats
    went: Floats
    in_b: Bools  # of each run


@dataclass(slots=True)
class Split:
    """The steps' rows, and what they add up to."""

    steps: list[dict[str, Any]]
    delta_ln_input: float | None
    delta_ln_output: float | None
    mix_by: str | None


def split(flows: Flows, attributes: Sequence[Attribute]) -> Split:
    """The funnel of two sets of runs, and where it changed."""
    best = _split(flows, None)
    most = 0.0
    for one in attributes:
        if 1 < one.dimension.size <= _GROUPS and _in_both(one, flows.in_b) >= _IN_BOTH:
            found = _split(flows, one)
            mix = sum(abs(step["mix"] or 0.0) for step in found.steps)
            if mix > most:
                best, most = found, mix
    return best


def _in_both(one: Attribute, in_b: Bools) -> float:
    size = one.dimension.size + 1
    a, b = (np.bincount(one.codes[side] + 1, minlength=size) for side in (~in_b, in_b))
    both = (a > 0) & (b > 0)
    return float(min(a[both].sum() / max(a.sum(), 1), b[both].sum() / max(b.sum(), 1)))


def _split(flows: Flows, by: Attribute | None) -> Split:
    group = np.zeros(len(flows.in_b), dtype=np.int64) if by is None else by.codes + 1
    groups = int(group.max(initial=0)) + 1
    at = (flows.in_b[flows.run].astype(np.int64)) * groups + group[flows.run]

    def of(values: Floats, name: int) -> Floats | None:
        mine = flows.name == name
        if np.isnan(values[mine]).any():
            return None
        return np.bincount(at[mine], values[mine], 2 * groups).astype(np.float64).reshape(2, groups)

    went = [of(flows.went, name) for name in range(len(flows.names))]
    before = of(flows.came, 0) if len(flows.names) else None
    if before is None or not (before.sum(axis=1) > 0).all():
        before = went[0] if went else None
    runs = np.array([(~flows.in_b).sum(), flows.in_b.sum()], dtype=np.float64)
    first, steps = before, []
    for name, after in zip(flows.names, went, strict=True):
        steps.append({"step_name": name, **_step(before, after, by)})
        before = after
    last = went[-1] if went and all(one is not None for one in went) else None
    return Split(steps, _delta(first, runs), _delta(last, runs), None if by is None else by.field)


def _delta(cells: Floats | None, runs: Floats) -> float | None:
    if cells is None:
        return None
    a, b = cells.sum(axis=1) / np.maximum(runs, 1)
    return log(b / a) if a > 0 and b > 0 else None


def _step(before: Floats | None, after: Floats | None, by: Attribute | None) -> dict[str, Any]:
    came = [None, None] if before is None else before.sum(axis=1).tolist()
    went = [None, None] if after is None else after.sum(axis=1).tolist()
    passed = [None if not i or o is None else o / i for i, o in zip(came, went, strict=True)]
    out: dict[str, Any] = {
        "in_a": _whole(came[0]), "in_b": _whole(came[1]), "out_a": _whole(went[0]), "out_b": _whole(went[1]),
        "pass_a": passed[0], "pass_b": passed[1], "delta_ln_pass": None, "mix": None, "rate": None,
    }  # fmt: skip
    if passed[0] and passed[1] and before is not None and after is not None:
        out["delta_ln_pass"] = log(passed[1] / passed[0])
        out["mix"] = 0.0 if by is None else _mix(before, after, passed[0], passed[1])
        out["rate"] = out["delta_ln_pass"] - out["mix"]
    return out


def _mix(before: Floats, after: Floats, of_a: float, of_b: float) -> float:
    share = before / before.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(before > 0, after / before, np.nan)
    rate = np.where(np.isnan(rate), rate[::-1], rate)
    mean = np.where(np.isnan(rate).any(axis=0), 0, rate.mean(axis=0))
    same = abs(of_b - of_a) < 1e-12 * of_a
    width = of_a if same else (of_b - of_a) / log(of_b / of_a)
    return float(((share[1] - share[0]) * mean).sum() / width)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
