"""What other runs show: the values that a step makes for the same input, who brings an item in, and how it fares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from dxray.server.filters import Clause
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.generated import Generations, judge
from dxray.server.reasoning.journey import DROPPED, KEPT, Unknown
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.recorded import RunRecord, means_a_place
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.wrong_items import only_through
from dxray.server.store.base import Reader

OF_RUN = ("run_id", "pipeline", "status", "input", "input_fingerprint", "request_hash", "started_at")
SAYS_WRONG = ("bad", "wrong", "expected")
_COMPARED = 500  # runs with the same input, the newest
_GOOD = 50  # of them labelled good, of which the outcome's lineage is read
_FARED = 20  # of them that name an item, and are asked what became of it
_SHOWN = 5  # of them that show by what an item comes in


def records_of(reader: Reader, rows: Sequence[Row], others: Others) -> Iterable[RunRecord]:
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
            yield RunRecord(reader, row, steps[run_id], rules[run_id], losses.get(run_id, NONE), others)


def _by_run(rows: Iterable[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        out[row["run_id"]].append(row)
    return out


class Others:
    """What other runs show: the values that a step generates for the same input, and who brings an item in."""

    def __init__(self, reader: Reader, labels: Mapping[str, Sequence[Row]]) -> None:
        self._reader = reader
        self._complained = {one for one, rows in labels.items() if any(row["label"] in SAYS_WRONG for row in rows)}
        self._good = {one for one, rows in labels.items() if any(row["label"] == "good" for row in rows)}
        self._good -= self._complained
        self._same: dict[tuple[str, str], list[Row]] = {}
        self._known: dict[tuple[tuple[str, str], str], Generations] = {}
        self._chosen: dict[tuple[str, str], set[str]] = {}
        self._having: dict[tuple[tuple[str, str], str], list[RunRecord]] = {}
        self._fates: dict[tuple[tuple[str, str], str, str], tuple[int, int]] = {}

    def judge(self, record: RunRecord, stage: Stage, item: str) -> str | Unknown | None:
        """Whether a value is what sets its run apart."""
        name = record.given_name(item)
        if name is None and means_a_place(item):
            detail = f"{item} has no name, and as an id that counts it may mean something else in each run"
            return Unknown("ambiguous", detail, f"call step.produce(item_id, name=…) in {stage.name}")
        group = _group(record.run)
        known = None if group is None else self._generations(group, record, stage)
        said = judge(name or item, record.run_id, stage.name, known)
        if (
            isinstance(said, str)
            and known is not None
            and self._used_without_a_source(known, record, name or item, item)
        ):
            detail = f'other runs with the same input use "{name or item}", and do not say which step made it'
            return Unknown("not_recorded", detail, f"call step.produce(item_id) for every value in {stage.name}")
        return said

    def _used_without_a_source(self, known: Generations, record: RunRecord, value: str, item: str) -> bool:
        """Whether other runs have a value that they do not name where it is made."""
        lack = [one for one, values in known.by_run.items() if value not in values and one != record.run_id]
        here = [Clause("run_id", "in", lack), Clause("item_id", "==", item)]
        return bool(lack) and self._reader.select("events", ["run_id"], here, limit=1).num_rows > 0

    def that_brought_in(self, record: RunRecord, item: str) -> Collection[str] | None:
        """The names of steps that produced an item in other runs of the pipeline; None where they do not say."""
        by = ["run_id", "step_name", "outcome"]
        seen = self._reader.count_by("events", by, [Clause("item_id", "==", item)]).to_pylist()
        ids = sorted({row["run_id"] for row in seen} - {record.run_id})
        if not ids:
            return ()
        here = [Clause("run_id", "in", ids), Clause("pipeline", "==", record.run["pipeline"])]
        same = set(self._reader.select("runs", ["run_id"], here).column("run_id").to_pylist())
        made = {row["step_name"] for row in seen if row["run_id"] in same and row["outcome"] == "produced"}
        return made or (None if same else ())

    def same_input_with(self, record: RunRecord, item: str) -> Sequence[RunRecord]:
        """Some other runs of the same input in which an item was produced."""
        group = _group(record.run)
        if group is None:
            return []
        if (group, item) not in self._having:
            rows = self._runs(group, record.run)
            here = [Clause("run_id", "in", [row["run_id"] for row in rows]), Clause("item_id", "==", item)]
            where = [*here, Clause("outcome", "==", "produced")]
            made = (
                set(self._reader.count_by("events", ["run_id"], where).column("run_id").to_pylist()) if rows else set()
            )
            some = [row for row in rows if row["run_id"] in made][: _SHOWN + 1]
            self._having[group, item] = list(records_of(self._reader, some, self))
        return [one for one in self._having[group, item] if one.run_id != record.run_id][:_SHOWN]

    def fared(self, record: RunRecord, stage: Stage, item: str) -> tuple[int, int]:
        """In how many runs of the same input, with no complaint, a step of that name kept an item, and how many not."""
        group = _group(record.run)
        if group is None:
            return 0, 0
        key = (group, stage.name, item)
        if key not in self._fates:
            self._fates[key] = self._fared(self._runs(group, record.run), stage.name, item)
        return self._fates[key]

    def _fared(self, runs: Sequence[Row], step: str, item: str) -> tuple[int, int]:
        rows = [row for row in runs if row["run_id"] not in self._complained]
        ids = [row["run_id"] for row in rows]
        where = [Clause("run_id", "in", ids), Clause("step_name", "==", step), Clause("item_id", "==", item)]
        there = set(self._reader.count_by("events", ["run_id"], where).column("run_id").to_pylist()) if ids else set()
        kept = dropped = 0
        for other in records_of(self._reader, [row for row in rows if row["run_id"] in there][:_FARED], self):
            for stop in other.fate(item)[1]:
                if stop.stage.name == step and not stop.stage.lossy:
                    kept += stop.outcome in KEPT
                    dropped += stop.outcome in DROPPED
        return kept, dropped

    def _runs(self, group: tuple[str, str], run: Row) -> list[Row]:
        """Completed runs of the same pipeline with the same input, the newest."""
        if group not in self._same:
            column = "input_fingerprint" if run["input_fingerprint"] is not None else "input"
            where = [
                Clause("pipeline", "==", run["pipeline"]),
                Clause("status", "==", "completed"),
                Clause(column, "==", run[column]),
            ]
            rows = self._reader.select("runs", OF_RUN, where, ["-started_at"], _COMPARED)
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
                for record in records_of(self._reader, rows, self)
                for winner in record.winners()
                for one in only_through(record, winner)[1]
            }
        return self._chosen[group]


def _group(run: Row) -> tuple[str, str] | None:
    """What runs have in common that can be compared; None for a run without an input."""
    said = run["input_fingerprint"] if run["input_fingerprint"] is not None else run["input"]
    return None if said is None else (run["pipeline"], str(said))
