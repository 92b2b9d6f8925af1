"""A step's rows, from the list they are appended to until they are on their way.

Every 512 rows the caller hands them to the channel (`_spill`), to be encoded in the background, so a
step of ten million items holds no more in memory than a step of a thousand.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dxray.sdk import context
from dxray.sdk.capture import FULL_EVENTS, Sampler
from dxray.sdk.chunk import NOTE, WIDTH, Row, columns_of, records, size_of
from dxray.sdk.fields import START_US, Fields, error_text, now_us
from dxray.sdk.guard import HANDLER_S, guard
from dxray.wire.records import AnyRecord, Decision, Events
from dxray.wire.records import Step as StepRecord

if TYPE_CHECKING:
    from dxray.sdk.rules import StepRule
    from dxray.sdk.run import Run

ROOM = 512 * WIDTH  # places in the list of rows before the caller encodes them
LEFT_FOR_FLUSHER = 64 * WIDTH  # fewer rows than this are encoded in the background when a step ends
MOST_MARKS = 64  # of a step


class Ledger(Fields):
    """What a step holds and how it leaves: the part of `Step` that users do not call."""

    # What most steps never set has its default here: making a step is on the pipeline's time.
    _rules: Sequence[StepRule] = ()
    _decisions: Sequence[Decision] = ()
    _decisions_sent = 0
    _emitted = 0
    _noted = False
    _consumed: set[Any] | None = None
    _cutoff: int | None = None
    _input_count: int | None = None
    _output_count: int | None = None
    _after: list[str] | None = None
    _after_inferred = False
    _attempt = 1
    _parent_step_id: str | None = None
    _sampler: Sampler | None = None
    _token: Token[Any] | None = None
    _announced = False
    _recorded = False  # whether its end was
    _config: dict[str, Any] | None = None
    _usage: dict[str, Any] | None = None

    def __init__(self, run: Run, name: str, step_type: str | None, capture: str, position: int) -> None:
        self._run = run
        self._name = name
        self._type = step_type
        self._position = position
        self._capture = capture
        self.step_id = f"{run._origin}{position + 1}"
        self._rows: list[Any] = []  # flat: op, item, a, b, op, item, a, b, ...
        self._limit = ROOM  # here and not on the class: each verb reads it
        self._lock = threading.Lock()

    def _lost(self, cause: str, n: int) -> None:
        self._run._channel.lose(cause, n, self._run.run_id, self.step_id)

    # -- a context manager -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._token = context.STEP.set(self)
        self._started_at = START_US + perf_counter_ns() // 1000
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if self._token is not None:
                context.reset(context.STEP, self._token)
            self._ended_at = START_US + perf_counter_ns() // 1000
            if error is not None or self._rows:
                self._finish(error)
            self._run._step_ended(self)
        except Exception as mistake:
            guard.caught(mistake)

    def _finish(self, error: BaseException | None) -> None:
        if error is not None:
            self._error = error_text(error)
        while len(self._rows) > LEFT_FOR_FLUSHER and self._spill():
            pass

    def _add(self, row: Row) -> None:
        rows = self._rows
        rows += row
        if len(rows) >= self._limit:
            self._spill()

    def _add_all(self, op: int, ids: Sequence[Any], a: Sequence[Any], b: Sequence[Any]) -> None:
        """Rows of one op, a chunk of them at a time. Those that an interrupt leaves out are counted."""
        n, done, rows = len(ids), 0, self._rows
        try:
            while done < n:
                stop = min(n, done + ROOM // WIDTH)
                flat = [op] * (WIDTH * (stop - done))
                flat[1::WIDTH], flat[2::WIDTH], flat[3::WIDTH] = ids[done:stop], a[done:stop], b[done:stop]
                rows += flat
                done = stop
                if len(rows) >= self._limit:
                    self._spill()
        except BaseException:
            self._lost("not_recorded", n - done)
            raise

    def _spill(self, wait: bool = False) -> bool:
        """Hand the oldest rows to the channel; False where another thread is doing so."""
        # With a bound: a signal's handler that flushes may have interrupted the very thread that holds it.
        if not self._lock.acquire(timeout=HANDLER_S if wait else 0):
            return False
        event: Events | None = None
        try:
            try:
                event = self._chunk()
            finally:
                self._lock.release()
            # failpoint: chunk.taken
            if event is not None:
                self._run._channel.put_later(event, records, len(event.ops), size_of(event))
        except BaseException:  # an interrupt, before the channel had the rows
            if event is not None:
                self._lost("not_encoded", len(event.ops))
            raise
        if event is not None and self._recorded:
            self._run._channel.ended(self)  # said after the step's end: it is counted anew
        return True

    def _chunk(self) -> Events | None:
        """The oldest rows, as columns."""
        rows = self._rows
        chunk = rows[:ROOM]
        if not chunk:
            return None
        while self._noted and rows[len(chunk) : len(chunk) + 1] == [NOTE]:
            chunk = rows[: len(chunk) + WIDTH]  # a row and its notes stay together
        del rows[: len(chunk)]  # appends go to the end meanwhile, so nothing is lost between the two
        try:
            event = columns_of(self, chunk)
            self._emitted += len(event.ops)
            if self._capture != "full":
                self._sample_from_here()
        except BaseException:  # also an interrupt: rules may have counted some of the rows already
            self._lost("not_encoded", len(chunk) // WIDTH)
            raise
        return event

    def _sample_from_here(self) -> None:
        """Past the first events of an `auto` step, evidence is sampled."""
        if self._emitted >= FULL_EVENTS:
            if self._sampler is None:
                self._sample(Sampler())
        else:
            self._limit = min(ROOM, (FULL_EVENTS - self._emitted) * WIDTH)

    def _sample(self, sampler: Sampler) -> None:
        """Keep the evidence of some events only, from here on."""
        from dxray.sdk.sampling import SamplingStep

        self._sampler = sampler
        object.__setattr__(self, "__class__", SamplingStep)  # the step goes on as one

    @contextmanager
    def _counting_loss(self, n: int) -> Iterator[None]:
        """What cannot be recorded is a loss of `n` items; the exception goes on to the guard, an interrupt past it."""
        try:
            yield
        except BaseException:
            self._lost("not_recorded", n)
            raise

    def _left_out(self, name: str, n: int) -> None:
        """So many items are recorded without a value: what was given for it is not one for each."""
        self._lost("truncated", n)
        mark = f"{name[:64]}: left out, not one value for each item"
        known = self._marks or ()
        if n and mark not in known and len(known) < MOST_MARKS:
            self._marks = [*known, mark]

    def _forked(self, step_id: str) -> None:
        """In a forked child: rows not sent yet are the parent's to send; what follows is another step's."""
        self.step_id = step_id
        self._lock = threading.Lock()
        self._rows.clear()
        self._emitted = 0
        self._decisions, self._decisions_sent = (), 0
        self._input_count = self._output_count = self._consumed = None
        for rule in self._rules:
            rule.start_again()

    def _spill_all(self) -> None:
        """Encode whatever waits; called in the background."""
        while self._rows and self._spill(wait=True):
            pass

    def _records(self) -> list[AnyRecord]:
        """This step's version as it stands, and the decisions made since the last."""
        ended = self._ended_at is not None
        if ended:
            self._recorded = True
            self._limit = 0  # a row that comes now is sent at once
            self._spill_all()  # and one that came just before
        decisions, self._decisions_sent = self._decisions[self._decisions_sent :], len(self._decisions)
        record = StepRecord(
            run_id=self._run.run_id,
            step_id=self.step_id,
            version=now_us(),
            name=self._name,
            position=self._position,
            type=self._type,
            parent_step_id=self._parent_step_id,
            after=self._after,
            after_inferred=self._after_inferred,
            attempt=self._attempt,
            input_count=self._input_count,
            output_count=self._output_count,
            cutoff=self._cutoff,
            rules=[rule.recorded() for rule in self._rules],
            events=self._emitted if ended else None,
        )
        self._fill(record, self._run._project)
        return [*decisions, record]
