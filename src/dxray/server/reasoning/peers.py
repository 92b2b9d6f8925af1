"""What the other items of a run did, read from the store when it is asked for, and once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.journey import KEPT
from dxray.server.reasoning.ranking import Twin, nearest_twin
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.twins import Mixed, nearest
from dxray.server.store.base import Reader
from dxray.wire.evidence import ShapeReader
from dxray.wire.records import OUTCOMES

_COMPARED = 20_000  # events of a step among which a twin is looked for
_EVENTS = (
    "step_id", "event_no", "outcome", "reason", "decided_by", "score", "name", "rule_id", "passed", "ref_item",
    "ref_kind", "shape_id", "num", "str", "evidence_text", "evidence_state",
)  # fmt: skip


_FACTS = ("shape_id", "num", "str", "evidence_text")

Origin = tuple[str | None, str | None]  # an item's name, and the name of the step it comes from


class RunPeers:
    """The items of one run."""

    def __init__(self, reader: Reader, run_id: str) -> None:
        self._reader, self._here = reader, Clause("run_id", "==", run_id)
        self._events: dict[str, list[Row]] = {}
        self._places: dict[str, dict[str, tuple[str, int]]] = {}  # by shape and key: class and position
        self._origins: dict[str, Origin] = {}
        self._steps: dict[str, pa.Table] = {}
        self._items: dict[tuple[str, tuple[str, ...]], Collection[str]] = {}  # by step and outcomes

    def has(self, item: str) -> bool:
        """Whether the run has events of an item."""
        return bool(self.events_of(item))

    def events_of(self, item: str) -> list[Row]:
        """The item's events, in each step in the order in which they happened."""
        if item not in self._events:
            where = [self._here, Clause("item_id", "==", item)]
            order = ["step_id", "event_no"]
            self._events[item] = self._reader.select("events", _EVENTS, where, order).to_pylist()
        return self._events[item]

    def shapes(self, rows: Sequence[Row]) -> ShapeReader:
        """The shapes of these events."""
        wanted = {row["shape_id"] for row in rows if row["shape_id"] is not None}
        self._look_up(wanted)
        return ShapeReader((one, key, *place) for one in wanted for key, place in self._places[one].items())

    def _look_up(self, shapes: Collection[str]) -> None:
        """Read where the keys of these shapes lie; of each once."""
        new = sorted(set(shapes) - self._places.keys())
        if new:
            self._places.update((one, {}) for one in new)
            columns = ("shape_id", "key", "class", "position")
            found = self._reader.select("shapes", columns, [Clause("shape_id", "in", new)])
            for row in found.to_pylist():
                self._places[row["shape_id"]][row["key"]] = (row["class"], row["position"])

    def _step(self, step_id: str) -> pa.Table:
        if step_id not in self._steps:
            where = [self._here, Clause("step_id", "==", step_id)]
            self._steps[step_id] = self._reader.select("events", ["item_id", "outcome", "score"], where, ["event_no"])
        return self._steps[step_id]

    def scores(self, step_id: str) -> dict[str, float]:
        """The last score of each item scored at a step."""
        scored = _where(self._step(step_id), "score")
        return dict(zip(scored["item_id"].to_pylist(), scored["score"].to_pylist(), strict=True))

    def ids(self, step_id: str) -> Collection[str]:
        """The items with events at a step."""
        return self._once(step_id, (), lambda table: set(table["item_id"].to_pylist()))

    def produced(self, step_id: str) -> Collection[str]:
        """The items that a step produced."""

        def found(table: pa.Table) -> Collection[str]:
            return set(table.filter(pc.equal(table["outcome"], "produced"))["item_id"].to_pylist())

        return self._once(step_id, ("produced",), found)

    def dropped(self, step_id: str) -> Collection[str]:
        """The items that a step rejected or outranked: also those that it scored, and did not name in its choice."""
        said = self._with(step_id, ("rejected", "outranked"))
        if not self.winners(step_id):
            return said
        named = self._with(step_id, OUTCOMES[1:])
        return {*said, *(item for item in self.scores(step_id) if item not in named)}

    def winners(self, step_id: str) -> Collection[str]:
        """The items selected at a step."""
        return self._with(step_id, ("selected",))

    def _with(self, step_id: str, outcomes: tuple[str, ...]) -> Collection[str]:
        """The items of which one of these is the last outcome."""

        def found(table: pa.Table) -> Collection[str]:
            said = _where(table, "outcome")
            mine = pc.is_in(said["outcome"], pa.array(outcomes, said["outcome"].type))
            # Most steps say one outcome, or none of these.
            if not pc.any(mine).as_py() or pc.all(mine).as_py():
                return set(said.filter(mine)["item_id"].to_pylist())
            last = dict(zip(said["item_id"].to_pylist(), mine.to_pylist(), strict=True))
            return {item for item, is_mine in last.items() if is_mine}

        return self._once(step_id, outcomes, found)

    def _once(
        self, step_id: str, outcomes: tuple[str, ...], found: Callable[[pa.Table], Collection[str]]
    ) -> Collection[str]:
        if (step_id, outcomes) not in self._items:
            self._items[step_id, outcomes] = found(self._step(step_id))
        return self._items[step_id, outcomes]

    def kept_evidence(self, step_id: str, but: str) -> dict[str, dict[str, Any]]:
        """The evidence of each item that a step kept, all its events together."""
        return self._evidence(self._kept_rows(step_id, but))

    def twin(self, step_id: str, but: str, evidence: Mapping[str, Any]) -> Twin | None:
        """The item that a step kept with the evidence nearest to this."""
        table = self._kept_rows(step_id, but)
        self._look_up([one for one in table["shape_id"].unique().to_pylist() if one is not None])
        try:
            found = nearest(evidence, table, self._places)
        except Mixed:
            return nearest_twin(evidence, self._evidence(table))
        if found is None:
            return None
        only = self._evidence(table.filter(pc.equal(table["item_id"], found[0])))
        twin = nearest_twin(evidence, only)
        return None if twin is None else replace(twin, distance=found[1])

    def _kept_rows(self, step_id: str, but: str) -> pa.Table:
        """Those events with evidence that are of items that a step kept."""
        first = [self._here, Clause("step_id", "==", step_id), Clause("event_no", "<", _COMPARED)]
        table = self._reader.select("events", ["item_id", "outcome", *_FACTS], first, ["event_no"])
        said = table.filter(pc.is_valid(table["outcome"]))
        last = dict(zip(said["item_id"].to_pylist(), said["outcome"].to_pylist(), strict=True))
        kept = [item for item, outcome in last.items() if outcome in KEPT and item != but]
        has = pc.or_(pc.is_valid(table["shape_id"]), pc.is_valid(table["evidence_text"]))
        return table.filter(pc.and_(has, pc.is_in(table["item_id"], pa.array(kept, pa.string()))))

    def _evidence(self, table: pa.Table) -> dict[str, dict[str, Any]]:
        rows = table.to_pylist()
        shapes = self.shapes(rows)
        out: dict[str, dict[str, Any]] = {}
        for row in rows:
            facts = evidence_of(row, shapes)
            if facts:
                out.setdefault(row["item_id"], {}).update(facts)
        return out

    def origin(self, item: str, stages: Sequence[Stage]) -> Origin:
        """Where one item came in."""
        return self.origins([item], stages)[item]

    def origins(self, items: Sequence[str], stages: Sequence[Stage]) -> dict[str, Origin]:
        """Each item's name, and the name of the step that produced it, else of the first that saw it."""
        for item in items:
            if item in self._events and item not in self._origins:
                self._origins[item] = _origin(self._events[item], stages)
        new = [item for item in items if item not in self._origins]
        if new:
            table = self._reader.select(
                "events", ["item_id", "step_id", "outcome", "name"], [self._here, Clause("item_id", "in", new)]
            )
            rows: dict[str, list[Row]] = {item: [] for item in new}
            for row in table.to_pylist():
                rows[row["item_id"]].append(row)
            self._origins.update((item, _origin(found, stages)) for item, found in rows.items())
        return {item: self._origins[item] for item in items}

    def parents(self, item: str, superseded: Collection[str]) -> list[str]:
        """What the item came from, the first that brought it in first."""
        where = [self._here, Clause("item_id", "==", item)]
        return self._related(where, "parent_id", superseded)

    def children(self, item: str, superseded: Collection[str]) -> list[str]:
        """What came from the item."""
        where = [self._here, Clause("parent_id", "==", item)]
        return self._related(where, "item_id", superseded)

    def _related(self, where: list[Clause], column: str, superseded: Collection[str]) -> list[str]:
        rows = self._reader.select("lineage", ["step_id", "event_no", column], where, ["event_no"]).to_pylist()
        counted = [row for row in rows if row["step_id"] not in superseded] or rows
        return list(dict.fromkeys(row[column] for row in counted))


def _where(table: pa.Table, name: str) -> pa.Table:
    """The rows that say something in a column."""
    return table.filter(pc.is_valid(table[name]))


def _origin(rows: Sequence[Row], stages: Sequence[Stage]) -> Origin:
    names = [row["name"] for row in rows if row["name"] is not None]
    made = {row["step_id"] for row in rows if row["outcome"] == "produced"} or {row["step_id"] for row in rows}
    steps = [stage.name for stage in stages if stage.step_id in made]
    return (names[-1] if names else None), (steps[0] if steps else None)
