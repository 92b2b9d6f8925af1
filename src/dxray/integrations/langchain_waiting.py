"""Graphs that wait for a person: the run waits with them, and goes on when their thread comes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dxray.integrations.langchain_flow import Flow
from dxray.integrations.langchain_items import brief
from dxray.sdk.null import NullRun
from dxray.sdk.run import Run
from dxray.sdk.xray import XRay

if TYPE_CHECKING:
    from dxray.integrations.langchain_recorder import Open

MOST = 10_000  # threads that wait in this process; of more, the first are forgotten


class Waiting:
    """Which runs of this process wait, by graph and `thread_id`."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], tuple[str, Flow]] = {}
        self._threads: dict[str, tuple[str, str]] = {}  # of the runs that are open, by run
        self._paused: set[str] = set()
        self._attempts: dict[tuple[str, str], int] = {}  # by run and node: it begins anew when it goes on

    def run_for(self, xray: XRay, name: str, inputs: Any, facts: dict[str, Any]) -> tuple[Run | NullRun, Flow]:
        """The run of an invocation: the one that waited for it, else a new one."""
        thread = facts.get("thread_id")
        metadata = {} if thread is None else {"thread_id": str(thread)}
        waited = self._runs.pop((name, str(thread)), None) if thread is not None else None
        goes_on = inputs is None or type(inputs).__name__ == "Command"
        run: Run | NullRun
        flow = Flow()
        if waited is not None and goes_on:
            run, flow = xray.resume(waited[0]), waited[1]
        else:
            run = xray.run(input=brief(inputs), metadata={**metadata, "framework": "langchain"})
        if thread is not None and isinstance(run, Run):
            self._threads[run.run_id] = name, str(thread)
        return run, flow

    def node(self, one: Open, error: BaseException) -> None:
        """A node that stopped to ask: its step ends without an error, and says what it asked."""
        asked = [getattr(ask, "value", None) for several in error.args[:1] for ask in _listed(several)]
        if one.step is not None and type(error).__name__ != "ParentCommand":
            one.step.set_metadata("waits_for", brief(asked))
            self._paused.add(one.run.run_id)
            self._attempts[one.run.run_id, one.name] = (one.attempt or 1) + 1
            if one.over is not None and one.over.flow is not None:
                one.over.flow.these.remove(one.step)  # what comes later comes after the next attempt

    def attempt(self, run_id: str, name: str) -> int | None:
        return self._attempts.pop((run_id, name), None)

    def ended(self, run: Run, flow: Flow | None, error: BaseException | None) -> None:
        thread, paused = self._threads.pop(run.run_id, None), run.run_id in self._paused
        self._paused.discard(run.run_id)
        if not paused or error is not None:
            return
        run.wait()
        if thread is not None:
            self._runs[thread] = run.run_id, flow or Flow()
            while len(self._runs) > MOST:
                self._runs.pop(next(iter(self._runs)))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
