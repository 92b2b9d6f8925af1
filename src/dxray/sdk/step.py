"""A step: where a pipeline says what became of its items. Every verb appends one row, and returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

from dxray.sdk import wide
from dxray.sdk.choices import choices_of
from dxray.sdk.chunk import NOTE
from dxray.sdk.fields import now_us
from dxray.sdk.guard import guard
from dxray.sdk.ledger import Ledger
from dxray.sdk.mending import LENGTH_LIMIT
from dxray.sdk.rules import NeverPasses, Predicate, RuleSet, StepRule
from dxray.sdk.values import as_count, as_optional_text, as_score, as_text, id_text, is_cut, json_text, plain
from dxray.wire.records import Decision, Op

_copy = dict.copy


class Step(Ledger):
    """One stage of a run; made by `run.step(...)`, used as a context manager.

    No method raises for what is recorded; the pipeline's own exceptions pass through and are noted.
    """

    # -- what became of an item ------------------------------------------------------------------

    def accept(self, item_id: Any, reason: str | None = None, evidence: Any = None, by: str | None = None) -> None:
        """The item goes on. `by`: who decided, when not code: `rule`, `model`, `person`."""
        try:
            if by is not None:
                self._decided_by(1, item_id, reason, evidence, by)
                return
            rows = self._rows
            rows += (1, item_id, reason, None if evidence is None else _copy(evidence))
            if len(rows) >= self._limit:
                self._spill()
        except Exception as error:
            self._oddly(Op.ACCEPTED, item_id, reason, evidence, error)

    def reject(self, item_id: Any, reason: str, evidence: Any = None, by: str | None = None) -> None:
        """The item stops here. `reason` is a short code, `evidence` the facts, copied one level deep."""
        try:
            if by is not None:
                self._decided_by(2, item_id, reason, evidence, by)
                return
            rows = self._rows
            rows += (2, item_id, reason, None if evidence is None else _copy(evidence))
            if len(rows) >= self._limit:
                self._spill()
        except Exception as error:
            self._oddly(Op.REJECTED, item_id, reason, evidence, error)

    def produce(
        self,
        item_id: Any,
        name: str | None = None,
        parents: Sequence[Any] | None = None,
        *,
        kind: str | None = None,
        evidence: Any = None,
    ) -> None:
        """The item enters the run here. `parents` are the items it came from; they are consumed here."""
        try:
            if parents is not None:
                parents = wide.one_or_several(parents)
                self._consume(parents)
            rows = self._rows
            if kind is None and evidence is None:
                rows += (0, item_id, name, parents or None)
            else:
                rows += (12, item_id, [name, parents, kind], None if evidence is None else _copy(evidence))
            if len(rows) >= self._limit:
                self._spill()
        except Exception as error:
            known = parents if type(parents) is list else None
            self._oddly(Op.PRODUCED_WITH, item_id, [name, known, kind], evidence, error)

    def merge(self, item_id: Any, into: Any, evidence: Any = None) -> None:
        """The item is the same as, or became part of, `into`."""
        with guard, self._counting_loss(1):
            self._add((Op.MERGED, item_id, into, None if evidence is None else plain_evidence(evidence)))

    def score(self, item_id: Any, score: float, parts: Mapping[str, float] | None = None) -> None:
        """An item's score here, and the parts it is made of. An observation, not an outcome."""
        try:
            points = score if type(score) is float else as_score(score)
            self._add((Op.SCORED, item_id, points, None if parts is None else plain_evidence(parts)))
        except Exception as error:
            self._lost("not_recorded", 1)
            guard.caught(error)

    def refer(self, item_id: Any, to: Any, kind: str = "beaten_by") -> None:
        """The item relates to another: `beaten_by` or `duplicate_of`."""
        with guard, self._counting_loss(1):
            self._add((Op.REFERS, item_id, to, as_text(kind)))

    def cutoff(self, k: int) -> None:
        """Of the items scored here the best `k` go on; the others are outranked."""
        with guard:
            self._cutoff = as_count(k, 2**31 - 1)

    def decide(
        self,
        decision: str,
        selected: Any = None,
        reason: str | None = None,
        score: float | None = None,
        alternatives: Iterable[Any] | None = None,
    ) -> None:
        """A choice: one winner or a list of them, and the alternatives it was made from.

        An alternative is an id, or `{"id": ..., "score": ..., "reason": ...}`. Whatever else was
        scored at this step and is not named is outranked too.
        """
        with guard, self._counting_loss(1):
            winners, _, _ = choices_of(selected, self._lost)
            points = as_score(score)
            named = [as_text(winner) for winner in winners[:LENGTH_LIMIT]]
            alone = points if len(winners) == 1 else None
            self._add_all(Op.SELECTED, winners, [reason] * len(winners), [alone] * len(winners))
            self._lost("truncated", len(winners) > LENGTH_LIMIT)  # of the choice; the rows are whole
            offered: str | None = None
            with guard, self._counting_loss(1):  # they cost nobody but themselves
                offered = self._offer(alternatives, winners)
            self._decisions = [
                *self._decisions,
                Decision(
                    run_id=self._run.run_id,
                    step_id=self.step_id,
                    number=len(self._decisions),
                    decision=as_text(decision),
                    selected=named,
                    reason=as_optional_text(reason),
                    score=points,
                    alternatives=offered,
                    at=now_us(),
                ),
            ]

    # -- rules -----------------------------------------------------------------------------------

    def require(self, field: str, op: str, threshold: Any, reason: str | None = None) -> Predicate:
        """A rule `field op threshold`, recorded, so that another threshold can be tried later.

        Operators: `< <= > >= == != in not_in between`. `rule.passes(item_id, value)` evaluates it.
        An unknown operator never passes: it is a mistake of recording, and the log names the nearest.
        """
        with guard:
            rule = StepRule(self, len(self._rules), field, op, threshold, reason)
            for known in self._rules:
                if known.same_as(rule):
                    return known
            self._rules = [*self._rules, rule]
            return rule
        return NeverPasses()

    def require_all(self, rules: Iterable[Any]) -> Any:
        """Several rules, all evaluated on every item. Takes rules or `(field, op, threshold, reason)`."""
        with guard:
            return RuleSet(self, [self._own(rule) for rule in rules])
        return NeverPasses()

    def _own(self, rule: Any) -> Predicate:
        """A rule of this step, whichever way it was given."""
        if isinstance(rule, NeverPasses) or (isinstance(rule, StepRule) and rule._step is self):
            return rule
        if isinstance(rule, Predicate):
            return self.require(rule.field, rule.op, rule.threshold, rule.reason)
        if isinstance(rule, str | bytes):
            raise TypeError("a rule is (field, operator, threshold, reason), not a text")
        return self.require(*rule)

    # -- many at once ----------------------------------------------------------------------------

    def produce_many(
        self,
        ids: Any,
        names: Any = None,
        parents: Sequence[Any] | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Items that enter here, in bulk. `parents` holds for all of them; columns are lists or arrays."""
        with guard:
            if parents is not None and (parents := wide.one_or_several(parents)):
                wide.produce_each(self, wide.rows_of(self, ids, names, evidence), parents)
            else:
                wide.record(self, Op.PRODUCED, ids, names, evidence)

    def accept_many(self, ids: Any, reason: str | None = None, evidence: Mapping[str, Any] | None = None) -> None:
        """Items that go on, in bulk: lists, NumPy or Arrow arrays of equal length."""
        with guard:
            wide.record(self, Op.ACCEPTED, ids, reason, evidence)

    def reject_many(self, ids: Any, reason: Any, evidence: Mapping[str, Any] | None = None) -> None:
        """Items that stop here, in bulk. `reason` is one code for all, or a column of codes."""
        with guard:
            wide.record(self, Op.REJECTED, ids, reason, evidence)

    def score_many(self, ids: Any, scores: Any, parts: Mapping[str, Any] | None = None) -> None:
        """Scores in bulk."""
        with guard:
            wide.record(self, Op.SCORED, ids, scores, parts)

    def filtered(self, before: Iterable[Any], after: Iterable[Any], reason: str, key: Any = None) -> list[Any]:
        """Record a filter from what it was given and what it left; returns what it left, as a list.

        `key` says how to get an item's id: a function, or the name of an attribute or key; by default
        the item's `id`, or the item itself.
        """
        left = list(after)
        items = left
        with guard, self._counting_loss(1):
            items = list(before)
        kept, gone = list[Any](), list[Any]()
        with guard, self._counting_loss(len(items)):
            ids = [wide.id_of(item, key) for item in left]
            here = {id_text(i) for i in ids}
            kept, gone = ids, [i for i in (wide.id_of(item, key) for item in items) if id_text(i) not in here]
        wide.divide(self, kept, gone, reason)
        return left

    def mask(self, frame: Any, keep: Any, reason: str, id: Any = None) -> Any:
        """Record a boolean mask over a frame, array or list, and return what it keeps.

        `id` names the column (or attribute) that holds the ids; by default the frame's index.
        """
        if not hasattr(keep, "__len__"):
            keep = list(keep)  # a generator can be read only once
        kept = wide.masked(frame, keep)
        stay, gone = list[Any](), list[Any]()
        with guard, self._counting_loss(len(keep)):
            ids = list(wide.ids_of(frame, id))
            flags = wide.listed(wide.laid(frame, keep))
            if len(ids) != len(flags):
                raise ValueError("a mask has one flag for each item")
            stay, gone = list(compress(ids, flags)), [i for i, flag in zip(ids, flags, strict=True) if not flag]
        wide.divide(self, stay, gone, reason)
        return kept

    # -- what it ran with ----------------------------------------------------------------------------

    def set_config(self, **config: Any) -> None:
        """What it ran with: model, prompt version, temperature. Part of comparing two runs."""
        with guard:
            self._config = self._added(self._config, config, "config")

    def set_usage(self, **usage: Any) -> None:
        """What it took: model, input_tokens, output_tokens, cost."""
        with guard:
            self._usage = self._added(self._usage, usage, "usage")

    # -- counts ----------------------------------------------------------------------------------

    def set_input_count(self, count: int) -> None:
        """How many items came in, where not every one is recorded."""
        with guard:
            self._input_count = as_count(count)

    def set_output_count(self, count: int) -> None:
        """How many items go on."""
        with guard:
            self._output_count = as_count(count)

    # -- what is not the common case --------------------------------------------------------------

    def _offer(self, alternatives: Iterable[Any] | None, winners: list[Any]) -> str:
        """The alternatives of a choice are outranked, but for who won; all of them as JSON text."""
        ids, scores, reasons = choices_of(alternatives, self._lost)
        given = zip(ids[: LENGTH_LIMIT + 1], scores, reasons, strict=False)
        offered, marks = json_text([{"id": i, "score": s, "reason": why} for i, s, why in given])
        self._lost("truncated", is_cut(marks))
        if ids and winners:
            won = set(map(id_text, winners))
            lost = [id_text(i) not in won for i in ids]
            ids, scores, reasons = (list(compress(column, lost)) for column in (ids, scores, reasons))
        self._add_all(Op.OUTRANKED, ids, reasons, scores)
        return offered

    def _decided_by(self, op: int, item_id: Any, reason: Any, evidence: Any, by: str) -> None:
        """A row and its note, in one step, so that no other thread's row comes between."""
        self._noted = True
        facts = None if evidence is None else plain_evidence(evidence)
        self._add((op, item_id, reason, facts, NOTE, item_id, "by", as_text(by, 64)))

    def _oddly(self, op: int, item_id: Any, a: Any, evidence: Any, error: Exception) -> None:
        """Evidence that is no dict: recorded as what it can be turned into."""
        with guard:
            if isinstance(error, TypeError) and not issubclass(type(evidence), dict):
                self._add((op, item_id, a, plain_evidence(evidence)))
            else:
                self._lost("not_recorded", 1)
                guard.caught(error)

    def _consume(self, parents: Sequence[Any]) -> None:
        if self._consumed is None:
            self._consumed = set()
        for parent in parents:
            known = parent if type(parent) in (str, int) else id_text(parent)
            if known not in self._consumed:
                self._consumed.add(known)
                self._rows.extend((6, parent, None, None))


def plain_evidence(evidence: Any) -> dict[Any, Any]:
    """A dict of any evidence: one level copied, or `{"value": ...}` where it has no keys. Never raises."""
    try:
        if isinstance(evidence, Mapping):
            return dict(evidence)
    except Exception:
        return {"value": evidence}
    simpler = plain(evidence)
    return simpler if type(simpler) is dict else {"value": evidence}
