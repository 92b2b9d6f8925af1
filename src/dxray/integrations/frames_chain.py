"""Where the stages of watched frames are recorded, and as what."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

from dxray.integrations.adapter import inferred
from dxray.integrations.frames_items import Items, column_of, items_of, missing, others, picked, same, series_of
from dxray.sdk.guard import guard
from dxray.sdk.null import NullRun, NullStep
from dxray.sdk.run import Run
from dxray.sdk.step import Step
from dxray.sdk.xray import XRay, current_run

FILTERS = frozenset(
    ("[]", "query", "mask", "remove", "dropna", "drop_nulls", "drop_nans", "drop_duplicates", "unique", "loc[]")
)
RANKS = frozenset(("sort_values", "sort", "sort_index"))
BEST = {"nlargest": True, "top_k": True, "nsmallest": False, "bottom_k": False}  # whether the highest are taken
FIRST = frozenset(("head", "limit", "slice", "slice[]", "iloc[]"))  # of the rows as they stand
CHOICES = frozenset((*FIRST, "tail", "sample", *BEST))
JOINS = frozenset(("merge", "join", "join_asof", "join_where", "merge_sorted"))

_TYPES = {
    **dict.fromkeys(FILTERS, "filter"),
    **dict.fromkeys(RANKS, "rank"),
    **dict.fromkeys(CHOICES, "select"),
    **dict.fromkeys(JOINS, "merge"),
}
_ONLY_IF_CHANGED = frozenset(("loc[]", "iloc[]"))  # they pick columns as often as rows


@dataclass(frozen=True, slots=True)
class Order:
    """What a frame's rows are sorted by: a column, the highest value first or the lowest."""

    column: str
    highest: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """One call that made a frame of another: its name, what it is called, and the columns that it looked at."""

    name: str
    words: str
    columns: list[str]
    order: Order | None = None  # of the rows it was given, or that it takes them by

    @property
    def step_type(self) -> str:
        return _TYPES.get(self.name, "transform")

    @property
    def always(self) -> bool:
        """Whether it is a step also where it changed no row."""
        return self.name in _TYPES and self.name not in _ONLY_IF_CHANGED


class Chain:
    """What all frames that come from one `watch` share: the key of their items, and the run of their steps.

    That is the run given, else the one that is open, else one that is begun here: it ends with `end()`, when the last
    of the frames is gone, or with the process.
    """

    def __init__(self, key: str, whole: bool, run: Run | NullRun | None, pipeline: str, on: bool) -> None:
        self.key = key
        self.whole = whole
        self.on = on
        self._given = run
        self._pipeline = pipeline
        self._own: Run | NullRun | None = None
        self._lock = threading.Lock()

    def run(self) -> Run | NullRun:
        found = current_run() if self._given is None else self._given
        if found or self._given is not None:
            return found
        with self._lock:
            if self._own is None:
                self._own = _begun(self, self._pipeline)
            return self._own

    def end(self) -> None:
        """End the run that was begun here; what comes after begins another one."""
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            _end(own.run_id)

    def items(self, frame: Any, distinct: bool = False) -> Items:
        return items_of(frame, self.key, whole=self.whole, distinct=distinct)

    def record(self, stage: Stage, was: Items, old: Any, new: Any) -> Items | None:
        """Record what a stage made of the frame `old`, which held `was`; returns those of `new`."""
        run = self.run()
        if not run:
            return None
        fewer = was.by_row and len(new) <= len(old) and stage.name in _TYPES and stage.name not in JOINS
        now = self.items(new, distinct=fewer)
        if not stage.always and same(was.ids, now.ids) and was.unnamed == now.unnamed:
            return now
        with run.step(stage.words, step_type=stage.step_type) as step:
            if stage.name in RANKS:
                _ranked(step, stage, now, new)
            else:
                gone = missing(was.ids, now.ids)
                first = stage.name in BEST or (stage.name in FIRST and isinstance(gone, slice))
                if first and stage.order is not None and was.by_row:
                    _chosen(step, stage, was, now, gone, old)
                else:
                    _compared(step, stage, was, now, gone, old)
            if was.unnamed or now.unnamed:
                step.set_input_count(was.count)
                step.set_output_count(now.count)
        return now


def _compared(step: Step | NullStep, stage: Stage, was: Items, now: Items, gone: Any, old: Any) -> None:
    """Who went, who stayed, and who is new."""
    facts = {name: column_of(series_of(old, name)) for name in stage.columns} if was.by_row else {}
    lost = picked(was.ids, gone)
    stay = others(gone)
    kept = picked(was.ids, stay)
    if len(lost):
        step.reject_many(lost, inferred(stage.words), _picked(facts, gone))
    if len(kept):
        step.accept_many(kept, evidence=_picked(facts, stay))
    if len(now.ids) > len(kept):
        step.produce_many(picked(now.ids, missing(now.ids, was.ids)))


def _ranked(step: Step | NullStep, stage: Stage, now: Items, new: Any) -> None:
    facts = None
    if stage.order is not None and now.by_row:
        scores = _scores(stage.order, new)
        if scores is not None:
            step.score_many(now.ids, scores)
        else:  # the lowest first, or no numbers: facts, but no scores
            facts = {stage.order.column: column_of(series_of(new, stage.order.column))}
    step.accept_many(now.ids, evidence=facts)


def _chosen(step: Step | NullStep, stage: Stage, was: Items, now: Items, gone: Any, old: Any) -> None:
    """The first of an order were taken: the others are outranked by them, by their scores where the highest win."""
    scores = _scores(stage.order, old)
    if scores is not None:
        step.score_many(was.ids, scores)
        step.decide(stage.words, selected=now.ids, reason=inferred(stage.words))
    else:
        lost = picked(was.ids, gone)
        step.decide(stage.words, selected=now.ids, reason=inferred(stage.words), alternatives=lost)


def _scores(order: Order | None, frame: Any) -> Any:
    """The values that rows are ordered by, where the highest is best and every row has one."""
    if order is None or not order.highest or order.column not in frame.columns:
        return None
    values = column_of(frame[order.column])
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    return values if kind and (kind in "iu" or (kind == "f" and bool((values == values).all()))) else None


def _picked(columns: Mapping[str, Any], which: Any) -> dict[str, Any] | None:
    return {name: picked(column, which) for name, column in columns.items()} or None


# -- runs begun by a chain ---------------------------------------------------------------------------

_open: dict[str, tuple[Run | NullRun, Context]] = {}


def _begun(chain: Chain, pipeline: str) -> Run | NullRun:
    """A run of the chain's own, entered in a context of its own: it is nobody's current run."""
    run, here = XRay(pipeline).run(), copy_context()
    if isinstance(run, NullRun):
        return run
    here.run(run.__enter__)
    if not _open:
        atexit.unregister(_end_all)
        atexit.register(_end_all)  # after the channel's own, so that it is called before it
    _open[run.run_id] = run, here
    weakref.finalize(chain, _end, run.run_id).atexit = False
    return run


def _end(run_id: str) -> None:
    run, here = _open.pop(run_id, (None, None))
    if run is not None and here is not None:
        with guard:
            here.run(run.__exit__, None, None, None)


def _end_all() -> None:
    for run_id in list(_open):
        _end(run_id)
