"""LangChain and LangGraph: graphs and chains as runs, nodes, tools, retrievers and model calls as steps.

A callback handler, put in place through langchain-core's own hook, so that no call of the user's changes.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from dxray.integrations.adapter import Handle, known, needed
from dxray.sdk.guard import guard
from dxray.sdk.xray import XRay

CORE = ("langchain-core", (1, 0), (2,))
GRAPH = ("langgraph", (1, 0), (2,))

_handle = Handle()


def instrument(xray: XRay | None = None) -> Handle:
    """Record every graph, chain and agent that is invoked from here on; `off()` of the handle ends that.

    Runs belong to `xray`; without one, to a pipeline of the graph's name. Where a run is open, nodes are steps of it.
    A second call takes the place of the first. Raises `ImportError` where langchain-core is not installed.
    """
    global _handle
    needed("langchain_core", "langchain")
    if not known(*CORE) or not _graph_known():
        return Handle()
    from langchain_core.tracers import context

    from dxray.integrations.langchain_recorder import Recorder

    _handle.off()
    recorder = Recorder(xray)
    # Its default and not a value: a value would hold in this thread's context alone.
    hook: ContextVar[Any] = ContextVar("dxray_langchain", default=recorder)
    context.register_configure_hook(hook, inheritable=True)

    def off() -> None:
        recorder.on = False  # what is open still ends; a manager that holds it begins nothing more
        with guard:
            context._configure_hooks[:] = [one for one in context._configure_hooks if one[0] is not hook]

    _handle = Handle(off)
    return _handle


def _graph_known() -> bool:
    """LangGraph of a version that is known, or none."""
    from importlib.util import find_spec

    return find_spec("langgraph") is None or known(*GRAPH)
