"""Two runs compared, step by step: what each step was given, how it was set up, and what it made of that.

A step's input is what was recorded of it and the items that came in; where a step does not name all that it looked at,
what the steps before it gave stands for that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dxray.server.filters import Clause
from dxray.server.reasoning import alignment
from dxray.server.reasoning.alignment import Compared, Pair, Said, Verdict, both, equal, texts
from dxray.server.reasoning.carried import ITEMS, OtherFact, other_fact
from dxray.server.reasoning.flips import NO_ITEMS, Ints, Overlap, Side, StepItems, TwoRuns, overlap, union
from dxray.server.reasoning.flow import Stage, flow_of, stages_of
from dxray.server.reasoning.losses import Losses
from dxray.server.reasoning.sentences import shown, title
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.store.base import Reader

OPEN = ("running", "waiting", "abandoned")


class OneRun:
    """One of the two, with its steps."""

    def __init__(self, reader: Reader, row: Row, losses: Losses) -> None:
        self.row, self.run_id = row, row["run_id"]
        here = Clause("run_id", "==", self.run_id)
        rows = reader.select("steps", where=[here], order=["position", "attempt"]).to_pylist()
        self.rows: dict[str, Row] = {one["step_id"]: one for one in rows}
        stages = stages_of(rows, losses)
        self.unplaced = losses.events_elsewhere(self.rows)
        self.flow = flow_of(stages, self.unplaced)
        self.sources = alignment.sources_of(self.flow)
        self.superseded = alignment.superseded_by(self.flow, stages)
        self.rules: dict[str, list[Row]] = defaultdict(list)
        for rule in reader.select("rules", where=[here], order=["step_id", "number"]).to_pylist():
            self.rules[rule["step_id"]].append(rule)
        self.items: dict[str, StepItems] = {}

    @property
    def side(self) -> Side:
        return Side(self.run_id, self.flow.stages, self.rows)

    @property
    def may_lack_steps(self) -> str | None:
        """Why a step that is not here may still be, or have been, in the run; None where it was not."""
        if self.row["status"] in OPEN:
            return str(self.row["status"])
        return "dropped" if self.unplaced or self.flow.holes else None

    @property
    def names_all(self) -> bool:
        """Whether an item that it does not name was certainly not in it."""
        stages = self.flow.stages
        by_count = any(self.rows[stage.step_id]["accepted_by_count"] for stage in stages)
        return self.may_lack_steps is None and not by_count and all(stage.complete for stage in stages)

    def at(self, stage: Stage) -> StepItems:
        """The items of a step."""
        return self.items.get(stage.step_id, NO_ITEMS)

    def before(self, step_id: str) -> tuple[list[str], list[str], bool]:
        """What a step can take from: steps with items, steps with an output only, and whether from the run itself.

        What recorded nothing of what it gave is looked through.
        """
        with_items, with_text, from_run = [], [], False
        waiting, met = [step_id], {step_id}
        while waiting:
            sources = self.sources[waiting.pop()]
            from_run = from_run or not sources
            for source in sources:
                if source in met:
                    continue
                met.add(source)
                if source in self.items or not self.flow.stage(source).silent:
                    with_items.append(source)
                elif self.rows[source]["output"] is not None:
                    with_text.append(source)
                else:
                    waiting.append(source)
        return with_items, with_text, from_run

    def given(self, step_ids: Sequence[str]) -> Ints | None:
        """The items that go on from some steps; None where the record may not name all."""
        for step_id in step_ids:
            stage = self.flow.stage(step_id)
            if stage.lossy or not stage.ended or self.rows[step_id]["accepted_by_count"]:
                return None
        return union([self.items[one].gone_on for one in step_ids if one in self.items])

    def given_in_order(self, step_ids: Sequence[str]) -> Ints | None:
        """The same in their order, where they come from one step."""
        return self.items[step_ids[0]].gone_in_order if len(step_ids) == 1 and step_ids[0] in self.items else None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of two runs, and what was found of it."""

    pair: Pair
    key: alignment.Key
    verdict: Verdict
    over: Overlap
    sure: bool = False  # nothing is missing that would change what became of an item
    unknown: dict[str, str] | None = None
    hint: str | None = None  # the call that would have told
    output: Said = Said.UNKNOWN
    other: OtherFact | None = None  # what an item carried there, and not the same in both runs


class Parting:
    """Two runs, read once, and compared step by step; with `facts`, also by what items carried where they parted."""

    def __init__(self, reader: Reader, a: OneRun, b: OneRun, facts: bool = False) -> None:
        self.reader, self.a, self.b, self._facts = reader, a, b, facts
        self.runs = TwoRuns(reader, [a.side, b.side])
        a.items, b.items = self.runs.a, self.runs.b
        self.keys_a, self.keys_b = alignment.keys_of(a.flow), alignment.keys_of(b.flow)
        self.run_config = alignment.run_configs(a.row, b.row)
        self.by_hand = any(run.row["request_hash"] is not None for run in (a, b))
        self._rescored: list[tuple[str, Ints]] = []  # by steps of a: kept items whose score differs
        pairs = alignment.align(a.flow, b.flow)
        self._moved = any(pair.moved for pair in pairs)
        self.steps = [self._step(pair) for pair in pairs]

    # --- what is the same ---

    def _step(self, pair: Pair) -> Step:
        a, b = pair.a, pair.b
        if a is None or b is None:
            return self._one_sided(pair)
        items_a, items_b = self.a.at(a), self.b.at(b)
        over = overlap(items_a, items_b)
        sure = not (a.lossy or b.lossy) and a.ended and b.ended
        seen = self._seen(a, b, over, sure)
        verdict = alignment.verdict_of(seen)
        if self._moved and seen.input is Said.OTHER and self._turned(a, b):
            verdict = alignment.STRUCTURAL
        if self.a.run_id == self.b.run_id:
            verdict = alignment.SAME
        both_kept = np.intersect1d(items_a.gone_on, items_b.gone_on, assume_unique=True)
        rescored = np.intersect1d(items_a.item[over.at_a[over.rescored]], both_kept, assume_unique=True)
        if len(rescored):
            self._rescored.append((a.step_id, rescored))
        other = self._other_fact(a, b, over, seen)
        if other is not None:
            verdict = alignment.INHERITED if other.before else alignment.UNKNOWN_CAUSE
        unknown, hint = self._why_unknown(a, b, seen, other) if verdict.label == "unknown_cause" else (None, None)
        return Step(pair, self.keys_a[a.step_id], verdict, over, sure, unknown, hint, seen.output, other)

    def _other_fact(self, a: Stage, b: Stage, over: Overlap, seen: Compared) -> OtherFact | None:
        """Where the same items came in and other became of them: a fact that one of these did not carry in both."""
        causes = ("nondeterministic_here", "unknown_cause")
        if not self._facts or seen.input is not Said.SAME or alignment.verdict_of(seen).label not in causes:
            return None
        changed = self.a.at(a).item[over.at_a[over.changed]][:ITEMS]
        if not len(changed):
            return None
        before_a, before_b = self.a.flow.ancestors(a.step_id), self.b.flow.ancestors(b.step_id)
        by_key = {self.keys_b[one]: one for one in before_b}
        pairs = [
            (one.step_id, by_key[self.keys_a[one.step_id]])
            for one in self.a.flow.stages
            if one.step_id in before_a and self.keys_a[one.step_id] in by_key
        ]
        run_ids = self.a.run_id, self.b.run_id
        return other_fact(self.reader, run_ids, self.runs.ids(changed), pairs, (a.step_id, b.step_id))

    def _one_sided(self, pair: Pair) -> Step:
        stage, keys, other = (pair.a, self.keys_a, self.b) if pair.a is not None else (pair.b, self.keys_b, self.a)
        assert stage is not None
        nothing = overlap(NO_ITEMS, NO_ITEMS)
        why = other.may_lack_steps
        if why is None:
            return Step(pair, keys[stage.step_id], alignment.STRUCTURAL, nothing, output=Said.OTHER)
        run = "second" if other is self.b else "first"
        detail = f"{state(why, run)}, and has not come to {stage.name} as far as is known"
        if why == "dropped":
            detail = f"steps or events of the {run} run did not arrive; {stage.name} may be among them"
        return Step(pair, keys[stage.step_id], alignment.UNSAID, nothing, unknown={"cause": why, "detail": detail})

    def _seen(self, a: Stage, b: Stage, over: Overlap, sure: bool) -> Compared:
        row_a, row_b = self.a.rows[a.step_id], self.b.rows[b.step_id]
        items_a, items_b = self.a.at(a), self.b.at(b)
        given, order = self._given(a, b)
        text = texts(row_a, row_b, "input")
        came = self._came(a, b, given, sure)
        if came is Said.SAME and self._carry_other_scores(a):
            came = given = Said.OTHER
        if order is None and len(items_a.came) and a.records_all and b.records_all:
            order = bool(np.array_equal(items_a.came_in_order, items_b.came_in_order))
        if len(items_a.came) or len(items_b.came):
            found = both(text, came)
        elif text is not Said.ABSENT:
            found = Said.UNKNOWN if (text, given) == (Said.SAME, Said.OTHER) else text
        else:
            found = given
        output = self._output(a, b, over, sure)
        same_items = bool(len(items_a.gone_on)) and np.array_equal(items_a.gone_on, items_b.gone_on)
        return Compared(
            input=found,
            config=alignment.configs(row_a, row_b, self.a.rules[a.step_id], self.b.rules[b.step_id], self.by_hand),
            output=output,
            run_config=self.run_config,
            input_order=order is not False,
            output_order=not same_items or bool(np.array_equal(items_a.gone_in_order, items_b.gone_in_order)),
            astray=(came, given, text) in ((Said.OTHER, Said.SAME, Said.SAME), (Said.OTHER, Said.SAME, Said.ABSENT))
            and bool(self.a.sources[a.step_id]),
        )

    def _given(self, a: Stage, b: Stage) -> tuple[Said, bool | None]:
        """Of what the steps before gave, or the run itself: whether it is the same, and stood in the same order."""
        items_a, texts_a, run_a = self.a.before(a.step_id)
        items_b, texts_b, run_b = self.b.before(b.step_id)
        parts, order = [], None
        if items_a or items_b:
            one, other = self.a.given(items_a), self.b.given(items_b)
            parts.append(Said.UNKNOWN if one is None or other is None else _same(one, other))
            first, second = self.a.given_in_order(items_a), self.b.given_in_order(items_b)
            if parts == [Said.SAME] and first is not None and second is not None:
                order = bool(np.array_equal(first, second))
        keys = {self.keys_b[one]: one for one in texts_b}
        for step_id in texts_a:
            match = keys.pop(self.keys_a[step_id], None)
            rows = self.a.rows[step_id], self.b.rows.get(match or "")
            parts.append(Said.UNKNOWN if rows[1] is None else texts(rows[0], rows[1], "output"))
        parts += [Said.UNKNOWN] * len(keys)
        if run_a or run_b:
            parts.append(texts(self.a.row, self.b.row, "input") if run_a and run_b else Said.UNKNOWN)
        return both(*parts), order

    def _came(self, a: Stage, b: Stage, given: Said, sure: bool) -> Said:
        """Of the items that came in. A step that does not name all is judged by what the steps before gave."""
        came_a, came_b = self.a.at(a).came, self.b.at(b).came
        if not sure:
            return Said.UNKNOWN
        equal_sets = _same(came_a, came_b)
        if a.counts_all and b.counts_all:
            found = equal_sets
        elif None not in (a.declared_in, b.declared_in) and a.declared_in != b.declared_in:
            found = Said.OTHER
        elif given is Said.SAME and self.a.sources[a.step_id]:
            astray = (
                a.records_all and b.records_all and equal_sets is Said.OTHER
            )  # by what they name, though not by count
            found = Said.OTHER if astray else given
        elif given is Said.OTHER:
            found = given
        else:
            found = Said.SAME if equal_sets is Said.SAME else Said.UNKNOWN
        return found

    def _carry_other_scores(self, a: Stage) -> bool:
        """Whether items that came into a step were scored differently before."""
        before, came = self.a.flow.ancestors(a.step_id), self.a.at(a).came
        return any(step in before and bool(np.isin(items, came).any()) for step, items in self._rescored)

    def _output(self, a: Stage, b: Stage, over: Overlap, sure: bool) -> Said:
        row_a, row_b = self.a.rows[a.step_id], self.b.rows[b.step_id]
        parts = [texts(row_a, row_b, "output")]
        if not sure:
            return both(*parts, Said.UNKNOWN)
        parts.append(alignment.errors(row_a, row_b))
        counts = [(row["output_count"], parsed(row["rejection_counts"])) for row in (row_a, row_b)]
        parts += [equal(one, other) for one, other in zip(*counts, strict=True) if None not in (one, other)]
        return both(*parts, self._became(a, b, over))

    def _became(self, a: Stage, b: Stage, over: Overlap) -> Said:
        """Of what became of the items. One that is on one side only counts where both sides name all that they saw."""
        items_a, items_b = self.a.at(a), self.b.at(b)
        if not (len(items_a.item) or len(items_b.item)):
            return Said.ABSENT
        if over.changed.any() or _same(items_a.winners, items_b.winners) is Said.OTHER:
            return Said.OTHER
        if not (len(over.only_a) or len(over.only_b)):
            return Said.SAME
        return Said.OTHER if a.complete and b.complete else Said.UNKNOWN

    def _turned(self, a: Stage, b: Stage) -> bool:
        """Whether a step comes before another in the one run, and after it in the other."""
        after_b = {
            self.keys_b[one.step_id] for one in self.b.flow.stages if b.step_id in self.b.flow.ancestors(one.step_id)
        }
        before_b = {self.keys_b[one] for one in self.b.flow.ancestors(b.step_id)}
        before_a = {self.keys_a[one] for one in self.a.flow.ancestors(a.step_id)}
        after_a = {
            self.keys_a[one.step_id] for one in self.a.flow.stages if a.step_id in self.a.flow.ancestors(one.step_id)
        }
        return bool(before_a & after_b or after_a & before_b)

    def _why_unknown(
        self, a: Stage, b: Stage, seen: Compared, other: OtherFact | None = None
    ) -> tuple[dict[str, str], str | None]:
        """Why the cause, or even whether they differ, cannot be said; and the call that would have told."""
        for run, stage, which in ((self.a, a, "first"), (self.b, b, "second")):
            if stage.lossy:
                return {"cause": "dropped", "detail": f"events of {stage.name} did not arrive in the {which} run"}, None
            if not stage.ended:
                status = str(run.row["status"])
                return {
                    "cause": status,
                    "detail": f"{state(status, which)}, and {stage.name} has not ended there",
                }, None
        items = f"call step.set_input_count(n) in {a.name}, and record every item there"
        if other is not None:
            detail = f"{fact_text(other)}, and whether it came in with that is not recorded"
            hint = f"record {shown(other.key)} with the item at the step before {a.name}"
        elif seen.astray:
            detail = f"other items came into {a.name}, though the steps before it gave the same"
            hint = f"record the step that gives {a.name} its items, or name it: run.step(…, after=[…])"
        elif seen.output is Said.UNKNOWN:
            detail, hint = f"{a.name} does not name every item that it looked at", items
        elif seen.input is not Said.SAME:
            detail, hint = f"it is not recorded all of what {a.name} was given", f"{items}, or call step.set_input(…)"
        else:
            detail = f"the config of {a.name} is not recorded in both runs"
            hint = f"call step.set_config(…) in {a.name}, so that a change of it shows"
            if all(run.row["request_hash"] is not None for run in (self.a, self.b)):
                hint = f"give {a.name} its config, so that a change of it shows"
        return {"cause": "not_recorded", "detail": detail}, hint


def state(status: str, which: str) -> str:
    """What a run does that has not ended."""
    says = {"running": "is still running", "waiting": "waits for a person", "abandoned": "was abandoned"}
    return f"the {which} run {says.get(status, status)}"


def fact_text(other: OtherFact) -> str:
    """What an item carried in the one run, and in the other."""
    a, b = (shown(value) for value in (other.a, other.b))
    return f"the {shown(other.key)} of {title({'item_id': other.item_id})} was {a} and then {b}"


def _same(a: Ints, b: Ints) -> Said:
    return equal(np.array_equal(a, b), True)
