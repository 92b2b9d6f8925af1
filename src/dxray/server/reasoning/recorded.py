"""One run as blame asks of it: fates, lineage, rules and evidence, read when they are asked for, and once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of
from dxray.server.reasoning.faults import Rule
from dxray.server.reasoning.flow import Flow, Stage, flow_of, last_superseded, stages_of
from dxray.server.reasoning.hints import hint_of
from dxray.server.reasoning.identity import strangers
from dxray.server.reasoning.journey import KEPT, Fate, Stop, Unknown, fate_of, seen_of, stops_of
from dxray.server.reasoning.losses import Losses
from dxray.server.reasoning.peers import RunPeers
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.store.base import Reader


class Others(Protocol):
    """What other runs show of one."""

    def judge(self, record: RunRecord, stage: Stage, item: str) -> str | Unknown | None:
        """Whether a value is what sets its run apart."""

    def that_brought_in(self, record: RunRecord, item: str) -> Collection[str] | None:
        """The names of steps that produced an item in other runs of the pipeline; None where they do not say."""

    def same_input_with(self, record: RunRecord, item: str) -> Sequence[RunRecord]:
        """Some other runs of the same input in which an item was produced."""

    def fared(self, record: RunRecord, stage: Stage, item: str) -> tuple[int, int]:
        """In how many runs of the same input, with no complaint, a step of that name kept an item, and how many not."""


_NONE: frozenset[str] = frozenset()
_A_PLACE = re.compile(r"\D{0,12}\d{1,4}")


def means_a_place(item: str) -> bool:
    """Whether an id may only count, and so mean something else in each run."""
    return _A_PLACE.fullmatch(item) is not None


class _Peers(RunPeers):
    def has_name(self, name: str) -> bool:
        """Whether an item of the run has this name."""
        where = [self._here, Clause("name", "==", name)]
        return bool(self._reader.select("events", ["item_id"], where, limit=1).num_rows)

    def kept(self, step_id: str) -> Collection[str]:
        """The items that went on from a step."""
        return self._with(step_id, tuple(KEPT))

    def answers(self, step_id: str) -> Sequence[tuple[str, str, bool]]:
        """Item, rule, and whether it passed: what a step's rules said, in order."""
        here = [self._here, Clause("step_id", "==", step_id), Clause("passed", "in", [True, False])]
        table = self._reader.select("events", ["item_id", "rule_id", "passed"], here, ["event_no"])
        columns = [table.column(name).to_pylist() for name in ("item_id", "rule_id", "passed")]
        return list(zip(*columns, strict=True))


class RunRecord:
    """One run, beside others."""

    def __init__(
        self,
        reader: Reader,
        run: Row,
        steps: Sequence[Row],
        rules: Sequence[Row],
        losses: Losses,
        others: Others,
    ) -> None:
        self.run, self.run_id, self.losses = run, run["run_id"], losses
        self.stages: list[Stage] = stages_of(steps, losses)
        self.flow: Flow = flow_of(self.stages, losses.events_elsewhere({stage.step_id for stage in self.stages}))
        self.peers = _Peers(reader, self.run_id)
        self._others = others
        self._rules: dict[str, list[Rule]] = defaultdict(list)
        by_hand = run["request_hash"] is not None
        for row in rules:
            if row["evaluated"] or by_hand:
                self._rules[row["step_id"]].append(_rule(row, asked=not by_hand))
        self._fates: dict[str, tuple[Fate, list[Stop]]] = {}
        self._parents: dict[str, list[str]] = {}
        self._instead: dict[str, frozenset[str]] = {}

    def fate(self, item: str) -> tuple[Fate, list[Stop]]:
        if item not in self._fates:
            events = [seen_of(row) for row in self.peers.events_of(item)]
            stops = stops_of(self.flow, events, self.peers)
            gone = last_superseded(self.flow, self.stages, {event.step_id for event in events})
            self._fates[item] = (fate_of(self.run["status"], self.flow, stops, self.peers, item, gone), stops)
        return self._fates[item]

    def hint(self, fate: Fate) -> str | None:
        return hint_of(fate, self.losses, self.run["request_hash"] is not None)

    def given_name(self, item: str) -> str | None:
        """The name that an item was given, where it was."""
        return self.peers.origin(item, self.stages)[0]

    def name(self, item: str) -> str:
        return self.given_name(item) or item

    def winners(self) -> list[str]:
        """Those of the choices after which no other comes."""
        decided = [stage for stage in self.flow.stages if stage.decided]
        last = [
            stage for stage in decided if not any(stage.step_id in self.flow.ancestors(one.step_id) for one in decided)
        ]
        return sorted({item for stage in last for item in self.peers.winners(stage.step_id)})

    def winners_at(self, step_id: str) -> Collection[str]:
        return self.peers.winners(step_id)

    def scores(self, step_id: str) -> Mapping[str, float]:
        return self.peers.scores(step_id)

    def parents(self, item: str) -> list[str]:
        if item not in self._parents:
            self._parents[item] = self.peers.parents(item, self.flow.superseded)
        return self._parents[item]

    def children(self, item: str) -> list[str]:
        return self.peers.children(item, self.flow.superseded)

    def made_at(self, item: str) -> str | None:
        """The last step that produced the item, of those that count."""
        made = {row["step_id"] for row in self.peers.events_of(item) if row["outcome"] == "produced"}
        found = [stage.step_id for stage in self.flow.stages if stage.step_id in made]
        return found[-1] if found else None

    def ids(self, step_id: str) -> Collection[str]:
        return self.peers.ids(step_id)

    def kept(self, step_id: str) -> Collection[str]:
        return self.peers.kept(step_id)

    def rules(self, step_id: str) -> list[Rule]:
        return self._rules[step_id]

    def asked(self, item: str, step_id: str) -> dict[str, bool]:
        rows = self._rows(item, step_id)
        return {row["rule_id"]: bool(row["passed"]) for row in rows if row["rule_id"] is not None}

    def asked_instead(self, step_id: str) -> frozenset[str]:
        if step_id not in self._instead:
            self._instead[step_id] = _instead(self.peers.answers(step_id)) if len(self._rules[step_id]) > 1 else _NONE
        return self._instead[step_id]

    def facts(self, item: str, step_id: str) -> tuple[dict[str, Any], bool]:
        rows = self._rows(item, step_id)
        shapes = self.peers.shapes(rows)
        out: dict[str, Any] = {}
        unkept = False
        for row in rows:
            if row["evidence_state"] in (None, "kept"):
                if not (row["outcome"] is None and row["score"] is not None):  # those are the parts of a score
                    out |= evidence_of(row, shapes) or {}
            else:
                unkept = True
        return out, unkept

    def others_have(self, step_id: str, name: str) -> bool:
        return any(name in facts for facts in self.peers.kept_evidence(step_id, "").values())

    def unexplained(self) -> Stage | None:
        return next((stage for stage in self.flow.stages if strangers(self.flow, stage, self.peers)), None)

    def brought_in_elsewhere(self, item: str) -> Collection[str] | None:
        return self._others.that_brought_in(self, item)

    def knows(self, item: str, name: str | None) -> bool | None:
        here = self.peers.has(item)
        own = self.given_name(item) if here else None
        if name is not None and (own is not None or not here):
            return own == name or self.peers.has_name(name)
        return None if means_a_place(item) else here

    def same_input_with(self, item: str) -> Sequence[RunRecord]:
        return self._others.same_input_with(self, item)

    def fared_elsewhere(self, stage: Stage, item: str) -> tuple[int, int]:
        return self._others.fared(self, stage, item)

    def judge(self, stage: Stage, item: str) -> str | Unknown | None:
        return self._others.judge(self, stage, item)

    def _rows(self, item: str, step_id: str) -> list[Row]:
        return [row for row in self.peers.events_of(item) if row["step_id"] == step_id]


def _instead(answers: Sequence[tuple[str, str, bool]]) -> frozenset[str]:
    """The rules that were asked only of items which had failed another before."""
    failed: dict[str, set[str]] = defaultdict(set)  # by item
    asked, plainly = set(), set()
    for item, rule, passed in answers:
        asked.add(rule)
        if not failed[item] - {rule}:
            plainly.add(rule)
        if not passed:
            failed[item].add(rule)
    return frozenset(asked - plainly)


def _rule(row: Mapping[str, Any], *, asked: bool) -> Rule:
    threshold = parsed(row["threshold"], row["threshold"])
    return Rule(row["rule_id"], row["field"], row["op"], threshold, row["reason"], asked)
