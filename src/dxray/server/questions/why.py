"""Why was this item selected, or why not? One item in one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of
from dxray.server.reasoning.flow import STAGE_COLUMNS, Flow, Stage, flow_of, in_order, last_superseded, stages_of
from dxray.server.reasoning.hints import hint_of
from dxray.server.reasoning.journey import KEPT, Fate, fate_of, seen_of, stops_of
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.peers import RunPeers
from dxray.server.reasoning.ranking import all_scored, standing
from dxray.server.reasoning.reading import together
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import Notes, sentence_of
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.reasoning.similar import named, nearest_items
from dxray.server.store.base import Reader
from dxray.wire.predicates import margin
from dxray.wire.printed.runs import error_text

_OF_RUN = ("run_id", "pipeline", "status", "error", "request_hash")
_OF_RULES = ("step_id", "rule_id", "field", "op", "threshold", "reason", "evaluated", "failed", "uncomparable")
_FOLLOWED = 3  # how many merges and rewrites the sentence goes along
_CHILDREN = 20
_GENERATIONS = 50


def why(reader: Reader, run_id: str, item: str) -> dict[str, Any]:
    """The answer, fields as in the contract. `item` is an id or, where no item has that id, an exact name.

    Raises `NotFound` for the run. An item that the run never saw is an answer too.
    """
    asked = _Asked(reader, run_id, item)
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

    def __init__(self, reader: Reader, run_id: str, item: str) -> None:
        self.reader, self.run_id, self.peers = reader, run_id, RunPeers(reader, run_id)
        here = [Clause("run_id", "==", run_id)]
        self.run, steps, rules, _ = together(
            partial(existing_run, reader, run_id, _OF_RUN),
            partial(reader.select, "steps", STAGE_COLUMNS, here, ["position", "attempt"]),
            partial(reader.select, "rules", _OF_RULES, here, ["step_id", "number"]),
            partial(self.peers.events_of, item),
        )
        self.losses = losses_of(reader, [run_id]).get(run_id, NONE)
        self.stages: list[Stage] = stages_of(steps.to_pylist(), self.losses)
        self.flow: Flow = flow_of(self.stages, self.losses.events_elsewhere({stage.step_id for stage in self.stages}))
        self.rules: dict[str, list[Row]] = defaultdict(list)
        for rule in rules.to_pylist():
            self.rules[rule["step_id"]].append(rule)

    def answer(self, item: str, follow: int = _FOLLOWED) -> dict[str, Any]:
        """Everything there is to say of one item."""
        rows = self.peers.events_of(item)
        shapes = self.peers.shapes(rows)
        events = [seen_of(row) for row in rows]
        stops = stops_of(self.flow, events, self.peers)
        gone = last_superseded(self.flow, self.stages, {event.step_id for event in events})
        fate = fate_of(self.run["status"], self.flow, stops, self.peers, item, gone)
        out = self._base(item, _name(rows), fate)
        out["journey"] = self._journey(rows, [evidence_of(row, shapes) for row in rows], fate)
        out["lineage"] = self._lineage(item, out["name"])
        out["not_evaluated"] = self._not_evaluated(rows)
        notes = self._notes(fate)
        if fate.stop is not None and fate.verdict in ("selected", "outranked"):
            self._rank(out, item, fate.stop.stage)
        if fate.stop is not None and fate.verdict == "rejected":
            here = [row for row in rows if row["step_id"] == fate.stop.stage.step_id]
            self._rejection(out, notes, fate, here)
        elif fate.verdict in ("selected", "survived"):
            notes.overruled = self._overruled(rows)
            out["also_failed"] = [rule for _, rules in notes.overruled for rule in rules]
        self._follow(out, item, fate, follow)
        if not rows:
            # Blanks are typed in by mistake.
            forms = dict.fromkeys((" ".join(item.split()), "".join(item.split())))
            found = (nearest_items(self.reader, self.run_id, form) for form in forms)
            out["did_you_mean"] = next(filter(None, found), [])
        out["sentence"] = sentence_of(out, notes)
        return out

    def _notes(self, fate: Fate) -> Notes:
        """What the sentence says of the run, and of the step that says nothing of the item."""
        error = parsed(self.run["error"], self.run["error"])
        notes = Notes(error=None if error is None else error_text(error))
        stage = fate.at
        unsaid = fate.unknown is not None and fate.unknown.cause == "not_recorded"
        if unsaid and stage is not None and stage.decided and stage is not (fate.stop.stage if fate.stop else None):
            winners = sorted(self.peers.winners(stage.step_id))
            named = self.peers.origins(winners[:_CHILDREN], self.stages)
            if winners:
                notes.chosen = (stage.name, [name or item for item, (name, _) in named.items()])
        return notes

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
            "rank_at_least": None,
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
            "hint": hint_of(fate, self.losses, self.run["request_hash"] is not None),
            "did_you_mean": None,
        }

    def _journey(self, rows: Sequence[Row], facts: Sequence[Any], fate: Fate) -> list[dict[str, Any]]:
        by_step: dict[str, list[tuple[Row, Any]]] = defaultdict(list)
        for row, evidence in zip(rows, facts, strict=True):
            by_step[row["step_id"]].append((row, evidence))
        outcomes = {
            stop.stage.step_id: stop.outcome for stop in stops_of(self.flow, [seen_of(row) for row in rows], self.peers)
        }
        out = []
        for stage in in_order(self.flow, self.stages):
            if stage.step_id in by_step:
                stop = _stop_row(stage, by_step[stage.step_id])
                stop["outcome"] = outcomes.get(stage.step_id, stop["outcome"])
                stop["superseded"] = stage.step_id in self.flow.superseded
                out.append(stop)
        return out

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
        scores, winners = self.peers.scores(stage.step_id), self.peers.winners(stage.step_id)
        place = standing(item, stage, scores, winners, all_scored(self.flow, stage, self.peers))
        out["rank"], out["rank_at_least"], out["scored"] = place.rank, place.at_least, place.scored
        out["cutoff"], out["gap"] = place.cutoff, place.gap
        if out["verdict"] == "outranked" and place.last_in is not None:
            name = self.peers.origin(place.last_in, self.stages)[0]
            out["into"] = {"item_id": place.last_in, "name": name, "score": place.last_in_score}

    def _overruled(self, rows: Sequence[Row]) -> list[tuple[str, list[dict[str, Any]]]]:
        """Steps that kept the item, with the rules that it had failed there: what a rule said last counts."""
        out = []
        shapes = self.peers.shapes(rows)
        for stage in self.flow.stages:
            mine = [row for row in rows if row["step_id"] == stage.step_id]
            last = {row["rule_id"]: row for row in mine if row["rule_id"] is not None}
            kept = [row["outcome"] for row in mine if row["outcome"] is not None][-1:]
            failed = {rule_id: row for rule_id, row in last.items() if row["passed"] is False}
            found = [
                _predicate(rule, evidence_of(failed[rule["rule_id"]], shapes) or {})
                for rule in self.rules[stage.step_id]
                if rule["rule_id"] in failed
            ]
            if kept and kept[0] in KEPT and found:
                out.append((stage.name, found))
        return out

    def _rejection(self, out: dict[str, Any], notes: Notes, fate: Fate, rows: Sequence[Row]) -> None:
        """The rule that rejected, what was observed, and what is near it."""
        assert fate.stop is not None
        stage, last = fate.stop.stage, fate.stop.last
        shapes = self.peers.shapes(rows)
        evidence: dict[str, Any] = {}
        about: dict[str, Any] = {}  # what the rejection itself speaks of
        rule_id = None
        for row in rows:
            facts = evidence_of(row, shapes) or {}
            evidence |= facts
            if row["event_no"] == last.event_no:
                rule_id, about = row["rule_id"], facts
        rules = self.rules[stage.step_id]
        rule = _ruling(rules, rule_id, last.reason, evidence)
        out["predicate"] = None if rule is None else _predicate(rule, evidence)
        failed = {row["rule_id"] for row in rows if row["passed"] is False and row["rule_id"] != rule_id}
        also = [_predicate(one, evidence) for one in rules if one["rule_id"] in failed]
        out["also_failed"] = also
        fields = [one["field"] for one in (rule, *also) if one is not None]
        out["twin"] = self._twin(out["item_id"], stage, evidence, dict.fromkeys([*fields, *about]))
        notes.about = about
        if rule is not None:
            notes.missing = rule["field"] in evidence and evidence[rule["field"]] is None
            notes.unlike = self._unlike(rule)

    def _unlike(self, rule: Row) -> bool | None:
        """Whether what failed a rule could not be compared: all of it, none, or some (None)."""
        if self.run["request_hash"] is not None:
            return True  # in a run written by hand a text is a text
        return None if 0 < rule["uncomparable"] < rule["failed"] else rule["uncomparable"] > 0

    def _twin(
        self, item: str, stage: Stage, evidence: Mapping[str, Any], about: Collection[str]
    ) -> dict[str, Any] | None:
        """The kept item most like it, where it differs in what the rejection was about: else it explains nothing."""
        if not any(key in evidence for key in about):
            return None
        twin = self.peers.twin(stage.step_id, item, evidence)
        if twin is None or not any(key in twin.differences for key in about):
            return None
        first = [key for key in about if key in twin.differences]
        return {
            "item_id": twin.item_id,
            "name": self.peers.origin(twin.item_id, self.stages)[0],
            "distance": twin.distance,
            "differences": {key: twin.differences[key] for key in dict.fromkeys([*first, *twin.differences])},
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


def _ruling(rules: Sequence[Row], rule_id: str | None, reason: str | None, evidence: Mapping[str, Any]) -> Row | None:
    """The rule that rejected: the one the event names, else the step's rule with that reason."""
    found = [rule for rule in rules if rule["rule_id"] == rule_id] if rule_id is not None else []
    same = found or [rule for rule in rules if rule["reason"] == reason]
    same = [rule for rule in same if rule["field"] in evidence] or same
    return same[0] if same else None


def _predicate(row: Row, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as it met an item."""
    rule = _rule(row)
    observed = evidence.get(rule["field"])
    try:
        by = margin(rule["op"], observed, rule["threshold"])
    except (TypeError, ValueError, OverflowError):
        by = None
    return {**{key: rule[key] for key in ("field", "op", "threshold")}, "observed": observed, "margin": by}
