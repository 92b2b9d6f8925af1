"""Slices in words: the rows of the answer, and the sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dxray.server.reasoning.intervals import wilson
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.slices import Slice, Totals

_DID = {
    "produced": "were produced",
    "accepted": "were accepted",
    "rejected": "were rejected",
    "selected": "were selected",
    "outranked": "were outranked",
    "merged": "were merged",
    "consumed": "were expanded into others",
    "failed": "failed",
}
_FEW = 10  # runs of a set, of which chance explains much
_SIGNS = {"==": "is", ">=": "at least", "<": "below"}


@dataclass(frozen=True, slots=True)
class Compared:
    """What was compared: the two filters, the runs on each side, those in both, and the sums."""

    a: str
    b: str
    outcome: str
    step_name: str | None
    runs_a: int
    runs_b: int
    overlap: int
    of: Totals
    presence: bool = False
    sampled: bool = False
    unknown: int = 0  # items that are not counted, since nothing says whether they have the outcome

    @property
    def did(self) -> str:
        """The outcome, as what was said of those who have it."""
        return _DID.get(self.outcome) or f"are labelled {self.outcome.removeprefix('label:')}"

    @property
    def unit(self) -> str:
        """What is counted."""
        return "items" if self.outcome in _DID and self.outcome != "failed" else "runs"

    @property
    def counted(self) -> str:
        """The same, where it stands beside a number: an item counts at each of its steps."""
        return "verdicts" if self.unit == "items" else "runs"

    @property
    def say(self) -> str:
        """The outcome, as what is said by those that are counted."""
        return f"say {self.outcome}" if self.unit == "items" else self.did


def conditions_text(conditions: Sequence[Mapping[str, Any]]) -> str:
    """`input.category is toys and evidence.price at least 110`."""
    return " and ".join(f"{shown(one['field'])} {_SIGNS[one['op']]} {shown(one['value'])}" for one in conditions)


def slice_row(
    one: Slice, conditions: Sequence[Mapping[str, Any]], examples: Sequence[str], about: Compared
) -> dict[str, Any]:
    """A slice as the answer shows it."""
    rate_a, rate_b = one.v_a / one.n_a if one.n_a else None, one.v_b / one.n_b
    n_a, n_b, v_a, v_b = (round(value) for value in (one.n_a, one.n_b, one.v_a, one.v_b))
    if about.presence:
        n_a, n_b, support = v_a, v_b, one.v_b / about.of.n_b
    else:
        support = one.n_b / about.of.n_b
    return {
        "conditions": list(conditions),
        "text": _slice_text(one, conditions, about),
        "n_a": n_a,
        "n_b": n_b,
        "with_outcome_a": v_a if not about.presence else 0,
        "with_outcome_b": v_b,
        "rate_a": rate_a,
        "rate_b": rate_b,
        "rate_b_interval": list(wilson_of(one)),
        "support": support,
        "coverage": one.coverage,
        "risk_ratio": rate_b / rate_a if rate_a else None,
        "interval": list(one.interval),
        "p_adjusted": one.p_adjusted,
        "score": one.score,
        "counter_examples": round(one.n_b - one.v_b) if not about.presence else n_a,
        "examples": list(examples),
        "cause": one.cause,
        "main": one.main,
        "estimated": one.sampled or about.sampled,
    }


def wilson_of(one: Slice) -> tuple[float, float]:
    """The interval of the rate in B, of as many rows as these are worth: rows of one run resemble each other."""
    worth = max(1, round(one.n_b / one.spread))
    return wilson(min(worth, round(one.v_b / one.spread)), worth)


def _slice_text(one: Slice, conditions: Sequence[Mapping[str, Any]], about: Compared) -> str:
    what = conditions_text(conditions)
    before, now = _percent(one.v_a / one.n_a if one.n_a else None), _percent(one.v_b / one.n_b)
    if about.presence:
        return f"{what}: {now} of the runs in b, and {before} of those in a"
    if one.kind >= 0:
        reason = next(f["value"] for f in conditions if f["field"] == "reason")
        others = [f for f in conditions if f["field"] != "reason"]
        where = f" with {conditions_text(others)}" if others else ""
        return f"{now} of {about.counted}{where} {about.say} for {shown(reason)} in b, and {before} in a"
    return f"{now} of {about.counted} with {what} {about.say} in b, and {before} in a"


def _percent(rate: float | None) -> str:
    if rate is None:
        return "none seen"
    share = 100 * rate
    if 0 < share < 0.1 or 99.9 < share < 100:
        return "less than 0.1 %" if share < 1 else "more than 99.9 %"
    return f"{share:.1f} %" if share % 1 and share < 99.95 else f"{share:.0f} %"


# The sentence


def nothing_to_compare(about: Compared, known: bool = True) -> str | None:
    """Why nothing can be claimed, whatever the counts are; None where something may be."""
    shared = _shared(about)
    for name, q, runs in (("a", about.a, about.runs_a), ("b", about.b, about.runs_b)):
        if not runs:
            left = " that is not in the other set too" if about.overlap else ""
            return f"No run{left} fits {name} ({_q(q)}), so there is nothing to compare.{shared}"
    if not known:
        few = f"{_many(about.runs_b, 'run')} in b against {about.runs_a} in a"
        return (
            f"{few} are too few: one run more or less could make any difference, so nothing can be claimed. "
            f"With 3 runs on each side something could be.{shared}"
        )
    return None


def sentence(about: Compared, rows: Sequence[Mapping[str, Any]]) -> str:
    """What the bad ones share, or that nothing does."""
    of = about.of
    shared = _shared(about)
    where = f" at {shown(about.step_name)}" if about.step_name is not None else ""
    unknown = f" is recorded, and of {_many(about.unknown, 'item')} nothing says whether they {about.did}"
    if not of.n_a or not of.n_b:
        side = "a" if not of.n_a else "b"
        what = (
            f"verdict{where} of the runs of {side}{unknown}"
            if about.unknown
            else (f"{about.unit[:-1]}{where} is recorded in the runs of {side}")
        )
        return f"No {what}, so nothing can be compared.{shared}"
    if not of.v_a and not of.v_b:
        if about.unknown:
            return f"No item{where} that {_singular(about.did)}{unknown}, so nothing can be compared.{shared}"
        return (
            f"No {about.unit[:-1]}{where} in either set {_singular(about.did)}, so there is nothing to explain.{shared}"
        )
    mains = [row for row in rows if row["main"]]
    if about.presence:
        whole = f"All {_many(about.runs_b, 'run')} in b ({_q(about.b)}) {about.did}, and none of {about.runs_a} in a"
    else:
        rates = _percent(of.v_b / of.n_b), _percent(of.v_a / of.n_a)
        each = " (one for each item at each step)" if about.unit == "items" else ""
        whole = (
            f"In b ({_q(about.b)}) {rates[0]} of {of.n_b:,.0f} {about.counted}{where}{each} {about.say}, "
            f"in a ({_q(about.a)}) {rates[1]} of {of.n_a:,.0f}"
        )
    if not mains:
        fewer = min(about.runs_a, about.runs_b)
        few = (
            f" With {_many(fewer, 'run')} on one side, only what nearly all of them share could."
            if fewer < _FEW
            else ""
        )
        return f"{whole}; no part of them stands out by more than chance.{few}{shared}"
    first = mains[0]
    part = first["coverage"]
    share = (
        f" ({100 * min(part, 1):.0f} % of the rise)" if not about.presence and part >= 0.05 and of.excess > 0 else ""
    )
    more = ""
    if len(mains) > 1:
        more = f" Beside that: {mains[1]['text']}."
    return f"{whole}. What stands out most{share}: {first['text']}.{more}{shared}"


def _shared(about: Compared) -> str:
    if not about.overlap:
        return ""
    are = "1 run is" if about.overlap == 1 else f"{about.overlap} runs are"
    return f" {are} in both sets, and left out of both."


def _singular(did: str) -> str:
    return did.replace("were ", "was ").replace("are ", "is ")


def _q(q: str) -> str:
    return shown(q) if q.strip() else "all runs"


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
