"""Which step is to blame for one labelled outcome: what a fault is, and when the record carries it.

A *verdict* is what one step said of one item. A step is at fault where changing one verdict of its own would have
mended the outcome, and the record shows what was wrong with that verdict. Any step on an item's way could have stopped
it; so the second half is what keeps blame from falling on everybody.

"Expected Y" is mended when Y is in the outcome. Y's fate (see `journey`) says where it fell:

- `never_retrieved` -> **recall_loss**, at the step that brings such items in: the one that brought Y in in other runs
  of the pipeline, else the run's only step of type `retrieve`, else its only step that produces and does not generate.
- `rejected` -> **too_strict**, there. `outranked` -> **mis_ranked**, at the step that ranked or chose.
- `merged`, or rewritten into one other item -> what became of that item.
- `lost` (it left one step, and never came to the next) is no step's verdict: what dropped it was not recorded.

"X is wrong" (see `wrong_items`) is mended when X is not in the outcome. X was taken, so every step it passed is asked,
in dataflow order:

- **bad_generation**, at a step of type `generate`: X would not be there without one value that the step made (all of
  X's lineage leads through it), and the value is what sets this run apart, see `generated.judge`.
- **too_lenient**: the step kept X, or the value X came from, although a rule of the step speaks against it: the rule
  failed and was overruled; or it was asked of other items and not of this one, and by the recorded evidence it would
  have failed (missing and null fail every rule). What evidence says nothing of is not judged.
- **mis_ranked**, at the step that chose X over others: only where all before it was judged, and nothing found.

One wrong item may have several faults, each of which would have mended it alone; the *earliest* comes first in dataflow
order. It is only called so where every step before it could be judged: a step that lost events, recorded no items, or
did not say where its items came from leaves it open. A label for which nothing is found is `undecided`, with the cause.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from dxray.server.reasoning.flow import Flow, Stage
from dxray.server.reasoning.journey import Fate, Stop, Unknown
from dxray.server.reasoning.sentences import shown

Kind = Literal["recall_loss", "too_strict", "too_lenient", "mis_ranked", "bad_generation"]
KINDS: tuple[Kind, ...] = ("recall_loss", "too_strict", "too_lenient", "mis_ranked", "bad_generation")
GENERATE = "generate"
_FOLLOWED = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a step. `asked`: whether it is known of which items it was asked; of a run posted by hand it is not."""

    rule_id: str
    field: str
    op: str
    threshold: Any
    reason: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """One verdict that, changed, would have mended the outcome, and what was wrong with it."""

    stage: Stage
    kind: Kind
    item: str  # of which the verdict was
    detail: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The faults in dataflow order. `unknown`: why there are none, or why the first may not be the earliest."""

    faults: tuple[Fault, ...] = ()
    unknown: Unknown | None = None


class Recorded(Protocol):
    """What is asked of one run."""

    flow: Flow

    def fate(self, item: str) -> tuple[Fate, Sequence[Stop]]:
        """What became of an item, and its stops."""

    def hint(self, fate: Fate) -> str | None:
        """What to do so that an unknown fate is known."""

    def name(self, item: str) -> str:
        """How an item is called in a sentence."""

    def winners(self) -> Sequence[str]:
        """The items that the last choice selected."""

    def parents(self, item: str) -> Sequence[str]:
        """What an item came from."""

    def children(self, item: str) -> Sequence[str]:
        """What came from an item."""

    def made_at(self, item: str) -> str | None:
        """The step that produced an item."""

    def ids(self, step_id: str) -> Collection[str]:
        """The items with events at a step."""

    def kept(self, step_id: str) -> Collection[str]:
        """The items that went on from a step."""

    def rules(self, step_id: str) -> Sequence[Rule]:
        """The rules of a step that were asked of anything."""

    def asked(self, item: str, step_id: str) -> Mapping[str, bool]:
        """The rules that a step asked of an item, and whether it passed, by what each said last."""

    def facts(self, item: str, step_id: str) -> tuple[Mapping[str, Any], bool]:
        """The evidence of an item at a step, and whether some of it was not kept."""

    def others_have(self, step_id: str, name: str) -> bool:
        """Whether evidence of other items at a step has this key."""

    def brought_in_elsewhere(self, item: str) -> Collection[str]:
        """The names of the steps that produced an item in other runs of the pipeline."""

    def judge(self, stage: Stage, item: str) -> str | Unknown | None:
        """What is bad about a value that a step made; None where nothing is."""


def expected(run: Recorded, item: str, follow: int = _FOLLOWED) -> Judgement:
    """Why an item that was expected is not in the outcome."""
    fate, stops = run.fate(item)
    name = run.name(item)
    stage = fate.stop.stage if fate.stop is not None else fate.at
    if fate.verdict == "never_retrieved":
        return _never_there(run, item)
    if fate.verdict in ("rejected", "outranked") and stage is not None:
        beside = _dropped_beside(run.flow, stops)
        if len(beside) > 1:
            return undecided(
                "ambiguous",
                f"{' and '.join(beside)} dropped it side by side, and whether one had to keep it "
                "or all is not recorded",
                "give the step that joins them `after` and its items",
            )
        if fate.verdict == "rejected":
            why = f" ({shown(fate.stop.last.reason)})" if fate.stop and fate.stop.last.reason else ""
            return Judgement((Fault(stage, "too_strict", item, f"rejected {name}{why}"),))
        return Judgement((Fault(stage, "mis_ranked", item, f"ranked {name} too low"),))
    if fate.verdict in ("selected", "survived"):
        return undecided("nothing_to_mend", f"{name} is in the outcome", None)
    if fate.verdict == "lost" and fate.stop is not None and fate.at is not None:
        return undecided(
            "not_recorded",
            f"{name} left {fate.stop.stage.name} and never came to {fate.at.name}; what "
            "dropped it in between is not recorded",
            f"record what {fate.at.name} is given, or the step in between",
        )
    return _followed(run, item, fate, follow) or of_fate(run, fate, name)


def _followed(run: Recorded, item: str, fate: Fate, follow: int) -> Judgement | None:
    """What holds of the item that this one became, where it became one."""
    into: Sequence[str] = ()
    if fate.verdict == "merged" and fate.stop is not None and fate.stop.last.ref_item is not None:
        into = [fate.stop.last.ref_item]
    elif fate.verdict == "consumed":
        into = run.children(item)
    if len(into) == 1 and follow > 0:
        return expected(run, into[0], follow - 1)
    if fate.verdict == "consumed" and len(into) > 1:
        return undecided(
            "ambiguous", f"{len(into)} items came from {run.name(item)}", "label the one that was expected"
        )
    return None


def of_fate(run: Recorded, fate: Fate, name: str) -> Judgement:
    """Undecided, because of what became of the item."""
    if fate.unknown is not None:
        return Judgement(unknown=Unknown(fate.unknown.cause, fate.unknown.detail, run.hint(fate)))
    if fate.verdict == "interrupted":
        return undecided("interrupted", f"the run ended, or was left, before it was decided about {name}", None)
    return undecided(
        "not_recorded", f"{name} was {fate.verdict}, and into what is not recorded", "say it with parents="
    )


def _dropped_beside(flow: Flow, stops: Sequence[Stop]) -> list[str]:
    """The steps that dropped an item, and of which none comes before another."""
    held = {stop.stage.step_id for stop in stops}
    earlier = {one for stop in stops for one in flow.ancestors(stop.stage.step_id) & held}
    last = [stop for stop in stops if stop.stage.step_id not in earlier]
    return [stop.stage.name for stop in last if stop.outcome in ("rejected", "outranked")]


def _never_there(run: Recorded, item: str) -> Judgement:
    """The step that should have brought an item in."""
    made = [stage for stage in run.flow.stages if stage.produced]
    doors = [stage for stage in made if stage.type == "retrieve"] or [one for one in made if one.type != GENERATE]
    known = run.brought_in_elsewhere(item)
    by_others = [stage for stage in made if stage.name in known]
    doors = by_others or doors
    names = list(dict.fromkeys(stage.name for stage in doors))
    if len(names) == 1 and (by_others or len(known) == 0):
        return Judgement((Fault(doors[-1], "recall_loss", item, f"did not bring {run.name(item)} in"),))
    if not names:
        return undecided(
            "not_recorded", "no step of the run records what it brings in", "call step.produce(item_id) there"
        )
    if not by_others and known:
        return undecided(
            "ambiguous", f"in other runs {' and '.join(sorted(known))} brought it in, which this run has not", None
        )
    return undecided(
        "ambiguous",
        f"{' and '.join(names)} bring items in, and which of them should have found {run.name(item)} is not recorded",
        "give steps their step_type: retrieve for those that look items up",
    )


def undecided(cause: str, detail: str, hint: str | None) -> Judgement:
    """A label for which nothing is found, and why."""
    return Judgement(unknown=Unknown(cause, detail, hint))
