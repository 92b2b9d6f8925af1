"""What a run would have decided under other limits, from what it recorded. Pure functions over arrays of its items.

Sources: hypothetical reasoning over history (Mahif), short-circuit provenance; nothing is executed again.

*At a step.* Every rule is asked again, of what was observed at this step, else of the item's other evidence in the run
where that has one value only. All known: certain. An item that passes the changed rule, and that later rules never saw,
reaches those, and then nothing is known (`MAYBE`). A rule that was not asked of an item that went on was skipped by the
code, and is skipped again. A rejection without a rule stays, unless a rule had rejected the item before. Where the step
rejects without a rule in any run that was looked at, an item that newly passes may be rejected that way. An item that
went on although a rule failed on it was overruled, and may be again. Events that did not arrive leave changes possible.

*Between steps.* An item that is certainly gone is gone from all later steps; so are those that were made from it alone.
A newly kept item reaches the next step; its rules are evaluated where their facts are known, and a step without rules
may do anything with it. Assumed is that steps judge each item alone, but for those that show otherwise:

- a choice (a decision, a cut-off): where the recorded winners are exactly the best scores, removing items makes the
  next best win, and a cut-off refills. Without a recorded cut-off that is certain only of scores that were seen to win,
  and how many win only where that was one in every run (see `choosing`). An item without a score there has the one of
  an earlier step if all items that were scored at both have the same at both. Ties, unscored items, several decisions
  in one step and other ways to choose leave the outcome open;
- rejections without a rule in a step that ranks, selects or merges, that fall where the scores are cut, or whose
  reason speaks of the others (`duplicate`, `below_top_k`): where items are gone, these may be kept, and where others
  come, what was kept may go. A step that dropped nothing so far shows nothing of the kind, and is taken at its word;
- a step that keeps what fails a rule may keep what passes one of several: what newly fails is open there;
- a merge of items, parallel branches of which only some dropped an item, items made from no recorded parent: open;
- a step that generates, uses a tool, asks a person, or has a model in its config (unless it is a filter or transform
  with a seed, drawn for each item) has to run again where its input differs: `replay_needed`, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dxray.server.reasoning.choosing import chosen, how_it_chose
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.limits import (
    MAYBE,
    NO,
    YES,
    Array,
    Change,
    Limit,
    Observed,
    asked_again,
    change_of,
    verdicts,
)
from dxray.server.store.cancel import check
from dxray.wire.records import OUTCOMES

REJECTED, SELECTED = OUTCOMES.index("rejected"), OUTCOMES.index("selected")
PRODUCED, MERGED, CONSUMED = (OUTCOMES.index(one) for one in ("produced", "merged", "consumed"))
OUTRANKED, UNSAID = OUTCOMES.index("outranked"), -1
_DROPPED = np.array([one in (REJECTED, MERGED, CONSUMED) for one in [*range(len(OUTCOMES)), UNSAID]])  # UNSAID is last
_OF_ALL = ("rank", "select", "merge", "route")
_OF_OTHERS = re.compile(r"dup|same_|top|rank|cut|limit|quota|too_many|max_|best|worse|lower", re.IGNORECASE)


@dataclass(slots=True)
class At:
    """What one step recorded of the run's items, each array as long as there are items."""

    stage: Stage
    rules: tuple[Limit, ...]
    present: Array  # bool: it has events here
    outcome: Array  # int8: place in `OUTCOMES` of the last one; UNSAID where no event says
    ruled: Array  # bool: what rejected it is a rule
    reason: Array  # int32: of the last rejection, a place in `History.words`; -1 for none
    asked: Array  # int8, rules x items: -1 not asked, else what it said, 0 or 1
    observed: tuple[Observed, ...]  # by rule; where it was not asked, the facts known of the item in the run
    score: Array  # float64, NaN for none
    sources: tuple[int, ...]  # places of the steps before it
    child: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    parent: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    plain: bool = False  # it rejects without a rule, here or in another run
    either: bool = False  # it keeps what fails a rule, here or in another run: one of several may do
    choices: int = 1  # decisions of the step
    least_won: float = np.inf  # the lowest score that it chose, here or in another run
    varies: bool = False  # how many it chose is another number in another run
    again: bool = False  # has to run again where its input differs

    @property
    def dropped(self) -> Array:
        """What it did not let pass, choices apart."""
        gone: Array = self.present & _DROPPED[self.outcome]
        return gone

    @property
    def won(self) -> Array:
        """What it chose."""
        taken: Array = self.outcome == SELECTED if self.stage.decided else self.outcome != OUTRANKED
        return self.present & ~self.dropped & taken

    @property
    def chooses(self) -> bool:
        """Whether what goes on depends on the others."""
        return self.stage.decided or self.stage.cutoff is not None or bool((self.outcome == OUTRANKED).any())


@dataclass(frozen=True, slots=True)
class Sample:
    """Which items' evidence was left to chance: their chance, 0 of the others, and whether it was kept by it."""

    p: Array
    kept: Array  # bool


@dataclass(slots=True)
class History:
    """One run."""

    run_id: str
    items: Sequence[str]
    at: list[At]  # in dataflow order
    words: Sequence[str]  # reasons
    by_hand: bool = False  # posted: which rules were asked of what is not known
    whole: bool = True  # it completed, and nothing of it was lost
    sample: Sample | None = None  # None where no evidence was left to chance


@dataclass(slots=True)
class Judged:
    """One step with the changes: what its rules say of the items that came to it."""

    passes: Array  # int8, rules x items
    before: Array  # bool: the step let it pass
    after: Array  # int8
    changed: Array  # bool, by rule


@dataclass(slots=True)
class Replayed:
    """A run with the changes. `out` is by step, whether an item goes on from it."""

    judged: dict[int, Judged]  # by place, the steps with a changed rule
    out: list[Array]
    into: list[Array]
    winners_before: Array  # bool
    winners_after: Array  # int8
    may_be_others: bool  # items may win that the run never saw
    again: list[str]  # steps that would have to run again for the choice, by name
    open_: list[str]  # steps that leave the choice open
    arrived: list[Array]  # bool, by step: what came to it in the record

    @property
    def exactness(self) -> str:
        """Of the winners."""
        if not self.may_be_others and not (self.winners_after == MAYBE).any():
            return "certain"
        return "replay_needed" if self.again else "bounded"

    @property
    def winners_changed(self) -> int:
        """YES, MAYBE or NO."""
        if (self.winners_before & (self.winners_after == NO)).any():
            return YES
        if (~self.winners_before & (self.winners_after == YES)).any():
            return YES
        open_ = self.may_be_others or bool((self.winners_after == MAYBE).any())
        return MAYBE if open_ else NO


# One step


def takes_either(at: At) -> bool:
    """Whether a step seems to keep what passes one of several rules: it kept what failed one, asked a later one of what
    failed an earlier one and not of all, or never asked a later one of what it kept for an earlier one."""
    kept = at.present & ~at.dropped
    if not len(at.rules) or not kept.any():
        return False
    if (at.asked[:, kept] == 0).any():
        return True
    skips: Array = np.any(at.asked[:, kept] < 0, axis=1)
    passed: Array = np.cumsum(at.asked > 0, axis=0) > (at.asked > 0)  # an earlier rule, by number
    enough = passed & kept
    if (enough.any(axis=1) & ~(enough & (at.asked >= 0)).any(axis=1)).any():
        return True
    failed: Array = np.cumsum(at.asked == 0, axis=0) > (at.asked == 0)  # an earlier rule, by number
    return bool((skips[:, None] & failed & (at.asked >= 0)).any())


def by_rank(at: At, score: Array, words: Sequence[str]) -> bool:
    """Whether what a step rejects without a rule depends on the others: a cut, or a choice among equals."""
    plainly = at.present & (at.outcome == REJECTED) & ~at.ruled
    if not plainly.any():
        return False
    if at.stage.type in _OF_ALL or any(
        _OF_OTHERS.search(words[one]) for one in np.unique(at.reason[plainly]) if one >= 0
    ):
        return True
    kept = at.present & ~at.dropped
    known = not np.isnan(score[plainly | kept]).any()
    return bool(known and kept.any() and score[kept].min() >= score[plainly].max())


def judge(at: At, changes: Sequence[Change], by_hand: bool) -> Judged:
    """The step's own verdicts with these changes, of all items: also of those that never came."""
    shape = (len(at.rules), len(at.present))
    before, after = np.full(shape, YES, dtype=np.int8), np.full(shape, YES, dtype=np.int8)
    changed = np.zeros(len(at.rules), dtype=bool)
    kept = at.present & ~at.dropped
    for n, limit in enumerate(at.rules):
        change = change_of(changes, limit, at.stage.name, at.stage.step_id)
        changed[n] = change is not None and change.changes(limit)
        before[n] = _said(at, n, kept, by_hand)
        after[n] = asked_again(limit, change, at.observed[n], before[n])
        if not by_hand:  # the code skipped it, and would again
            skipped = kept & (at.asked[n] < 0)
            after[n][skipped] = np.where(after[n][skipped] == YES, YES, MAYBE) if at.stage.lossy else YES
    let = _let(at, before, after, kept)
    return Judged(after, kept, let, changed)


def _said(at: At, rule: int, kept: Array, by_hand: bool) -> Array:
    """What a rule said, or would have: as observed, else from the item's other facts."""
    limit, asked = at.rules[rule], at.asked[rule]
    facts = verdicts(at.observed[rule], limit.op, limit.threshold)
    always = bool(kept.any()) and not by_hand and not at.stage.lossy and bool((asked[kept] >= 0).all())
    if not always:  # whoever is not asked of everything may not have been asked of this one
        facts = np.where(facts == NO, MAYBE, facts)
    said = np.where(asked >= 0, np.where(asked > 0, YES, NO), facts)
    return np.where(kept & (asked < 0), YES, said).astype(np.int8)


def _let(at: At, before: Array, after: Array, kept: Array) -> Array:
    """Whether the step lets an item pass, were it to come."""
    every = after.min(axis=0) if len(after) else np.full(len(kept), YES, dtype=np.int8)
    if at.either and len(after):
        every = np.where(after.max(axis=0) != NO, np.maximum(every, MAYBE), every)
    differs = (before != after).any(axis=0) if len(after) else np.zeros(len(kept), dtype=bool)
    unsure = np.minimum(every, MAYBE)
    overruled = kept & ((at.asked == 0).any(axis=0) if len(after) else False)
    out = np.where(overruled, np.where(differs, MAYBE, YES), every)
    if at.either:  # the rules that the record does not show may keep it
        out = np.where(kept & differs & (out == NO), MAYBE, out)
    ruled = at.dropped & at.ruled
    judged = np.where(differs, every, NO) if at.either else every  # as it was, it was rejected
    out = np.where(ruled, np.minimum(judged, MAYBE) if at.plain or at.stage.lossy else judged, out)
    plainly = at.dropped & ~at.ruled
    freed = ((before == NO) & (after != NO)).any(axis=0) if len(after) else np.zeros(len(kept), dtype=bool)
    out = np.where(plainly, np.where(freed & (at.outcome == REJECTED), MAYBE, NO), out)
    if at.stage.lossy:
        out = np.where(at.present & differs & (out != np.where(kept, YES, NO)), MAYBE, out)
    absent = ~at.present
    # What a step does with an item that it never saw, only rules say; of a choice, its scores.
    certain = (len(at.rules) > 0 or at.chooses) and not (at.plain or at.stage.lossy)
    return np.where(absent, every if certain else unsure, out).astype(np.int8)


# All steps


def replay(run: History, changes: Sequence[Change]) -> Replayed:
    """The run with these changes."""
    check()
    walk = _Walk(run, changes)
    for place in range(len(run.at)):
        walk.step(place)
    return walk.result()


class _Walk:
    """From step to step: what is different, so far."""

    def __init__(self, run: History, changes: Sequence[Change]) -> None:
        self.run, self.changes, self.n = run, changes, len(run.items)
        self.judged: list[Judged] = []
        self.arrived: list[Array] = []
        self.into: list[Array] = []
        self.let: list[Array] = []  # bool: what went on in the record
        self.out: list[Array] = []
        self.others: list[bool] = []  # whether items may come out of it that the run never saw
        self.again: list[set[str]] = []  # by step: what before it would have to run again
        self.open: list[set[str]] = []

    def step(self, place: int) -> None:
        at = self.run.at[place]
        judged = judge(at, self.changes, self.run.by_hand)
        self.judged.append(judged)
        came, comes = self._before(at)
        moved = self._moved(at)
        arrives = self._arrives(at, came, comes, moved)
        self.arrived.append(at.present)
        self.into.append(arrives)
        unseen_passes = not at.present.any()  # it said nothing of items, or is around other steps
        let = at.present & ~at.dropped & (at.outcome != OUTRANKED)
        let = at.won if at.stage.decided else let | (unseen_passes & (came == YES))
        again = set().union(*(self.again[one] for one in at.sources))
        open_ = set().union(*(self.open[one] for one in at.sources))
        others = any(self.others[one] for one in at.sources)
        does = judged.after
        if len(at.sources) > 1:  # what joins branches may reject what not all of them kept
            does = np.where(moved & at.dropped & ~at.ruled, MAYBE, does)
        does = self._among_others(place, at, does, arrives, others)
        out = np.minimum(arrives, does)
        differs = bool((at.present & (arrives != YES)).any() or (~at.present & (arrives != NO)).any() or others)
        out, fresh = self._made(place, at, out, differs or bool((moved & (came != comes)).any()))
        if not at.present.any():
            newly = (came == NO) & (comes != NO)
            out = np.where(newly, np.minimum(comes, MAYBE), comes)
        if self._merges_otherwise(at, arrives, others):
            out = np.where(arrives == NO, NO, MAYBE)
        touched = differs or bool((moved & (came != comes)).any())
        if at.again and touched:
            out = np.where(arrives == NO, NO, MAYBE)
            again.add(at.stage.name)
            others = others or bool((at.outcome == PRODUCED).any()) or not at.present.any()
        elif at.chooses:
            changes_here = bool(judged.changed.any() and (judged.after != np.where(judged.before, YES, NO)).any())
            if differs or changes_here:
                unsaid = (came == YES) & ~at.present & (not at.stage.counts_all)  # may have been looked at
                able = np.minimum(np.where(unsaid, np.minimum(comes, MAYBE), arrives), judged.after)
                out = self._choice(place, at, able, others)
            else:
                out = np.where(let, YES, NO)
        self.let.append(let)
        self.out.append(out.astype(np.int8))
        self.others.append(others or fresh)
        if others or fresh or ((out == MAYBE) & (let | (arrives != NO))).any():
            open_.add(at.stage.name)
        self.again.append(again)
        self.open.append(open_)

    def _among_others(self, place: int, at: At, does: Array, arrives: Array, others: bool) -> Array:
        """What a step lets pass that rejects some for others, where these are others now."""
        left = bool((at.present & (arrives != YES)).any())
        newly = others or bool((~at.present & (arrives != NO)).any())
        if not (left or newly) or not by_rank(at, self._scores(place, at), self.run.words):
            return does
        plainly = at.dropped & ~at.ruled & (at.outcome == REJECTED)
        does = np.where(plainly & left, MAYBE, does)  # it may take a place that is free now
        return np.where(at.present & ~at.dropped & newly, np.minimum(does, MAYBE), does)  # or lose its own

    def _before(self, at: At) -> tuple[Array, Array]:
        """What the steps before this one hand on: in the record, and now."""
        came, comes = np.full(self.n, NO, dtype=np.int8), np.full(self.n, NO, dtype=np.int8)
        for source in at.sources:
            came = np.maximum(came, np.where(self.let[source], YES, NO))
            comes = np.maximum(comes, self.out[source])
        return came, comes

    def _moved(self, at: At) -> Array:
        """Of what the steps before say another thing now, at any of them."""
        moved = np.zeros(self.n, dtype=bool)
        for source in at.sources:
            moved |= self.out[source] != np.where(self.let[source], YES, NO)
        return moved

    def _arrives(self, at: At, came: Array, comes: Array, moved: Array) -> Array:
        """What comes to the step now."""
        unseen = (came == YES) & ~at.present
        several = len(at.sources) > 1
        here = np.where(~moved, YES, np.where(came == NO, MAYBE, comes))
        if several:  # whether it takes what one branch kept, or only what all did, is not recorded
            here = np.where(moved & (comes == YES) & (came == YES), MAYBE, here)
            lost = np.zeros(self.n, dtype=bool)
            for source in at.sources:
                lost |= self.let[source] & (self.out[source] != YES)
            here = np.where(moved & ~lost & (came == YES), YES, here)
        made = at.present & (at.outcome == PRODUCED) & (came == NO)
        here = np.where(made, YES, here)
        sure = not several and not unseen.any() and at.present.any()
        newly = np.where(comes > came, comes if sure else np.minimum(comes, MAYBE), NO)
        elsewhere = NO if at.stage.counts_all else MAYBE  # kept before, and not said to be here
        absent = np.where(unseen & (comes != NO) & moved, np.minimum(comes, elsewhere), newly)
        return np.where(at.present, here, absent).astype(np.int8)

    def _made(self, place: int, at: At, out: Array, differs: bool) -> tuple[Array, bool]:
        """What the step makes from its items; and whether it may make others now."""
        made = at.outcome == PRODUCED
        if not made.any() and not len(at.child):
            return out, False
        out, fresh = out.copy(), False
        has_parent = np.zeros(self.n, dtype=bool)
        if len(at.child):
            has_parent[at.child] = True
            state = self._of_parents(place, at)
            least = np.full(self.n, YES, dtype=np.int8)
            most = np.full(self.n, NO, dtype=np.int8)
            np.minimum.at(least, at.child, state[at.parent])
            np.maximum.at(most, at.child, state[at.parent])
            made_of = np.where(least == YES, YES, np.where(most == NO, NO, MAYBE))
            out = np.where(has_parent, np.minimum(out, made_of), out)
        if differs:
            came, comes = self._before(at)
            fresh = bool((comes > came).any()) or bool(((self.into[place] != NO) & ~at.present).any())
            orphans = made & ~has_parent
            out = np.where(orphans, np.minimum(out, MAYBE), out)
            fresh = fresh or bool(orphans.any())
        return out, fresh

    def _of_parents(self, place: int, at: At) -> Array:
        """Whether an item is still there to be made something of: by the last step before that had it."""
        state = np.full(self.n, YES, dtype=np.int8)
        for one in range(place):
            had = self.run.at[one].present & self.let[one]
            state = np.where(had, self.out[one], state)
        return np.where(at.present & (at.outcome != PRODUCED), np.minimum(state, self.into[place]), state)

    def _merges_otherwise(self, at: At, arrives: Array, others: bool) -> bool:
        """Whether another grouping is possible: not where only those left that were merged into others."""
        merged = bool((at.outcome == MERGED).any())
        gone = at.present & (arrives != YES) & (at.outcome != MERGED)
        newly = others or bool((~at.present & (arrives != NO)).any())
        return (merged and bool(gone.any())) or (newly and (merged or at.stage.type == "merge"))

    def _choice(self, place: int, at: At, able: Array, others: bool) -> Array:
        """What a choice takes now of those that can come to it: the best scores, where that is how it chose."""
        score = self._scores(place, at)
        how = how_it_chose(at, score)
        of_those = not others and not bool((~at.present & (able != NO)).any())
        if of_those and not (at.present & ~at.dropped & ~at.won).any() and at.won.any():
            return able  # it took all that came, and takes all that is left
        if how is None:
            return np.where(able == NO, NO, MAYBE)
        return chosen(how, able, score, others)

    def _scores(self, place: int, at: At) -> Array:
        """The scores there, and of items without one those of an earlier step that gave all others the same."""
        score = at.score
        looked_at = at.present & ~at.dropped
        for one in reversed(range(place)):
            earlier, missing = self.run.at[one].score, np.isnan(score)
            both = ~np.isnan(earlier) & ~missing
            of_all = missing.all() and looked_at.any() and not np.isnan(earlier[looked_at]).any()
            if of_all or (both.any() and (earlier[both] == score[both]).all()):
                score = np.where(missing, earlier, score)
        return score

    def result(self) -> Replayed:
        run = self.run
        last = self._last_choices()
        before, after = np.zeros(self.n, dtype=bool), np.full(self.n, NO, dtype=np.int8)
        again: set[str] = set()
        open_: set[str] = set()
        others = False
        for place in last:
            before |= run.at[place].won
            after = np.maximum(after, self.out[place])
            others = others or self.others[place]
            again |= self.again[place]
            open_ |= self.open[place]
        touched = any((self.out[n] != np.where(self.let[n], YES, NO)).any() for n in range(len(run.at)))
        if last and touched and not run.whole:
            after, others = np.where(after == NO, NO, MAYBE).astype(np.int8), True
        judged = {n: one for n, one in enumerate(self.judged) if one.changed.any()}
        return Replayed(judged, self.out, self.into, before, after, others, sorted(again), sorted(open_), self.arrived)

    def _last_choices(self) -> list[int]:
        """The choices after which no other comes."""
        chosen = [n for n, at in enumerate(self.run.at) if at.stage.decided]
        earlier: set[int] = set()
        for place in chosen:
            waiting = list(self.run.at[place].sources)
            while waiting:
                one = waiting.pop()
                if one not in earlier:
                    earlier.add(one)
                    waiting += self.run.at[one].sources
        return [place for place in chosen if place not in earlier]
