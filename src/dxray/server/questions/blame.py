"""Which steps are to blame for what labels say was wrong? Over many labelled runs; see `reasoning.faults`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.faults import KINDS, Fault, Judgement, expected
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.generated import Generations, judge
from dxray.server.reasoning.intervals import wilson
from dxray.server.reasoning.journey import Unknown
from dxray.server.reasoning.losses import NONE, Losses, losses_of
from dxray.server.reasoning.recorded import RunRecord
from dxray.server.reasoning.selection import equal, labels_of, period, runs_where
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.wrong_items import only_through, wrong
from dxray.server.store.base import Reader

_OF_RUN = ("run_id", "pipeline", "status", "input", "input_fingerprint", "request_hash", "started_at")
_RUNS = 500  # labelled runs that are looked at, the newest
_COMPARED = 500  # runs with the same input, the newest
_GOOD = 50  # of them labelled good, of which the outcome's lineage is read
_SAYS_WRONG = ("bad", "wrong", "expected")
_A_PLACE = re.compile(r"\D{0,12}\d{1,4}")  # an id that counts, and so means something else in each run


def blame(
    reader: Reader,
    *,
    pipeline: str | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `FilterError`."""
    labels: dict[str, list[Row]] = defaultdict(list)
    for row in labels_of(reader, []):
        labels[str(row["run_id"])].append(row)
    where = [*equal(pipeline=pipeline), *period(since, until, "started_at"), *runs_where(reader, q)]
    asked = [*where, Clause("run_id", "in", sorted(labels))]
    rows = reader.select("runs", _OF_RUN, asked, ["-started_at", "-run_id"]).to_pylist() if labels else []
    complaints = {row["run_id"]: _complaints(labels[row["run_id"]]) for row in rows}
    taken = [row for row in rows if complaints[row["run_id"]]][:_RUNS]
    others = _Others(reader, labels)
    found: list[_Judged] = []
    for record in _records(reader, taken, others):
        found += [_Judged(record, label, _judgement(record, label)) for label in complaints[record.run_id]]
    left_out = sum(bool(some) for some in complaints.values()) - len(taken)
    return _answer(pipeline, rows, found, left_out)


class _Judged:
    """One complaint, and what was found."""

    def __init__(self, record: RunRecord, label: Row, judgement: Judgement) -> None:
        self.record, self.label = record, label
        self.faults, self.unknown = judgement.faults, judgement.unknown


def _complaints(labels: Sequence[Row]) -> list[Row]:
    """The labels that say that something was wrong; `bad` only where no other label says what."""
    said = [label for label in labels if label["label"] in _SAYS_WRONG]
    exact = [label for label in said if label["label"] != "bad" or label["item_id"] is not None]
    return exact or said[:1]


def _judgement(record: RunRecord, label: Row) -> Judgement:
    item = label["item_id"]
    if label["label"] == "expected":
        return expected(record, item)
    if item is not None:
        return wrong(record, item)
    winners = record.winners()
    if len(winners) == 1:
        return wrong(record, winners[0])
    if winners:
        detail = f"the run chose {len(winners)} items, and the label does not say which of them is wrong"
        return Judgement(unknown=Unknown("ambiguous", detail, "label the item: wrong ITEM, or expected ITEM"))
    detail = "the run does not record what it chose"
    hint = "call step.decide(selected=…) where the choice is made, or label the item: wrong ITEM, or expected ITEM"
    return Judgement(unknown=Unknown("not_recorded", detail, hint))


def _records(reader: Reader, rows: Sequence[Row], others: _Others) -> Iterable[RunRecord]:
    """The runs with their steps and rules, read a hundred at a time."""
    for at in range(0, len(rows), 100):
        some = rows[at : at + 100]
        ids = [row["run_id"] for row in some]
        here = [Clause("run_id", "in", ids)]
        steps = _by_run(reader.select("steps", where=here, order=["position", "attempt"]).to_pylist())
        rules = _by_run(reader.select("rules", where=here, order=["step_id", "number"]).to_pylist())
        losses = losses_of(reader, ids)
        for row in some:
            run_id = row["run_id"]
            lost: Losses = losses.get(run_id, NONE)
            yield RunRecord(reader, row, steps[run_id], rules[run_id], lost, others.judge, others.that_brought_in)


def _by_run(rows: Iterable[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        out[row["run_id"]].append(row)
    return out


class _Others:
    """What other runs show: the values that a step generates for the same input, and who brings an item in."""

    def __init__(self, reader: Reader, labels: Mapping[str, Sequence[Row]]) -> None:
        self._reader = reader
        self._complained = {one for one, rows in labels.items() if any(row["label"] in _SAYS_WRONG for row in rows)}
        self._good = {one for one, rows in labels.items() if any(row["label"] == "good" for row in rows)}
        self._good -= self._complained
        self._same: dict[tuple[str, str], list[Row]] = {}
        self._known: dict[tuple[tuple[str, str], str], Generations] = {}
        self._chosen: dict[tuple[str, str], set[str]] = {}

    def judge(self, record: RunRecord, stage: Stage, item: str) -> str | Unknown | None:
        """Whether a value is what sets its run apart."""
        name = record.given_name(item)
        if name is None and _A_PLACE.fullmatch(item):
            detail = f"{item} has no name, and as an id that counts it may mean something else in each run"
            return Unknown("ambiguous", detail, f"call step.produce(item_id, name=…) in {stage.name}")
        group = _group(record.run)
        known = None if group is None else self._generations(group, record, stage)
        return judge(name or item, record.run_id, stage.name, known)

    def that_brought_in(self, record: RunRecord, item: str) -> Collection[str]:
        """The names of steps that produced an item in other runs of the pipeline."""
        where = [Clause("item_id", "==", item), Clause("outcome", "==", "produced")]
        made = self._reader.count_by("events", ["run_id", "step_name"], where).to_pylist()
        ids = sorted({row["run_id"] for row in made} - {record.run_id})
        if not ids:
            return ()
        here = [Clause("run_id", "in", ids), Clause("pipeline", "==", record.run["pipeline"])]
        same = set(self._reader.select("runs", ["run_id"], here).column("run_id").to_pylist())
        return {row["step_name"] for row in made if row["run_id"] in same}

    def _runs(self, group: tuple[str, str], run: Row) -> list[Row]:
        """Completed runs of the same pipeline with the same input, the newest."""
        if group not in self._same:
            column = "input_fingerprint" if run["input_fingerprint"] is not None else "input"
            where = [
                Clause("pipeline", "==", run["pipeline"]),
                Clause("status", "==", "completed"),
                Clause(column, "==", run[column]),
            ]
            rows = self._reader.select("runs", _OF_RUN, where, ["-started_at"], _COMPARED)
            self._same[group] = rows.to_pylist()
        return self._same[group]

    def _generations(self, group: tuple[str, str], record: RunRecord, stage: Stage) -> Generations:
        key = (group, stage.name)
        if key not in self._known:
            ids = [row["run_id"] for row in self._runs(group, record.run)]
            values = self._values(ids, stage.name)
            good = self._good & values.keys()
            self._known[key] = Generations(values, self._complained, good, self._in_good_outcome(group, good))
        known = self._known[key]
        if record.run_id in known.by_run:
            return known
        own = {record.name(one) for one in record.ids(stage.step_id)}
        return Generations({**known.by_run, record.run_id: own}, known.complained, known.good, known.in_good_outcome)

    def _values(self, ids: Sequence[str], step: str) -> dict[str, set[str]]:
        """By run, what its step of that name produced; of runs that recorded all of it."""
        here = [Clause("run_id", "in", ids), Clause("step_name", "==", step)]
        columns = ["run_id", "produced", "missing_events", "error", "ended_at", "events"]
        steps = _by_run(self._reader.select("steps", columns, here).to_pylist())
        losses = losses_of(self._reader, list(steps))
        whole = [
            run_id
            for run_id, rows in steps.items()
            if run_id not in losses and all(row["produced"] and not row["missing_events"] for row in rows)
        ]
        where = [Clause("run_id", "in", whole), Clause("step_name", "==", step), Clause("outcome", "==", "produced")]
        made = self._reader.select("events", ["run_id", "item_id", "name"], where).to_pylist() if whole else []
        return {run_id: {row["name"] or row["item_id"] for row in rows} for run_id, rows in _by_run(made).items()}

    def _in_good_outcome(self, group: tuple[str, str], good: Collection[str]) -> set[str]:
        """The values from which came what runs labelled good chose."""
        if group not in self._chosen:
            rows = [row for row in self._same[group] if row["run_id"] in good][:_GOOD]
            self._chosen[group] = {
                record.name(one)
                for record in _records(self._reader, rows, self)
                for winner in record.winners()
                for one in only_through(record, winner)[1]
            }
        return self._chosen[group]


def _group(run: Row) -> tuple[str, str] | None:
    """What runs have in common that can be compared; None for a run without an input."""
    said = run["input_fingerprint"] if run["input_fingerprint"] is not None else run["input"]
    return None if said is None else (run["pipeline"], str(said))


# The answer


def _answer(pipeline: str | None, rows: Sequence[Row], found: Sequence[_Judged], left_out: int) -> dict[str, Any]:
    pipelines = sorted({row["pipeline"] for row in rows})
    decided = [one for one in found if one.faults]
    undecided = [one for one in found if not one.faults]
    steps = _steps(decided)
    out: dict[str, Any] = {
        "pipeline": pipeline or (pipelines[0] if len(pipelines) == 1 else None),
        "labelled": len(rows),
        "complaints": len(found),
        "explained": len(decided),
        "undecided": len(undecided),
        "not_looked_at": left_out,
        "steps": steps,
        "faults": [row for one in decided for row in _faults(one)],
        "unknown": [_unknown(one) for one in undecided],
    }
    out["sentence"] = _sentence(out)
    return out


def _steps(decided: Sequence[_Judged]) -> list[dict[str, Any]]:
    """A row for each step at which one changed verdict would have mended an outcome; what comes earliest first."""
    kinds: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    mended: dict[tuple[str, str], set[int]] = defaultdict(set)
    earliest: Counter[tuple[str, str]] = Counter()
    for number, one in enumerate(decided):
        for place, fault in enumerate(_one_a_step(one.faults)):
            step = (one.record.run["pipeline"], fault.stage.name)
            kinds[step][fault.kind] += 1
            mended[step].add(number)
            earliest[step] += place == 0 and one.unknown is None
    order = sorted(mended, key=lambda step: (-earliest[step], -len(mended[step]), step))
    return [
        {
            "pipeline": step[0],
            "step_name": step[1],
            "faults": len(mended[step]),
            "earliest": earliest[step],
            "share": len(mended[step]) / len(decided),
            "interval": list(wilson(len(mended[step]), len(decided))),
            "classes": {kind: kinds[step][kind] for kind in KINDS},
        }
        for step in order
    ]


def _one_a_step(faults: Sequence[Fault]) -> list[Fault]:
    """The first fault of each step of a run: several rules that one item got past count once."""
    by_step: dict[str, Fault] = {}
    for fault in faults:
        by_step.setdefault(fault.stage.name, fault)
    return list(by_step.values())


def _of_label(one: _Judged) -> dict[str, Any]:
    label, record = one.label, one.record
    item = label["item_id"]
    return {
        "run_id": record.run_id,
        "number": label["number"],
        "label": label["label"],
        "labelled_item": item,
        "note": label["note"],
    }


def _faults(one: _Judged) -> list[dict[str, Any]]:
    """The faults that one label leads to. `earliest` is null where a step before could not be judged."""
    unknown = None
    if one.unknown is not None:
        unknown = {"cause": one.unknown.cause, "detail": one.unknown.detail}
    return [
        {
            **_of_label(one),
            "item_id": fault.item,
            "name": one.record.given_name(fault.item),
            "step_id": fault.stage.step_id,
            "step_name": fault.stage.name,
            "class": fault.kind,
            "earliest": None if place == 0 and one.unknown is not None else place == 0,
            "detail": fault.detail,
            "unknown": unknown if place == 0 else None,
            "hint": one.unknown.hint if place == 0 and one.unknown is not None else None,
        }
        for place, fault in enumerate(one.faults)
    ]


def _unknown(one: _Judged) -> dict[str, Any]:
    assert one.unknown is not None
    item = one.label["item_id"]
    name = None if item is None else one.record.given_name(item)
    said = {"cause": one.unknown.cause, "detail": one.unknown.detail, "hint": one.unknown.hint}
    return {**_of_label(one), "item_id": item, "name": name, **said}


_SAYS = {
    "recall_loss": "did not bring in what was expected",
    "too_strict": "dropped what was expected",
    "too_lenient": "let pass what its own rules speak against",
    "mis_ranked": "put the wrong item first",
    "bad_generation": "generated a value that brought the wrong item in",
}


def _sentence(out: Mapping[str, Any]) -> str:
    if not out["labelled"]:
        return "No run here is labelled, so there is nothing to explain yet."
    if not out["complaints"]:
        return f"{_many(out['labelled'], 'labelled run')}, and no label says that something was wrong."
    steps: list[Mapping[str, Any]] = out["steps"]
    said = []
    for place, step in enumerate(steps[:3]):
        of = _share(step["faults"], out["explained"])
        what = _value(out["faults"], step)
        if place == 0:
            leads = "leads" if out["explained"] == 1 or step["faults"] == 1 else "lead"
            perhaps = "" if step["earliest"] else "; whether a step before it is to blame is not known"
            said.append(f"{of} {leads} to {step['step_name']}, which {_did(step)}{what}{perhaps}.")
        else:
            said.append(f"{step['step_name']} could have mended {step['faults']}: it {_did(step)}.")
    if out["undecided"]:
        whose = "label is" if out["undecided"] == 1 else "labels are"
        causes = Counter(row["detail"] for row in out["unknown"])
        most = causes.most_common(1)[0][0]
        rest = "" if len(causes) == 1 else ", and others"
        said.append(f"{out['undecided']} {whose} undecided: {most}{rest}.")
    return " ".join(said)


def _share(n: int, of: int) -> str:
    if of == 1:
        return "The one label that is explained"
    return f"All {of} explained labels" if n == of else f"{n} of {of} explained labels"


def _value(faults: Sequence[Mapping[str, Any]], step: Mapping[str, Any]) -> str:
    """The generated value, where it is always the same."""
    here = [row for row in faults if row["step_name"] == step["step_name"]]
    names = {row["name"] or row["item_id"] for row in here}
    same = len(names) == 1 and all(row["class"] == "bad_generation" for row in here)
    return f": {shown(names.pop())}" if same else ""


def _did(step: Mapping[str, Any]) -> str:
    classes: Mapping[str, int] = step["classes"]
    found = sorted((kind for kind in classes if classes[kind]), key=lambda kind: -classes[kind])
    return " or ".join(_SAYS[kind] for kind in found)


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
