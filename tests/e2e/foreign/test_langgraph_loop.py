"""A corrective retrieval loop as LangGraph's users write it: plain first, then recorded, then asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dxray
from examples import langgraph_loop as loop
from tests.e2e.foreign.programs import changed, run

INSTRUMENTED = Path(loop.__file__).read_text()
PLAIN = "".join(line for line in INSTRUMENTED.splitlines(keepends=True) if not line.endswith("# X-Ray\n"))
QUESTION = "A notebook holder for a desk?"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dxray.Client, str]]:
    folder = tmp_path_factory.mktemp("loop")
    with dxray.local(folder / "data") as client:
        assert "dxray" not in PLAIN.split('"""', 2)[2]
        assert run(PLAIN, folder) == run(INSTRUMENTED, folder, DXRAY_API_URL=client.api_url)
        (made,) = client.runs().runs
        yield client, made.run_id


def rounds() -> list[tuple[list[str], list[str]]]:
    """What each round retrieved and what it kept, worked out from the rules alone."""
    found, question = [], QUESTION
    while True:
        notes = loop.Notes()._get_relevant_documents(question, run_manager=None)
        kept = [note for note in notes if loop.relevant(question, note.page_content)]
        found.append(([str(note.id) for note in notes], [str(note.id) for note in kept]))
        if kept or len(found) > 2:
            return found
        question = question.replace("notebook", "laptop").replace("holder", "stand")


def test_at_most_five_lines_change() -> None:
    assert 0 < changed(PLAIN, INSTRUMENTED) <= 5


def test_why_and_why_not_are_what_the_rules_say(recorded: tuple[dxray.Client, str]) -> None:
    client, run_id = recorded
    retrieved, kept = rounds()[-1]
    assert len(rounds()) == 2, "the question is meant to be asked twice"
    assert 0 < len(kept) < len(retrieved) < len(loop.NOTES)
    for note in loop.NOTES:
        answer = client.why(run_id, note)
        if note in kept:
            assert (answer.verdict, answer.step_name) == ("survived", "generate"), answer
        elif note in retrieved:
            assert (answer.verdict, answer.step_name) == ("rejected", "grade_documents"), answer
            assert answer.reason == "inferred: not in what grade_documents returned"
        else:
            assert answer.verdict == "never_retrieved", answer


def test_both_visits_of_a_node_stay_readable(recorded: tuple[dxray.Client, str]) -> None:
    client, run_id = recorded
    graders = [step for step in client.run(run_id).steps if step.name == "grade_documents"]
    events = list(client.events(run_id))
    for step, (retrieved, kept) in zip(graders, rounds(), strict=True):
        here = {event.item_id: event.outcome for event in events if event.step_id == step.step_id}
        assert here == {note: "accepted" if note in kept else "rejected" for note in retrieved}


def test_the_graph_is_the_run_and_its_path_the_steps(recorded: tuple[dxray.Client, str]) -> None:
    client, run_id = recorded
    run = client.run(run_id)
    assert (run.pipeline, run.status) == ("notes", "completed")
    nodes = [step for step in run.steps if step.parent_step_id is None]
    again = ["retrieve", "grade_documents"]
    assert [step.name for step in nodes] == [*again, "rewrite", *again, "generate"]
    assert [step.after for step in nodes[1:]] == [[step.step_id] for step in nodes[:-1]]
    assert client.why(run_id, "laptops-1").journey
