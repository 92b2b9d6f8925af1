"""How many items are decided otherwise, judged by those of which evidence was kept by chance.

A step whose rules are asked one after another leaves open what a later rule says of an item; evidence that came with
the item tells. Where that evidence was sampled it tells only of some: the rest stay open, and the bounds are wide. But
the sample is a random one (a hash of the item's id; see `estimates`), so what holds of it is known of all to within an
interval. Only items that would be open without any such evidence, and whose evidence was left to chance, are estimated:
both are known without looking at what was kept. Extras never enter.

The hash keeps the same items in every run and at every step. So an item counts once, with the weight of all the
decisions of it together, and not as so many independent draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.estimates import Estimate, total
from dxray.server.reasoning.limits import MAYBE, Array, Change
from dxray.server.reasoning.replay import At, History, Sample, judge
from dxray.server.store.base import Reader

_LEFT_OUT = "sampled_out"
_COLUMNS = ("run_id", "item_id", "p", "kept_because", "shape_id", "evidence_state")


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows of some runs whose evidence was left to chance: the places of run and item, the chance, and whether it
    was kept by it."""

    run: Array
    item: Array
    p: Array
    kept: Array

    def of(self, run: int, known: Array) -> Sample | None:
        """Of one run, by the places of its items among all; None where all of its evidence was kept, or none."""
        here = (self.run == run) & np.isin(self.item, known)  # what arrived since is of no item that is asked of
        if not here.any():
            return None
        place = np.searchsorted(known, self.item[here])
        p, kept = np.zeros(len(known)), np.zeros(len(known), dtype=bool)
        np.maximum.at(p, place, self.p[here])
        kept[place[self.kept[here]]] = True
        return Sample(p, kept)


def samples(
    reader: Reader, where: Sequence[Clause], events: pa.Table, runs: Sequence[str], items: Sequence[str]
) -> Samples | None:
    """What was left to chance in these events; None where nothing was left out."""
    if not pc.any(pc.equal(events["evidence_state"].cast(pa.string()), _LEFT_OUT)).as_py():
        return None
    rows = reader.select("events", _COLUMNS, [*where, Clause("p", ">", 0), Clause("p", "<", 1)])
    left_out = pc.fill_null(pc.equal(rows["evidence_state"].cast(pa.string()), _LEFT_OUT), False)
    rows = rows.filter(pc.or_(left_out, pc.is_valid(rows["shape_id"])))
    run, item = (
        pc.index_in(rows[name].cast(pa.string()), pa.array(texts, pa.string())).fill_null(-1).to_numpy()
        for name, texts in (("run_id", runs), ("item_id", items))
    )
    kept = pc.and_(pc.is_valid(rows["shape_id"]), pc.is_null(rows["kept_because"])).to_numpy()
    return Samples(run, item, rows["p"].to_numpy().astype(np.float64), kept)


class Estimated:
    """Adds up step after step how many items are decided otherwise."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._fixed = [0, 0]  # at least and at most, of those that are not estimated
        self._parts: list[pa.Table] = []

    def add(self, run: History, at: At, certain: Array, maybe: Array) -> None:
        """One changed step of a run: the items that it certainly decides otherwise, and those that it may."""
        drawn = np.zeros(len(at.present), dtype=bool)
        if run.sample is not None:
            drawn = self._without_evidence(run, at) & (run.sample.p > 0)
            weight = np.divide(1, run.sample.p, out=np.zeros(len(drawn)), where=drawn)
            counts = weight * run.sample.kept
            places = np.flatnonzero(drawn)
            columns = {"weight": weight, "kept": counts, "sure": counts * certain, "most": counts * (certain | maybe)}
            names = pa.array(run.items, pa.string()).take(pa.array(places))
            self._parts.append(pa.table({"item": names, **{name: one[places] for name, one in columns.items()}}))
        self._fixed[0] += int((certain & ~drawn).sum())
        self._fixed[1] += int(((certain | maybe) & ~drawn).sum())

    def _without_evidence(self, run: History, at: At) -> Array:
        """The items that the step would leave open, were only known what its rules said."""
        asked = tuple(one.where(at.asked[n] >= 0) for n, one in enumerate(at.observed))
        judged = judge(replace(at, observed=asked), self._changes, run.by_hand)
        open_: Array = at.present & (judged.after == MAYBE)
        return open_

    def answer(self, least: int, most: int) -> dict[str, Any] | None:
        """About how many, from where to where (95 %), within what is certain; None where a sample says no more."""
        if not self._parts:
            return None
        every = pa.concat_tables(self._parts)
        item = pc.dictionary_encode(every["item"].combine_chunks()).indices.to_numpy()
        weight, kept, sure, may = (np.bincount(item, every[name].to_numpy()) for name in every.column_names[1:])
        heaviest = float(weight.max(initial=0))
        if not heaviest:
            return None
        low, high = _total(sure, heaviest), _total(may, heaviest)
        ends = [self._fixed[0] + floor(low.low), self._fixed[1] + ceil(high.high)]
        interval = [min(max(end, least), most) for end in ends]
        if interval == [least, most]:
            return None
        decided = self._fixed[0] == self._fixed[1] and np.array_equal(sure, may)
        about = min(max(self._fixed[0] + round(low.n), interval[0]), interval[1]) if decided else None
        return {"about": about, "interval": interval, "items": len(weight), "looked_at": int((kept > 0).sum())}


def _total(weights: Array, heaviest: float) -> Estimate:
    """The sum for all items, from the weights of those that were kept and count."""
    found, n = np.unique(weights[weights > 0], return_counts=True)
    kept = {1 / heaviest: 0} | {1 / one: many for one, many in zip(found.tolist(), n.tolist(), strict=True)}
    return total(kept)
