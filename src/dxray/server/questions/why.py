"""Why was this item selected, or why not? One item in one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of
from dxray.server.reasoning.flow import Flow, Stage, flow_of, stages_of
from dxray.server.reasoning.journey import KEPT, Fate, Seen, fate_of, stops_of
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.peers import RunPeers
from dxray.server.reasoning.ranking import nearest_twin, standing
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import sentence_of
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.reasoning.similar import named, nearest_items
from dxray.server.store.base import Reader
from dxray.wire.predicates import margin

_OF_RUN = ("run_id", "pipeline", "status")
_FOLLOWED = 3  # how many merges and rewrites the sentence goes along
_CHILDREN = 20
_GENERATIONS = 50


def why(reader: Reader, run_id: str, item: str) -> dict[str, Any]:
    """The answer, fields as in the contract. `item` is an id or, where no item has that id, an exact name.

    Raises `NotFound` for the run. An item that the run never saw is an answer too.
    """
    asked = _Asked(reader, existing_run(reader, run_id, _OF_RUN))
    if asked.peers.has(item):
        return asked.answer(item)
    others = named(reader, run_id, item)
    if len(others) == 1:
        return asked.answer(others[0]["item_id"])
    if others:
        return asked.ambiguous(item, others)
    return asked.answer(item)


class _Asked:
    """One run, read once; the answers of several of its items come from it."""

    def __init__(self, reader: Reader, run: Row) -> None:
        self.reader, self.run, self.run_id = reader, run, run["run_id"]
        self.here = Clause("run_id", "==", self.run_id)
        rows = reader.select("steps", where=[self.here], order=["position", "attempt"]).to_pylist()
        losses = losses_of(reader, [self.run_id]).get(self.run_id, NONE)
        self.stages: list[Stage] = stages_of(rows, losses)
        self.flow: Flow = flow_of(self.stages, losses.events_elsewhere({stage.step_id for stage in self.stages}))
        self.peers = RunPeers(reader, self.run_id)
        self.rules: dict[str, list[Row]] = defaultdict(list)
        for rule in reader.select("rules", where=[self.here], order=["step_id", "number"]).to_pylist():
            self.rules[rule["step_id"]].append(rule)

    def answer(self, item: str, follow: int = _FOLLOWED) -> dict[str, Any]:
        """Everything there is to say of one item."""
        rows = self.peers.events_of(item)
        shapes = self.peers.shapes(rows)
        events = [_seen(row) for row in rows]
        stops = stops_of(self.flow, events, self.peers)
        fate = fate_of(self.run["status"], self.flow, stops, self.peers, item, self._seen_before(events))
        out = self._base(item, _name(rows), fate)
        out["journey"] = self._journey(rows, [evidence_of(row, shapes) for row in rows], fate)
        out["lineage"] = self._lineage(item, out["name"])
        out["not_evaluated"] = self._not_evaluated(rows)
        if fate.stop is not None and fate.verdict in ("selected", "outranked"):
            self._rank(out, item, fate.stop.stage)
        if fate.stop is not None and fate.verdict == "rejected":
            self._rejection(out, item, fate, [row for row in rows if row["step_id"] == fate.stop.stage.step_id])
        self._follow(out, item, fate, follow)
        if not rows:
            out["did_you_mean"] = nearest_items(self.reader, self.run_id, item)
        out["sentence"] = sentence_of(out)
        return out

    def ambiguous(self, name: str, others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A name that several items have."""
        out = self._base(name, name, Fate("unknown"))
        out["unknown"] = {
            "cause": "ambiguous",
            "detail": f"{len(others)} items of this run have that name",
        }
        out["hint"] = "ask by item_id"
        out["did_you_mean"] = list(others[:10])
        out["sentence"] = sentence_of(out)
        return out

    def _base(self, item: str, name: str | None, fate: Fate) -> dict[str, Any]:
        at = fate.stop.stage if fate.stop is not None else fate.at
        reason = None
        if fate.stop is not None and fate.stop.outcome == fate.stop.last.outcome:
            reason = fate.stop.last.reason
        lost_at = fate.at if fate.verdict == "lost" else None
        return {
            "run_id": self.run_id,
            "pipeline": self.run["pipeline"],
            "run_status": self.run["status"],
            "item_id": item,
            "name": name,
            "verdict": fate.verdict,
            "step_id": at.step_id if at else None,
            "step_name": at.name if at else None,
            "reason": reason,
            "predicate": None,
            "also_failed": [],
            "rank": None,
            "scored": None,
            "cutoff": None,
            "gap": None,
            "into": None,
            "expanded": None,
            "sentence": "",
            "journey": [],
            "lineage": [{"item_id": item, "name": name, "step_name": None}],
            "twin": None,
            "not_evaluated": [],
            "lost_at": None if lost_at is None else {"step_id": lost_at.step_id, "step_name": lost_at.name},
            "unknown": None if fate.unknown is None else {"cause": fate.unknown.cause, "detail": fate.unknown.detail},
            "hint": None if fate.unknown is None else fate.unknown.hint,
            "did_you_mean": None,
        }

    def _journey(self, rows: Sequence[Row], facts: Sequence[Any], fate: Fate) -> list[dict[str, Any]]:
        by_step: dict[str, list[tuple[Row, Any]]] = defaultdict(list)
        for row, evidence in zip(rows, facts, strict=True):
            by_step[row["step_id"]].append((row, evidence))
        outcomes = {
            stop.stage.step_id: stop.outcome for stop in stops_of(self.flow, [_seen(row) for row in rows], self.peers)
        }
        out = []
        for stage in self._in_order():
            if stage.step_id in by_step:
                stop = _stop_row(stage, by_step[stage.step_id])
                stop["outcome"] = outcomes.get(stage.step_id, stop["outcome"])
                stop["superseded"] = stage.step_id in self.flow.superseded
                out.append(stop)
        return out

    def _seen_before(self, events: Sequence[Seen]) -> Stage | None:
        """The last superseded attempt that has events of an item."""
        held = {event.step_id for event in events} & self.flow.superseded
        return max((one for one in self.stages if one.step_id in held), key=lambda one: one.position, default=None)

    def _in_order(self) -> list[Stage]:
        """Dataflow order; a superseded attempt stands before what started after it."""
        order = list(self.flow.stages)
        for stage in self.stages:
            if stage.step_id in self.flow.superseded:
                later = [n for n, other in enumerate(order) if other.position > stage.position]
                order.insert(later[0] if later else len(order), stage)
        return order

    def _lineage(self, item: str, name: str | None) -> list[dict[str, Any]]:
        chain: list[dict[str, Any]] = [
            {"item_id": item, "name": name, "step_name": self.peers.origin(item, self.stages)[1], "also_from": []}
        ]
        met = {item}
        while len(chain) < _GENERATIONS:
            parents = self.peers.parents(chain[-1]["item_id"], self.flow.superseded)
            ahead = [parent for parent in parents if parent not in met]
            if not ahead:
                break
            chain[-1]["also_from"] = ahead[1:]
            met.add(ahead[0])
            found_name, step_name = self.peers.origin(ahead[0], self.stages)
            chain.append({"item_id": ahead[0], "name": found_name, "step_name": step_name, "also_from": []})
        return chain

    def _not_evaluated(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Steps that kept the item and have rules that were asked of others, and not of it.

        Of a step that lost events it cannot be said that a rule was not asked.
        """
        out = []
        for stage in self.flow.stages:
            if stage.lossy:
                continue
            mine = [row for row in rows if row["step_id"] == stage.step_id]
            kept = [row["outcome"] for row in mine if row["outcome"] is not None][-1:]
            asked = {row["rule_id"] for row in mine if row["rule_id"] is not None}
            missed = [rule for rule in self.rules[stage.step_id] if rule["evaluated"] and rule["rule_id"] not in asked]
            if kept and kept[0] in KEPT and missed:
                rules = [_rule(rule) for rule in missed]
                out.append({"step_id": stage.step_id, "step_name": stage.name, "rules": rules})
        return out

    def _rank(self, out: dict[str, Any], item: str, stage: Stage) -> None:
        if stage.lossy:
            return  # a score may be missing, and the ranks are of those that are here
        place = standing(item, stage, self.peers.scores(stage.step_id), self.peers.winners(stage.step_id))
        out["rank"], out["scored"], out["cutoff"], out["gap"] = place.rank, place.scored, place.cutoff, place.gap
        if out["verdict"] == "outranked" and place.last_in is not None:
            name = self.peers.origin(place.last_in, self.stages)[0]
            out["into"] = {"item_id": place.last_in, "name": name, "score": place.last_in_score}

    def _rejection(self, out: dict[str, Any], item: str, fate: Fate, rows: Sequence[Row]) -> None:
        assert fate.stop is not None
        stage, last = fate.stop.stage, fate.stop.last
        shapes = self.peers.shapes(rows)
        evidence: dict[str, Any] = {}
        rule_id = None
        for row in rows:
            evidence |= evidence_of(row, shapes) or {}
            if row["event_no"] == last.event_no:
                rule_id = row["rule_id"]
        rules = self.rules[stage.step_id]
        out["predicate"] = _predicate(rules, rule_id, last.reason, evidence)
        failed = {row["rule_id"] for row in rows if row["passed"] is False and row["rule_id"] != rule_id}
        also = [_predicate([rule], rule["rule_id"], None, evidence) for rule in rules if rule["rule_id"] in failed]
        out["also_failed"] = also
        if evidence:
            twin = nearest_twin(evidence, self.peers.kept_evidence(stage.step_id, item))
            if twin is not None:
                name = self.peers.origin(twin.item_id, self.stages)[0]
                out["twin"] = {
                    "item_id": twin.item_id,
                    "name": name,
                    "distance": twin.distance,
                    "differences": twin.differences,
                }

    def _follow(self, out: dict[str, Any], item: str, fate: Fate, follow: int) -> None:
        """What a merged or used-up item became, and what became of that."""
        if fate.verdict == "merged" and fate.stop is not None and fate.stop.last.ref_item is not None:
            out["into"] = self._brief(fate.stop.last.ref_item, follow)
        elif fate.verdict == "consumed":
            children = self.peers.children(item, self.flow.superseded)
            out["expanded"] = len(children)
            if len(children) == 1:
                out["into"] = [self._brief(children[0], follow)]
            else:
                found = self.peers.origins(children[:_CHILDREN], self.stages)
                out["into"] = [{"item_id": child, "name": name} for child, (name, _) in found.items()]

    def _brief(self, item: str, follow: int) -> dict[str, Any]:
        if follow == 0:
            return {"item_id": item, "name": self.peers.origin(item, self.stages)[0]}
        found = self.answer(item, follow - 1)
        return {name: found[name] for name in ("item_id", "name", "verdict", "step_name", "sentence")}


def _seen(row: Row) -> Seen:
    return Seen(
        row["step_id"],
        row["event_no"],
        row["outcome"],
        row["reason"],
        row["score"],
        row["name"],
        row["ref_item"] if row["ref_kind"] == "merged_into" else None,
    )


def _name(rows: Sequence[Row]) -> str | None:
    names = [row["name"] for row in rows if row["name"] is not None]
    return names[-1] if names else None


def _stop_row(stage: Stage, found: Sequence[tuple[Row, Any]]) -> dict[str, Any]:
    """One step of the journey: the last outcome, and all that was observed on the way to it."""
    rows = [row for row, _ in found]
    said = [row for row in rows if row["outcome"] is not None]
    last = (said or rows)[-1]
    evidence: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for row, facts in found:
        is_score = row["outcome"] is None and row["score"] is not None
        (parts if is_score else evidence).update(facts or {})
    scores = [row["score"] for row in rows if row["score"] is not None]
    states = [row["evidence_state"] for row in rows if row["evidence_state"] not in (None, "kept")]
    return {
        "step_id": stage.step_id,
        "step_name": stage.name,
        "step_type": stage.type,
        "attempt": stage.attempt,
        "outcome": last["outcome"],
        "reason": last["reason"],
        "evidence": evidence or None,
        "score": scores[-1] if scores else None,
        "parts": parts or None,
        "evidence_state": states[-1] if states else ("kept" if evidence else None),
        "by": last["decided_by"] or "code",
        "superseded": False,
    }


def _rule(rule: Row) -> dict[str, Any]:
    return {
        "field": rule["field"],
        "op": rule["op"],
        "threshold": parsed(rule["threshold"], rule["threshold"]),
        "reason": rule["reason"],
    }


def _predicate(
    rules: Sequence[Row], rule_id: str | None, reason: str | None, evidence: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The rule that rejected: the one the event names, else the step's rule with that reason."""
    found = [rule for rule in rules if rule["rule_id"] == rule_id] if rule_id is not None else []
    same = found or [rule for rule in rules if rule["reason"] == reason]
    same = [rule for rule in same if rule["field"] in evidence] or same
    if not same:
        return None
    rule = _rule(same[0])
    observed = evidence.get(rule["field"])
    try:
        by = margin(rule["op"], observed, rule["threshold"])
    except (TypeError, ValueError, OverflowError):
        by = None
    return {**{key: rule[key] for key in ("field", "op", "threshold")}, "observed": observed, "margin": by}
