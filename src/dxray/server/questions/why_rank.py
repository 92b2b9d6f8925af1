"""Why does one item stand before another, or behind it? Two items in one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dxray.server.errors import Invalid
from dxray.server.filters import Clause
from dxray.server.reasoning.components import Component, components, numbers_of, smallest_change, spreads_of, swaps
from dxray.server.reasoning.evidence import evidence_of, shapes_of
from dxray.server.reasoning.flow import Flow, Stage, flow_of, last_superseded, stages_of
from dxray.server.reasoning.hints import loss_hint
from dxray.server.reasoning.journey import Fate, Stop, fate_of, seen_of, stops_of
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.peers import RunPeers
from dxray.server.reasoning.rank_words import GONE, fate_words, sentence_of_rank, side_title
from dxray.server.reasoning.ranking import all_scored, standing
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.similar import named, nearest_items
from dxray.server.store.base import Reader

_COMPARED = 20_000  # scored items among which it is looked how much a part varies
_SAME = 1e-9  # scores that differ by less are one score
Two = tuple[Any, Any]  # of the item, of the one it is compared with


def why_rank(reader: Reader, run_id: str, item: str, over: str) -> dict[str, Any]:
    """The answer. `item` and `over` are ids or, where no item has that id, exact names.

    Raises `NotFound` for the run, `Invalid` where both are one item. Items that no step ranked are an answer too.
    """
    asked = _Asked(reader, existing_run(reader, run_id, ("run_id", "pipeline", "status", "request_hash")))
    one, other = asked.resolved(item), asked.resolved(over)
    if not isinstance(one, str) or not isinstance(other, str):
        return asked.ambiguous((item, over), (one, other))
    if one == other:
        raise Invalid(f"item and over are both {one!r}", field="over", fix="name another item of the run")
    return asked.answer((one, other))


@dataclass(frozen=True, slots=True)
class _Given:
    """A score that an item was given, with its parts. `parts` None: none were recorded; `lost`: they were not kept."""

    score: float
    parts: dict[str, float] | None
    lost: str | None
    event_no: int


@dataclass(frozen=True, slots=True)
class _Said:
    """What one step says of the two; of each score the last counts."""

    stage: Stage
    scores: tuple[Sequence[_Given], Sequence[_Given]]
    outcomes: Two
    beats: tuple[int, int]  # how many comparisons each won

    @property
    def chosen(self) -> bool:
        """Whether the step selected one of the two, and dropped the other."""
        told = sorted(map(str, self.outcomes))
        return told == ["outranked", "selected"] or (told == ["rejected", "selected"] and all(self.scores))

    @property
    def by(self) -> str | None:
        """What the order comes from."""
        if self.chosen:
            return "choice"
        if all(self.scores):
            return "score"
        if self._parted:
            return "choice"
        return "comparison" if any(self.beats) else None

    @property
    def _parted(self) -> bool:
        return sorted(map(str, self.outcomes)) in (["accepted", "outranked"], ["outranked", "produced"])

    @property
    def order(self) -> int | None:
        """1 where the item stands before the other, -1 behind, 0 level; None where the step does not say."""
        match self.by:
            case "choice":
                return -1 if self.outcomes[0] in ("outranked", "rejected") else 1
            case "score":
                return _sign(self.gap or 0.0)
            case "comparison":
                return _sign(self.beats[0] - self.beats[1]) if 0 in self.beats else None
        return None

    @property
    def gap(self) -> float | None:
        """The item's score less the other's."""
        one, other = self.scores
        return one[-1].score - other[-1].score if one and other else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


class _Asked:
    """One run, read once."""

    def __init__(self, reader: Reader, run: Row) -> None:
        self.reader, self.run, self.run_id = reader, run, run["run_id"]
        self.here = Clause("run_id", "==", self.run_id)
        rows = reader.select("steps", where=[self.here], order=["position", "attempt"]).to_pylist()
        self.losses = losses_of(reader, [self.run_id]).get(self.run_id, NONE)
        self.stages = stages_of(rows, self.losses)
        self.flow: Flow = flow_of(self.stages, self.losses.events_elsewhere({stage.step_id for stage in self.stages}))
        self.peers = RunPeers(reader, self.run_id)

    def resolved(self, item: str) -> str | list[dict[str, Any]]:
        """The id that is meant; the items, where several have that name."""
        if self.peers.has(item):
            return item
        others = named(self.reader, self.run_id, item)
        return others if len(others) > 1 else others[0]["item_id"] if others else item

    def ambiguous(self, asked: tuple[str, str], found: Two) -> dict[str, Any]:
        out = self._base(({"item_id": asked[0]}, {"item_id": asked[1]}))
        which = next(n for n in (0, 1) if not isinstance(found[n], str))
        detail = f"{len(found[which])} items of this run have the name {shown(asked[which])}"
        out["unknown"] = {"cause": "ambiguous", "detail": detail}
        out["hint"] = "ask by item_id"
        out["did_you_mean"] = found[which][:10]
        out["sentence"] = f"Which stands first is not known: {detail}."
        return out

    def answer(self, items: tuple[str, str]) -> dict[str, Any]:
        """Everything there is to say of two items."""
        rows = tuple(self.peers.events_of(item) for item in items)
        events = [[seen_of(row) for row in one] for one in rows]
        stops = [stops_of(self.flow, one, self.peers) for one in events]
        gone = [last_superseded(self.flow, self.stages, {event.step_id for event in one}) for one in events]
        fates = [fate_of(self.run["status"], self.flow, stops[n], self.peers, items[n], gone[n]) for n in (0, 1)]
        titles = self.peers.origins(items, self.stages)
        sides = [self._side(items[n], titles[items[n]][0], stops[n], fates[n]) for n in (0, 1)]
        out = self._base((sides[0], sides[1]))
        said = self._said(items, (rows[0], rows[1]), (stops[0], stops[1]))
        ranked = [one for one in said if one.order is not None]
        out["rankings"] = [_ranking(one) for one in said if one.by is not None]
        out["comparisons"] = [one for n in (0, 1) for one in self._comparisons(items, n, rows[n])]
        if ranked:
            self._ranked(out, ranked)
            self._unless_unsure(out, ranked, (fates[0], fates[1]))
        else:
            self._not_ranked(out, said, (fates[0], fates[1]))
        for n in (0, 1):
            if not rows[n] and out["did_you_mean"] is None:
                out["did_you_mean"] = nearest_items(self.reader, self.run_id, items[n].strip()) or None
        out["sentence"] = sentence_of_rank(out)
        return out

    def _base(self, sides: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
        blank = {
            "item_id": "",
            "name": None,
            "verdict": None,
            "step_name": None,
            "sentence": None,
            "rank": None,
            "rank_at_least": None,
            "score": None,
        }
        return {
            "run_id": self.run_id,
            "pipeline": self.run["pipeline"],
            "run_status": self.run["status"],
            "verdict": "unknown",
            "decided_by": None,
            "step_id": None,
            "step_name": None,
            "item": {**blank, **sides[0]},
            "over": {**blank, **sides[1]},
            "scored": None,
            "gap": None,
            "components": [],
            "parts_from": None,
            "change": None,
            "rankings": [],
            "comparisons": [],
            "sentence": "",
            "unknown": None,
            "hint": None,
            "did_you_mean": None,
        }

    def _side(self, item: str, name: str | None, stops: Sequence[Stop], fate: Fate) -> dict[str, Any]:
        at = fate.stop.stage if fate.stop is not None else fate.at
        return {
            "item_id": item,
            "name": name,
            "verdict": fate.verdict,
            "step_name": None if at is None else at.name,
            "sentence": fate_words(shown(name or item), fate, self.run["status"]),
        }

    # What each step says

    def _said(self, items: tuple[str, str], rows: Two, stops: Two) -> list[_Said]:
        """By step, in dataflow order; superseded attempts left out."""
        outcomes = [{stop.stage.step_id: stop.outcome for stop in some} for some in stops]
        found = []
        for stage in self.flow.stages:
            here = [[row for row in some if row["step_id"] == stage.step_id] for some in rows]
            if here[0] and here[1]:
                lost = [_beaten(some, other) for some, other in zip(here, (items[1], items[0]), strict=True)]
                beats = (lost[1], lost[0])
                told = (outcomes[0].get(stage.step_id), outcomes[1].get(stage.step_id))
                found.append(_Said(stage, (self._given(here[0]), self._given(here[1])), told, beats))
        return found

    def _given(self, rows: Sequence[Row]) -> list[_Given]:
        shapes = self.peers.shapes(rows)
        found: list[_Given] = []
        for row in rows:
            repeated = row["outcome"] is not None and found and found[-1].score == row["score"]
            if row["score"] is None or repeated:  # a decision says again what was scored
                continue
            facts = evidence_of(row, shapes) if row["outcome"] is None else None
            state = row["evidence_state"] if row["outcome"] is None else None
            lost = state if state not in (None, "kept") else None
            found.append(_Given(row["score"], numbers_of(facts) if facts else None, lost, row["event_no"]))
        return found

    def _comparisons(self, items: tuple[str, str], n: int, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The events that say of one that the other beat it."""
        names = {stage.step_id: stage.name for stage in self.stages}
        return [
            {
                "step_id": row["step_id"],
                "step_name": names.get(row["step_id"]),
                "winner": items[1 - n],
                "loser": items[n],
                "by": row["decided_by"] or "code",
            }
            for row in rows
            if _is_beaten_by(row, items[1 - n]) and row["step_id"] not in self.flow.superseded
        ]

    # The step that decides

    def _ranked(self, out: dict[str, Any], ranked: Sequence[_Said]) -> None:
        chosen = [one for one in ranked if one.chosen]
        said = (chosen or ranked)[-1]
        order, stage = said.order or 0, said.stage
        out["verdict"] = {1: "before", 0: "level", -1: "behind"}[order]
        out["decided_by"], out["step_id"], out["step_name"] = said.by, stage.step_id, stage.name
        for row in out["rankings"]:
            row["deciding"] = row["step_id"] == stage.step_id
        winners = self.peers.winners(stage.step_id)
        scores = self.peers.scores(stage.step_id)
        whole = all_scored(self.flow, stage, self.peers)
        for n, side in enumerate(("item", "over")):
            place = standing(out[side]["item_id"], stage, scores, winners, whole)
            given = said.scores[n]
            out[side]["score"] = given[-1].score if given else None
            out[side]["rank"] = place.rank
            out[side]["rank_at_least"] = None if stage.lossy else place.at_least
            out["scored"] = None if stage.lossy else place.scored or None
        out["gap"] = said.gap
        if said.gap is not None:
            self._parts(out, said, ranked)

    def _parts(self, out: dict[str, Any], said: _Said, ranked: Sequence[_Said]) -> None:
        """The parts of both scores: of this step, else of one before that gave the same scores."""
        last = (said.scores[0][-1], said.scores[1][-1])
        before = self.flow.ancestors(said.stage.step_id)
        earlier = [one for one in reversed(ranked) if one.stage.step_id in before]
        for one in (said, *earlier):
            found = tuple(_with_parts(one.scores[n], last[n].score) for n in (0, 1))
            if found[0] is None or found[1] is None:
                continue
            made = components((last[0].score, last[1].score), found[0], found[1])
            gap = out["gap"]
            out["components"] = [_component(part, gap) for part in made]
            out["parts_from"] = {"step_id": one.stage.step_id, "step_name": one.stage.name}
            if _sign(gap) == said.order:  # else it was not the score that decided
                change = smallest_change(made, gap, self._spreads(one.stage))
                behind = out["over"] if gap > 0 else out["item"]
                if change is not None:
                    out["change"] = {
                        "item_id": behind["item_id"],
                        "name": behind["name"],
                        "component": change.name,
                        "from": change.old,
                        "to": change.new,
                        "by": change.by,
                        "share_of_spread": change.share,
                        "seen": change.seen,
                    }
            return
        self._without_parts(out, said, earlier)

    def _without_parts(self, out: dict[str, Any], said: _Said, earlier: Sequence[_Said]) -> None:
        names = {0: out["item"], 1: out["over"]}
        for one in (said, *earlier):
            for n in (0, 1):
                lost = [given.lost for given in one.scores[n] if given.lost]
                if lost:
                    what = f"the parts of the score of {side_title(names[n])} were not kept at {one.stage.name}"
                    out["unknown"] = {"cause": lost[-1], "detail": what}
                    out["hint"] = f'capture="full" on {one.stage.name} keeps them'
                    return
        missing = [
            side_title(names[n]) for n in (0, 1) if _with_parts(said.scores[n], said.scores[n][-1].score) is None
        ]
        detail = f"{said.stage.name} recorded no parts of the score of {' and '.join(missing)}"
        out["unknown"] = {"cause": "not_recorded", "detail": detail}
        out["hint"] = f"call step.score(item_id, score, parts={{…}}) in {said.stage.name}"
        if self.run["request_hash"] is not None:
            out["hint"] = f'give the events of {said.stage.name} "parts" beside "score"'

    def _spreads(self, stage: Stage) -> dict[str, tuple[float, float]]:
        columns = ["shape_id", "num", "str", "evidence_text"]
        where = [self.here, Clause("step_id", "==", stage.step_id), Clause("score", "not_null")]
        where += [Clause("outcome", "is_null")]
        rows = self.reader.select("events", columns, where, limit=_COMPARED).to_pylist()
        shapes = shapes_of(self.reader, rows)
        return spreads_of(numbers_of(evidence_of(row, shapes)) for row in rows)

    # What is not known

    def _unless_unsure(self, out: dict[str, Any], ranked: Sequence[_Said], fates: tuple[Fate, Fate]) -> None:
        """No order where an event that is not here, or a step beside this one, may say another."""
        stage = self.flow.stage(out["step_id"])
        before = self.flow.ancestors(stage.step_id)
        mixed = [fate.unknown for fate in fates if fate.unknown is not None and fate.unknown.cause == "ambiguous"]
        lossy = next((one for one in self.flow.stages if one.lossy and one.step_id not in before), None)
        order = {"before": 1, "level": 0, "behind": -1}[out["verdict"]]
        chosen = any(one.chosen for one in ranked if one.stage is stage)
        beside = [one for one in ranked if one.stage.step_id not in before and one.order != order]
        beside = [one for one in beside if one.chosen or not chosen]
        cause, detail, hint = "dropped", "", None
        if mixed:
            cause, detail, hint = "ambiguous", mixed[0].detail, mixed[0].hint
        elif lossy is not None:
            detail = (
                f"events of {lossy.name if not lossy.unplaced else 'this run'} did not arrive, and may say otherwise"
            )
            counts = self.losses.at(lossy.step_id) if not lossy.unplaced else self.losses.run
            hint = loss_hint(counts)
        elif self.flow.missing_after([stage]):
            detail = "a later step of this run did not arrive"
            hint = "`dxray sync` delivers what still lies in the spool"
        elif self.run["status"] != "completed" and (not stage.ended or stage.failed):
            cause, detail = "interrupted", f"the run is {self.run['status']}, and {stage.name} did not come to its end"
        elif beside:
            cause, detail = "ambiguous", f"{beside[0].stage.name} and {stage.name} rank them differently, side by side"
            hint = "record the step that brings both rankings together, with after=[…]"
        if detail:
            out["verdict"], out["change"] = "unknown", None
            out["unknown"], out["hint"] = {"cause": cause, "detail": detail}, hint

    def _not_ranked(self, out: dict[str, Any], said: Sequence[_Said], fates: tuple[Fate, Fate]) -> None:
        """No step ranked both: one of them was gone before, or it is not recorded."""
        unsure = [fate.unknown for fate in fates if fate.unknown is not None]
        split = [one for one in said if one.by == "comparison"]
        posted = self.run["request_hash"] is not None
        hint: str | None
        both = {one.stage.step_id for one in said}
        gone = [fate for fate in fates if fate.verdict in GONE]
        if any(fate.verdict != "outranked" or (fate.stop and fate.stop.stage.step_id not in both) for fate in gone):
            out["verdict"] = "not_ranked"
            return
        if split:
            won = split[-1].beats
            cause, where = "ambiguous", split[-1].stage.name
            detail = f"the comparisons at {where} do not agree: each was beaten by the other ({won[0]} to {won[1]})"
            hint = "record the score that the comparisons led to: step.score(item_id, score)"
        elif unsure:
            cause, detail = unsure[0].cause, unsure[0].detail
            hint = (unsure[0].by_hand if posted else None) or unsure[0].hint
        elif any(fate.verdict == "interrupted" for fate in fates):
            cause, detail, hint = "interrupted", "the run did not come to the step that would rank them", None
        else:
            where = said[-1].stage.name if said else "no step"
            cause = "not_recorded"
            detail = f"{where} has no score of both of them" if said else "no step has both of them"
            hint = f"call step.score(item_id, score, parts={{…}}) in {where}" if said else None
            hint = f'give the events of {where} a "score", and "parts"' if posted and said else hint
        out["unknown"], out["hint"] = {"cause": cause, "detail": detail}, hint


def _is_beaten_by(row: Row, other: str) -> bool:
    return bool(row["ref_kind"] == "beaten_by" and row["ref_item"] == other)


def _beaten(rows: Sequence[Row], other: str) -> int:
    return sum(_is_beaten_by(row, other) for row in rows)


def _with_parts(given: Sequence[_Given], score: float) -> dict[str, float] | None:
    """The last parts that belong to this score."""
    found = [one.parts for one in given if one.parts and abs(one.score - score) <= _SAME]
    return found[-1] if found else None


def _ranking(said: _Said) -> dict[str, Any]:
    """What a step says, every score of several judges included."""
    order = said.order
    pairs = list(zip(*(said.scores[n] for n in (0, 1)), strict=False))
    return {
        "step_id": said.stage.step_id,
        "step_name": said.stage.name,
        "verdict": "unknown" if order is None else {1: "before", 0: "level", -1: "behind"}[order],
        "decided_by": said.by,
        "deciding": False,
        "item_scores": [one.score for one in said.scores[0]],
        "over_scores": [one.score for one in said.scores[1]],
        "item_ahead": sum(one.score > other.score for one, other in pairs),
        "over_ahead": sum(one.score < other.score for one, other in pairs),
        "item_outcome": said.outcomes[0],
        "over_outcome": said.outcomes[1],
    }


def _component(part: Component, gap: float) -> dict[str, Any]:
    return {
        "name": part.name,
        "item": part.item,
        "over": part.over,
        "delta": part.delta,
        "recorded": part.recorded,
        "decisive": swaps(part, gap),
    }
