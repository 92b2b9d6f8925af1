"""Runs read from the store as replay needs them: arrays of items, a hundred runs at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.flow import STAGE_COLUMNS, Flow, Stage, flow_of, stages_of
from dxray.server.reasoning.limits import NO, YES, Array, Limit, Observed, verdicts
from dxray.server.reasoning.losses import NONE, Losses, losses_of
from dxray.server.reasoning.replay import OUTRANKED, PRODUCED, REJECTED, UNSAID, At, History, takes_either
from dxray.server.reasoning.samples import samples
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.store.base import Reader, Value
from dxray.wire.records import OUTCOMES

OF_RUN = ("run_id", "pipeline", "status", "request_hash", "started_at")
_OF_STEP = ("run_id", *STAGE_COLUMNS, "config", "usage")
_OF_RULE = ("run_id", "step_id", "number", "rule_id", "field", "op", "threshold", "reason", "evaluated")
_OF_EVENT = (
    "run_id", "step_id", "event_no", "item_id", "outcome", "reason", "rule_id", "passed", "score", "shape_id",
    "evidence_state",
)  # fmt: skip
_TOGETHER = 100
_EXACT = 2.0**53
_DECIDED_ANEW = ("generate", "tool", "approve")
_OF_MODELS = ("model", "prompt", "temperature", "llm")
_ONE_BY_ONE = ("filter", "transform")


def histories(reader: Reader, rows: Sequence[Row]) -> Iterator[History]:
    """The runs of these rows, which have at least the columns `OF_RUN`."""
    for at in range(0, len(rows), _TOGETHER):
        yield from _Chunk(reader, rows[at : at + _TOGETHER]).all()


def share_what_they_show(runs: Iterable[tuple[str, History]]) -> None:
    """A step may do in each run of a pipeline what it does in one: reject without a rule, keep what fails one, choose
    what scores low."""
    found = list(runs)
    plain = {(pipeline, at.stage.name) for pipeline, run in found for at in run.at if at.plain}
    either = {(pipeline, at.stage.name) for pipeline, run in found for at in run.at if at.either}
    least: dict[tuple[str, str], float] = defaultdict(lambda: float("inf"))
    taken: dict[tuple[str, str], set[int]] = defaultdict(set)
    for pipeline, run in found:
        for at in run.at:
            if at.stage.decided and at.won.any():
                lowest = float(at.score[at.won].min())  # NaN where one has no score: no comparison holds
                if lowest < least[pipeline, at.stage.name]:
                    least[pipeline, at.stage.name] = lowest
                taken[pipeline, at.stage.name].add(int(at.won.sum()))
    for pipeline, run in found:
        for at in run.at:
            at.least_won = least[pipeline, at.stage.name]
            at.varies = len(taken[pipeline, at.stage.name]) > 1
            at.plain = (pipeline, at.stage.name) in plain
            at.either = (pipeline, at.stage.name) in either


def has_to_run_again(kind: str | None, config: Any, usage: Any) -> bool:
    """Whether what a step says of other input cannot be known without running it."""
    if kind in _DECIDED_ANEW:
        return True
    keys = {str(key).lower() for one in (config, usage) if isinstance(one, dict) for key in one}
    of_model = any(word in key for key in keys for word in _OF_MODELS)
    return of_model and not ("seed" in keys and kind in _ONE_BY_ONE)


class _Chunk:
    """Some runs, their events sorted by run, step and number."""

    def __init__(self, reader: Reader, rows: Sequence[Row]) -> None:
        self.rows = rows
        ids = [row["run_id"] for row in rows]
        here = [Clause("run_id", "in", ids)]
        self.steps = by_run(reader.select("steps", _OF_STEP, here, ["position", "attempt"]).to_pylist())
        self.rules = by_run(reader.select("rules", _OF_RULE, here, ["step_id", "number"]).to_pylist())
        self.losses = losses_of(reader, ids)
        choices = reader.count_by("decisions", ["run_id", "step_id"], here)
        self.choices = {(one["run_id"], one["step_id"]): one["n"] for one in choices.to_pylist()}
        self.fields = sorted({rule["field"] for rules in self.rules.values() for rule in rules})
        values = [Value(f"evidence.{one}", kind) for one in self.fields for kind in ("number", "text")]
        events = reader.select("events", [*_OF_EVENT, *values], here)
        lineage = reader.select("lineage", ["run_id", "step_id", "item_id", "parent_id"], here)
        self._encode(events, lineage)
        self._values(events)
        self.samples = samples(reader, here, events, self.run_ids, self.items)

    def _encode(self, events: pa.Table, lineage: pa.Table) -> None:
        self.run_ids, run = codes(events["run_id"])
        self.step_ids, step = codes(events["step_id"])
        number = events["event_no"].to_numpy()
        order = np.lexsort((number, step, run))
        names = [*_texts(events["item_id"]), *_texts(lineage["item_id"]), *_texts(lineage["parent_id"])]
        self.items, item = codes(pa.chunked_array(names, pa.string()))
        n, m = events.num_rows, lineage.num_rows
        self.order, self.run, self.step, self.item = order, run[order], step[order], item[:n][order]
        self.child, self.parent = item[n : n + m], item[n + m :]
        self.of_lineage = by_place(lineage["run_id"].to_pylist(), lineage["step_id"].to_pylist())
        outcomes = pc.index_in(events["outcome"], pa.array(OUTCOMES)).fill_null(UNSAID)
        self.outcome = outcomes.to_numpy().astype(np.int8)[order]
        self.words, reason = codes(events["reason"])
        self.rule_ids, rule = codes(events["rule_id"])
        self.reason, self.rule = reason[order], rule[order]
        self.passed = events["passed"].fill_null(False).to_numpy()[order]
        self.score = events["score"].fill_null(np.nan).to_numpy()[order]
        self.starts = np.searchsorted(self.run, np.arange(len(self.run_ids) + 1))

    def _values(self, events: pa.Table) -> None:
        """By field: numbers, and codes of texts. A rule's value that is neither is None, where it was kept."""
        self.number: dict[str, Array] = {}
        self.code: dict[str, Array] = {}
        self.vocabulary: dict[str, tuple[Any, ...]] = {}
        kept = pc.and_(pc.is_valid(events["shape_id"]), pc.is_null(events["evidence_state"])).to_numpy()[self.order]
        by_id = {rule["rule_id"]: rule["field"] for rules in self.rules.values() for rule in rules}
        of_rule = [by_id.get(one) for one in self.rule_ids]
        for field in self.fields:
            mine = [code for code, one in enumerate(of_rule) if one == field]
            observed = kept & np.isin(self.rule, mine)
            number = events[Value(f"evidence.{field}", "number").name]
            texts = events[Value(f"evidence.{field}", "text").name]
            found = number.cast(pa.float64()).fill_null(np.nan).to_numpy()[self.order]
            self.number[field] = np.where(np.abs(found) < _EXACT, found, np.nan)  # past it a double is another number
            huge = np.abs(found) >= _EXACT
            words, code = codes(texts)
            code = code[self.order]
            none = observed & np.isnan(found) & (code < 0) & ~huge
            self.code[field] = np.where(none, len(words), code)
            self.vocabulary[field] = (*words, None)

    def all(self) -> Iterator[History]:
        places = {run_id: n for n, run_id in enumerate(self.run_ids)}
        for row in self.rows:
            n = places.get(row["run_id"])
            rows = slice(0, 0) if n is None else slice(int(self.starts[n]), int(self.starts[n + 1]))
            yield self._history(row, rows)

    def _history(self, row: Row, rows: slice) -> History:
        run_id = row["run_id"]
        losses = self.losses.get(run_id, NONE)
        steps = self.steps.get(run_id, [])
        stages = stages_of(steps, losses)
        flow = flow_of(stages, losses.events_elsewhere({stage.step_id for stage in stages}))
        made = _One(self, row, rows, flow, losses)
        config = {one["step_id"]: one for one in steps}
        at = [made.at(stage, config[stage.step_id], self.rules.get(run_id, [])) for stage in flow.stages]
        whole = row["status"] == "completed" and not losses.of_events() and not flow.holes
        whole = whole and not any(stage.lossy for stage in flow.stages)
        place = self.run_ids.get(run_id, -1)
        sample = None if self.samples is None else self.samples.of(place, made.known)
        return History(run_id, made.names, at, self.words, made.by_hand, whole, sample)


class _One:
    """One run of a chunk."""

    def __init__(self, chunk: _Chunk, row: Row, rows: slice, flow: Flow, losses: Losses) -> None:
        self.chunk, self.rows, self.flow, self.losses = chunk, rows, flow, losses
        self.by_hand = row["request_hash"] is not None
        self.run_id = row["run_id"]
        related = [place for step in chunk.of_lineage.get(self.run_id, {}).values() for place in step]
        everyone = np.concatenate([chunk.item[rows], chunk.child[related], chunk.parent[related]])
        self.known, places = np.unique(everyone, return_inverse=True)
        self.n = len(self.known)
        self.item = places[: rows.stop - rows.start]
        self.names = [chunk.items[one] for one in self.known.tolist()]
        self.places = {stage.step_id: n for n, stage in enumerate(flow.stages)}
        self.sources: dict[str, list[int]] = {stage.step_id: [] for stage in flow.stages}
        for stage in flow.stages:
            for after in flow.successors(stage.step_id):
                self.sources[after.step_id].append(self.places[stage.step_id])
        self.step = chunk.step[rows]
        self.facts = {field: self._facts(field) for field in chunk.fields}

    def _facts(self, field: str) -> Observed:
        """What is known of each item: where it has one value in all of its evidence. Parts of a score are none."""
        c = self.chunk
        number, code, words = c.number[field][self.rows], c.code[field][self.rows], c.vocabulary[field]
        of_score = (c.rule[self.rows] < 0) & ~np.isnan(c.score[self.rows]) & (c.outcome[self.rows] == UNSAID)
        has = (~np.isnan(number) | (code >= 0)) & ~of_score
        found = Observed(np.full(self.n, np.nan), np.full(self.n, -1, dtype=np.int32), words)
        found.number[self.item[has]], found.code[self.item[has]] = number[has], code[has]
        mine = self.item[has]
        other = (found.code[mine] != code[has]) | ((code[has] < 0) & (found.number[mine] != number[has]))
        single = np.ones(self.n, dtype=bool)
        single[mine[other]] = False
        return found.where(single)

    def at(self, stage: Stage, row: Row, rules: Sequence[Row]) -> At:
        c = self.chunk
        rows = np.flatnonzero(self.step == c.step_ids.get(stage.step_id, -2))
        item, whole = self.item[rows], rows + self.rows.start
        present = np.zeros(self.n, dtype=bool)
        present[item] = True
        outcome, score = np.full(self.n, UNSAID, dtype=np.int8), np.full(self.n, np.nan)
        said, scored = c.outcome[whole] != UNSAID, ~np.isnan(c.score[whole])
        outcome[item[said]] = c.outcome[whole][said]
        score[item[scored]] = c.score[whole][scored]
        reason, ruled = np.full(self.n, -1, dtype=np.int32), np.zeros(self.n, dtype=bool)
        reason[item[said]], ruled[item[said]] = c.reason[whole][said], c.rule[whole][said] >= 0
        limits = tuple(_limit(one) for one in rules if one["step_id"] == stage.step_id)
        sources = tuple(self.sources[stage.step_id])
        at = At(stage, limits, present, _settled(stage, outcome, score), ruled & (outcome == REJECTED), reason,
                np.full((len(limits), self.n), -1, dtype=np.int8), (), score, sources)  # fmt: skip
        observed = [self._observed(at, n, whole, item) for n in range(len(limits))]
        at.observed = tuple(observed)
        if self.by_hand:
            _asked_by_hand(at, c.words)
        at.either = takes_either(at)
        at.plain = bool((at.present & (at.outcome == REJECTED) & ~at.ruled).any())
        at.choices = c.choices.get((self.run_id, stage.step_id), 1)
        at.again = has_to_run_again(stage.type, parsed(row["config"]), parsed(row["usage"]))
        related = c.of_lineage.get(self.run_id, {}).get(stage.step_id, [])
        at.child = np.searchsorted(self.known, c.child[related])
        at.parent = np.searchsorted(self.known, c.parent[related])
        return at

    def _observed(self, at: At, rule: int, whole: Array, item: Array) -> Observed:
        """What a rule observed, and where it was not asked what is known of the item. Notes what it said."""
        c, limit = self.chunk, at.rules[rule]
        facts = self.facts[limit.field]
        mine = c.rule[whole] == c.rule_ids.get(limit.rule_id, -2)
        at.asked[rule][item[mine]] = c.passed[whole][mine]
        asked = at.asked[rule] >= 0
        number, code = facts.number.copy(), facts.code.copy()
        number[item[mine]], code[item[mine]] = c.number[limit.field][whole][mine], c.code[limit.field][whole][mine]
        if self.by_hand:  # what the event itself says
            own = ~np.isnan(c.number[limit.field][whole]) | (c.code[limit.field][whole] >= 0)
            number[item[own]] = c.number[limit.field][whole][own]
            code[item[own]] = c.code[limit.field][whole][own]
        found = Observed(number, code, facts.words)
        says = verdicts(found, limit.op, limit.threshold)
        return found.where(~asked | (says == np.where(at.asked[rule] > 0, YES, NO)))


def _settled(stage: Stage, outcome: Array, score: Array) -> Array:
    """What follows from a choice for those that it scored and did not name."""
    open_ = ~np.isnan(score) & ((outcome == UNSAID) | (outcome == PRODUCED))
    if stage.lossy or not open_.any():
        return outcome
    if stage.decided:
        return np.where(open_, OUTRANKED, outcome).astype(np.int8)
    if stage.cutoff is not None:
        scored = np.sort(score[~np.isnan(score)])
        above = len(scored) - np.searchsorted(scored, score, side="right")
        return np.where(open_ & (above >= stage.cutoff), OUTRANKED, outcome).astype(np.int8)
    return outcome


def _asked_by_hand(at: At, words: Sequence[str]) -> None:
    """A rejection with a rule's reason is what the rule said; of what went on, its evidence says whether it passed."""
    reasons = [words[code] if code >= 0 else None for code in range(len(words))]
    kept = at.present & ~at.dropped
    for n, limit in enumerate(at.rules):
        says = verdicts(at.observed[n], limit.op, limit.threshold)
        codes_ = [code for code, reason in enumerate(reasons) if reason == limit.reason]
        mine = at.present & (at.outcome == REJECTED) & np.isin(at.reason, codes_)
        if sum(other.reason == limit.reason for other in at.rules) > 1:
            mine &= says == NO
        at.asked[n][mine] = 0
        at.asked[n][kept & (says == YES)] = 1
        at.asked[n][kept & (says == NO)] = 0
        at.ruled |= mine
    at.observed = tuple(
        one.where((at.asked[n] < 0) | (verdicts(one, limit.op, limit.threshold) == np.where(at.asked[n] > 0, YES, NO)))
        for n, (one, limit) in enumerate(zip(at.observed, at.rules, strict=True))
    )


def _limit(row: Row) -> Limit:
    threshold = parsed(row["threshold"], row["threshold"])
    return Limit(row["rule_id"], row["field"], row["op"], threshold, row["reason"])


class Words(list[str]):
    """Texts, and the place of each."""

    def __init__(self, texts: Iterable[str]) -> None:
        super().__init__(texts)
        self._places = {text: n for n, text in enumerate(self)}

    def get(self, text: str, otherwise: int) -> int:
        """The place of a text."""
        return self._places.get(text, otherwise)


def codes(column: pa.ChunkedArray) -> tuple[Words, Array]:
    """The distinct texts, and of each row which it has; -1 for a null."""
    encoded = column.combine_chunks().dictionary_encode() if not pa.types.is_dictionary(column.type) else column
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return Words(encoded.dictionary.to_pylist()), encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(
        np.int32
    )


def by_run(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by their run."""
    out: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        out[row["run_id"]].append(row)
    return out


def by_place(runs: Sequence[str], steps: Sequence[str]) -> Mapping[str, dict[str, list[int]]]:
    """The numbers of rows by run and step."""
    out: dict[str, dict[str, list[int]]] = {}
    for number, (run, step) in enumerate(zip(runs, steps, strict=True)):
        out.setdefault(run, {}).setdefault(step, []).append(number)
    return out


def _texts(column: pa.ChunkedArray) -> list[pa.Array]:
    plain = column.cast(pa.string())
    return list(plain.chunks)
