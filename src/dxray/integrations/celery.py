"""Celery: the run goes with a task's message, and each execution of the task is a step of it.

A retry is another attempt of the same step. A task that was sent outside of a run records nothing, or with `new_runs`
each execution of it is a run.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

from dxray.integrations.adapter import Handle, known, needed
from dxray.integrations.propagation import CARRIED, carried
from dxray.sdk.guard import guard
from dxray.sdk.xray import XRay, current_run

FIRST, BEFORE = (5, 4), (6,)
FLUSH_S = 2.0

_on: dict[int, Handle] = {}  # by app


def instrument(app: Any, xray: XRay | None = None, *, new_runs: bool = False) -> Handle:
    """Carry runs through the tasks of a Celery app; call it where the app is made, for who sends and for who works.

    With `new_runs` an execution that no run brought is a run of `xray`, an attempt to a run.
    Returns a handle whose `off()` undoes it. Calling it again for the same app changes nothing. Raises `ImportError`
    where celery is not installed.
    """
    signals = needed("celery.signals", "celery")
    if not known("celery", FIRST, BEFORE):
        return Handle()
    if id(app) in _on:
        return _on[id(app)]
    carrying = _Carrying(app, xray if xray is not None else XRay(str(app.main or "celery")), new_runs)
    pairs = (
        (signals.before_task_publish, carrying.publish),
        (signals.task_prerun, carrying.begin),
        (signals.task_retry, carrying.retry),
        (signals.task_failure, carrying.failure),
        (signals.task_postrun, carrying.end),
        (signals.worker_process_shutdown, carrying.shutdown),
    )
    for signal, receiver in pairs:
        signal.connect(receiver, weak=False)
    handle = Handle(lambda: _forget(app), *(_undo(signal, receiver) for signal, receiver in pairs))
    _on[id(app)] = handle
    return handle


def _forget(app: Any) -> None:
    _on.pop(id(app), None)


def _undo(signal: Any, receiver: Any) -> Any:
    return lambda: signal.disconnect(receiver)


class _Execution:
    """A task at work: what brought it, its open step, and what it ended with."""

    def __init__(self, carrier: dict[str, str], stack: ExitStack) -> None:
        self.carrier = carrier
        self.stack = stack
        self.error: BaseException | None = None
        self.handled = sys.exc_info()[1]  # by who runs the task at once, where it does so in an `except`


class _Carrying:
    """The receivers of Celery's signals, for one app."""

    def __init__(self, app: Any, xray: XRay, new_runs: bool) -> None:
        self._app = app
        self._xray = xray
        self._new_runs = new_runs
        self._executions: dict[str, _Execution] = {}

    def publish(self, headers: Any = None, **_: Any) -> None:
        with guard:
            if not current_run() or not isinstance(headers, dict):
                return
            again = self._executions.get(str(headers.get("id")))
            # A retry is sent from within the attempt before it, but it belongs beside that, not under it.
            headers.update(again.carrier if again is not None else self._xray.inject({}))

    def begin(self, task_id: str, task: Any, **_: Any) -> None:
        with guard:
            if task.app is not self._app:
                return
            request = task.request
            found = {**(request.headers or {}), **{name: request.get(name) for name in CARRIED if request.get(name)}}
            carrier = carried({name: value for name, value in found.items() if isinstance(value, str)})
            with ExitStack() as stack:
                run: Any = current_run()
                if not run:
                    run = stack.enter_context(self._xray.extract(carrier))
                attempt = int(request.retries or 0) + 1
                if not run and self._new_runs:
                    run = stack.enter_context(self._xray.run(input={"task": task.name, "attempt": attempt}))
                if run:
                    stack.enter_context(run.step(task.name, "tool", attempt=attempt))
                    self._executions[task_id] = _Execution(carrier, stack.pop_all())

    def retry(self, request: Any = None, reason: Any = None, **_: Any) -> None:
        with guard:
            cause = getattr(reason, "exc", None)  # what the task failed with, where it told
            self._failed(request.id, cause if isinstance(cause, BaseException) else reason)

    def failure(self, task_id: str = "", exception: Any = None, **_: Any) -> None:
        with guard:
            self._failed(task_id, exception)

    def _failed(self, task_id: str, error: Any) -> None:
        execution = self._executions.get(task_id)
        if execution is not None and isinstance(error, BaseException):
            execution.error = error

    def end(self, task_id: str, **_: Any) -> None:
        with guard:
            execution = self._executions.pop(task_id, None)
            if execution is not None:
                # A task that is run at once, and throws, is told of by no signal but the exception under way.
                under_way = sys.exc_info()[1]
                error = execution.error or (under_way if under_way is not execution.handled else None)
                execution.stack.__exit__(None if error is None else type(error), error, None)

    def shutdown(self, **_: Any) -> None:
        """A worker process ends without Python's own exit."""
        with guard:
            self._xray.flush(FLUSH_S)
