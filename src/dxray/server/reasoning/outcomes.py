"""What replayed runs add up to: items that flip, their reasons afterwards, outcomes that change, and what is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of, shapes_of
from dxray.server.reasoning.limits import MAYBE, NO, YES, Array, Change
from dxray.server.reasoning.replay import MERGED, REJECTED, At, History, Judged, Replayed
from dxray.server.reasoning.samples import Estimated
from dxray.server.reasoning.shown import Row
from dxray.server.store.base import Reader

_SHOWN = 200  # runs whose outcome changes
_EXAMPLES = 12
_A_KIND = 4  # examples of one step and direction
_MAY_WIN = 10
_WITH_EVIDENCE = (
    "run_id", "step_id", "item_id", "outcome", "score", "shape_id", "num", "str", "evidence_text", "evidence_state",
)  # fmt: skip
EXACTNESS = ("certain", "bounded", "replay_needed")


class Outcomes:
    """Adds up run after run."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self.items = 0
        self.dropped, self.kept = [0, 0], [0, 0]
        self.steps: Counter[str] = Counter()
        self.before: Counter[str | None] = Counter()
        self.after: dict[str | None, list[int]] = {}
        self.runs = [0, 0]
        self.decided, self.changed = 0, [0, 0]
        self.exactness = 0
        self.winners: list[dict[str, Any]] = []
        self.examples: list[dict[str, Any]] = []
        self._estimated = Estimated(changes)
        self._shown: Counter[tuple[str, str]] = Counter()
        self._needed: dict[tuple[str, str, str, str | None], set[str]] = {}

    def add(self, row: Row, run: History, found: Replayed) -> None:
        """One run with the changes."""
        flips = [0, 0]
        for place, judged in found.judged.items():
            at = run.at[place]
            certain = at.present & (judged.after != MAYBE) & (judged.before != (judged.after == YES))
            maybe = at.present & (judged.after == MAYBE)
            for counts, which in ((self.dropped, judged.before), (self.kept, ~judged.before)):
                counts[0] += int((certain & which).sum())
                counts[1] += int(((certain | maybe) & which).sum())
            flips[0] += int(certain.sum())
            flips[1] += int((certain | maybe).sum())
            self.items += int(at.present.sum())
            self.steps[at.stage.name] += int((certain | maybe).sum())
            self._estimated.add(run, at, certain, maybe)
            self._reasons(run, at, judged)
            self._explain(run, at, judged, maybe)
            self._show(run, place, found, certain, maybe)
        self.runs[0] += flips[0] > 0
        self.runs[1] += flips[1] > 0
        if flips[0] != flips[1]:
            self.exactness = max(self.exactness, 1)
        self._outcome(row, run, found)

    def _outcome(self, row: Row, run: History, found: Replayed) -> None:
        if not found.winners_before.any():
            return
        self.decided += 1
        changes = found.winners_changed
        self.changed[0] += changes == YES
        self.changed[1] += changes != NO
        if changes == NO and found.exactness == "certain":
            return
        self.exactness = max(self.exactness, EXACTNESS.index(found.exactness))
        if found.exactness != "certain":
            for name in found.again:
                self._note("replay_needed", name, f"{name} decides anew from what it is given", f"run {name} again")
            asked = {run.at[place].stage.name for place in found.judged}  # of these it is said by item
            for name in (one for one in found.open_ if one not in asked and not found.again):
                detail = f"what {name} would do with other items does not follow from what it recorded"
                calls = "step.score for every item, step.cutoff for how many it takes, and step.require for its checks"
                hint = f"record in {name}: {calls}"
                self._note("not_recorded", name, detail, hint if run.whole else None, run.run_id)
        if len(self.winners) < _SHOWN:
            maybe = [run.items[n] for n in np.flatnonzero(found.winners_after == MAYBE).tolist()]
            self.winners.append(
                {
                    "run_id": run.run_id,
                    "from": [run.items[n] for n in np.flatnonzero(found.winners_before).tolist()],
                    "to": [run.items[n] for n in np.flatnonzero(found.winners_after == YES).tolist()],
                    "may_win": maybe[:_MAY_WIN],
                    "may_be_others": found.may_be_others or len(maybe) > _MAY_WIN,
                    "changes": "yes" if changes == YES else "maybe",
                    "exactness": found.exactness,
                    "again": found.again if found.exactness == "replay_needed" else [],
                }
            )

    def _reasons(self, run: History, at: At, judged: Judged) -> None:
        """Of the items that came to a step, the reason of each before and after; None for those not rejected."""
        here, rejected = at.present, at.present & (at.outcome == REJECTED)
        codes = np.where(rejected, at.reason, -1)
        for code, n in _counted(codes[here]):
            self.before[run.words[code] if code >= 0 else None] += n
        same = here & (judged.after == np.where(judged.before, YES, NO)) & ~self._other_reason(at, judged)
        for code, n in _counted(codes[same]):
            self._count(run.words[code] if code >= 0 else None, n, n)
        other = here & ~same
        reached = other & (judged.after != NO)
        self._count(None, int((other & (judged.after == YES)).sum()), int(reached.sum()))
        open_, sure = other & (judged.after != YES), np.ones(len(here), dtype=bool)
        for n, limit in enumerate(at.rules):
            says = judged.passes[n]
            self._count(
                limit.reason,
                int((open_ & sure & (says == NO) & (judged.after == NO)).sum()),
                int((open_ & (says != YES)).sum()),
            )
            sure &= says == YES
            open_ &= says != NO
        for code, n in _counted(codes[open_ & (codes >= 0)]):
            self._count(run.words[code], 0, n)

    def _other_reason(self, at: At, judged: Judged) -> Array:
        """Whether an item that stays rejected is now rejected by an earlier rule than before."""
        if not len(at.rules):
            return np.zeros(len(at.present), dtype=bool)
        was = np.where(at.asked >= 0, np.where(at.asked > 0, YES, NO), judged.passes)
        differs: Array = (was != judged.passes).any(axis=0) & at.ruled
        return differs

    def _count(self, reason: str | None, low: int, high: int) -> None:
        if high:
            both = self.after.setdefault(reason, [0, 0])
            both[0] += low
            both[1] += high

    def _explain(self, run: History, at: At, judged: Judged, maybe: Array) -> None:
        if not maybe.any():
            return
        name, every = at.stage.name, judged.passes.min(axis=0)
        if at.stage.lossy:
            self._note("dropped", name, f"events of {name} did not arrive", None, run.run_id)
        if (maybe & (every == MAYBE)).any():
            detail = f"{name} asks its rules one after another, and some never saw the items that others rejected"
            hint = f"step.require_all([...]) in {name} asks every rule of every item"
            if run.by_hand:
                detail = f"what the rules of {name} would say of some items was not recorded"
                hint = f"record the evidence of every item at {name}"
            self._note("not_recorded", name, detail, hint, run.run_id)
        if at.plain and (maybe & (every == YES)).any():
            detail = f"{name} also rejects items without a rule"
            self._note(
                "not_recorded", name, detail, f"record these checks as rules: step.require(…) in {name}", run.run_id
            )

    def _note(self, cause: str, name: str, detail: str, hint: str | None, run_id: str = "") -> None:
        self._needed.setdefault((cause, name, detail, hint), set()).add(run_id)

    def _show(self, run: History, place: int, found: Replayed, certain: Array, maybe: Array) -> None:
        at, judged = run.at[place], found.judged[place]
        for which, how in ((certain, "certain"), (maybe, "bounded")):
            for n in np.flatnonzero(which).tolist():
                now = "rejected" if judged.before[n] else "kept"
                if len(self.examples) >= _EXAMPLES or self._shown[at.stage.name, now + how] >= _A_KIND:
                    break
                self._shown[at.stage.name, now + how] += 1
                changed = [one for one in np.flatnonzero(judged.changed).tolist() if at.observed[one].known[n]]
                rule = changed[0] if changed else int(np.flatnonzero(judged.changed)[0])
                self.examples.append(
                    {
                        "run_id": run.run_id,
                        "item_id": run.items[n],
                        "step_id": at.stage.step_id,
                        "step_name": at.stage.name,
                        "now": now,
                        "exactness": how,
                        "reason": at.rules[rule].reason,
                        "field": at.rules[rule].field,
                        "observed": at.observed[rule].value(n),
                        "then": None if judged.before[n] else then(run, place, n, found),
                    }
                )

    def answer(self, reader: Reader, before: list[dict[str, Any]]) -> dict[str, Any]:
        """The fields of the answer that come from these runs."""
        names = _names(reader, [*self.winners, *self.examples])
        for one in self.winners:
            for field in ("from", "to", "may_win"):
                one[field] = [{"item_id": item, "name": names.get((one["run_id"], item))} for item in one[field]]
        _as_recorded(reader, self.examples)
        for one in self.examples:
            one["name"] = names.get((one["run_id"], one["item_id"]))
        flipped = [low + high for low, high in zip(self.dropped, self.kept, strict=True)]
        reasons = sorted({*self.before, *self.after}, key=lambda one: (one is not None, one or ""))
        return {
            "changes": before,
            "exactness": EXACTNESS[self.exactness],
            "items": self.items,
            "flipped": flipped,
            "flipped_estimate": self._estimated.answer(*flipped),
            "newly_rejected": self.dropped,
            "newly_kept": self.kept,
            "by_reason_after": [
                {"reason": one, "before": self.before[one], "after": self.after.get(one, [0, 0])} for one in reasons
            ],
            "runs_affected": self.runs,
            "runs_with_winner": self.decided,
            "winners_changed": self.changed,
            "winner_changes": sorted(self.winners, key=lambda one: one["changes"] != "yes"),
            "examples": self.examples,
            "unknown": [
                {"cause": cause, "step_name": name, "detail": detail, "hint": hint, "runs": len(runs)}
                for (cause, name, detail, hint), runs in self._needed.items()
            ],
        }


def _counted(codes: Array) -> list[tuple[int, int]]:
    """How often each code is there."""
    found, n = np.unique(codes, return_counts=True)
    return list(zip(found.tolist(), n.tolist(), strict=True))


def then(run: History, place: int, item: int, found: Replayed) -> str:
    """Where an item goes that a step newly lets pass."""
    last = run.at[place].stage.name
    going, here = [place], place
    while True:
        following = [n for n in range(here + 1, len(run.at)) if going[-1] in run.at[n].sources]
        coming = [n for n in following if found.into[n][item] != NO]
        if not coming:
            return f"goes on from {last}, then unknown" if following else f"stays to the end, at {last}"
        here = coming[0]
        at, last = run.at[here], run.at[here].stage.name
        state = int(found.out[here][item])
        if state == MAYBE or found.into[here][item] == MAYBE:
            return f"reaches {last}, then unknown"
        if state == NO:
            return f"reaches {last}, and goes no further"
        if at.stage.decided:
            return f"is selected by {last}"
        if bool((at.outcome == MERGED).any()):
            return f"reaches {last}, then unknown"
        going.append(here)


def _as_recorded(reader: Reader, examples: Sequence[dict[str, Any]]) -> None:
    """What the rules observed, where columns hold it as a text or not at all: lists, and numbers of many digits."""
    wanted = [one for one in examples if one["observed"] is None or str(one["observed"])[:1] in ("[", "{")]
    if not wanted:
        return
    runs, items = ({one[name] for one in wanted} for name in ("run_id", "item_id"))
    where = [
        Clause("run_id", "in", sorted(runs)),
        Clause("item_id", "in", sorted(items)),
        Clause("shape_id", "not_null"),
    ]
    rows = reader.select("events", _WITH_EVIDENCE, where, ["event_no"]).to_pylist()
    shapes = shapes_of(reader, rows)
    found: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for row in rows:
        if row["outcome"] is not None or row["score"] is None:  # else they are the parts of a score
            facts = evidence_of(row, shapes) or {}
            found.setdefault((row["run_id"], row["item_id"]), []).append((row["step_id"], facts))
    for one in wanted:
        has = [part for part in found.get((one["run_id"], one["item_id"]), ()) if one["field"] in part[1]]
        here = [part for part in has if part[0] == one["step_id"]]
        for _, facts in (here or has)[-1:]:
            one["observed"] = facts[one["field"]]


def _names(reader: Reader, rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """The names of the items that are shown."""
    runs: set[str] = set()
    items: set[str] = set()
    for row in rows:
        runs.add(row["run_id"])
        items.update(one for field in ("from", "to", "may_win") for one in row.get(field, ()))
        items.update([row["item_id"]] if "item_id" in row else [])
    if not items:
        return {}
    where = [Clause("run_id", "in", sorted(runs)), Clause("item_id", "in", sorted(items)), Clause("name", "not_null")]
    found = reader.select("events", ["run_id", "item_id", "name"], where)
    return {(row["run_id"], row["item_id"]): row["name"] for row in found.to_pylist()}
