"""Does the same input lead to the same decision? Over runs that repeat each other; see `reasoning.repeats`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dxray.server.filters import Clause
from dxray.server.reasoning.agreement import Agreement, agreement
from dxray.server.reasoning.alignment import RUN_CONFIG
from dxray.server.reasoning.divergence import Entry, Pair, Parted, entries, in_a_ring, part, shuffled
from dxray.server.reasoning.intervals import wilson
from dxray.server.reasoning.losses import losses_of
from dxray.server.reasoning.parting import OPEN
from dxray.server.reasoning.pipeline_names import pipelines_like
from dxray.server.reasoning.repeats import (
    Choice,
    Repetition,
    alike,
    by_question,
    choose,
    deciding,
    deciding_steps,
    emptied,
    is_set_up,
    question_of,
    said,
    settings_of,
    share_no_choice,
)
from dxray.server.reasoning.selection import equal, period, runs_where
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.reasoning.stability_words import CAUSES, sentence
from dxray.server.store.base import Reader

Rules = dict[str, dict[str, list[str]]]  # by run and step

_OF_RUN = (
    "run_id",
    "pipeline",
    "status",
    "started_at",
    "input",
    "output",
    "error",
    "marks",
    "input_fingerprint",
    "output_fingerprint",
    "request_hash",
    *RUN_CONFIG,
)
_SHORT = tuple(name for name in _OF_RUN if name not in ("input", "output", "error"))
_OF_STEP = (
    "run_id",
    "step_id",
    "step_name",
    "position",
    "attempt",
    "ended_at",
    "events",
    "missing_events",
    "decided",
    "selected",
    "entered",
    "cutoff",
    "config_fingerprint",
    "recorded_events",
)
_RUNS = 10_000  # that are looked at, the newest
_PAIRS = 200  # compared step by step
_OF_A_GROUP = 20  # of them
_EVENTS = 400_000  # that these pairs may have
_TOGETHER = 50  # pairs whose events are read at once
_DOUBTED = 50  # groups whose ids are looked at
_SHOWN = 20  # groups
_CHOICES = 5  # of a group


def stability(
    reader: Reader,
    *,
    pipeline: str | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `FilterError`."""
    where = [*equal(pipeline=pipeline), *period(since, until, "started_at"), *runs_where(reader, q)]
    found = _Found(reader, where)
    out = found.answer(pipeline)
    out["did_you_mean"] = None if found.asked else pipelines_like(reader, pipeline)
    out["sentence"] = sentence(out)
    return out


class _Found:
    """The runs in question, in groups that repeat each other, and what they agree on."""

    def __init__(self, reader: Reader, where: Sequence[Clause]) -> None:
        self.reader = reader
        self.asked: int = reader.count_by("runs", (), where).column("n")[0].as_py()
        self.rows = self._rows(where)
        self.completed = [row for row in self.rows if row["status"] == "completed"]
        asked = [Repetition(row, output=said(row, "output")) for row in self.completed if question_of(row) is not None]
        self.no_input = len(self.completed) - len(asked)
        questions = by_question(asked)
        repeated = [runs for runs in questions if len(runs) > 1]
        self._read_steps([run for runs in repeated for run in runs])
        parts = [alike(runs) for runs in repeated]
        self.under_several = sum(len(groups) > 1 for groups in parts)
        split = [group for groups in parts for group in groups]
        self.groups = len(split) + len(questions) - len(repeated)
        self.repeats = [group for group in split if len(group) > 1]
        self.by_choice = self._decide()
        self._doubt_ids()
        self.unit = np.repeat(np.arange(len(self.repeats)), [len(group) for group in self.repeats])
        self.outputs = agreement(self.unit, self._numbered([run.output for run in self._runs]))
        self.choices = agreement(self.unit, self._numbered([self._decision(run) for run in self._runs]))

    @property
    def _runs(self) -> list[Repetition]:
        return [run for group in self.repeats for run in group]

    def _rows(self, where: Sequence[Clause]) -> list[Row]:
        """The newest runs; the texts of inputs and outputs only where no fingerprint stands for them."""
        order = ["-started_at", "-run_id"]
        rows: list[Row] = self.reader.select("runs", _SHORT, where, order, _RUNS).to_pylist()
        texts: dict[str, Row] = {}
        bare = [row["run_id"] for row in rows if None in (row["input_fingerprint"], row["output_fingerprint"])]
        if bare:
            here = pa.table({"run_id": pa.array(bare, pa.string())})
            texts = {
                row["run_id"]: row
                for row in self.reader.select("runs", ["run_id", "input", "output"], beside=here).to_pylist()
            }
        return [{"input": None, "output": None, **row, **texts.get(row["run_id"], {})} for row in rows]

    # --- what is recorded of them ---

    def _read_steps(self, runs: Sequence[Repetition]) -> None:
        if not runs:
            return
        beside = pa.table({"run_id": pa.array([run.run_id for run in runs], pa.string())})
        steps: dict[str, list[Row]] = defaultdict(list)
        by_hand: dict[tuple[str, str], str] = {}  # config without a fingerprint
        where = [Clause("config", "not_null"), Clause("config_fingerprint", "is_null")]
        for row in self.reader.select("steps", ["run_id", "step_id", "config"], where, beside=beside).to_pylist():
            by_hand[row["run_id"], row["step_id"]] = row["config"]
        for row in self.reader.select("steps", _OF_STEP, beside=beside).to_pylist():
            steps[row["run_id"]].append({**row, "config": by_hand.get((row["run_id"], row["step_id"]))})
        rules: Rules = defaultdict(lambda: defaultdict(list))
        table = self.reader.select("rules", ["run_id", "step_id", "rule_id"], beside=beside)
        for run_id, step_id, rule in zip(*(column.to_pylist() for column in table.columns), strict=True):
            rules[run_id][step_id].append(rule)
        for run in runs:
            run.steps = steps[run.run_id]
            run.settings = settings_of(run.steps, rules[run.run_id])
        self._empty_templates([one for one in by_question(runs) if len(alike(one)) > 1], rules)

    def _empty_templates(self, split: Sequence[Sequence[Repetition]], rules: Rules) -> None:
        """Where runs of one question were set up otherwise: take out of their settings what earlier steps made."""
        runs = [run for some in split for run in some]
        if not runs or sum(run.events for run in runs) > _EVENTS:
            return
        beside = pa.table({"run_id": pa.array([run.run_id for run in runs], pa.string())})
        texts: dict[str, list[Row]] = defaultdict(list)
        for row in self.reader.select("steps", ["run_id", "step_id", "config", "output"], beside=beside).to_pylist():
            texts[row["run_id"]].append(row)
        made: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        produced = [Clause("outcome", "==", "produced")]
        table = self.reader.select("events", ["run_id", "step_id", "item_id", "name"], produced, beside=beside)
        for run_id, step_id, item, name in zip(*(column.to_pylist() for column in table.columns), strict=True):
            made[run_id][step_id] += [item, name] if name else [item]
        for run in runs:
            known = {row["step_id"]: row for row in texts[run.run_id]}
            run.steps = emptied(run.steps, known, made[run.run_id])
            run.settings = settings_of(run.steps, rules[run.run_id])

    def _decide(self) -> bool:
        """Find what each run chose; whether any run of these records a choice at all."""
        names = [deciding(group) for group in self.repeats]
        ends = {
            run.run_id: deciding_steps(run, name)
            for group, name in zip(self.repeats, names, strict=True)
            for run in group
        }
        places = [(run_id, step["step_id"]) for run_id, steps in ends.items() for step in steps if step["selected"]]
        winners: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        if places:
            run_ids, step_ids = zip(*places, strict=True)
            beside = pa.table({"run_id": pa.array(run_ids, pa.string()), "step_id": pa.array(step_ids, pa.string())})
            chosen = [Clause("outcome", "==", "selected")]
            table = self.reader.select("events", ["run_id", "step_id", "item_id"], chosen, beside=beside)
            for run_id, step_id, item in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if item not in winners[run_id][step_id]:
                    winners[run_id][step_id].append(item)
        losses = losses_of(self.reader, list(ends))
        for group, name in zip(self.repeats, names, strict=True):
            for run in group:
                lost = run.run_id in losses and losses[run.run_id].of_events()
                if name is not None:
                    choose(run, ends[run.run_id], winners[run.run_id], lost)
                else:
                    run.unknown = "not_recorded"
        return any(name is not None for name in names)

    def _doubt_ids(self) -> None:
        """Forget what runs chose that have no item in common with another: their ids may not be the same things."""
        doubted = [group for group in self.repeats if share_no_choice(group)]
        doubted.sort(key=lambda group: shuffled(group[0].run_id))
        sample: list[list[Repetition]] = []
        events = 0
        for group in doubted[:_DOUBTED]:
            two = [run for run in group if run.choice][:2]
            events += sum(run.events for run in two)
            if sample and events > _EVENTS:
                break
            sample.append(two)
        items: dict[str, set[str]] = defaultdict(set)
        if sample:
            ids = [run.run_id for two in sample for run in two]
            beside = pa.table({"run_id": pa.array(ids, pa.string())})
            table = self.reader.select("events", ["run_id", "item_id"], beside=beside)
            for run_id, item in zip(*(column.to_pylist() for column in table.columns), strict=True):
                items[run_id].add(item)
        foreign = [not items[one.run_id] & items[other.run_id] for one, other in sample]
        rest = [bool(foreign) and all(foreign)] * (len(doubted) - len(sample))  # as those that were looked at
        for group, is_foreign in zip(doubted, [*foreign, *rest], strict=True):
            for run in group if is_foreign else ():
                run.choice, run.unknown = None, "foreign_ids"

    def _decision(self, run: Repetition) -> Choice | str | None:
        """What stands for a run's decision: what it chose; where no run here records a choice, its output."""
        return run.choice if self.by_choice else run.output

    @staticmethod
    def _numbered(values: Sequence[Any]) -> Any:
        numbers: dict[Any, int] = {}
        return np.array(
            [-1 if one is None else numbers.setdefault(one, len(numbers)) for one in values], dtype=np.int64
        )

    # --- where they part ---

    def _pairs(self) -> tuple[list[Pair], int]:
        """Pairs to compare, in an order that has nothing to do with what the runs did; and how many are left out."""
        pairs: list[Pair] = []
        events = total = 0
        for number in sorted(range(len(self.repeats)), key=lambda n: shuffled(self.repeats[n][0].run_id)):
            ring = in_a_ring(sorted(self.repeats[number], key=lambda run: shuffled(run.run_id)))
            total += len(ring)
            for one, other in ring[:_OF_A_GROUP]:
                cost = one.events + other.events
                if len(pairs) < _PAIRS and (not pairs or events + cost <= _EVENTS):
                    events += cost
                    pairs.append(self._pair(number, one, other))
        return pairs, total - len(pairs)

    def _pair(self, number: int, one: Repetition, other: Repetition) -> Pair:
        """What differs in the end; first comes the run whose decision more runs made."""
        group = self.repeats[number]
        votes = Counter(self._decision(run) for run in group)
        if votes[self._decision(one)] < votes[self._decision(other)]:
            one, other = other, one
        flipped = _differ(self._decision(one), self._decision(other))
        outputs = _differ(one.output, other.output)
        return Pair(number, str(one.row["pipeline"]), one.run_id, other.run_id, flipped, outputs)

    def parted(self) -> tuple[list[Parted], int]:
        """Those pairs compared, and how many are left out."""
        pairs, left = self._pairs()
        ids = list(dict.fromkeys(one for pair in pairs for one in (pair.a, pair.b)))
        beside = pa.table({"run_id": pa.array(ids, pa.string())})
        rows = self.reader.select("runs", _OF_RUN, beside=beside).to_pylist() if ids else []
        return list(part(self.reader, {row["run_id"]: row for row in rows}, pairs, _TOGETHER)), left

    # --- the answer ---

    def answer(self, pipeline: str | None) -> dict[str, Any]:
        """Everything there is to say, but for the sentence."""
        pipelines = sorted({str(row["pipeline"]) for row in self.rows})
        parted, left = self.parted()
        choices, outputs = self.choices, self.outputs
        sizes = sorted(len(group) for group in self.repeats)
        apart = [one for one in parted if one.step_name is not None]
        return {
            "pipeline": pipeline or (pipelines[0] if len(pipelines) == 1 else None),
            "sentence": "",
            "runs": len(self.rows),
            "groups": self.groups,
            "repeats": len(self.repeats),
            "repetitions": {"least": sizes[0], "median": sizes[len(sizes) // 2], "most": sizes[-1]} if sizes else None,
            "decision_of": ("selected" if self.by_choice else "output") if choices.units else None,
            "decided": choices.units,
            "flipped": choices.split,
            "flip_rate": choices.split / choices.units if choices.units else None,
            "interval": choices.split_interval,
            "pair_flip_rate": choices.pair_flip_rate,
            "entropy": choices.mean_entropy,
            "alpha": choices.alpha,
            "tar": outputs.tar,
            "tar_interval": list(wilson(outputs.unanimous, outputs.units)),
            "outputs_known": outputs.units,
            "identical": outputs.unanimous,
            "compared": len(parted),
            "diverged": len(apart),
            "entry_steps": [_entry(one) for one in entries(parted)],
            "unrecorded": sum(one.unrecorded for one in parted),
            "undecided": sum(one.unknown is not None for one in parted),
            "unstable": self._unstable(),
            "not_looked_at": {"runs": self.asked - len(self.rows), "pairs": left},
            "unknown": self._unknown(parted),
        }

    def _unstable(self) -> list[dict[str, Any]]:
        """The groups that agree least: on the decision, then on the output."""
        of_choice = dict(zip(self.choices.unit.tolist(), range(self.choices.units), strict=True))
        of_output = dict(zip(self.outputs.unit.tolist(), range(self.outputs.units), strict=True))
        rows = []
        for number, group in enumerate(self.repeats):
            one, other = _of_unit(self.choices, of_choice.get(number)), _of_unit(self.outputs, of_output.get(number))
            if max(one["distinct"] or 1, other["distinct"] or 1) > 1:
                rows.append((-(one["entropy"] or 0.0), -(other["entropy"] or 0.0), number, one, other, group))
        rows.sort(key=lambda row: row[:3])
        least = [self._group(one, other, group) for _, _, _, one, other, group in rows[:_SHOWN]]
        self._name(least)
        return least

    def _group(self, one: Row, other: Row, group: Sequence[Repetition]) -> dict[str, Any]:
        by_decision: dict[Any, list[Repetition]] = defaultdict(list)
        for run in group:
            by_decision[self._decision(run)].append(run)
        known = sorted((some for key, some in by_decision.items() if key is not None), key=lambda some: -len(some))
        return {
            "pipeline": group[0].row["pipeline"],
            "runs": len(group),
            "newest": group[0].run_id,
            "decisions": one["distinct"],
            "outputs": other["distinct"],
            "entropy": one["entropy"],
            "undecided": len(by_decision.get(None, ())),
            "choices": [
                {
                    "runs": len(some),
                    "items": [{"item_id": item} for item in some[0].choice or ()] if self.by_choice else None,
                    "examples": [run.run_id for run in some[:3]],
                }
                for some in known[:_CHOICES]
            ],
        }

    def _name(self, rows: Sequence[dict[str, Any]]) -> None:
        """Give the inputs and the items that are shown their texts."""
        ids = [row["newest"] for row in rows]
        texts: dict[str, str | None] = {}
        if ids:
            table = self.reader.select("runs", ["run_id", "input"], [Clause("run_id", "in", ids)])
            texts = dict(zip(table["run_id"].to_pylist(), table["input"].to_pylist(), strict=True))
        choices = [choice for row in rows for choice in row["choices"] if choice["items"]]
        items = [item["item_id"] for choice in choices for item in choice["items"]]
        named: dict[str, str] = {}
        if items:
            examples = [choice["examples"][0] for choice in choices]
            where = [Clause("run_id", "in", examples), Clause("item_id", "in", items), Clause("name", "not_null")]
            table = self.reader.select("events", ["item_id", "name"], where, ["run_id", "step_id", "event_no"])
            named = dict(zip(table["item_id"].to_pylist(), table["name"].to_pylist(), strict=True))
        for row in rows:
            row["input"] = parsed(texts.get(row["newest"]), texts.get(row["newest"]))
        for choice in choices:
            for item in choice["items"]:
                item["name"] = named.get(item["item_id"])

    def _unknown(self, parted: Sequence[Parted]) -> list[dict[str, Any]]:
        """What could not be looked at or told, and what would help."""
        runs = self._runs
        lost = Counter(run.unknown for run in runs if self.by_choice and run.unknown is not None)
        counted = [
            ("not_completed", sum(row["status"] not in ("completed", *OPEN) for row in self.rows)),
            ("not_ended", sum(row["status"] in OPEN for row in self.rows)),
            ("no_input", self.no_input),
            ("no_output", sum(run.output is None for run in runs)),
            ("other_settings", self.under_several),
            ("no_settings", sum(not is_set_up(run) for run in runs)),
            *((f"decision_{cause}", n) for cause, n in lost.items()),
            ("not_told_apart", sum(one.unknown is not None for one in parted)),
            ("unrecorded", sum(one.unrecorded for one in parted)),
        ]
        return [{"cause": cause, "n": n, **CAUSES[cause]} for cause, n in counted if n]


def _of_unit(found: Agreement, place: int | None) -> Row:
    if place is None:
        return {"distinct": None, "entropy": None}
    return {"distinct": int(found.distinct[place]), "entropy": float(found.entropy[place])}


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "pipeline": one.pipeline,
        "step_name": one.step_name,
        "first": one.share.found,
        "share": one.share.rate,
        "interval": one.share.interval,
        "flipped": one.amplification.found,
        "decided": one.amplification.of,
        "amplification": one.amplification.rate,
        "amplification_interval": one.amplification.interval,
        "labels": one.labels,
        "example": {"a": one.example.a, "b": one.example.b},
    }


def _differ(one: Any, other: Any) -> bool | None:
    return None if one is None or other is None else one != other
