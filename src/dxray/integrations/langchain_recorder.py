"""The callback handler: what begins and ends in LangChain, as runs and steps."""

from __future__ import annotations

import contextlib
from contextvars import Context, Token, copy_context
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage

from dxray.integrations import langchain_models, model_calls
from dxray.integrations.adapter import inferred
from dxray.integrations.langchain_flow import Flow, gone_of, kept_and_new
from dxray.integrations.langchain_items import Items, Lists, brief, by_id, lists_in
from dxray.integrations.langchain_waiting import Waiting
from dxray.sdk import context
from dxray.sdk.guard import guard
from dxray.sdk.run import Run
from dxray.sdk.step import Step
from dxray.sdk.xray import XRay

HIDDEN = "langsmith:hidden"
LEVEL = "graph:step:"
PAUSES = ("GraphBubbleUp", "GraphInterrupt", "ParentCommand")  # raised through a node, and no failures


class Open:
    """Something that began and did not end yet: a run, a step, or what is only passed through (neither)."""

    __slots__ = (
        "alone", "attempt", "before", "context", "flow", "inner", "name", "node", "over", "run", "step", "tokens",
    )  # fmt: skip

    def __init__(self, run: Run, where: Context, over: Open | None, name: str) -> None:
        self.run = run
        self.context = where
        self.over = over
        self.name = name
        self.step: Step | None = None
        self.node = False
        self.alone = False  # sent by `Send`: its input is its own, and no state of the graph
        self.attempt: int | None = None
        self.flow: Flow | None = None  # of the nodes directly under this
        self.before: Lists = {}
        self.inner: Items = {}  # found by retrievers and tools inside
        self.tokens: tuple[Token[Any], Token[Any]] | None = None

    def begin(self, step_type: str, after: list[Step] | None = None) -> Step:
        step = self.step = self.context.run(self.run.step, self.name, step_type, after=after, attempt=self.attempt)
        self.context.run(step.__enter__)
        return step

    def enter(self) -> None:
        """Make its step current where the user's own code runs."""
        self.tokens = context.RUN.set(self.run), context.STEP.set(self.step)

    def end(self, error: BaseException | None) -> None:
        if self.tokens is not None:
            with contextlib.suppress(ValueError, RuntimeError):  # ended in another context: there is nothing to undo
                context.STEP.reset(self.tokens[1])
                context.RUN.reset(self.tokens[0])
        if self.step is not None:
            failed = None if error is None or pauses(error) else error
            trace = None if failed is None else failed.__traceback__
            self.context.run(self.step.__exit__, type(failed) if failed is not None else None, failed, trace)

    def left(self, came: Items, items: Items) -> None:
        """What came in here and what of it was left: the others are rejected, and all that this is in is told."""
        step, gone = self.step, gone_of(came, items)
        if step is None:
            return
        kept_and_new(step, came, items)
        if gone:
            step.reject_many(list(gone), inferred(f"not in what {self.name} returned"))
        over = self.over
        while over is not None:
            over.inner.update(items)
            if over.over is not None:  # the run itself knows all that was ever found in it
                over.inner = {item_id: item for item_id, item in over.inner.items() if item_id not in gone}
            over = over.over

    def named(self, given: dict[str, Any]) -> Items:
        """The items, found in this run so far, that a tool's arguments list by their ids."""
        top = self
        while top.over is not None:
            top = top.over
        ids = [str(one) for held in given.values() if isinstance(held, list | tuple) for one in held]
        return {item_id: top.inner[item_id] for item_id in ids if item_id in top.inner}


def pauses(error: BaseException) -> bool:
    return any(kind.__name__ in PAUSES for kind in type(error).__mro__)


class Recorder(BaseCallbackHandler):
    """One for a process. Each event is held by the guard; what is unknown is passed through."""

    run_inline = True  # in the task or thread that the event is of, so that its context is the right one

    def __init__(self, xray: XRay | None) -> None:
        self.on = True
        self._xray = xray
        self._named: dict[str, XRay] = {}
        self._open: dict[UUID, Open] = {}
        self._roots: dict[UUID, Run] = {}  # the runs that are ours
        self._waiting = Waiting()

    def __deepcopy__(self, memo: Any) -> Recorder:
        return self

    def __copy__(self) -> Recorder:
        return self

    # -- graphs, chains and nodes ------------------------------------------------------------------

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with guard:
            name, facts, marks = str(more.get("name") or "chain"), metadata or {}, tags or []
            over = self._open.get(parent_run_id) if parent_run_id is not None else None
            if over is None:
                if self.on and more.get("run_type") not in ("prompt", "parser") and HIDDEN not in marks:
                    self._root(run_id, name, inputs, facts)
                return
            one = self._open[run_id] = Open(over.run, _where(over), over, name)
            if facts.get("langgraph_node") == name and any(mark.startswith(LEVEL) for mark in marks):
                self._node(one, over, inputs, facts)
            elif HIDDEN not in marks and _is_function(name, more.get("run_type")) and not over.node:
                one.before = {key: items for key, items in lists_in(inputs).items() if items}
                if one.before:
                    one.begin("transform")

    def _root(self, run_id: UUID, name: str, inputs: Any, facts: dict[str, Any]) -> None:
        here = copy_context()
        run, flow = here.get(context.RUN), Flow()
        if run is None:
            xray = self._xray or self._named.get(name)
            if xray is None:
                xray = self._named[name] = XRay(name)
            run, flow = self._waiting.run_for(xray, name, inputs, facts)
            if not isinstance(run, Run):
                return
            self._roots[run_id] = run
            here.run(run.__enter__)
        self._open[run_id] = one = Open(run, here, None, name)
        one.flow = flow

    def _node(self, one: Open, over: Open, inputs: Any, facts: dict[str, Any]) -> None:
        flow = over.flow
        if flow is None:
            flow = over.flow = Flow()
        level = int(facts.get("langgraph_step") or 0)
        one.node, one.alone = True, str((facts.get("langgraph_path") or ("",))[0]).endswith("push")
        after = flow.at(level)
        if not one.alone:
            flow.settle(inputs, level)
        one.before = {key: items for key, items in lists_in(inputs).items() if items}
        flow.saw(one.before)
        one.attempt = self._waiting.attempt(one.run.run_id, one.name)
        # The first of the first level comes after whatever was before the graph; others stand beside it.
        step = one.begin("transform", after or ([] if flow.these else None))
        flow.these.append(step)
        step.set_metadata("graph_step", level)
        if (visit := flow.visit(one.name)) > 1:
            step.set_metadata("visit", visit)
        one.enter()

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **more: Any) -> None:
        with guard:
            one = self._open.pop(run_id, None)
            if one is None:
                return
            with guard:
                self._ended(one, outputs)
            one.end(None)
            self._close(run_id, one, None, outputs)

    def _ended(self, one: Open, outputs: Any) -> None:
        over = one.over
        if one.node and over is not None and over.flow is not None and one.step is not None:
            over.flow.returned(one.step, one.name, one.before, one.inner, lists_in(outputs), one.alone)
            one.step.set_output(brief(outputs))
        elif one.step is not None:
            _function_ended(one, lists_in(outputs))
        elif over is not None and over.node and over.step is not None and (led := _route(outputs)):
            over.step.set_metadata("route", {one.name: led})
        if one.flow is not None:
            one.flow.settle(outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        with guard:
            one = self._open.pop(run_id, None)
            if one is None:
                return
            if one.step is not None and one.node and pauses(error):
                self._waiting.node(one, error)
            if one.flow is not None:
                one.flow.settle(None)
            one.end(error)
            self._close(run_id, one, error, None)

    def _close(self, run_id: UUID, one: Open, error: BaseException | None, outputs: Any) -> None:
        run = self._roots.pop(run_id, None)
        if run is None:
            return
        if error is None:
            run.set_output(brief(outputs))
        self._waiting.ended(run, one.flow, error)
        trace = None if error is None else error.__traceback__
        one.context.run(run.__exit__, type(error) if error is not None else None, error, trace)

    # -- retrievers --------------------------------------------------------------------------------

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **more: Any
    ) -> None:
        with guard:
            one = self._begun(run_id, parent_run_id, more, serialized)
            if one is not None:
                one.begin("retrieve").set_input({"query": brief(query)})
                one.enter()

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **more: Any) -> None:
        with guard:
            one = self._open.pop(run_id, None)
            if one is None or one.step is None:
                return
            with guard:
                one.left(one.inner, by_id(list(documents)))
            one.end(None)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._failed(error, run_id)

    # -- tools -------------------------------------------------------------------------------------

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        with guard:
            one = self._begun(run_id, parent_run_id, more, serialized)
            if one is not None:
                one.before = {"": one.named(inputs or {})}
                one.begin("tool").set_input(brief(inputs if inputs is not None else input_str))
                one.enter()

    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        with guard:
            one = self._open.pop(run_id, None)
            if one is None or one.step is None:
                return
            with guard:
                held = getattr(output, "artifact", None) or output
                items = {} if isinstance(held, BaseMessage) else lists_in(held).get("", {})
                if items:  # a tool that returns no items may have decided nothing about them
                    one.left({**one.before[""], **one.inner}, items)
                one.step.set_output(brief(output))
            one.end(None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._failed(error, run_id)

    # -- models ------------------------------------------------------------------------------------

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **more: Any
    ) -> None:
        self._model(serialized, messages[0] if messages else [], run_id, parent_run_id, more)

    def on_llm_start(
        self, serialized: Any, prompts: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **more: Any
    ) -> None:
        self._model(serialized, prompts, run_id, parent_run_id, more)

    def _model(self, serialized: Any, prompt: Any, run_id: UUID, parent: UUID | None, more: dict[str, Any]) -> None:
        with guard:
            one = self._begun(run_id, parent, more, serialized)
            if one is not None:
                step = one.begin("generate")
                # Until this call ends, the client's own adapter is quiet about it.
                model_calls.hush(lambda: run_id in self._open)
                langchain_models.asked(step, serialized, prompt, more)

    def on_llm_end(self, response: Any, *, run_id: UUID, **more: Any) -> None:
        with guard:
            one = self._open.pop(run_id, None)
            if one is None or one.step is None:
                return
            with guard:
                langchain_models.answered(one.step, response)
            one.end(None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._failed(error, run_id)

    # -- all of them -------------------------------------------------------------------------------

    def _begun(self, run_id: UUID, parent: UUID | None, more: dict[str, Any], serialized: Any) -> Open | None:
        """A retriever, tool or model call: in a graph or chain, else in the run that is open, else not recorded."""
        over = self._open.get(parent) if parent is not None else None
        where = _where(over)
        run = over.run if over is not None else where.get(context.RUN)
        if run is None or (over is None and not self.on):
            return None
        known = more.get("name") or (serialized or {}).get("name") or ((serialized or {}).get("id") or ["call"])[-1]
        one = self._open[run_id] = Open(run, where, over, str(known))
        return one

    def _failed(self, error: BaseException, run_id: UUID) -> None:
        with guard:
            one = self._open.pop(run_id, None)
            if one is not None:
                one.end(error)


def _where(over: Open | None) -> Context:
    """The context to record in: the code's own where it is in the same run, else that of what this is in."""
    here = copy_context()
    return here if over is None or here.get(context.RUN) is over.run else over.context.copy()


def _is_function(name: str, run_type: Any) -> bool:
    """Not the parts that LangChain itself is plugged together with."""
    return run_type in (None, "chain") and (name == "RunnableLambda" or not name.startswith("Runnable"))


def _function_ended(one: Open, after: Lists) -> None:
    """A function of a chain: what it returns is all that goes on."""
    if not after:
        return
    came: Items = {**{i: item for items in one.before.values() for i, item in items.items()}, **one.inner}
    left: Items = {i: item for items in after.values() for i, item in items.items()}
    if not left and not set(after) & set(one.before):
        return  # an empty list of something else
    one.left(came, left)


def _route(led: Any) -> list[str]:
    """Where a conditional edge led to."""
    several = led if isinstance(led, list | tuple) else [led]
    names = [one if isinstance(one, str) else getattr(one, "node", None) for one in several]
    return [name for name in names if isinstance(name, str)] if None not in names else []
