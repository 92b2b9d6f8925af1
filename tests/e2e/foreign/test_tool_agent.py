"""An agent with tools as LangGraph's users write it: plain first, then recorded, then asked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import dxray
from tests.e2e.foreign.programs import changed, run

PLAIN = '''
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

HOTELS = [
    {"id": "h1", "name": "Harbour", "city": "Oslo", "price": 120, "rating": 4.1},
    {"id": "h2", "name": "Fjord", "city": "Oslo", "price": 260, "rating": 4.8},
    {"id": "h3", "name": "Station", "city": "Oslo", "price": 90, "rating": 3.2},
    {"id": "h4", "name": "Old Town", "city": "Oslo", "price": 140, "rating": 4.6},
    {"id": "h5", "name": "Canal", "city": "Delft", "price": 80, "rating": 4.9},
]


@tool(response_format="content_and_artifact")
def search_hotels(city: str):
    """Hotels of a city."""
    found = [hotel for hotel in HOTELS if hotel["city"] == city]
    return ", ".join(hotel["id"] for hotel in found), found


@tool(response_format="content_and_artifact")
def within_budget(hotel_ids: list[str], most: int):
    """Which of some hotels cost no more than so much a night."""
    found = [hotel for hotel in HOTELS if hotel["id"] in hotel_ids and hotel["price"] <= most]
    return ", ".join(hotel["id"] for hotel in found), found


@tool(response_format="content_and_artifact")
def best_rated(hotel_ids: list[str]):
    """The best rated of some hotels."""
    found = max((hotel for hotel in HOTELS if hotel["id"] in hotel_ids), key=lambda hotel: hotel["rating"])
    return found["id"], [found]


class Model(BaseChatModel):
    @property
    def _llm_type(self):
        return "rules"

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=tools)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        answers = [message.content for message in messages if isinstance(message, ToolMessage)]
        ids = answers[-1].split(", ") if answers else []
        plan = [
            ("search_hotels", {"city": "Oslo"}),
            ("within_budget", {"hotel_ids": ids, "most": 150}),
            ("best_rated", {"hotel_ids": ids}),
        ]
        if len(answers) == len(plan):
            said = AIMessage(f"Take {ids[0]}.")
        else:
            name, args = plan[len(answers)]
            said = AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call{len(answers)}"}])
        said.usage_metadata = {"input_tokens": 10 * len(messages), "output_tokens": 3, "total_tokens": 0}
        return ChatResult(generations=[ChatGeneration(message=said)])


tools = [search_hotels, within_budget, best_rated]
model = Model().bind_tools(tools)


def agent(state: MessagesState):
    return {"messages": [model.invoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("agent", agent)
builder.add_node("tools", ToolNode(tools))
builder.add_edge(START, "agent")
builder.add_conditional_edges("agent", tools_condition)
builder.add_edge("tools", "agent")
graph = builder.compile(name="booking")
print(graph.invoke({"messages": [HumanMessage("A hotel in Oslo, 150 at most")]})["messages"][-1].content)
'''
FIRST = "from langchain_core.language_models import BaseChatModel\n"
INSTRUMENTED = PLAIN.replace(FIRST, f"import dxray\n\ndxray.instrument_langchain()\n{FIRST}")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dxray.Client, str]]:
    folder = tmp_path_factory.mktemp("agent")
    with dxray.local(folder / "data") as client:
        assert run(PLAIN, folder) == run(INSTRUMENTED, folder, DXRAY_API_URL=client.api_url) == "Take h4.\n"
        (made,) = client.runs().runs
        yield client, made.run_id


def test_at_most_five_lines_change() -> None:
    assert 0 < changed(PLAIN, INSTRUMENTED) <= 5


def test_why_and_why_not_are_what_the_tools_do(recorded: tuple[dxray.Client, str]) -> None:
    client, run_id = recorded
    names: dict[str, object] = {}
    exec(PLAIN.split("@tool", 1)[0], names)
    hotels: list[dict[str, object]] = names["HOTELS"]  # type: ignore[assignment]
    there = [hotel for hotel in hotels if hotel["city"] == "Oslo"]
    cheap = [hotel for hotel in there if hotel["price"] <= 150]  # type: ignore[operator]
    best = max(cheap, key=lambda hotel: hotel["rating"])  # type: ignore[arg-type,return-value]
    for hotel in hotels:
        answer = client.why(run_id, str(hotel["id"]))
        if hotel not in there:
            assert answer.verdict == "never_retrieved", answer
        elif hotel not in cheap:
            assert (answer.verdict, answer.step_name) == ("rejected", "within_budget"), answer
        elif hotel is not best:
            assert (answer.verdict, answer.step_name) == ("rejected", "best_rated"), answer
        else:
            assert (answer.verdict, answer.step_name, answer.name) == ("survived", "agent", "Old Town"), answer


def test_calls_of_the_model_and_the_tools_are_steps_of_their_nodes(recorded: tuple[dxray.Client, str]) -> None:
    client, run_id = recorded
    run = client.run(run_id)
    names = {step.step_id: step.name for step in run.steps}
    inside = [(names[step.parent_step_id], step.name) for step in run.steps if step.parent_step_id is not None]
    tools = ["search_hotels", "within_budget", "best_rated"]
    assert [name for node, name in inside if node == "tools"] == tools
    calls = [step for step in run.steps if step.step_type == "generate"]
    assert len(calls) == 4 and {names[step.parent_step_id] for step in calls} == {"agent"}
    assert [step.usage["input_tokens"] for step in calls] == [10, 30, 50, 70]
    config = calls[0].config
    assert config["tools"] == tools and "Oslo" not in json.dumps(config)
