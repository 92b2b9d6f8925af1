"""The records of a posted run: steps in the order of the list, events as the SDK would have emitted them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from dxray.server.errors import nearest
from dxray.server.filters import FilterError, moment
from dxray.server.posted_shape import (
    ItemId,
    PostedDecision,
    PostedEvent,
    PostedRule,
    PostedRun,
    PostedStep,
    outcome_of,
    refuse,
)
from dxray.wire.predicates import UnknownOperator, comparison
from dxray.wire.records import STATUSES, AnyRecord, Decision, Events, Op, Rule, Run, Step

_SAID = tuple(status for status in STATUSES if status != "abandoned")  # that one is derived, never said


def records_of(run: PostedRun) -> list[AnyRecord]:
    """All records of a run. Raises `Invalid` naming a field by its path."""
    assert run.run_id is not None
    if run.status not in _SAID:
        refuse("status", f"there is no status {run.status!r} to post", nearest(run.status, _SAID))
    now = time.time_ns() // 1000
    started, ended, duration = _period(run.started_at, run.ended_at, run.duration_ms, "")
    out: list[AnyRecord] = [
        Run(
            run_id=run.run_id,
            version=now,
            pipeline=run.pipeline,
            status=run.status,  # type: ignore[arg-type]  # checked above
            started_at=started,
            ended_at=ended,
            duration_ms=duration,
            input=_text(run.input),
            output=_text(run.output),
            error=_error(run.error),
            metadata=_text(run.metadata),
            environment=run.environment,
            code_version=run.code_version,
            variant=run.variant,
            parent_run_id=run.parent_run_id,
            trace_id=run.trace_id,
        )
    ]
    ids = _step_ids(run.steps)
    for position, step in enumerate(run.steps):
        path = f"steps[{position}]"
        emitted = _Emitted(run.run_id, ids[position], now if started is None else started)
        emitted.step(step, path)
        out.append(_step(run, position, ids, now, len(emitted.ops)))
        out.extend(emitted.records())
    return out


def _step(run: PostedRun, position: int, ids: Sequence[str], now: int, events: int) -> Step:
    step, path = run.steps[position], f"steps[{position}]"
    started, ended, duration = _period(step.started_at, step.ended_at, step.duration_ms, f"{path}.")
    after, inferred = _after(run.steps, position, ids)
    if step.parent_step_id is not None and step.parent_step_id not in ids[:position]:
        refuse(
            f"{path}.parent_step_id",
            f"no earlier step has the id {step.parent_step_id!r}",
            nearest(step.parent_step_id, ids[:position]),
        )
    return Step(
        run_id=run.run_id or "",
        step_id=ids[position],
        version=now,
        name=step.name,
        position=position,
        type=step.step_type,
        parent_step_id=step.parent_step_id,
        after=after,
        after_inferred=inferred,
        attempt=step.attempt,
        started_at=started,
        ended_at=ended,
        duration_ms=duration,
        input=_text(step.input),
        output=_text(step.output),
        input_count=step.input_count,
        output_count=step.output_count,
        rejection_counts=step.rejection_counts,
        cutoff=step.cutoff,
        config=_text(step.config),
        usage=_text(step.usage),
        metadata=_text(step.metadata),
        error=_error(step.error),
        rules=[_rule(rule, f"{path}.rules[{number}]") for number, rule in enumerate(step.rules)],
        events=events,
    )


def _step_ids(steps: Sequence[PostedStep]) -> list[str]:
    said = {step.step_id for step in steps if step.step_id is not None}
    ids: list[str] = []
    for number, step in enumerate(steps, 1):
        path = f"steps[{number - 1}].step_id"
        step_id = step.step_id
        if step_id is None:
            step_id = f"s{number}"
            while step_id in said:
                step_id += "_"
        elif not step_id:
            refuse(path, "is empty", "leave it out and one is made")
        elif step_id in ids:
            refuse(path, f"{step_id!r} is the id of an earlier step too", "give each step its own, or none")
        ids.append(step_id)
    return ids


def _after(steps: Sequence[PostedStep], position: int, ids: Sequence[str]) -> tuple[list[str], bool]:
    """The ids of the steps whose items a step takes: as said by name or id, else the sibling before it."""
    step = steps[position]
    if step.after is None:
        siblings = [n for n in range(position) if steps[n].parent_step_id == step.parent_step_id]
        return ([ids[siblings[-1]]] if siblings else []), True
    names = {steps[n].name: ids[n] for n in range(position)}
    found: list[str] = []
    for number, said in enumerate(step.after):
        step_id = said if said in ids[:position] else names.get(said)
        if step_id is None:
            refuse(
                f"steps[{position}].after[{number}]",
                f"no earlier step has the name or id {said!r}",
                nearest(said, [*names, *ids[:position]]),
            )
        if step_id not in found:
            found.append(step_id)
    return found, False


def _rule(rule: PostedRule, path: str) -> Rule:
    try:
        comparison(rule.op)
    except UnknownOperator as error:
        refuse(f"{path}.op", str(error))
    if rule.op == "between" and not (isinstance(rule.threshold, list) and len(rule.threshold) == 2):
        refuse(f"{path}.threshold", "between takes two limits", "write [low, high]")
    if rule.op in ("in", "not_in") and not isinstance(rule.threshold, list):
        refuse(f"{path}.threshold", f"{rule.op} takes an array of values", "write [value, …]")
    return Rule(rule.field, rule.op, msgspec.json.encode(rule.threshold).decode(), rule.reason)


class _Emitted:
    """The rows of one step, and its decisions, in the order in which the SDK would have emitted them."""

    def __init__(self, run_id: str, step_id: str, at: int) -> None:
        self.run_id, self.step_id, self.at = run_id, step_id, at
        self.ops = bytearray()
        self.ids: list[str] = []
        self.a: list[Any] = []
        self.b: list[Any] = []
        self.by: dict[int, str] = {}
        self.decisions: list[Decision] = []
        self._consumed: set[str] = set()
        self._scores: dict[str, float] = {}  # of items that nothing decided yet

    def step(self, step: PostedStep, path: str) -> None:
        """All events, then all decisions."""
        for number, event in enumerate(step.events):
            self._event(event, outcome_of(event, f"{path}.events[{number}]"))
        for number, decision in enumerate(step.decisions):
            self._decision(decision, number, f"{path}.decisions[{number}]")

    def records(self) -> list[AnyRecord]:
        """One chunk of events if there are any, and the decisions."""
        chunk = Events(
            run_id=self.run_id,
            step_id=self.step_id,
            first=0,
            at=self.at,
            ops=bytes(self.ops),
            ids=self.ids,
            a=self.a,
            b=self.b,
            by=self.by,
        )
        return [*([chunk] if self.ops else []), *self.decisions]

    def _row(self, op: int, item: str, a: Any = None, b: Any = None, by: str | None = None) -> None:
        if by is not None and by != "code":
            self.by[len(self.ops)] = by
        self.ops.append(op)
        self.ids.append(item)
        self.a.append(a)
        self.b.append(b)

    def _event(self, event: PostedEvent, op: int) -> None:
        item, evidence, by = str(event.item_id), event.evidence, event.by
        if event.name is not None and op != Op.PRODUCED:
            # Only an item that a step produces has a place for its name; elsewhere it is a fact like others.
            evidence = {"name": event.name, **(evidence or {})}
        parents = list(dict.fromkeys(map(str, event.parents or ())))
        for parent in parents:
            if parent not in self._consumed:
                self._consumed.add(parent)
                self._row(Op.CONSUMED, parent)
        if op == Op.PRODUCED:
            if evidence is None and event.kind is None:
                self._row(op, item, event.name, parents or None, by)
            else:
                self._row(Op.PRODUCED_WITH, item, [event.name, parents or None, event.kind], evidence, by)
        if event.score is not None and (op not in (Op.SELECTED, Op.OUTRANKED) or event.parts):
            self._row(Op.SCORED, item, event.score, event.parts, by)
        self._outcome(event, op, item, evidence)
        if event.score is not None and op in (Op.PRODUCED, Op.ACCEPTED):
            self._scores[item] = event.score
        else:
            self._scores.pop(item, None)

    def _outcome(self, event: PostedEvent, op: int, item: str, evidence: Any) -> None:
        if op == Op.PRODUCED:
            if event.reason is not None:
                self._row(Op.ACCEPTED, item, event.reason, None, event.by)
        elif op in (Op.ACCEPTED, Op.REJECTED):
            self._row(op, item, event.reason, evidence, event.by)
        elif op == Op.MERGED:
            if event.reason is not None:  # a merged row has no place for it
                self._row(Op.ACCEPTED, item, event.reason, None, event.by)
            self._row(op, item, str(event.into), evidence, event.by)
        else:
            if evidence is not None or (op == Op.CONSUMED and event.reason is not None):
                self._row(Op.ACCEPTED, item, event.reason if op == Op.CONSUMED else None, evidence, event.by)
            if op == Op.CONSUMED:
                self._row(op, item, None, None, event.by)
            else:
                self._row(op, item, event.reason, event.score, event.by)

    def _decision(self, decision: PostedDecision, number: int, path: str) -> None:
        said = decision.selected
        winners = [] if said is None else [str(one) for one in (said if isinstance(said, list) else [said])]
        for winner in dict.fromkeys(winners):
            score = decision.score if decision.score is not None else self._scores.get(winner)
            self._row(Op.SELECTED, winner, decision.reason, score)
        named = set(winners)
        for place, alternative in enumerate(decision.alternatives or ()):
            item, score = _alternative(alternative, f"{path}.alternatives[{place}]")
            if item not in named:
                named.add(item)
                self._row(Op.OUTRANKED, item, None, self._scores.get(item) if score is None else score)
        for item, score in self._scores.items():
            if item not in named:
                self._row(Op.OUTRANKED, item, None, score)
        self._scores.clear()
        self.decisions.append(
            Decision(
                run_id=self.run_id,
                step_id=self.step_id,
                number=number,
                decision=decision.decision,
                selected=winners,
                reason=decision.reason,
                score=decision.score,
                alternatives=_text(decision.alternatives),
                at=self.at,
            )
        )


def _alternative(said: ItemId | dict[str, Any], path: str) -> tuple[str, float | None]:
    if not isinstance(said, dict):
        return str(said), None
    item = said.get("id", said.get("item_id"))
    if isinstance(item, bool) or not isinstance(item, str | int):
        refuse(f"{path}.id", "an alternative names its item", "write {'id': …, 'score': …}")
    score = said.get("score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        refuse(f"{path}.score", f"expected a number, got {score!r}")
    return str(item), None if score is None else float(score)


def _period(
    started: str | None, ended: str | None, duration_ms: float | None, dot: str
) -> tuple[int | None, int | None, float | None]:
    """Start, end and duration; the third from the other two, where it was not said."""
    start, end = _time(started, f"{dot}started_at"), _time(ended, f"{dot}ended_at")
    if start is not None and end is not None:
        if end < start:
            refuse(f"{dot}ended_at", f"{ended} is before started_at {started}")
        return start, end, (end - start) / 1000 if duration_ms is None else duration_ms
    if duration_ms is not None and start is not None:
        end = start + round(duration_ms * 1000)
    elif duration_ms is not None and end is not None:
        start = end - round(duration_ms * 1000)
    return start, end, duration_ms


def _time(text: str | None, path: str) -> int | None:
    if text is None:
        return None
    if not text[:4].isdigit() or len(text) < 10:
        refuse(path, f"{text[:40]!r} is no time", "write RFC 3339, such as 2026-11-23T08:00:00Z")
    try:
        return moment(text, path)
    except FilterError as error:
        refuse(path, f"{text[:40]!r} is no time", error.fix)


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _error(value: str | dict[str, Any] | None) -> str | None:
    return _text({"type": None, "message": value} if isinstance(value, str) else value)
