"""What `instrument_langchain` costs: a graph of one node, and one of ten."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypedDict

from langchain_core.documents import Document
from langgraph.graph import END, START, StateGraph

import dxray

ROUNDS = 9
CALLS = 30
DOCUMENTS = [Document(id=f"d{number}", page_content="text " * 50) for number in range(20)]


class State(TypedDict, total=False):
    question: str
    documents: list[Document]


def chain(nodes: int, node: Callable[[Any], Any]) -> Any:
    made = StateGraph(State)
    names = [f"node{number}" for number in range(nodes)]
    for name in names:
        made.add_node(name, node)
    for one, other in zip([START, *names], [*names, END], strict=True):
        made.add_edge(one, other)
    return made.compile(name="bench")


def rows() -> list[tuple[str, float, float, int]]:
    """Name, seconds without, seconds with, calls (of a node): the best of rounds taken in turns."""
    found = []
    for name, nodes, state in (
        ("langgraph, 10 nodes", 10, {"question": "q"}),
        ("langgraph, 10 nodes, 20 documents", 10, {"question": "q", "documents": DOCUMENTS}),
    ):
        app = chain(nodes, lambda _: {"question": "next"})
        best = {False: float("inf"), True: float("inf")}
        for _ in range(ROUNDS):
            for on in (False, True):
                handle = dxray.instrument_langchain() if on else None
                app.invoke(state)
                start = time.perf_counter()
                for _ in range(CALLS):
                    app.invoke(state)
                best[on] = min(best[on], time.perf_counter() - start)
                if handle is not None:
                    handle.off()
        found.append((name, best[False], best[True], CALLS * nodes))
    return found
