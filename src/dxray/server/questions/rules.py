"""Which rules matter, which are dead, and which limit to look at first? See `reasoning.rule_health`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause
from dxray.server.reasoning.attempts import without_superseded
from dxray.server.reasoning.clusters import Share, differ, share_of
from dxray.server.reasoning.limits import is_number
from dxray.server.reasoning.pipeline_names import no_such_pipeline, pipelines_like
from dxray.server.reasoning.rule_health import (
    Health,
    Ints,
    NearMisses,
    Rules,
    Seen,
    by_run,
    health_of,
    newest_first,
    rows_of,
    rules_of,
    total,
    versions,
)
from dxray.server.reasoning.selection import equal, period, runs_where
from dxray.server.reasoning.sentences import limit_text, rule_text, shown
from dxray.server.reasoning.shown import parsed, when
from dxray.server.store.base import Reader, Value

_RUNS = 100_000  # that are looked at, the newest
_OBSERVATIONS = 2_000_000  # that are read for margins and sole kills, of the newest steps
_FIELDS = 8  # of the evidence that are read at once
_POINTS = 12  # of a rule's course in time, at most
_VERSIONS = 10  # shown
_REASONS = 20
_NAMED = 4  # limits of one rule that are no numbers, in a sentence
_OF_RULE = ("number", "rule_id", "field", "op", "threshold", "reason", "evaluated", "failed", "uncomparable", "at")
_MINUTE = 60_000_000
_WIDTHS = tuple(_MINUTE * one for one in (1, 10, 60, 360, 1_440, 10_080, 43_200, 525_600))


def rules(
    reader: Reader,
    *,
    pipeline: str | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
    step: str | None = None,
) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `FilterError`, and `Invalid` for a step that no run has."""
    where = [*equal(pipeline=pipeline), *period(since, until, "started_at"), *runs_where(reader, q)]
    found = _Found(reader, where, step)
    rows = [row for _, row in sorted(((_first(row), row) for row in found.rules()), key=lambda one: one[0])]
    pipelines = sorted(set(found.runs["pipeline"].to_pylist()))
    plain = found.without_rule()
    out: dict[str, Any] = {
        "pipeline": pipeline or (pipelines[0] if len(pipelines) == 1 else None),
        "sentence": "",
        "runs": len(found.runs),
        "rules": rows,
        "look_first": _place(rows[0]) if rows and _close(rows[0]) else None,
        "without_rule": {
            "rejections": sum(row["rejections"] for row in plain),
            "reasons": plain[:_REASONS],
            "hint": _without_rule(plain[0]) if plain else None,
        },
        "not_looked_at": {"runs": found.asked - len(found.runs), "observations": found.not_read},
        "unknown": found.unknown(),
    }
    out["did_you_mean"] = None if found.asked else pipelines_like(reader, pipeline)
    out["sentence"] = _sentence(out)
    return out


class _Found:
    """The rules of the steps in question, and what was observed of them."""

    def __init__(self, reader: Reader, where: Sequence[Clause], step: str | None) -> None:
        self.reader = reader
        self.asked: int = reader.count_by("runs", (), where).column("n")[0].as_py()
        columns = ["run_id", "pipeline", "started_at", "request_hash"]
        self.runs: pa.Table = reader.select("runs", columns, where, ["-started_at", "-run_id"], _RUNS)
        self._steps(step)
        self.counted = self._rules()
        self.read = np.zeros(0, dtype=np.bool_)
        self.not_read = 0
        self.health = self._observe() if self.counted is not None else {}

    def _steps(self, step: str | None) -> None:
        """The steps of these runs, as columns: their run, their name, whether they ended and who wrote them."""
        runs = self.runs
        beside = pa.table({"run_id": runs["run_id"], "run": np.arange(len(runs))})
        columns = ["run_id", "step_id", "step_name", "attempt", "ended_at", "events", "run"]
        wanted = equal(step_name=step)
        table = self.reader.select("steps", columns, wanted, beside=beside)
        if step is not None and len(runs) and not len(table):
            names = self.reader.count_by("steps", ["step_name"], beside=beside.select(["run_id"]))["step_name"]
            raise Invalid(f"no run here has a step {step!r}", field="step", fix=nearest(step, set(names.to_pylist())))
        table = without_superseded(self.reader, table)
        self.steps: pa.Table = table
        if not len(table):
            self.run, self.group, self.names = np.zeros(0, np.int64), np.zeros(0, np.int64), []
            return
        self.run = table["run"].to_numpy().astype(np.int64)
        pipelines = pc.dictionary_encode(runs["pipeline"].combine_chunks())
        steps = pc.dictionary_encode(table["step_name"].combine_chunks())
        of_run = pipelines.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        key = np.column_stack([of_run[self.run], steps.indices.to_numpy(zero_copy_only=False).astype(np.int64)])
        pairs, group = np.unique(key, axis=0, return_inverse=True)
        known, named = pipelines.dictionary.to_pylist(), steps.dictionary.to_pylist()
        self.group = group.reshape(-1)
        self.names = [(known[a], named[b]) for a, b in pairs.tolist()]
        self.by_hand = pc.is_valid(runs["request_hash"]).to_numpy()[self.run]
        ended = pc.or_(pc.is_valid(table["ended_at"]), pc.is_valid(table["events"])).to_numpy()
        self.open = ~ended & ~self.by_hand
        self.began = pc.fill_null(runs["started_at"], 0).to_numpy().astype(np.int64)[self.run]

    def _beside(self, steps: Ints, **more: Any) -> pa.Table:
        """Some of the steps, to join with."""
        some = self.steps.select(["run_id", "step_id"]).take(pa.array(steps))
        for name, column in more.items():
            some = some.append_column(name, pa.array(column))
        return some

    def _rules(self) -> Rules | None:
        """All rules of these steps; none where no step has any."""
        if not len(self.steps):
            return None
        every = np.arange(len(self.steps))
        table = self.reader.select("rules", _OF_RULE, beside=self._beside(every, at=every))
        return rules_of(table, self.group) if len(table) else None

    # --- what was observed ---

    def _observe(self) -> dict[int, Health]:
        """By rule, what is recorded of the items that it was asked about."""
        counted = self.counted
        assert counted is not None
        self.read = newest_first(counted, self.run, _OBSERVATIONS) & ~self.open & ~self.by_hand
        asked = counted.evaluated[~self.by_hand[counted.step] & ~self.open[counted.step]]
        self.not_read = int(asked.sum()) - total(counted.evaluated, np.flatnonzero(self.read[counted.step]))
        found: dict[int, Health] = {}
        for group in np.unique(self.group[counted.step[self.read[counted.step]]]).tolist():
            found |= health_of(counted, self._seen(counted, group))
        return found

    def _seen(self, counted: Rules, group: int) -> Seen:
        """The observations of all rules of one step name."""
        steps = np.flatnonzero(self.read & (self.group == group))
        beside = self._beside(steps, at=steps)
        families = [one for one in counted.families if one.group == group]
        fields = sorted({one.field for one in families})
        together = _together(fields)
        parts = [self._observations(counted, group, some, beside, whole=len(together) == 1) for some in together]
        return Seen(*(np.concatenate([part[n] for part in parts]) for n in range(5)))

    def _observations(
        self, counted: Rules, group: int, fields: Sequence[str], beside: pa.Table, *, whole: bool
    ) -> tuple[Any, ...]:
        """Of the rules on these fields: item, number, rule, whether it passed, and the value as a number."""
        families = {n for n, one in enumerate(counted.families) if one.group == group and one.field in fields}
        ordered = {counted.families[n].field for n in families if counted.families[n].ordered}
        where = [Clause("rule_id", "not_null")]
        if not whole:
            codes = np.unique(counted.rule_id[np.isin(counted.family, list(families))])
            where = [Clause("rule_id", "in", counted.ids.take(pa.array(codes)).to_pylist())]
        values = [Value(f"evidence.{field}", "number") for field in fields if field in ordered]
        columns: list[str | Value] = ["item_key", "event_no", "rule_id", "passed", "at", *values]
        table = self.reader.select("events", columns, where, beside=beside)
        rule = rows_of(counted, table["at"].to_numpy().astype(np.int64), table["rule_id"])
        value = np.full(len(rule), np.nan)
        field = np.array([fields.index(one.field) if one.field in fields else -1 for one in counted.families])
        of_row = field[counted.family[rule]] if len(rule) else np.zeros(0, np.int64)
        for one in values:
            mine = of_row == fields.index(one.field.removeprefix("evidence."))
            numbers = pc.fill_null(table[one.name], np.nan).to_numpy()
            value[mine] = numbers[mine]
        there = (rule >= 0) & (of_row >= 0)
        passed = pc.fill_null(table["passed"], False).to_numpy()
        number = table["event_no"].to_numpy().astype(np.int64)
        return tuple(one[there] for one in (table["item_key"].to_numpy(), number, rule, passed, value))

    # --- the answer ---

    def rules(self) -> list[dict[str, Any]]:
        """A row for each rule, in no order."""
        if self.counted is None:
            return []
        order = np.argsort(self.counted.family, kind="stable")
        found, starts = np.unique(self.counted.family[order], return_index=True)
        parts = np.split(order, starts[1:])
        return [self._rule(family, rows) for family, rows in zip(found.tolist(), parts, strict=True)]

    def _rule(self, number: int, every: Ints) -> dict[str, Any]:
        counted = self.counted
        assert counted is not None
        family = counted.families[number]
        rows = every[~self.by_hand[counted.step[every]] & ~self.open[counted.step[every]]]
        known = len(rows) > 0
        evaluated, kills = total(counted.evaluated, rows), total(counted.failed, rows)
        limits = versions(counted, every, self.began)
        health = self.health.get(number)
        rate = share_of(*by_run(self.run, counted, rows)[1:])
        pipeline, step = self.names[family.group]
        return {
            "pipeline": pipeline,
            "step_name": step,
            "reason": family.reason,
            "field": family.field,
            "op": family.op,
            "threshold": parsed(limits[-1][0], limits[-1][0]),
            "thresholds": len(limits),
            "steps": len(every),
            "runs": len(np.unique(self.run[counted.step[every]])),
            "evaluated": evaluated if known else None,
            "kills": kills if known else None,
            "uncomparable": total(counted.uncomparable, rows) if known else None,
            "rate": rate.rate,
            "interval": rate.interval,
            **_sole(health, kills, evaluated, known),
            **_near(health),
            "fires_never": kills == 0 and evaluated > 0 if known else None,
            "never_ran": evaluated == 0 if known else None,
            "redundant_with": self._redundant(health),
            "drift": self._drift(rows, limits) if evaluated else None,
            "unknown": None if known else self._why_uncounted(every),
        }

    def _why_uncounted(self, rows: Ints) -> dict[str, str]:
        if self.counted is not None and self.by_hand[self.counted.step[rows]].any():
            return {
                "cause": "not_counted",
                "detail": "the runs that have this rule were written by hand, and do not say how often it was asked",
            }
        return {"cause": "not_ended", "detail": "no step that has this rule has ended"}

    def _redundant(self, health: Health | None) -> list[dict[str, Any]]:
        out = []
        for other, support in health.redundant if health is not None else ():
            assert self.counted is not None
            family = self.counted.families[other]
            back = self.health[other].redundant
            here = next(n for n, one in self.health.items() if one is health)
            out.append(
                {
                    "step_name": self.names[family.group][1],
                    "reason": family.reason,
                    "field": family.field,
                    "op": family.op,
                    "support": support,
                    "mutual": any(one == here for one, _ in back),
                }
            )
        return out

    def _drift(self, rows: Ints, limits: Sequence[tuple[str, Ints]]) -> dict[str, Any]:
        """How often it failed over time, and under each limit; and whether the first and last quarter of the runs
        differ by more than chance (95 %, each rule for itself)."""
        counted = self.counted
        assert counted is not None
        runs, failed, asked = by_run(self.run, counted, rows)
        runs, failed, asked = (one[::-1][asked[::-1] > 0] for one in (runs, failed, asked))  # the oldest first
        times = pc.fill_null(self.runs["started_at"], 0).to_numpy().astype(np.int64)[runs]
        quarter = max(len(runs) // 4, min(4, len(runs) // 2))  # of fewer than four runs little can be said
        first, last = (
            share_of(failed[part], asked[part]) for part in (slice(quarter), slice(len(runs) - quarter, None))
        )
        width = next((one for one in _WIDTHS if (times[-1] - times[0]) / one < _POINTS), _WIDTHS[-1])
        places, starts = np.unique(times // width, return_index=True)
        points = [
            {"from": when(int(place) * width), **_share(share_of(failed[part], asked[part]))}
            for place, part in zip(places, np.split(np.arange(len(runs)), starts[1:]), strict=True)
        ]
        here = set(rows.tolist())
        return {
            "changed": differ(first, last) if quarter else None,
            "first": _share(first) if quarter else None,
            "last": _share(last) if quarter else None,
            "minutes": width // _MINUTE,
            "points": points[-_POINTS:],
            "versions": [
                self._version(text, np.array([row for row in mine.tolist() if row in here], dtype=np.int64))
                for text, mine in limits[-_VERSIONS:]
            ],
        }

    def _version(self, text: str, rows: Ints) -> dict[str, Any]:
        counted = self.counted
        assert counted is not None
        began = self.began[counted.step[rows]]
        span = (when(int(began.min())), when(int(began.max()))) if len(rows) else (None, None)
        share = share_of(*by_run(self.run, counted, rows)[1:])
        return {"threshold": parsed(text, text), "from": span[0], "to": span[1], **_share(share)}

    def without_rule(self) -> list[dict[str, Any]]:
        """Rejections that no rule made, by step and reason: these cannot be evaluated again."""
        if not len(self.steps):
            return []
        every = np.arange(len(self.steps))
        beside = self._beside(every, part=self.group * 2 + self.by_hand)
        where = [Clause("outcome", "==", "rejected"), Clause("rule_id", "is_null")]
        table = self.reader.count_by("events", ["part", "reason"], where, beside=beside)
        said = {(one.group, one.reason) for one in self.counted.families} if self.counted is not None else set()
        found: dict[tuple[int, str | None], int] = {}
        for part, reason, n in zip(*(table[name].to_pylist() for name in ("part", "reason", "n")), strict=True):
            if part % 2 and (part // 2, reason) in said:
                continue  # who writes a run by hand names the rule by its reason
            found[part // 2, reason] = found.get((part // 2, reason), 0) + n
        rows = sorted(found.items(), key=lambda one: (-one[1], str(one[0])))
        return [
            {"pipeline": self.names[group][0], "step_name": self.names[group][1], "reason": reason, "rejections": n}
            for (group, reason), n in rows
        ]

    def unknown(self) -> list[dict[str, Any]]:
        """What could not be counted."""
        if self.counted is None:
            return []
        counted = [
            (
                "not_counted",
                self.by_hand,
                "steps were written by hand, and do not say how often their rules were asked",
            ),
            ("not_ended", self.open, "steps have not ended, and are not counted"),
        ]
        with_rules = np.zeros(len(self.steps), dtype=np.bool_)
        with_rules[self.counted.step] = True
        return [
            {"cause": cause, "n": int((mask & with_rules).sum()), "detail": detail, "hint": None}
            for cause, mask, detail in counted
            if (mask & with_rules).any()
        ]


def _together(fields: Sequence[str]) -> list[list[str]]:
    """Fields in as many parts as are read, none with two that only differ in their case: engines mix those up."""
    parts: list[list[str]] = []
    for field in fields:
        lower = field.lower()
        free = (part for part in parts if len(part) < _FIELDS and lower not in {one.lower() for one in part})
        part = next(free, None)
        if part is None:
            parts.append([field])
        else:
            part.append(field)
    return parts


# A row of the answer


def _sole(health: Health | None, kills: int, evaluated: int, known: bool) -> dict[str, Any]:
    """How many items only this rule failed on: exactly, or from and to, and why it is not known exactly."""
    if not known:
        return {"sole_kills": None, "sole_kills_range": None, "sole_unknown": "not_counted"}
    low, high, failed = (health.sole, health.sole_at_most, health.failed_rows) if health is not None else (0, 0, 0)
    not_read = max(0, kills - failed)
    exact = low == high and not not_read
    return {
        "sole_kills": low if exact else None,
        "sole_kills_range": [low, high + not_read],
        "sole_unknown": None if exact else "not_read" if not_read else "not_all_asked",
    }


def _near(health: Health | None) -> dict[str, Any]:
    near: NearMisses | None = health.near if health is not None else None
    if near is None:
        return {"near_misses": None, "no_margin": health.no_margin if health is not None else "not_read"}
    edges = near.edges.tolist()
    found = {
        "values": near.values,
        "spread": near.spread,
        "within": near.width,
        "failed": near.failed,
        "failed_alone": near.failed_alone,
        "passed": near.passed,
        "below": near.below,
        "above": near.above,
        "bins": [
            {"from": low, "to": high, "n": n}
            for low, high, n in zip(edges, edges[1:], near.counts.tolist(), strict=False)
        ],
    }
    return {"near_misses": found, "no_margin": None}


def _share(share: Share) -> dict[str, Any]:
    return {
        "runs": share.clusters,
        "evaluated": share.of,
        "kills": share.found,
        "rate": share.rate,
        "interval": share.interval,
    }


def _close(row: Mapping[str, Any]) -> bool:
    return bool(row["near_misses"] and row["near_misses"]["failed"])


def _without_rule(row: Mapping[str, Any]) -> str:
    what = f"{shown(row['reason'] or 'a rejection without a reason')} at {shown(row['step_name'])}"
    return f'{what} has no rule: name its limit with step.require(field, "<=", limit, reason="…")'


def _first(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The order in which to look at rules: by what fell close to the limit and by no other rule that is known, then by
    what fell close, then by what only this rule took, then by all it took."""
    near = row["near_misses"] or {"failed": 0, "failed_alone": 0}
    sole = row["sole_kills_range"] or [0, 0]
    said = (str(row["pipeline"]), row["step_name"], row["reason"], row["field"], row["op"], str(row["threshold"]))
    return -near["failed_alone"], -near["failed"], -sole[0], -(row["kills"] or 0), said


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("pipeline", "step_name", "reason", "field", "op", "threshold")}


# The sentence


def _sentence(out: Mapping[str, Any]) -> str:
    rows: list[Mapping[str, Any]] = out["rules"]
    plain = out["without_rule"]["rejections"]
    without = f"{_many(plain, 'rejection')} came without a rule, and cannot be evaluated again." if plain else ""
    if out["did_you_mean"] is not None:
        return no_such_pipeline(out["pipeline"], out["did_you_mean"])
    if not out["runs"]:
        return "No run is recorded here, so there are no rules."
    if not rows:
        return f"No rule is recorded here. {without}".strip()
    said = [_look(rows[0]) if out["look_first"] else _nothing_close(rows), _idle(rows), without]
    return " ".join(one for one in said if one)


def _look(row: Mapping[str, Any]) -> str:
    near = row["near_misses"]
    of = f"{row['kills']:,} of {row['evaluated']:,} times that it was asked"
    alone = near["failed_alone"]
    also = f"{alone:,} of them by" if alone < near["failed"] else "by"
    also = f"{also} no other rule that is known" if alone else "all of them by other rules too"
    return (
        f"Look first at {_text(row)} in {shown(row['step_name'])}: it failed {of}, "
        f"{near['failed']:,} of these within {near['within']:.4g} of the limit, {also}."
    )


def _text(row: Mapping[str, Any]) -> str:
    """The rule; where its limit varied, its counts are of all the limits it had, so that is said."""
    many = row["thresholds"]
    if many == 1:
        return rule_text(row)
    limits = [one["threshold"] for one in row["drift"]["versions"]] if row["drift"] is not None else []
    span = ""
    if len(limits) == many and all(map(is_number, limits)):
        span = f" from {shown(min(limits))} to {shown(max(limits))}"
    elif len(limits) == many <= _NAMED:
        span = f", after {', '.join(map(limit_text, limits[:-1]))}"
    return f"{rule_text(row)} (the last of {many:,} limits{span})"


def _nothing_close(rows: Sequence[Mapping[str, Any]]) -> str:
    if all(row["evaluated"] is None for row in rows):
        many = f"{_many(len(rows), 'rule')} {'is' if len(rows) == 1 else 'are'} recorded"
        return f"{many}, but nothing says how often {'it was' if len(rows) == 1 else 'they were'} asked."
    return "No rule is known to have dropped anything close to its limit."


def _idle(rows: Sequence[Mapping[str, Any]]) -> str:
    """What could go."""
    said = []
    for name, one, more in (
        ("fires_never", "never dropped anything", "never dropped anything"),
        ("never_ran", "was never asked", "were never asked"),
        ("redundant_with", "failed only where another failed too", "failed only where another failed too"),
    ):
        some = [row for row in rows if row[name]]
        if len(some) == 1:
            said.append(f"{_text(some[0])} in {shown(some[0]['step_name'])} {one}")
        elif some:
            said.append(f"{len(some)} rules {more}")
    return f"{'; '.join(said)}." if said else ""


def _many(n: int, what: str) -> str:
    return f"1 {what}" if n == 1 else f"{n:,} {what}s"
