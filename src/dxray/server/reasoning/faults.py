"""Which step is to blame for one labelled outcome: what a fault is, and when the record carries it.

A *verdict* is what one step said of one item. A step is at fault where changing one verdict of its own would have
mended the outcome, and the record shows what was wrong with that verdict. Any step on an item's way could have stopped
it; so the second half is what keeps blame from falling on everybody.

"Expected Y" is mended when Y is in the outcome. Y's fate (see `journey`) says where it fell:

- `never_retrieved` -> **recall_loss**, at the step that brings such items in: the one that brought Y in in other runs
  of the pipeline, else the run's only step of type `retrieve`, else its only step that produces and does not generate.
  Where Y came through a value in other runs of the same input, and this run did not make that value, the step that
  makes it is to blame first. Where no run of the pipeline ever had Y, that is said: the id in the label may be wrong.
- `rejected` -> **too_strict**, there. `outranked`, or rejected for its place among the others (see `orders.by_place`)
  -> **mis_ranked**, at the step that ranked or chose; but where Y was the next in line, what stood in its place is
  asked like a wrong item, and its faults, which are earlier, count too.
- `merged`, or rewritten into one other item -> what became of that item.
- `lost` (it left one step, and never came to the next) is no step's verdict: what dropped it was not recorded.

"X is wrong" (see `wrong_items`) is mended when X is not in the outcome. X was taken, so every step it passed is asked,
in dataflow order:

- **bad_generation**, at a step of type `generate`: X would not be there without one value that the step made (all of
  X's lineage leads through it), and the value is what sets this run apart, see `generated.judge`.
- **too_lenient**: the step kept X, or the value X came from, although a rule of the step speaks against it: the rule
  failed and was overruled; or it was asked of other items and not of this one, and by the recorded evidence it would
  have failed (missing and null fail every rule). What evidence says nothing of is not judged, nor a rule that the step
  asked only of what had failed another: one of the two may be enough. So is the step that
  took X back after another had dropped it: who approves may overrule, and is to blame if that was wrong.
- **mis_ranked**, at a step that ranked X among those that go on, and others not: where it does not do so in other runs
  of the same input. And at the step that chose X over others: only where all before it was judged, and nothing found.

A choice that repeats the scores of a step before it was made there (see `orders`).

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

Kind = Literal["recall_loss", "too_strict", "too_lenient", "mis_ranked", "bad_generation"]
KINDS: tuple[Kind, ...] = ("recall_loss", "too_strict", "too_lenient", "mis_ranked", "bad_generation")
GENERATE = "generate"


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
    unheard: bool = False  # no run of the pipeline ever had the item


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

    def given_name(self, item: str) -> str | None:
        """The name that an item was given, where it was."""

    def name(self, item: str) -> str:
        """How an item is called in a sentence."""

    def winners(self) -> Sequence[str]:
        """The items that the last choice selected."""

    def winners_at(self, step_id: str) -> Collection[str]:
        """The items that a step selected."""

    def scores(self, step_id: str) -> Mapping[str, float]:
        """The last score of each item scored at a step."""

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

    def asked_instead(self, step_id: str) -> Collection[str]:
        """The rules that a step asked only of items which had failed another of its own: one of them may be enough."""

    def facts(self, item: str, step_id: str) -> tuple[Mapping[str, Any], bool]:
        """The evidence of an item at a step, and whether some of it was not kept."""

    def others_have(self, step_id: str, name: str) -> bool:
        """Whether evidence of other items at a step has this key."""

    def unexplained(self) -> Stage | None:
        """A step to which items came that no step before it recorded; None where there is none."""

    def brought_in_elsewhere(self, item: str) -> Collection[str] | None:
        """The names of the steps that produced an item in other runs of the pipeline.

        None where other runs have it, and none says which step produced it.
        """

    def knows(self, item: str, name: str | None) -> bool | None:
        """Whether the run has an item of another run; None where neither a name nor its id tells."""

    def same_input_with(self, item: str) -> Sequence[Recorded]:
        """Some other runs of the same input in which an item was produced."""

    def fared_elsewhere(self, stage: Stage, item: str) -> tuple[int, int]:
        """In how many other runs of the same input, with no complaint, a step kept an item, and in how many not."""

    def judge(self, stage: Stage, item: str) -> str | Unknown | None:
        """What is bad about a value that a step made; None where nothing is."""


def of_fate(run: Recorded, fate: Fate, name: str) -> Judgement:
    """Undecided, because of what became of the item."""
    if fate.unknown is not None:
        return Judgement(unknown=Unknown(fate.unknown.cause, fate.unknown.detail, run.hint(fate)))
    if fate.verdict == "interrupted":
        return undecided("interrupted", f"the run ended, or was left, before it was decided about {name}", None)
    return undecided(
        "not_recorded", f"{name} was {fate.verdict}, and into what is not recorded", "say it with parents="
    )


def undecided(cause: str, detail: str, hint: str | None) -> Judgement:
    """A label for which nothing is found, and why."""
    return Judgement(unknown=Unknown(cause, detail, hint))
