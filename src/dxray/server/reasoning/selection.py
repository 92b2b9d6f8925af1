"""Which runs and steps a filter means: the grammar of each source, and what needs a second look-up."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial

from dxray.server.errors import NotFound, nearest
from dxray.server.filters import Clause, FilterError, Grammar, Known, Term, clauses_of, moment, terms
from dxray.server.reasoning.reading import together
from dxray.server.reasoning.shown import Row
from dxray.server.store.base import Reader
from dxray.wire.records import LABELS, STATUSES

_ROOTS = {"input": "input", "output": "output", "metadata": "metadata"}
_EXCLUDED_AT_MOST = 1_000
_PRAISE = {"good": True, "bad": False, "wrong": False}  # labels that say the opposite of one another

RUNS = Grammar(
    fields={
        "pipeline": Known("pipeline"),
        "status": Known("status", values=STATUSES),
        "run_id": Known("run_id"),
        "environment": Known("environment"),
        "version": Known("code_version"),
        "code_version": Known("code_version"),
        "variant": Known("variant"),
        "parent_run_id": Known("parent_run_id"),
        "trace_id": Known("trace_id"),
        "duration_ms": Known("duration_ms", "number"),
        "since": Known("started_at", "time"),
        "until": Known("started_at", "time"),
    },
    texts="pipeline|run_id|input|output|metadata|error",
    roots=_ROOTS,
)

_OF_STEPS = {
    "step": Known("step_name|step_type"),
    "step_name": Known("step_name"),
    "step_type": Known("step_type"),
    "reason": Known("reasons"),
    "rejection_rate": Known("rejection_rate", "number"),
    "input_count": Known("input_count", "number"),
    "output_count": Known("output_count", "number"),
}

STEPS = Grammar(
    fields={
        **_OF_STEPS,
        "name": Known("step_name"),
        "step_id": Known("step_id"),
        "attempt": Known("attempt", "number"),
        "duration_ms": Known("duration_ms", "number"),
        "unaccounted": Known("unaccounted", "number"),
        "pipeline": Known("pipeline"),
        "run_id": Known("run_id"),
        "status": Known("run_status", values=STATUSES),
        "environment": Known("environment"),
        "version": Known("code_version"),
        "code_version": Known("code_version"),
        "since": Known("run_started_at", "time"),
        "until": Known("run_started_at", "time"),
    },
    texts="step_name|step_type|pipeline|run_id|input|output|metadata|config|error",
    roots={**_ROOTS, "config": "config"},
)

_STEPS_OF_RUNS = Grammar(fields=_OF_STEPS, texts="step_name", roots={"config": "config"})
# For the nearest names, a grammar knows what is looked up elsewhere too.
_RUNS_AND_MORE = Grammar({**RUNS.fields, **_OF_STEPS, "label": Known("label")}, RUNS.texts, RUNS.roots)
_STEPS_AND_LABEL = Grammar({**STEPS.fields, "label": Known("label")}, STEPS.texts, STEPS.roots)


def runs_where(reader: Reader, q: str | None) -> list[Clause]:
    """The clauses on `runs` of a filter. What it says of steps must hold for one and the same step."""
    clauses: list[Clause] = []
    of_step: list[Clause] = []
    for term in terms(q or ""):
        if term.field == "label":
            clauses += _labelled(reader, term)
        elif term.field in _OF_STEPS or (term.field or "").startswith("config."):
            if term.negated:
                raise FilterError(
                    f"-{term.field}: what runs do not have in any step cannot be asked here",
                    field=term.field,
                    fix="ask GET /steps, where each step is a row of its own",
                )
            of_step += clauses_of(term, _STEPS_OF_RUNS)
        else:
            clauses += clauses_of(term, _RUNS_AND_MORE)
    if of_step:
        found = reader.count_by("steps", ["run_id"], of_step)
        clauses.append(Clause("run_id", "in", found.column("run_id").to_pylist()))
    return clauses


def steps_where(reader: Reader, q: str | None) -> list[Clause]:
    """The clauses on `steps` of a filter."""
    clauses: list[Clause] = []
    for term in terms(q or ""):
        if term.field == "label":
            clauses += _labelled(reader, term)
        else:
            clauses += clauses_of(term, _STEPS_AND_LABEL)
    return clauses


def period(since: str | None, until: str | None, column: str) -> list[Clause]:
    """The clauses of the parameters `since` and `until`. Raises `FilterError`, also where nothing lies between them."""
    clauses = []
    if since is not None and until is not None and moment(since, "since") >= moment(until, "until"):
        raise FilterError(
            f"since {since!r} is not before until {until!r}: no time lies between them",
            field="until",
            fix=f"swap them: since={until}&until={since}",
        )
    if since is not None:
        clauses.append(Clause(column, ">=", moment(since, "since")))
    if until is not None:
        clauses.append(Clause(column, "<", moment(until, "until")))
    return clauses


def equal(**wanted: str | None) -> list[Clause]:
    """A clause for each parameter that was given."""
    return [Clause(column, "==", value) for column, value in wanted.items() if value is not None]


def existing_run(reader: Reader, run_id: str, columns: Sequence[str] = ("run_id",)) -> Row:
    """The run's row, these columns of it or, with none, all. Raises `NotFound`, which names the nearest ids."""
    rows = reader.select("runs", columns, [Clause("run_id", "==", run_id)]).to_pylist()
    if rows:
        found: Row = rows[0]
        return found
    known = reader.select("runs", ["run_id"], order=["-started_at"], limit=500).column("run_id").to_pylist()
    near = [one for one in known if run_id and one.startswith(run_id)][:3] or get_close_matches(run_id, known, n=3)
    fix = "did you mean " + " or ".join(near) + "?" if near else "GET /runs lists the runs there are"
    raise NotFound(f"there is no run {run_id!r}", field="run_id", fix=fix)


def page_of(
    reader: Reader,
    source: str,
    columns: Sequence[str],
    where: Sequence[Clause],
    order: Sequence[str],
    limit: int,
    offset: int,
) -> tuple[list[Row], int]:
    """The rows of a page, and how many there are in all; counted beside the reading, which takes as long."""
    rows, counted = together(
        partial(reader.select, source, columns, where, order, limit, offset),
        partial(reader.count_by, source, (), where),
    )
    return rows.to_pylist(), counted.column("n")[0].as_py()


def labels_of(reader: Reader, where: Sequence[Clause]) -> list[dict[str, object]]:
    """The labels that stand, of these runs: none that was taken back, or that a later one says otherwise."""
    return [row for row in labels_said(reader, where) if row["replaced_by"] is None]


def labels_said(reader: Reader, where: Sequence[Clause]) -> list[dict[str, object]]:
    """The labels of these runs that were not taken back, by number; `replaced_by` is that of a later one, or None.

    Rows are appended and never changed. A run, or an item in it, is good or bad (of an item: or wrong), not both: what
    was said last counts, and stands for the other as long as it is not taken back itself.
    """
    standing: dict[tuple[str, int], dict[str, object]] = {}
    gone: set[tuple[str, int]] = set()
    for row in reader.select("labels", where=where, order=["number", "at"]).to_pylist():
        key = (row["run_id"], row["number"])
        if row["removed"]:
            gone.add(key)
        else:
            standing[key] = {**row, "replaced_by": None}
    last: dict[tuple[object, object, bool], object] = {}  # by run, item and praise: the number of the last that says so
    rows = [row for key, row in standing.items() if key not in gone]
    for row in reversed(rows):
        praise = _PRAISE.get(str(row["label"]))
        if praise is not None:
            of = (row["run_id"], row["item_id"])
            row["replaced_by"] = last.get((*of, not praise))
            last.setdefault((*of, praise), row["number"])
    return rows


def _labelled(reader: Reader, term: Term) -> list[Clause]:
    if term.op != ":":
        raise FilterError("label takes a value only", field="label", fix="write label:bad")
    if term.value not in LABELS:
        raise FilterError(f"there is no label {term.value!r}", field="label", fix=nearest(str(term.value), LABELS))
    runs = sorted({str(row["run_id"]) for row in labels_of(reader, []) if row["label"] == term.value})
    if not term.negated:
        return [Clause("run_id", "in", runs)]
    if len(runs) > _EXCLUDED_AT_MOST:
        raise FilterError(
            f"-label:{term.value}: {len(runs)} runs have that label, too many to leave out one by one",
            field="label",
            fix=f"label:{term.value} asks for them instead",
        )
    return [Clause("run_id", "!=", run) for run in runs]
