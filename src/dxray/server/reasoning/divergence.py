"""Where repetitions of one question first part, and whether that reaches the decision.

Runs of a group are compared by twos (`parting`, as `diff` does it), each with the next of an order drawn by chance: a
run that all others are compared with could itself be the odd one, and would be in every case. The first step that
differs is where the variance enters. A difference there is *harmless* where the decision is the same all the same; the
share of those where it is not is the step's amplification, P(decision differs | first diverged there). Each pair is a
case, and a group a cluster of cases (`clusters`).

A step before it of which the record does not say whether it differs leaves the pair undecided; so does a pair that
differs in its decision or output though no recorded step does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.clusters import Share, share_of
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.parting import OneRun, Parting
from dxray.server.reasoning.shown import Row
from dxray.server.store.base import Reader, Value
from dxray.server.store.cancel import check

_EVENTS = ("step_id", "event_no", "item_id", "outcome", "reason", "score")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of a group. Whether their decisions and their outputs differ, None if unknown."""

    group: int
    pipeline: str
    a: str
    b: str
    flipped: bool | None
    other_output: bool | None


@dataclass(frozen=True, slots=True)
class Parted:
    """Where the two first differ. Without a step: they do not, as far as is recorded, or `unknown` says why that
    cannot be said."""

    pair: Pair
    step_name: str | None = None
    label: str | None = None
    unknown: str | None = None

    @property
    def unrecorded(self) -> bool:
        """Something else came out, and no recorded step shows why."""
        return self.step_name is None and self.unknown is None and bool(self.pair.flipped or self.pair.other_output)


class ReadTogether:
    """What comparing some runs asks of the store, read at once for all of them. Anything else is asked as it comes."""

    def __init__(self, reader: Reader, run_ids: Sequence[str]) -> None:
        self._reader = reader
        beside = pa.table({"run_id": pa.array(run_ids, pa.string()), "at": np.arange(len(run_ids))})
        steps = reader.select("steps", order=["position", "attempt"], where=[Clause("run_id", "in", list(run_ids))])
        self._whole = bool(pc.sum(steps["undecided"]).as_py())
        seen = [] if self._whole else [Clause("outcome|score", "not_null")]
        events = reader.select("events", [*_EVENTS, "at"], seen, beside=beside)
        rules = reader.select("rules", where=[Clause("run_id", "in", list(run_ids))], order=["step_id", "number"])
        places = pa.array(run_ids, pa.string())
        self._tables = {
            "steps": (steps, _slices(pc.index_in(steps["run_id"].combine_chunks(), places))),
            "rules": (rules, _slices(pc.index_in(rules["run_id"].combine_chunks(), places))),
            "events": (events.select(_EVENTS), _slices(events["at"].combine_chunks())),
        }
        self._place = {run_id: number for number, run_id in enumerate(run_ids)}

    def select(
        self,
        source: str,
        columns: Sequence[str | Value] = (),
        where: Sequence[Clause] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        beside: pa.Table | None = None,
    ) -> pa.Table:
        """As `Reader.select`."""
        first = where[0] if where else None
        mine = first is not None and (first.field, first.op) == ("run_id", "==") and first.value in self._place
        more = [(one.field, one.op) for one in where[1:]]
        plain = limit is None and beside is None and more in ([], [("outcome|score", "not_null")])
        if first is None or not mine or not plain or source not in self._tables:
            return self._reader.select(source, columns, where, order, limit, offset, beside)
        table, slices = self._tables[source]
        if columns and not set(columns) <= set(table.column_names):
            return self._reader.select(source, columns, where, order, limit, offset, beside)
        rows = table.take(pa.array(slices.get(self._place[first.value], np.zeros(0, dtype=np.int64))))
        if more and self._whole:
            rows = rows.filter(pc.or_(pc.is_valid(rows["outcome"]), pc.is_valid(rows["score"])))
        return rows.select(list(columns)) if columns else rows

    def count_by(
        self,
        source: str,
        by: Sequence[str | Value],
        where: Sequence[Clause] = (),
        beside: pa.Table | None = None,
    ) -> pa.Table:
        """As `Reader.count_by`."""
        return self._reader.count_by(source, by, where, beside)


def _slices(places: pa.Array) -> dict[int, Any]:
    """The rows of each run, in their order."""
    numbers = places.to_numpy(zero_copy_only=False)
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}


def shuffled(run_id: str) -> bytes:
    """A place in an order that has nothing to do with what a run did, the same each time."""
    return blake2b(run_id.encode("utf-8", "replace"), digest_size=8).digest()


def in_a_ring(runs: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Each with the next, and the last with the first; two are one pair."""
    pairs = list(pairwise(runs))
    return [*pairs, (runs[-1], runs[0])] if len(runs) > 2 else pairs


def part(reader: Reader, runs: dict[str, Row], pairs: Sequence[Pair], together: int) -> Iterator[Parted]:
    """Compare the pairs, so many at a time. `runs` are rows of the source `runs`, by id."""
    for at in range(0, len(pairs), together):
        some = pairs[at : at + together]
        ids = list(dict.fromkeys(one for pair in some for one in (pair.a, pair.b)))
        read, losses = ReadTogether(reader, ids), losses_of(reader, ids)
        one = {run_id: OneRun(read, runs[run_id], losses.get(run_id, NONE)) for run_id in ids}
        yield from (_first(pair, Parting(read, one[pair.a], one[pair.b])) for pair in some)


def _first(pair: Pair, found: Parting) -> Parted:
    check()
    for step in found.steps:
        if step.verdict.differs is None:
            return Parted(pair, unknown=(step.unknown or {}).get("detail", f"{step.key.name} is not fully recorded"))
        if step.verdict.differs:
            return Parted(pair, step.key.name, step.verdict.label)
    if found.a.unplaced or found.b.unplaced:
        return Parted(pair, unknown="events of a run did not arrive, and nobody knows of which step they were")
    return Parted(pair)


@dataclass(frozen=True, slots=True)
class Entry:
    """A step at which repetitions part first: its share of all that part, and how often the decision then differs."""

    pipeline: str
    step_name: str
    share: Share
    amplification: Share
    labels: dict[str, int]
    example: Pair  # one whose decision differs, where there is one


def entries(parted: Sequence[Parted]) -> list[Entry]:
    """By step, the one where most parts first."""
    apart = [one for one in parted if one.step_name is not None]
    by_step: dict[tuple[str, str], list[Parted]] = defaultdict(list)
    for one in apart:
        by_step[one.pair.pipeline, str(one.step_name)].append(one)
    of_group = Counter(one.pair.group for one in apart)
    out = []
    for step, some in by_step.items():
        here = Counter(one.pair.group for one in some)
        known = [one for one in some if one.pair.flipped is not None]
        said = Counter(one.pair.group for one in known)
        flipped = Counter(one.pair.group for one in known if one.pair.flipped)
        share = share_of([here[group] for group in of_group], list(of_group.values()))
        amplified = share_of([flipped[group] for group in said], list(said.values()))
        example = max(some, key=lambda one: one.pair.flipped is True).pair
        out.append(Entry(*step, share, amplified, dict(Counter(str(one.label) for one in some)), example))
    return sorted(out, key=lambda one: (-one.share.found, one.pipeline, one.step_name))
