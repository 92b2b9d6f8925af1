"""LangChain and LangGraph as they record: real graphs and chains, models that are rules."""

from __future__ import annotations

import asyncio
import json
import operator
import threading
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

import dxray
from dxray.sdk.guard import guard
from dxray.testing import Capture, capture

INFERRED = "inferred: not in what {} returned"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    monkeypatch.setattr(guard, "loud", True)
    with capture() as captured, dxray.instrument_langchain():
        before = guard.counts.total()
        yield captured
        assert guard.counts.total() == before


class Found(BaseRetriever):
    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.documents


class Reranked(BaseRetriever):
    inner: BaseRetriever
    k: int = 1

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.inner.invoke(query, config={"callbacks": run_manager.get_child()})[: self.k]


def docs(*ids: str) -> list[Document]:
    return [Document(id=one, page_content=f"about {one}") for one in ids]


def model(*answers: str) -> GenericFakeChatModel:
    usage: Any = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    return GenericFakeChatModel(messages=iter([AIMessage(one, usage_metadata=usage) for one in answers]))


class State(TypedDict, total=False):
    question: str
    documents: list[Document]
    found: Annotated[list[Document], operator.add]
    times: int


def graph(nodes: dict[str, Any], *, checkpointer: Any = None, name: str = "rag", **options: Any) -> Any:
    """Nodes in a row."""
    made = StateGraph(State)
    for one, function in nodes.items():
        made.add_node(one, function, **options)
    for one, other in zip([START, *nodes], [*nodes, END], strict=True):
        made.add_edge(one, other)
    return made.compile(checkpointer=checkpointer, name=name)


def shape(captured: Capture) -> list[tuple[str, str | None]]:
    return [(step.name, step.type) for step in sorted(captured.steps, key=lambda step: step.position)]


# --- graphs ---


def test_a_graph_is_a_run_and_what_a_node_left_out_is_rejected(recorded: Capture) -> None:
    retriever = Found(documents=docs("a", "b", "c"))
    app = graph(
        {
            "retrieve": lambda s: {"documents": retriever.invoke(s["question"])},
            "grade": lambda s: {"documents": s["documents"][:2]},
        }
    )
    assert [d.id for d in app.invoke({"question": "q"})["documents"]] == ["a", "b"]
    (run,) = recorded.runs
    assert (run.pipeline, run.status) == ("rag", "completed")
    assert shape(recorded) == [("retrieve", "transform"), ("Found", "retrieve"), ("grade", "transform")]
    assert recorded.outcomes("Found") == dict.fromkeys("abc", "produced")
    assert recorded.outcomes("grade") == {"a": "accepted", "b": "accepted", "c": "rejected"}
    assert [e.reason for e in recorded.events if e.outcome == "rejected"] == [INFERRED.format("grade")]
    assert recorded.losses == {}


def test_a_list_that_a_reducer_adds_to_loses_nothing(recorded: Capture) -> None:
    app = graph(
        {
            "one": lambda s: {"found": docs("a", "b")},
            "two": lambda s: {"found": docs("c")},
            "three": lambda s: {"found": []},
            "four": lambda s: {"question": "done"},
        }
    )
    assert len(app.invoke({"question": "q", "found": []})["found"]) == 3
    assert not [event for event in recorded.events if event.outcome == "rejected"]
    assert recorded.outcomes("two") == {"c": "produced"}
    assert recorded.outcomes("four") == dict.fromkeys("abc", "accepted")


def test_branches_side_by_side_come_after_the_same_step(recorded: Capture) -> None:
    def grade(state: Any) -> dict[str, Any]:
        return {"found": [state["document"]] if state["document"].id != "b" else []}

    made = StateGraph(State)
    made.add_node("retrieve", lambda s: {"documents": docs("a", "b", "c")})
    made.add_node("grade", grade)
    made.add_node("answer", lambda s: {"question": "done"})
    made.add_edge(START, "retrieve")
    made.add_conditional_edges(
        "retrieve", lambda s: [Send("grade", {"document": d}) for d in s["documents"]], ["grade"]
    )
    made.add_edge("grade", "answer")
    made.compile(name="fan").invoke({"question": "q"})
    first, *branches, last = sorted(recorded.steps, key=lambda step: step.position)
    assert [step.after for step in branches] == [[first.step_id]] * 3
    assert sorted(last.after or []) == sorted(step.step_id for step in branches)
    assert recorded.outcomes("grade") == {"a": "accepted", "b": "rejected", "c": "accepted"}


def test_a_node_visited_again_is_a_step_again(recorded: Capture) -> None:
    made = StateGraph(State)
    made.add_node("retrieve", lambda s: {"documents": docs(f"d{s.get('times', 0)}"), "times": s.get("times", 0) + 1})
    made.add_edge(START, "retrieve")
    made.add_conditional_edges("retrieve", lambda s: "retrieve" if s["times"] < 3 else END)
    made.compile(name="loop").invoke({"question": "q"})
    steps = sorted(recorded.steps, key=lambda step: step.position)
    assert [(step.name, step.attempt) for step in steps] == [("retrieve", 1)] * 3
    assert [json.loads(step.metadata or "{}").get("visit") for step in steps] == [None, 2, 3]
    gone = [(e.item_id, e.outcome) for e in recorded.events]
    assert gone.count(("d0", "rejected")) == 1 and ("d2", "rejected") not in gone


def test_a_node_that_fails_is_a_failed_step_and_a_retry_another_attempt(recorded: Capture) -> None:
    calls = []

    def shaky(state: State) -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("try again")
        raise ValueError("broken")

    app = graph({"shaky": shaky}, retry_policy=RetryPolicy(initial_interval=0.01, retry_on=ConnectionError))
    with pytest.raises(ValueError, match="broken"):
        app.invoke({"question": "q"})
    assert recorded.runs[0].status == "failed" and "broken" in str(recorded.runs[0].error)
    steps = sorted(recorded.steps, key=lambda step: step.position)
    assert [(step.attempt, json.loads(step.error or "{}")["type"]) for step in steps] == [
        (1, "ConnectionError"),
        (2, "ValueError"),
    ]


def test_async_and_streamed_graphs_record_the_same(recorded: Capture) -> None:
    async def retrieve(state: State) -> dict[str, Any]:
        return {"documents": await Found(documents=docs("a", "b")).ainvoke("q")}

    async def grade(state: State) -> dict[str, Any]:
        await asyncio.sleep(0)
        assert dxray.current_step().step_id
        return {"documents": state["documents"][:1]}

    app = graph({"retrieve": retrieve, "grade": grade})

    async def both() -> None:
        await asyncio.gather(app.ainvoke({"question": "q"}), app.ainvoke({"question": "q"}))
        assert [chunk async for chunk in app.astream({"question": "q"})]

    asyncio.run(both())
    assert len(recorded.runs) == 3
    for run in recorded.runs:
        assert [s.name for s in sorted(recorded.steps, key=lambda s: s.position) if s.run_id == run.run_id] == [
            "retrieve",
            "Found",
            "grade",
        ]
        ends = {e.item_id: e.outcome for e in recorded.events if e.run_id == run.run_id and e.step_name == "grade"}
        assert ends == {"a": "accepted", "b": "rejected"}


def test_a_stream_that_is_left_ends_its_run_and_leaks_none(recorded: Capture) -> None:
    app = graph({"one": lambda s: {"question": "1"}, "two": lambda s: {"question": "2"}})
    for _ in app.stream({"question": "q"}):
        assert not dxray.current_run()
        break
    assert not dxray.current_run()
    assert [run.status for run in recorded.runs] == ["failed"]  # GeneratorExit


def test_a_graph_in_a_thread_of_its_own_is_recorded(recorded: Capture) -> None:
    app = graph({"one": lambda s: {"documents": docs("a")}})
    thread = threading.Thread(target=lambda: app.invoke({"question": "q"}))
    thread.start()
    thread.join()
    assert recorded.outcomes("one") == {"a": "produced"}


def test_inside_of_an_open_run_nodes_are_its_steps(recorded: Capture) -> None:
    def node(state: State) -> dict[str, Any]:
        with dxray.current_run().step("mine") as step:
            step.accept("x")
        return {"question": "2"}

    xray = dxray.XRay("mine")
    with xray.run(), xray.run() as run, run.step("before"):
        graph({"node": node}).invoke({"question": "q"})
    assert [run.pipeline for run in recorded.runs] == ["mine", "mine"]
    parents = {step.name: step.parent_step_id for step in recorded.steps}
    ids = {step.name: step.step_id for step in recorded.steps}
    assert parents == {"before": None, "node": ids["before"], "mine": ids["node"]}


def test_a_graph_in_a_graph_nests(recorded: Capture) -> None:
    inner = graph({"grade": lambda s: {"documents": s["documents"][:1]}}, name="inner")
    graph({"retrieve": lambda s: {"documents": docs("a", "b")}, "inner": inner}).invoke({"question": "q"})
    parents = {step.name: step.parent_step_id for step in recorded.steps}
    assert parents["grade"] == next(step.step_id for step in recorded.steps if step.name == "inner")
    assert len(recorded.runs) == 1
    assert recorded.outcomes("grade") == {"a": "accepted", "b": "rejected"}


# --- waiting for a person ---


def test_a_graph_that_waits_goes_on_in_the_same_run(recorded: Capture) -> None:
    def human(state: State) -> dict[str, Any]:
        return {"documents": state["documents"] if interrupt("keep b?") == "yes" else []}

    nodes = {"retrieve": lambda s: {"documents": docs("a", "b")}, "human": human, "send": lambda s: {"question": "x"}}
    app = graph(nodes, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t1"}}
    app.invoke({"question": "q"}, thread)
    assert [run.status for run in recorded.runs] == ["waiting"]
    app.invoke(Command(resume="yes"), thread)
    (run,) = recorded.runs
    assert run.status == "completed"
    steps = sorted(recorded.steps, key=lambda step: step.position)
    again = [("human", 1), ("human", 2)]
    assert [(step.name, step.attempt) for step in steps] == [("retrieve", 1), *again, ("send", 1)]
    assert not [step.error for step in steps if step.error]
    assert steps[-2].after == [steps[0].step_id] and steps[-1].after == [steps[-2].step_id]
    app.invoke({"question": "again"}, thread)
    assert len(recorded.runs) == 2, "a new question is a new run"


# --- chains, retrievers, tools, models ---


def test_a_chain_is_a_run_and_its_reranker_rejects(recorded: Capture) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{text}")])
    chain = (
        Found(documents=docs("a", "b", "c"))
        | RunnableLambda(lambda found: [found[2], found[0]], name="rerank")
        | (lambda found: {"text": " ".join(one.page_content for one in found)})
        | prompt
        | model("fine")
    )
    assert chain.with_config(run_name="answers").invoke("q").content == "fine"
    assert recorded.runs[0].pipeline == "answers"
    assert recorded.outcomes("rerank") == {"c": "accepted", "a": "accepted", "b": "rejected"}
    (call,) = [step for step in recorded.steps if step.type == "generate"]
    config = json.loads(call.config or "{}")
    assert set(config) == {"model", "prompt"} and "brief" not in json.dumps(config)
    assert json.loads(call.usage or "{}") == {"input_tokens": 7, "output_tokens": 2}


def test_a_retriever_around_another_rejects_what_it_leaves_out(recorded: Capture) -> None:
    chain = Reranked(inner=Found(documents=docs("a", "b"))) | RunnableLambda(len, name="count")
    assert chain.invoke("q") == 1
    assert recorded.outcomes("Found") == {"a": "produced", "b": "produced"}
    assert recorded.outcomes("Reranked") == {"a": "accepted", "b": "rejected"}


def test_documents_without_ids_are_known_by_source_and_content(recorded: Capture) -> None:
    whole = [Document(page_content=text, metadata={"source": "report.pdf"}) for text in ("one", "two")]
    keyed = Document(page_content="three", metadata={"doc_id": 3})
    short = Document(page_content="thr", metadata={"source": "other.pdf"})
    long = Document(page_content="three words here", metadata={"source": "other.pdf"})
    cut = RunnableLambda(lambda found: [found[0], found[2], short], name="cut")
    (Found(documents=[*whole, keyed, long]) | cut).invoke("q")
    ids = [event.item_id for event in recorded.events if event.step_name == "Found"]
    assert len(set(ids)) == 4 and ids[2] == "3" and all(one.startswith("report.pdf#") for one in ids[:2])
    outcomes = recorded.outcomes("cut")
    assert [outcomes[one] for one in ids] == ["accepted", "rejected", "accepted", "consumed"]


def test_a_tool_is_a_step_and_its_error_is_its_own(recorded: Capture) -> None:
    @tool
    def divide(by: int) -> float:
        """Divide."""
        return 1 / by

    with dxray.XRay("tools").run():
        assert divide.invoke({"by": 2}) == 0.5
        with pytest.raises(ZeroDivisionError):
            divide.invoke({"by": 0})
    first, second = sorted(recorded.steps, key=lambda step: step.position)
    assert (first.type, first.input, first.output) == ("tool", '{"by":2}', "0.5")
    assert second.error is not None and "ZeroDivisionError" in second.error


def test_a_model_that_streams_tells_what_it_took(recorded: Capture) -> None:
    with dxray.XRay("stream").run():
        assert "".join(str(chunk.content) for chunk in model("one two").stream("q")) == "one two"
    (step,) = recorded.steps
    assert step.type == "generate" and json.loads(step.output or "{}")["content"] == "one two"


def test_off_and_outside_nothing_is_recorded() -> None:
    with capture() as captured:
        app = graph({"one": lambda s: {"documents": docs("a")}})
        handle = dxray.instrument_langchain()
        model("x").invoke("no run is open")
        handle.off()
        app.invoke({"question": "q"})
        assert not handle.on and captured.records == []


def test_the_second_call_takes_the_place_of_the_first() -> None:
    with capture() as captured:
        dxray.instrument_langchain()
        with dxray.instrument_langchain(dxray.XRay("named")):
            graph({"one": lambda s: {"question": "x"}}).invoke({"question": "q"})
        assert [run.pipeline for run in captured.runs] == ["named"]
        assert len(captured.steps) == 1


def test_an_error_of_ours_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from dxray.integrations import langchain_recorder

    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(langchain_recorder, "lists_in", broken)
    monkeypatch.setattr(guard, "loud", False)
    before = guard.counts["RuntimeError"]
    with capture() as captured, dxray.instrument_langchain():
        assert graph({"one": lambda s: {"question": "fine"}}).invoke({"question": "q"}) == {
            "question": "fine",
            "found": [],
        }
        assert [run.status for run in captured.runs] == ["completed"]
    assert guard.counts["RuntimeError"] > before


def test_an_unknown_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from dxray.integrations import langchain

    monkeypatch.setattr(langchain, "CORE", ("langchain-core", (0, 1), (0, 2)))
    assert not dxray.instrument_langchain().on
