"""Why, against pipelines that know the truth (ANSWERS.md, section 1).

*Agreement*, of a full ledger: verdict, step, and whatever of reason, predicate, rank and cut-off the truth has.
*Wrong*, of a record with holes or a badly instrumented pipeline: a verdict that is neither the truth nor `unknown`;
or the true verdict at another step; or a fact in it that is not so. Where the truth cannot be known from what was
recorded, `unknown` is the right answer.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc

from dxray import XRay, testing
from dxray.sdk import ledger
from dxray.server.questions.why import why
from dxray.server.store.base import Commit, Reader
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import SCHEMAS, PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Run
from tests.oracles.badly import Badly
from tests.oracles.book import Book, Truth
from tests.oracles.figures import Figure
from tests.oracles.pipelines import Executed, execute
from tests.oracles.voices import Instrument

GHOST = "sku:ghost"  # an item that no pipeline ever had
TOGETHER = 50  # pipelines in one store
UNKNOWN_AT_MOST = 0.35


@dataclass
class Tally:
    """Answers, by what they were."""

    asked: int = 0
    unknown: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.unknown / max(self.asked, 1)

    def add(self, other: Tally) -> None:
        self.asked += other.asked
        self.unknown += other.unknown
        self.wrong += other.wrong


def recorded(seeds: Iterable[int], **more: Any) -> tuple[list[Executed], dict[str, pa.Table]]:
    """Pipelines that ran, and what they recorded, as the tables that a server makes of it."""
    make = more.get("instrument", lambda seed: Instrument())
    with testing.capture() as captured:
        xray = XRay("oracle")
        runs = [execute(xray, seed, make(seed)) for seed in seeds]
        records: list[AnyRecord] = sorted(captured.records, key=lambda record: type(record) is not Run)
    assert not captured.losses, captured.losses
    for record in records:
        check(record)
    return runs, dict(build([Sent("default", "oracle", 1, records)], ShapeBook(), PipelineMemory()).tables)


def ask(runs: Sequence[Executed], tables: dict[str, pa.Table]) -> Iterator[tuple[Book, str, dict[str, Any]]]:
    """`why` of every item of every run, and of one that was never there."""
    store = DuckStore()
    try:
        store.insert(Commit(tables))
        reader: Reader = store.project("default")
        for one in runs:
            for item in [*one.book.asked(), GHOST]:
                yield one.book, item, why(reader, one.run_id, item)
    finally:
        store.close()


def truths(book: Book, item: str) -> list[Truth]:
    """What is true of an id: the fate of the thing it was said of, or of each, where there were several."""
    things = book.called(item)
    if not things:
        return [Truth("interrupted" if book.cut_short else "never_retrieved")]
    return [book.fate(thing) for thing in things]


def differs(truth: Truth, answer: dict[str, Any], book: Book) -> str | None:
    """Where an answer is not the truth; None where it is."""
    told = (answer["verdict"], answer["step_name"])
    if told[0] != truth.verdict:
        return f"{told[0]} at {told[1]}, in truth {truth.verdict} at {truth.step}"
    if truth.step is not None and told != (truth.verdict, truth.step) and told not in truth.also:
        return f"{told[0]} at {told[1]}, in truth at {truth.step}"
    for name, wanted in truth.facts.items():
        if not _same(name, wanted, answer, book):
            return f"{told[0]}: {name} is {answer[name]}, in truth {wanted}"
    return None


def _same(name: str, wanted: Any, answer: dict[str, Any], book: Book) -> bool:
    if name == "said_first":
        return True
    found = answer[name]
    if name == "also_failed":
        found = [rule["field"] for rule in found]
    if name == "into":
        return any(wanted is one for one in book.ids[found["item_id"]])
    if name == "predicate" and wanted is not None and found is not None:
        near = math.isclose(found["margin"], wanted["margin"], abs_tol=1e-9)
        return bool(near) and all(found[key] == wanted[key] for key in ("field", "op", "threshold", "observed"))
    same: bool = found == wanted
    return same


def judge(runs: Sequence[Executed], tables: dict[str, pa.Table], exact: bool, holes: bool = False) -> Tally:
    """The answers of all items, judged. `exact`: `unknown` is right only where the truth is that."""
    tally = Tally()
    for book, item, answer in ask(runs, tables):
        tally.asked += 1
        if answer["verdict"] == "unknown":
            tally.unknown += 1
            if not answer["unknown"]["cause"]:
                tally.wrong.append(f"{item}: unknown without a cause")
            if not exact:
                continue
        known = [_with_holes(one, answer) if holes else one for one in truths(book, item)]
        found = [differs(one, answer, book) for one in known]
        if all(one is not None for one in found):
            tally.wrong.append(f"{answer['run_id']} {item}: {found[0]}")
    return tally


def _with_holes(truth: Truth, answer: dict[str, Any]) -> Truth:
    """The truth without those facts that the answer leaves open, because they were lost."""
    open_ = {name for name in truth.facts if answer.get(name, ...) in (None, [])}
    facts = {name: value for name, value in truth.facts.items() if name not in open_}
    if facts.get("reason") and answer["reason"] == facts.get("said_first"):
        facts["reason"] = facts["said_first"]  # of two reasons given here; the second was not recorded
    if facts.get("predicate") and answer["predicate"]["observed"] is None:
        facts["predicate"] = facts["predicate"] | {"observed": None, "margin": answer["predicate"]["margin"]}
    return Truth(truth.verdict, truth.step, facts, truth.also)


# --- records with holes ------------------------------------------------------------------------------------


def dropped(tables: dict[str, pa.Table], chance: random.Random) -> dict[str, pa.Table]:
    """Of some runs one step or two lose events, and the SDK says how many; or says nothing yet, and they are only
    missed by their number; or nobody knows any more of which step they were."""
    events = tables["events"]
    keys = list(zip(events["run_id"].to_pylist(), events["step_id"].to_pylist(), strict=True))
    steps: dict[str, list[str]] = {}
    for run_id, step_id in dict.fromkeys(keys):
        steps.setdefault(run_id, []).append(step_id)
    how = {
        (run_id, step_id): chance.choice(("said", "said", "late", "late", "unplaced"))
        for run_id, some in steps.items()
        for step_id in chance.sample(some, min(len(some), chance.randint(0, 2)))
    }
    gone = [key in how and chance.random() < 0.5 for key in keys]
    lost = Counter(
        (run_id, step_id if how[run_id, step_id] == "said" else None)
        for (run_id, step_id), missing in zip(keys, gone, strict=True)
        if missing and how[run_id, step_id] != "late"
    )
    losses = [
        {"project": "default", "run_id": run, "step_id": step, "cause": "queue_full", "n": n, "at": 1}
        for (run, step), n in lost.items()
    ]
    out = {**tables, "events": events.filter(pc.invert(pa.array(gone, pa.bool_())))}
    if losses:
        out["losses"] = pa.Table.from_pylist(losses, SCHEMAS["losses"])
    return out


class Sampled(Instrument):
    """Evidence is sampled, or not kept; verdicts are."""

    def __init__(self, capture: str) -> None:
        self.capture = capture


# --- the figures -------------------------------------------------------------------------------------------


def over(seeds: range) -> Iterator[range]:
    """Some at a time."""
    for first in range(seeds.start, seeds.stop, TOGETHER):
        yield range(first, min(first + TOGETHER, seeds.stop))


def full_ledger(n: int) -> Tally:
    tally = Tally()
    for seeds in over(range(n)):
        tally.add(judge(*recorded(seeds), exact=True))
    return tally


def sampled(n: int) -> Tally:
    """`sample`, `none`, and `auto` with a limit that these small runs reach."""
    tally = Tally()
    with patch.object(ledger, "FULL_EVENTS", 3):
        for seeds in over(range(n)):
            made = recorded(seeds, instrument=lambda seed: Sampled(("sample", "none", "auto")[seed % 3]))
            tally.add(judge(*made, exact=True, holes=True))
    return tally


def with_losses(n: int) -> Tally:
    tally = Tally()
    for seeds in over(range(n)):
        runs, tables = recorded(seeds)
        tally.add(judge(runs, dropped(tables, random.Random(seeds.start)), exact=False, holes=True))
    return tally


def badly_instrumented(n: int) -> Tally:
    tally = Tally()
    for seeds in over(range(n)):
        tally.add(judge(*recorded(seeds, instrument=Badly), exact=False, holes=True))
    return tally


def figures(full: bool) -> list[Figure]:
    """The rows of the table: 1,000 pipelines each, or some."""
    n, fewer = (1000, 300) if full else (60, 20)
    ledgers, holes, lost, badly = full_ledger(n), sampled(fewer), with_losses(fewer), badly_instrumented(n)
    return [
        _figure(f"{n:,} pipelines, full ledger: agreement with brute force", "100 %", ledgers, agree=True),
        _figure(f"{fewer:,} with sampled evidence: agreement", "100 %", holes, agree=True),
        _figure(f"{fewer:,} with lost events: wrong answers", "0", lost),
        _figure(f"{n:,} badly instrumented: confident wrong answers", "0", badly),
        Figure(
            "1 why",
            f"{n:,} badly instrumented: share of unknown",
            "<= 35 %",
            f"{badly.share:.1%}",
            badly.share <= UNKNOWN_AT_MOST,
        ),
    ]


def _figure(test: str, wanted: str, tally: Tally, agree: bool = False) -> Figure:
    right = tally.asked - len(tally.wrong)
    reached = f"{right / tally.asked:.3%}" if agree else f"{len(tally.wrong)}"
    unknown = "" if agree else f", {tally.share:.0%} unknown"
    return Figure("1 why", test, wanted, f"{reached} of {tally.asked:,} answers{unknown}", not tally.wrong)
