"""What would another threshold have done, over recorded history? See `reasoning.replay` for what is certain.

`flipped` counts (run, step, item): items that came to a step whose rules are changed, and that the step by itself now
rejects and did not, or rejected and does not now. [lo, hi]: those that certainly do, and those that may. Where sampled
evidence leaves items open, an estimate with its interval stands beside it: see `reasoning.samples`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from dxray.server.errors import Invalid, NotFound, nearest
from dxray.server.filters import Clause
from dxray.server.reasoning.attempts import without_superseded
from dxray.server.reasoning.histories import OF_RUN, by_run, histories, share_what_they_show
from dxray.server.reasoning.limits import Change, as_double, is_number, kind_of
from dxray.server.reasoning.outcomes import Outcomes
from dxray.server.reasoning.pipeline_names import pipelines_like
from dxray.server.reasoning.replay import replay
from dxray.server.reasoning.selection import equal, period, runs_where
from dxray.server.reasoning.sentences import limit_text, shown
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.reasoning.sweeps import SWEPT, steepest, thresholds
from dxray.server.reasoning.swept import Asked, one_may_be_enough, sweep
from dxray.server.store.base import Reader

_RUNS = 500  # runs that are replayed, the newest
_EVENTS = 1_000_000  # and their events together
_OF_RULE = ("run_id", "step_id", "number", "rule_id", "field", "op", "threshold", "reason", "evaluated", "failed")
_OF_STEP = ("run_id", "step_id", "step_name", "attempt", "missing_events", "entered", "produced", "rejected")


def whatif(
    reader: Reader,
    *,
    changes: Sequence[Change] = (),
    swept: Mapping[str, Any] | None = None,
    pipeline: str | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `FilterError`, `Invalid` for a change that cannot be asked, and
    `NotFound` where no run is asked of."""
    if not changes and not swept:
        raise Invalid(
            "no change was given", field="changes", fix='give changes: [{"reason": …, "threshold": …}], or a sweep'
        )
    _one_change_a_rule(changes)
    where = [*equal(pipeline=pipeline), *period(since, until, "started_at"), *runs_where(reader, q)]
    runs = reader.select("runs", OF_RUN, where, ["-started_at", "-run_id"])
    if not runs.num_rows:
        raise _no_runs(reader, pipeline)
    rules = _Rules(reader, runs)
    for number, change in enumerate(changes):
        rules.check(change, f"changes.{number}")
    points = rules.points(swept) if swept else None
    rows = runs.to_pylist()
    concerned = rules.runs_of(changes)
    asked = [row for row in rows if row["run_id"] in concerned]
    taken = _not_too_many(reader, asked)
    found = Outcomes(changes)
    replayed = list(zip(taken, histories(reader, taken), strict=True))
    share_what_they_show((row["pipeline"], run) for row, run in replayed)
    for row, run in replayed:
        found.add(row, run, replay(run, changes))
    out = {
        "pipeline": pipeline or _one({row["pipeline"] for row in asked or rows}),
        "runs": len(rows),
        "runs_with_rule": len(asked),
        "replayed": len(taken),
        "not_looked_at": len(asked) - len(taken),
        **found.answer(reader, rules.before(changes)),
        "curve": [],
    }
    if swept and points is not None:
        out["curve"] = _curve(reader, rules, swept, points)
    out["sentence"] = _sentence(out, changes, swept)
    return out


def _one_change_a_rule(changes: Sequence[Change]) -> None:
    """Refuse two changes that may be of one rule: which of them is meant, nothing says."""
    for number, change in enumerate(changes):
        for before in changes[:number]:
            apart = None not in (change.step_name, before.step_name) and change.step_name != before.step_name
            if change.reason == before.reason and not apart:
                both = f"{_said(before)} and {_said(change)}"
                raise Invalid(
                    f"{change.reason!r} is changed twice: {both}",
                    field=f"changes.{number}",
                    fix="give one change of each rule; where steps differ, give each its step_name",
                )


def _said(change: Change) -> str:
    where = f" at {shown(change.step_name)}" if change.step_name is not None else ""
    return ("switched off" if change.disable else f"to {limit_text(change.threshold)}") + where


def _no_runs(reader: Reader, pipeline: str | None) -> NotFound:
    near = pipelines_like(reader, pipeline)
    if pipeline is None or near is None:
        return NotFound("there are no such runs", field="q", fix="GET /runs lists the runs there are")
    return NotFound(
        f"no run of a pipeline {pipeline!r} is recorded",
        field="pipeline",
        fix=f"did you mean {' or '.join(map(repr, near))}?" if near else "GET /pipelines lists those there are",
    )


class _Rules:
    """The rules of the runs that are asked for."""

    def __init__(self, reader: Reader, runs: pa.Table) -> None:
        self._reader, self._runs = reader, runs.select(["run_id"])
        self.by_hand = {row["run_id"] for row in runs.to_pylist() if row["request_hash"] is not None}
        rows = reader.select("rules", _OF_RULE, order=["step_id", "number"], beside=self._runs).to_pylist()
        ran = {row["run_id"] for row in rows}
        steps = without_superseded(reader, reader.select("steps", _OF_STEP, beside=self._runs)).to_pylist()
        self.steps = {(row["run_id"], row["step_id"]): row for row in steps if row["run_id"] in ran}
        self.rows = [row for row in rows if (row["run_id"], row["step_id"]) in self.steps]

    def of(self, reason: str, step_name: str | None = None) -> list[Row]:
        """The rules with a reason, at the steps of a name."""
        found = [row for row in self.rows if row["reason"] == reason]
        return [row for row in found if step_name is None or self._name(row) == step_name]

    def _name(self, row: Row) -> str:
        return str(self.steps[row["run_id"], row["step_id"]]["step_name"])

    def check(self, change: Change, at: str) -> None:
        """Refuse a change of a rule that there is not, or to what it cannot be compared with."""
        found = self._known(change.reason, change.step_name, at)
        if change.disable:
            return
        kinds = {kind_of(parsed(row["threshold"])) for row in found}
        if kind_of(change.threshold) not in kinds:
            raise Invalid(
                f"{change.reason!r} compares with {' or '.join(sorted(kinds))}, and {change.threshold!r} is "
                f"{kind_of(change.threshold)}",
                field=f"{at}.threshold",
                fix=f"give {' or '.join(sorted(kinds))}, such as {found[-1]['threshold']}",
            )
        if any(row["op"] == "between" for row in found) and not _is_span(change.threshold):
            raise Invalid(
                f"{change.reason!r} lies between two limits", field=f"{at}.threshold", fix="give [lowest, highest]"
            )
        if any(row["op"] == "between" for row in found) and change.threshold[0] > change.threshold[1]:
            raise Invalid(
                f"{change.threshold!r} is a range from high to low, in which nothing lies",
                field=f"{at}.threshold",
                fix=f"give the lower limit first: {change.threshold[::-1]!r}",
            )

    def _known(self, reason: str, step_name: str | None, at: str) -> list[Row]:
        found = self.of(reason, step_name)
        if found:
            return found
        if self.of(reason):
            names = {self._name(row) for row in self.of(reason)}
            raise Invalid(
                f"no rule with the reason {reason!r} was recorded at {step_name!r}",
                field=f"{at}.step_name",
                fix=nearest(str(step_name), names),
            )
        known = {row["reason"] for row in self.rows}
        if self._rejected_with(reason):
            raise Invalid(
                f"items were rejected with {reason!r}, and no rule was recorded for it",
                field=f"{at}.reason",
                fix='record it as a rule: step.require(field, "<=", threshold, reason=…)'
                + (f"; {nearest(reason, known)}" if known else ""),
            )
        if not known:
            raise Invalid(
                "no rule was recorded in these runs",
                field=f"{at}.reason",
                fix="record rules: step.require(field, op, threshold, reason=…)",
            )
        raise Invalid(f"no rule has the reason {reason!r}", field=f"{at}.reason", fix=nearest(reason, known))

    def _rejected_with(self, reason: str) -> bool:
        where = [Clause("reason", "==", reason), Clause("outcome", "==", "rejected")]
        return bool(self._reader.count_by("events", (), where, beside=self._runs)["n"][0].as_py())

    def points(self, swept: Mapping[str, Any]) -> Any:
        """The thresholds of a sweep. Raises `Invalid` where the rule has no number to sweep."""
        found = self._known(swept["reason"], swept.get("step_name"), "sweep")
        if not all(row["op"] in SWEPT and is_number(parsed(row["threshold"])) for row in found):
            ops = sorted({row["op"] for row in found})
            raise Invalid(
                f"{swept['reason']!r} asks {' and '.join(ops)}: only a limit that is one number can be swept",
                field="sweep.reason",
                fix="ask for single changes of it",
            )
        places = [(row["run_id"], row["step_id"]) for row in found]
        if len(set(places)) < len(places):
            raise Invalid(
                f"several rules of one step have the reason {swept['reason']!r}, and would be swept as one",
                field="sweep.reason",
                fix="give each rule a reason of its own, or ask for single changes",
            )
        return thresholds(swept["from"], swept["to"], swept["points"])

    def runs_of(self, changes: Sequence[Change]) -> set[str]:
        """The runs with a rule that is changed."""
        return {row["run_id"] for change in changes for row in self.of(change.reason, change.step_name)}

    def before(self, changes: Sequence[Change]) -> list[dict[str, Any]]:
        """Each change beside what was recorded."""
        out = []
        for change in changes:
            found = self.of(change.reason, change.step_name)
            was = Counter(row["threshold"] for row in found)
            out.append(
                {
                    "step_name": _one({self._name(row) for row in found}),
                    "reason": change.reason,
                    "field": _one({row["field"] for row in found}),
                    "op": _one({row["op"] for row in found}),
                    "from": [parsed(text, text) for text, _ in was.most_common(5)],
                    "to": None if change.disable else change.threshold,
                    "disable": change.disable,
                }
            )
        return out

    def asked(self, reason: str, step_name: str | None) -> list[Asked]:
        """The rule at every step that has it, as a sweep needs it."""
        by_step: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            by_step.setdefault((row["run_id"], row["step_id"]), []).append(row)
        found = [self._asked(row, by_step[row["run_id"], row["step_id"]]) for row in self.of(reason, step_name)]
        either = {one.name for one in found if one.either}  # what a step does in one run, it may do in each
        return [replace(one, either=True) if one.name in either else one for one in found]

    def _asked(self, row: Row, rules: Sequence[Row]) -> Asked:
        step = self.steps[row["run_id"], row["step_id"]]
        by_hand = row["run_id"] in self.by_hand
        others = [one for one in rules if one is not row]
        later = [one for one in others if one["number"] > row["number"] or by_hand]
        passed = row["evaluated"] - row["failed"]
        twice = row["evaluated"] > (step["entered"] or 0) + (step["produced"] or 0)
        failed = sum(one["failed"] for one in others)
        taken_back = (step["rejected"] or 0) < row["failed"]
        counts = [(one["evaluated"], one["failed"]) for one in sorted(rules, key=_number)]
        return Asked(
            row["run_id"],
            row["step_id"],
            row["rule_id"],
            row["field"],
            row["op"],
            failed,
            bool(later),
            any(one["evaluated"] > passed for one in later),
            by_hand,
            bool(step["missing_events"]) or (not by_hand and (twice or taken_back)),
            (step["rejected"] or 0) < row["failed"] + failed,
            as_double(parsed(row["threshold"])),
            row["reason"],
            str(step["step_name"]),
            False if by_hand else one_may_be_enough(counts, step["rejected"] or 0),
        )


def _number(rule: Row) -> int:
    return int(rule["number"])


def _not_too_many(reader: Reader, rows: Sequence[Row]) -> list[Row]:
    """The newest, as long as their events are not too many to look at."""
    rows = rows[:_RUNS]
    here = [Clause("run_id", "in", [row["run_id"] for row in rows])]
    steps = by_run(reader.select("steps", ["run_id", "recorded_events"], here).to_pylist()) if rows else {}
    total = 0
    taken: list[Row] = []
    for row in rows:
        total += sum(step["recorded_events"] or 0 for step in steps.get(row["run_id"], ()))
        if taken and total > _EVENTS:
            break
        taken.append(row)
    return taken


def _curve(reader: Reader, rules: _Rules, swept: Mapping[str, Any], points: Any) -> list[dict[str, Any]]:
    found = sweep(reader, rules.asked(swept["reason"], swept.get("step_name")), points)
    return [{"threshold": at, "flipped": list(both)} for at, both in zip(points.tolist(), found, strict=True)]


def _is_span(threshold: Any) -> bool:
    return isinstance(threshold, list) and len(threshold) == 2 and all(is_number(one) for one in threshold)


def _one(names: set[Any]) -> Any:
    return next(iter(names)) if len(names) == 1 else None


# The sentence


def _sentence(out: Mapping[str, Any], changes: Sequence[Change], swept: Mapping[str, Any] | None) -> str:
    said = []
    if changes:
        said.append(_of_changes(out))
    if swept:
        said.append(_of_curve(out["curve"], swept))
    return " ".join(said)


def _of_changes(out: Mapping[str, Any]) -> str:
    head = "With " + " and ".join(_change(one) for one in out["changes"])
    low, high = out["flipped"]
    where = f"{_many(out['replayed'], 'run')} looked at"
    if out["not_looked_at"]:
        where = f"newest {out['replayed']:,} of {out['runs_with_rule']:,} runs"
    if not high:
        return f"{head}, nothing would be decided otherwise in the {where}."
    dropped, kept = out["newly_rejected"], out["newly_kept"]
    what = [f"{_span(dropped)} newly rejected"] if dropped[1] else []
    what += [f"{_span(kept)} newly kept"] if kept[1] else []
    flips = f"{_span([low, high])} of {_many(out['items'], 'item')} would be decided otherwise ({', '.join(what)})"
    said = f"{head}, {flips}, in {_span(out['runs_affected'])} of the {where}. {_of_sample(out['flipped_estimate'])}"
    return said + _of_winners(out)


def _of_sample(found: Mapping[str, Any] | None) -> str:
    """What the sample adds to the bounds."""
    if found is None:
        return ""
    low, high = found["interval"]
    many = f"{low:,} to {high:,} (95 %)"
    if found["about"] is not None:
        many = f"about {found['about']:,} ({low:,} to {high:,}, 95 %)"
    of = f"the evidence of {found['looked_at']:,} of {_many(found['items'], 'item')}"
    return f"By {of}, kept by chance, it is {many}. "


def _of_winners(out: Mapping[str, Any]) -> str:
    sure, most = out["winners_changed"]
    if not out["runs_with_winner"]:
        return "None of these runs records what it chose."
    if not most:
        return "Every run would still choose what it chose."
    of = _many(out["runs_with_winner"], "run")
    again = sorted({name for one in out["winner_changes"] for name in one["again"]})
    why = f"until {' and '.join(again)} has run again" if again else "from what was recorded"
    if not sure:
        return f"Whether {most:,} of {of} would choose something else cannot be said {why}."
    open_ = f"; of {most - sure:,} more it cannot be said {why}" if most > sure else ""
    return f"{sure:,} of {of} would choose something else{open_}."


def _change(one: Mapping[str, Any]) -> str:
    if one["disable"]:
        return f"the rule {shown(one['reason'])} switched off"
    was = [limit_text(value) for value in one["from"][:2]]
    before = f" instead of {' or '.join(was)}" if len(one["from"]) <= 2 else ""
    return f"{shown(one['reason'])} at {limit_text(one['to'])}{before}"


def _of_curve(curve: Sequence[Mapping[str, Any]], swept: Mapping[str, Any]) -> str:
    first, last = curve[0], curve[-1]
    said = (
        f"From {shown(first['threshold'])} to {shown(last['threshold'])}, {shown(swept['reason'])} decides otherwise "
        f"about {_span(first['flipped'])} items at the one end and {_span(last['flipped'])} at the other"
    )
    steep = steepest([one["threshold"] for one in curve], [tuple(one["flipped"]) for one in curve])
    if steep is None:
        return said + "."
    return f"{said}; most change between {shown(steep[0])} and {shown(steep[1])}."


def _span(both: Sequence[int]) -> str:
    return f"{both[0]:,}" if both[0] == both[1] else f"{both[0]:,} to {both[1]:,}"


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
