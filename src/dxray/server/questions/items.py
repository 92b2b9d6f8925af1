"""What became of an item across runs? By its id or, as those who support users know it, by its name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dxray.server.errors import Invalid
from dxray.server.filters import Clause
from dxray.server.reasoning.flow import Stage, flow_of
from dxray.server.reasoning.journey import DROPPED, KEPT
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row, when
from dxray.server.reasoning.similar import nearest_items
from dxray.server.store.base import Reader

_COUNTED = 2_000  # items in the newest runs whose outcomes are counted; in how many runs they were seen is exact
_IDS = 100  # that one name may mean
_LIKE = 5  # newest runs among whose items the nearest names are looked for
_RUN = ("run_id", "pipeline", "status", "started_at", "environment", "code_version")
_STEP = (
    "run_id", "step_id", "step_name", "position", "parent_step_id", "after", "after_inferred", "attempt", "started_at",
    "ended_at", "error", "cutoff", "decided", "selected",
)  # fmt: skip
_EVENT = ("run_id", "item_id", "step_id", "event_no", "outcome", "reason", "score")

Pair = tuple[str, str]  # run_id, item_id


def items(
    reader: Reader, *, id: str | None = None, name: str | None = None, limit: int = 100, offset: int = 0
) -> dict[str, Any]:
    """The answer: runs in which the item was seen, newest first. Raises `Invalid` without exactly one of both."""
    if (id is None) == (name is None):
        said = "neither id nor name is given" if id is None else "id and name are both given"
        raise Invalid(said, field="id", fix="give one: ?id=ID, or ?name=TEXT for those who know only its name")
    asked = id if id is not None else str(name)
    if not asked.strip():
        field = "id" if id is not None else "name"
        raise Invalid(f"{field} is empty", field=field, fix=f"add ?{field}=… with what the item is called")
    found = _by_id(reader, asked) if id is not None else _by_name(reader, asked)
    page = _Page(reader, found, limit, offset)
    out = {
        "id": id,
        "name": name,
        "match": found.match,
        "items": found.items(),
        "runs": page.rows(),
        "total": page.total,
        "limit": limit,
        "offset": offset,
        "totals": page.totals(),
        "sentence": "",
        "unknown": None,
        "did_you_mean": None,
    }
    if found.more:
        detail = f"more than {_IDS} items have such a name, and only {_IDS} of them are looked at"
        out["unknown"] = {"cause": "ambiguous", "detail": detail}
    if not out["total"]:
        out["did_you_mean"] = _near(reader, asked, id is not None)
    out["sentence"] = _sentence(out)
    return out


# Which items are meant


@dataclass(slots=True)
class _Found:
    """The runs and items that were meant, with the names that runs gave them."""

    match: str | None  # id, name, contains
    pairs: dict[Pair, tuple[str | None, int]]  # -> the name there, events there
    more: bool = False

    def items(self) -> list[dict[str, Any]]:
        """Each item that is meant, that of most runs first. Ids that several names were given have them all."""
        names: dict[str, Counter[str]] = defaultdict(Counter)
        runs: Counter[str] = Counter()
        events: Counter[str] = Counter()
        for (_, item), (name, n) in self.pairs.items():
            runs[item] += 1
            events[item] += n
            if name is not None:
                names[item][name] += 1
        return [
            {
                "item_id": item,
                "name": names[item].most_common(1)[0][0] if names[item] else None,
                "names": [{"name": name, "runs": n} for name, n in names[item].most_common(5)],
                "runs": n,
                "events": events[item],
            }
            for item, n in sorted(runs.items(), key=lambda pair: (-pair[1], pair[0]))
        ]


def _by_id(reader: Reader, item: str) -> _Found:
    pairs = _pairs(reader, [item])
    return _Found("id" if pairs else None, pairs)


def _by_name(reader: Reader, name: str) -> _Found:
    """The exact name, else all that contain it."""
    match = "name"
    ids = _ids(reader, Clause("name", "==", name))
    if not ids:
        match = "contains"
        ids = _ids(reader, Clause("name", "contains", name.strip()))
    if not ids:
        return _Found(None, {})
    fits = (lambda one: one == name) if match == "name" else (lambda one: name.strip().lower() in one.lower())
    pairs = _pairs(reader, ids[:_IDS])
    # An id may be another thing in another run; where a run gave no name, it is taken for the same.
    kept = {pair: said for pair, said in pairs.items() if said[0] is None or fits(said[0])}
    return _Found(match, kept, len(ids) > _IDS)


def _ids(reader: Reader, clause: Clause) -> list[str]:
    found: list[str] = reader.count_by("events", ["item_id"], [clause]).column("item_id").to_pylist()
    return found


def _pairs(reader: Reader, ids: Sequence[str]) -> dict[Pair, tuple[str | None, int]]:
    by = ["run_id", "item_id", "name"]
    table = reader.count_by("events", by, [Clause("item_id", "in", list(ids))])
    found: dict[Pair, tuple[str | None, int]] = {}
    for run_id, item, name, n in zip(*(table.column(one).to_pylist() for one in (*by, "n")), strict=True):
        before = found.get((run_id, item), (None, 0))
        found[run_id, item] = (before[0] if before[0] is not None else name, before[1] + n)
    return found


def _near(reader: Reader, asked: str, by_id: bool) -> list[dict[str, Any]]:
    """Items that have what was asked for in their id, else those of the newest runs that are like it."""
    field = "name" if by_id else "item_id"  # the one that was not asked
    exact = reader.select("events", ["item_id", "name"], [Clause(field, "==", asked)], limit=1)
    near = exact.to_pylist() or reader.select(
        "events", ["item_id", "name"], [Clause("item_id", "contains", asked.strip())], limit=20
    )
    found: dict[str, str | None] = {}
    for row in near if isinstance(near, list) else near.to_pylist():
        found[row["item_id"]] = row["name"] or found.get(row["item_id"])
    if not found:
        newest = reader.select("runs", ["run_id"], order=["-started_at", "-run_id"], limit=_LIKE)
        for run_id in newest.column("run_id").to_pylist():
            for one in nearest_items(reader, run_id, asked.strip()):
                found.setdefault(one["item_id"], one["name"])
    return [{"item_id": item, "name": name} for item, name in list(found.items())[:5]]


# What became of them


@dataclass(slots=True)
class _Last:
    """The last word on an item in a run."""

    outcome: str | None = None
    reason: str | None = None
    step_id: str | None = None
    step_name: str | None = None
    score: float | None = None
    selected: bool = False
    superseded: bool = False


class _Page:
    """The runs of the items that are meant, newest first, and what became of the items there."""

    def __init__(self, reader: Reader, found: _Found, limit: int, offset: int) -> None:
        self.reader, self.found = reader, found
        by_run: dict[str, list[str]] = defaultdict(list)
        for run_id, item in found.pairs:
            by_run[run_id].append(item)
        rows: list[Row] = []
        if by_run:
            where = [Clause("run_id", "in", list(by_run))]
            rows = reader.select("runs", _RUN, where, ["-started_at", "-run_id"]).to_pylist()
        pairs = [(row, item) for row in rows for item in sorted(by_run[row["run_id"]])]
        self.total, self.shown = len(pairs), pairs[offset : offset + limit]
        # Whole runs: of one that is counted, all its items are.
        counted = {row["run_id"]: None for row, _ in pairs[:_COUNTED]}
        self.counted = [(row["run_id"], item) for row, item in pairs if row["run_id"] in counted]
        wanted = [*counted, *(row["run_id"] for row, _ in self.shown if row["run_id"] not in counted)]
        ids = {item for _, item in found.pairs}
        self.last = _last_words(reader, list(dict.fromkeys(wanted)), ids) if rows else {}
        self.losses = losses_of(reader, list(dict.fromkeys(row["run_id"] for row, _ in self.shown)))

    def rows(self) -> list[dict[str, Any]]:
        """One row for each item in each run of the page."""
        out = []
        for run, item in self.shown:
            last = self.last.get((run["run_id"], item), _Last())
            unknown = self._unknown(run, last)
            out.append(
                {
                    "run_id": run["run_id"],
                    "pipeline": run["pipeline"],
                    "run_status": run["status"],
                    "started_at": when(run["started_at"]),
                    "environment": run["environment"],
                    "code_version": run["code_version"],
                    "item_id": item,
                    "name": self.found.pairs[run["run_id"], item][0],
                    "outcome": last.outcome,
                    "step_id": last.step_id,
                    "step_name": last.step_name,
                    "reason": last.reason,
                    "score": last.score,
                    "selected": None if unknown is not None and not last.selected else last.selected,
                    "unknown": unknown,
                }
            )
        return out

    def _unknown(self, run: Row, last: _Last) -> dict[str, str] | None:
        losses = self.losses.get(run["run_id"], NONE)
        if losses.events_elsewhere(()):
            return {"cause": "dropped", "detail": "events of this run did not arrive, and one may be of this item"}
        if last.superseded:
            detail = f"only an attempt of {last.step_name} that was tried again has the item"
            return {"cause": "not_recorded", "detail": detail}
        if run["status"] != "completed" and last.outcome not in DROPPED and not last.selected:
            return {"cause": "interrupted", "detail": f"the run is {run['status']}, and nothing more was decided of it"}
        if last.outcome is None:
            return {"cause": "not_recorded", "detail": f"{last.step_name} saw it, and does not say what became of it"}
        return None

    def totals(self) -> dict[str, Any]:
        """In how many runs it was seen, and of the newest of them, what became of it there last."""
        counted = {run_id for run_id, _ in self.counted}
        outcomes: dict[str, set[str]] = defaultdict(set)
        reasons: dict[tuple[str | None, str | None], set[str]] = defaultdict(set)
        for pair in self.counted:
            last = self.last.get(pair, _Last())
            outcomes["selected" if last.selected else last.outcome or "not_said"].add(pair[0])
            if last.outcome == "rejected":
                reasons[last.reason, last.step_name].add(pair[0])
        return {
            "seen": len({run_id for run_id, _ in self.found.pairs}),
            "counted": len(counted),
            "selected": len(outcomes["selected"]),
            "rejected": len(outcomes["rejected"]),
            "outcomes": {
                name: len(runs) for name, runs in sorted(outcomes.items(), key=lambda one: -len(one[1])) if runs
            },
            "reasons": [
                {"reason": reason, "step_name": step, "n": len(runs)}
                for (reason, step), runs in sorted(reasons.items(), key=lambda one: (-len(one[1]), str(one[0])))
            ],
        }


def _last_words(reader: Reader, run_ids: Sequence[str], ids: Collection[str]) -> dict[Pair, _Last]:
    """By run and item, the last outcome in dataflow order; what superseded attempts said only where no other spoke."""
    in_runs = Clause("run_id", "in", list(run_ids))
    where = [in_runs, Clause("item_id", "in", sorted(ids))]
    table = reader.select("events", _EVENT, where, ["run_id", "event_no"])
    steps: dict[str, list[Row]] = defaultdict(list)
    for row in reader.select("steps", _STEP, [in_runs], ["run_id", "position", "attempt"]).to_pylist():
        steps[row["run_id"]].append(row)
    events: dict[Pair, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        events[row["run_id"], row["item_id"]].append(row)
    orders = _Orders(steps)
    cut = _cut_off(reader, events, orders)
    return {pair: _last(pair[0], rows, orders, cut) for pair, rows in events.items()}


class _Orders:
    """The dataflow order of the steps of many runs. Runs of the same build share it."""

    def __init__(self, steps: Mapping[str, Sequence[Row]]) -> None:
        self._steps = {(run_id, row["step_id"]): row for run_id, rows in steps.items() for row in rows}
        self._runs = steps
        self._known: dict[Any, Mapping[str, tuple[int, int]]] = {}

    def step(self, run_id: str, step_id: str) -> Row | None:
        return self._steps.get((run_id, step_id))

    def of(self, run_id: str) -> Mapping[str, tuple[int, int]]:
        """By step, its place: superseded attempts and steps that did not arrive before all others."""
        rows = self._runs.get(run_id, ())
        key: Any = tuple(
            (row["step_id"], row["step_name"], row["parent_step_id"], tuple(row["after"] or ()), row["attempt"])
            for row in rows
        )
        # Times matter where steps were tried again, or come from several processes: then no two runs are alike.
        plain = all(row["attempt"] == 1 and row["error"] is None and "." not in row["step_id"] for row in rows)
        if not plain:
            key = run_id
        if key not in self._known:
            flow = flow_of([_stage(row) for row in rows])
            self._known[key] = {stage.step_id: (1, n) for n, stage in enumerate(flow.stages)}
        return self._known[key]


def _stage(row: Row) -> Stage:
    return Stage(
        step_id=row["step_id"],
        name=row["step_name"],
        position=row["position"],
        attempt=row["attempt"],
        parent=row["parent_step_id"],
        after=tuple(row["after"] or ()),
        after_inferred=row["after_inferred"],
        failed=row["error"] is not None,
        linked=row["after"] is not None,
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def _last(run_id: str, rows: Sequence[Row], orders: _Orders, cut: Mapping[tuple[str, str], Sequence[float]]) -> _Last:
    places = orders.of(run_id)
    by_step: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (places.get(row["step_id"], (0, 0)), row["event_no"])):
        by_step[row["step_id"]].append(row)
    found = _Last()
    for step_id, here in by_step.items():
        step = orders.step(run_id, step_id)
        said = [row for row in here if row["outcome"] is not None]
        scores = [row["score"] for row in here if row["score"] is not None]
        outcome = said[-1]["outcome"] if said else None
        if step is not None and scores and outcome in (None, "produced"):
            outcome = _implied(step, scores[-1], cut.get((run_id, step_id), ()), outcome)
        reason = said[-1]["reason"] if said and said[-1]["outcome"] == outcome else None
        score = scores[-1] if scores else found.score
        chosen = outcome == "selected" or (found.selected and outcome in KEPT)
        name = None if step is None else step["step_name"]
        found = _Last(outcome, reason, step_id, name, score, chosen, bool(places) and step_id not in places)
    return found


def _implied(step: Row, score: float, scores: Sequence[float], outcome: str | None) -> str | None:
    """Scored where a choice was made, and not named by it; or by the cut-off, where no tie lies across it."""
    if step["decided"] or step["selected"]:
        return "outranked"
    if step["cutoff"] is None:
        return outcome
    above = sum(other > score for other in scores)
    if above >= step["cutoff"]:
        return "outranked"
    return "accepted" if above + scores.count(score) <= step["cutoff"] else None


def _cut_off(
    reader: Reader, events: Mapping[Pair, Sequence[Row]], orders: _Orders
) -> dict[tuple[str, str], list[float]]:
    """The last score of each item at the steps with a cut-off that scored one of these items."""
    wanted = set()
    for rows in events.values():
        for row in rows:
            step = orders.step(row["run_id"], row["step_id"]) if row["score"] is not None else None
            if step is not None and step["cutoff"] is not None:
                wanted.add((row["run_id"], row["step_id"]))
    if not wanted:
        return {}
    where = [
        Clause("run_id", "in", sorted({run_id for run_id, _ in wanted})),
        Clause("step_id", "in", sorted({step_id for _, step_id in wanted})),
        Clause("score", "not_null"),
    ]
    columns = ["run_id", "step_id", "item_id", "score"]
    table = reader.select("events", columns, where, ["event_no"])
    last: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for run_id, step_id, item, score in zip(*(table.column(one).to_pylist() for one in columns), strict=True):
        if (run_id, step_id) in wanted:
            last[run_id, step_id][item] = score
    return {place: list(scores.values()) for place, scores in last.items()}


# Words


def _sentence(out: Mapping[str, Any]) -> str:
    asked = shown(out["id"] if out["id"] is not None else out["name"])
    if not out["total"]:
        what = "the id" if out["id"] is not None else "a name like"
        said = f"No run has an item with {what} {asked}."
        near = [shown(one["name"] or one["item_id"]) for one in out["did_you_mean"] or ()]
        return said + (f" Nearest: {', '.join(near[:3])}." if near else "")
    totals, first = out["totals"], out["items"][0]
    several = len(out["items"])
    title = shown(first["name"] or first["item_id"]) if several == 1 else f"{several} items named like {asked}"
    seen = totals["seen"]
    said = f"{title} {'was' if several == 1 else 'were'} seen in {seen} run{'s' if seen != 1 else ''}"
    if totals["counted"] < seen:
        said += f"; in the newest {totals['counted']} of them"
    ends = {"selected": totals["selected"], "rejected": totals["rejected"], **totals["outcomes"]}
    ends["rejected"] = ends.pop("rejected")  # last, so that its reason follows it
    told = [f"{name.replace('_', ' ')} in {n}" for name, n in ends.items() if n or name == "selected"]
    said += f"{',' if totals['counted'] < seen else ':'} {', '.join(told)}"
    if totals["reasons"]:
        why = totals["reasons"][0]
        said += f", most often for {shown(why['reason'])} at {why['step_name']} ({why['n']})"
    names = [one["name"] for one in first["names"]]
    if several == 1 and len(names) > 1:
        said += f". The id stood for several names: {', '.join(map(shown, names[:3]))}"
    return said + "."
