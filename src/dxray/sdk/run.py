"""A run: one execution of a pipeline, for one decided unit."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from dxray.sdk import context
from dxray.sdk.capture import CAPTURES, Sampler
from dxray.sdk.fields import Fields, error_text, now_us
from dxray.sdk.guard import guard, logger
from dxray.sdk.ledger import Ledger
from dxray.sdk.settings import Settings
from dxray.sdk.step import Step
from dxray.sdk.values import NAME_LIMIT, as_count, as_optional_text, as_text
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import AnyRecord, RunStatus
from dxray.wire.records import Run as RunRecord

if TYPE_CHECKING:
    from dxray.sdk.channel import Channel


class Beside(Protocol):
    """What hears of runs and steps as they begin and end, on the pipeline's time; never of items."""

    def run_began(self, run: Run) -> None:
        """A run was entered."""

    def step_began(self, step: Step) -> None:
        """A step was made; it may not have been entered yet."""

    def step_ended(self, step: Ledger) -> None:
        """Once a step."""

    def run_ended(self, run: Run) -> None:
        """Before the run's last version is on its way."""


beside: Beside | None = None  # an adapter of a tracing tool puts itself here


def client_for(api_url: str, api_key: str | None) -> Any:
    """A client of a server. Recording knows no asking: the package's door puts the real one here."""
    raise LookupError(f"no client for {api_url} here")


class Run(Fields):
    """One execution of a pipeline; made by `XRay.run(...)`, used as a context manager."""

    _status: RunStatus = "running"
    _resumed = False  # began in another process: what this one does not know, it leaves as it is
    _announced = False
    _token: Token[Any] | None = None
    _variant: str | None = None
    _parent_run_id: str | None = None
    _trace_id: str | None = None

    def __init__(
        self,
        pipeline: str,
        channel: Channel,
        settings: Settings,
        run_id: str,
        *,
        origin: str = "s",
        position: int = 0,
        joined: bool = False,
    ) -> None:
        self.run_id = run_id
        self._pipeline = pipeline
        self._channel = channel
        self._settings = settings
        self._project = settings.project
        self._origin = origin  # what step ids begin with, so that processes that share a run never share one
        self._position = position
        self._joined = joined  # the run belongs to another process; this one only adds steps
        self._open_steps: dict[int, Ledger] = {}
        self._last_ended: dict[str | None, str] = {}
        self._failed: dict[str | None, tuple[str, int]] = {}  # name and attempt of the last step, where it failed

    def _lost(self, cause: str, n: int) -> None:
        self._channel.lose(cause, n, self.run_id)

    @property
    def url(self) -> str:
        """Where a person can look at this run."""
        return f"{self._settings.api_url}/ui/runs/{self.run_id}"

    def step(
        self,
        name: str,
        step_type: str | None = None,
        *,
        after: Iterable[Step] | Step | None = None,
        attempt: int | None = None,
        capture: str | None = None,
    ) -> Step:
        """A step of this run, to be used with `with`.

        `after`: the steps whose items it takes, where that is not simply the step before. `attempt`
        counts retries; by default one more than the step before it, where that has this name and failed.
        `capture`: `auto`, `full`, `sample` or `none` of the evidence.
        """
        if self._token is None:
            _warn_not_entered()
        position = self._position
        self._position = position + 1
        if type(name) is not str or not name.isascii() or len(name) > NAME_LIMIT:
            name = as_text(name)
        kept = self._settings.capture if capture is None else _capture(capture, self._settings)
        step = Step(self, name, as_optional_text(step_type), kept, position)
        self._open_steps[position] = step
        try:
            if step._capture in ("sample", "none"):
                step._sample(Sampler() if step._capture == "sample" else Sampler(0.0, extras=0))
            parent = context.STEP.get()
            above = step._parent_step_id = parent.step_id if parent is not None and parent._run is self else None
            if after is not None:
                several = (after,) if isinstance(after, Step | str) else after
                step._after = [as_text(earlier) if isinstance(earlier, str) else earlier.step_id for earlier in several]
            elif above in self._last_ended:
                step._after = [self._last_ended[above]]
                step._after_inferred = True
            if attempt is not None:
                step._attempt = as_count(attempt, 2**31 - 1)
            elif self._failed.get(above, ("",))[0] == name:
                step._attempt = self._failed[above][1] + 1
            if beside is not None:
                beside.step_began(step)
        except Exception as error:
            guard.caught(error)
        return step

    def wait(self) -> None:
        """The run stops here until a person acts; `xray.resume(run_id)` goes on, days later if need be."""
        with guard:
            self._status = "waiting"
            self._announced = False

    def why(self, item: Any, timeout: float = 10.0) -> Any:
        """Why `item` got where it got: ships what is recorded so far, then asks the server.

        Raises what `dxray.Client` raises: this asks, it does not record.
        """
        self._channel.flush(timeout)
        return client_for(self._settings.api_url, self._settings.api_key).why(self.run_id, str(item))

    # -- a context manager -----------------------------------------------------------------------

    def __enter__(self) -> Run:
        context.install()
        self._token = context.RUN.set(self)
        if self._started_at is None and not (self._joined or self._resumed):
            self._start()
        if beside is not None:
            with guard:
                beside.run_began(self)
        self._channel.opened(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with guard:
            if self._token is not None:
                context.reset(context.RUN, self._token)
            self._finish(error)
        if self._settings.offline_mode == "strict" and not self._joined:
            self._channel.insist(self._settings.strict_timeout, self.run_id, masks=error is not None)

    def _finish(self, error: BaseException | None) -> None:
        for step in list(self._open_steps.values()):
            step._ended_at = now_us()  # left open by a generator or a thread that is gone
            step._finish(None)
            self._step_ended(step)
        if error is not None:
            self._error = error_text(error)
            self._status = "failed"
        elif self._status == "running":
            self._status = "completed"
        if self._status != "waiting":
            self._end()
        if beside is not None:
            with guard:
                beside.run_ended(self)
        self._channel.ended(self)

    # -- steps -----------------------------------------------------------------------------------

    def _step_ended(self, step: Ledger) -> None:
        if self._open_steps.pop(step._position, None) is None:
            return
        parent = step._parent_step_id
        self._last_ended[parent] = step.step_id
        if step._error is not None:
            self._failed[parent] = step._name, step._attempt
        elif self._failed:
            self._failed.pop(parent, None)
        if beside is not None:
            with guard:
                beside.step_ended(step)
        self._channel.ended(step)

    # -- records, made in the background ---------------------------------------------------------

    def _forked(self) -> None:
        """In a forked child: the run is the parent's; steps made or continued here are the child's own."""
        self._joined = True
        self._origin = f"f{uuid7_hex()[-6:]}."
        self._position = resumed_position()
        for step in self._open_steps.values():
            step._forked(f"{self._origin}{step._position + 1}")

    def _records(self) -> list[AnyRecord]:
        """This run's version as it stands; none where the run belongs to another process."""
        if self._joined:
            return []
        record = RunRecord(
            run_id=self.run_id,
            version=now_us(),
            pipeline=self._pipeline,
            status=self._status,
            environment=self._settings.environment,
            code_version=self._settings.code_version,
            variant=self._variant,
            parent_run_id=self._parent_run_id,
            trace_id=self._trace_id,
        )
        self._fill(record, self._project)
        if self._channel.mark is not None:
            record.marks = [*record.marks, self._channel.mark]
        return [record]

    def _progress(self) -> list[AnyRecord]:
        """What a reader should see of this run while it is open: itself and its open steps, once each."""
        records: list[AnyRecord] = []
        if not self._announced:
            self._announced = True
            records += self._records()
        for step in list(self._open_steps.values()):
            if step._started_at is None:
                continue
            step._spill_all()
            if not step._announced:
                step._announced = True
                records += step._records()
        return records


_warned = False


def _warn_not_entered() -> None:
    """Once a process: nothing of such a run would ever be sent."""
    global _warned
    if not _warned:
        _warned = True
        logger.warning("dxray: a step was made of a run that was not entered; write `with xray.run() as run:`")


def _capture(wanted: str | None, settings: Settings) -> str:
    return wanted if type(wanted) is str and wanted in CAPTURES else settings.capture


def resumed_position() -> int:
    """Where a process that joins a run begins to number its steps: after all that began before."""
    return int(time.time())
