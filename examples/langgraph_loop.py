"""A LangGraph loop that grades what it found, and asks again where nothing held: `python -m examples.langgraph_loop`.

    pip install -e ".[server,langchain]" langgraph
    dxray serve

The model is rules of words that answer as a chat model does, so it runs without a key. Two lines are X-Ray's; they end
in `# X-Ray`. Then ask why a note is not in the answer: `dxray why RUN phones-2`.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

from langchain_core.documents import Document
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever
from langgraph.graph import END, START, StateGraph

import dxray  # X-Ray

NOTES = {
    "laptops-1": "A laptop stand lifts the screen to the eyes and lets air in below.",
    "laptops-2": "A cooling pad with fans keeps a laptop from heat on a long day.",
    "phones-1": "A phone stand for the desk holds the phone upright while it charges.",
    "phones-2": "A phone case with a stand folds out to watch a film.",
    "music-1": "A guitar stand takes a guitar of any size.",
    "kitchen-1": "A stand for cookbooks keeps the page open and the screen of a tablet clean.",
}
DOCUMENTS = [Document(id=key, page_content=text, metadata={"source": key.split("-")[0]}) for key, text in NOTES.items()]


def words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}


def relevant(question: str, text: str) -> bool:
    """What the grader goes by: two words in common."""
    return len(words(question) & words(text)) >= 2


class Notes(BaseRetriever):
    k: int = 4

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        found = sorted(DOCUMENTS, key=lambda note: -len(words(query) & words(note.page_content)))
        return found[: self.k]


class Rules(SimpleChatModel):
    """Answers the three prompts below, always alike."""

    @property
    def _llm_type(self) -> str:
        return "rules"

    def _call(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        task, question, *texts = str(messages[-1].content).split("\n")
        if task == "Relevant?":
            return "yes" if relevant(question, texts[0]) else "no"
        if task == "Rewrite":
            return question.replace("notebook", "laptop").replace("holder", "stand")
        return f"{len(texts)} notes: {texts[0] if texts else 'nothing known'}"


class State(TypedDict):
    question: str
    documents: list[Document]
    answer: str
    asked: int


retriever, model = Notes(), Rules()


def retrieve(state: State) -> dict[str, Any]:
    return {"documents": retriever.invoke(state["question"]), "asked": state.get("asked", 0) + 1}


def grade_documents(state: State) -> dict[str, Any]:
    kept = []
    for note in state["documents"]:
        verdict = model.invoke(f"Relevant?\n{state['question']}\n{note.page_content}")
        if verdict.content == "yes":
            kept.append(note)
    return {"documents": kept}


def rewrite(state: State) -> dict[str, Any]:
    return {"question": model.invoke(f"Rewrite\n{state['question']}").content}


def generate(state: State) -> dict[str, Any]:
    notes = "\n".join(note.page_content for note in state["documents"])
    return {"answer": model.invoke(f"Answer\n{state['question']}\n{notes}").content}


def enough(state: State) -> str:
    return "generate" if state["documents"] or state["asked"] > 2 else "rewrite"


graph = StateGraph(State)
for node in (retrieve, grade_documents, rewrite, generate):
    graph.add_node(node)
graph.add_edge(START, "retrieve")
graph.add_edge("retrieve", "grade_documents")
graph.add_conditional_edges("grade_documents", enough, ["rewrite", "generate"])
graph.add_edge("rewrite", "retrieve")
graph.add_edge("generate", END)
app = graph.compile(name="notes")


def ask(question: str) -> dict[str, Any]:
    return dict(app.invoke({"question": question}))


if __name__ == "__main__":
    dxray.instrument_langchain()  # X-Ray
    print(ask("A notebook holder for a desk?")["answer"])
