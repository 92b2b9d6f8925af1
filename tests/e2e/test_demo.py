"""The story of the quick start: always the same, found by asking, readable in a terminal."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dxray
from dxray import demo
from dxray.client import ClientError
from dxray.testing import capture

CHECKOUT = Path(__file__).resolve().parents[2]

Told = tuple[dxray.Client, list[demo.Recorded]]


@pytest.fixture(scope="module", autouse=True)
def own_spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXRAY_SPOOL_DIR", str(tmp_path_factory.mktemp("spool")))
        yield


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A server with the story in it."""
    with dxray.local(tmp_path_factory.mktemp("data")) as client:
        yield client, demo.record(client.api_url)


def wrong_runs(recorded: list[demo.Recorded]) -> list[demo.Recorded]:
    return [run for run in recorded if run.selected.kind not in demo.RIGHT_KINDS]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=CHECKOUT, env={**os.environ, "COLUMNS": "80", **environment}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_the_story_is_always_the_same() -> None:
    with capture():
        one, two = demo.record("http://localhost:8000"), demo.record("http://localhost:8000")
    assert [run.selected for run in one] == [run.selected for run in two]
    wrong = wrong_runs(one)
    assert 2 <= len(wrong) <= 5
    assert {run.selected.kind for run in wrong} == {"laptop stand"}
    assert all("stand" in run.keywords for run in wrong)
    assert sum("stand" in run.keywords for run in one) > len(wrong)  # the keyword alone does not make a run wrong
    assert all(250 <= run.candidates <= 550 for run in one)


def test_why_the_stand_was_selected(told: Told) -> None:
    client, recorded = told
    for run in wrong_runs(recorded):
        why = client.why(run.run_id, run.selected.id)
        assert (why.verdict, why.step_name, why.reason) == ("selected", "select_best", "highest_score")
        assert [(stop.step_name, stop.outcome) for stop in why.journey] == [
            ("search", "produced"),
            ("filter_candidates", "accepted"),
            ("select_best", "selected"),
        ]
        assert why.journey[1].evidence == {
            "price": run.selected.price, "rating": run.selected.rating, "category": None,
        }  # fmt: skip
        walk = [(one.item_id, one.step_name) for one in why.lineage]
        assert walk == [(run.selected.id, "search"), ("kw:stand", "generate_keywords")]
        assert run.selected.title in why.sentence


def test_the_rule_that_was_not_asked_of_all_is_named(told: Told) -> None:
    client, recorded = told
    for run in wrong_runs(recorded):
        by_reason = {rule["reason"]: rule for step in client.run(run.run_id).steps for rule in step.rules or ()}
        cap, floor, fits = (by_reason[name] for name in ("price_too_high", "rating_too_low", "wrong_category"))
        assert cap["evaluated"] == run.candidates
        assert floor["evaluated"] == cap["evaluated"] - cap["failed"]
        assert fits["evaluated"] < floor["evaluated"] - floor["failed"]


def test_a_case_that_people_ask_for_by_its_name_loses_for_a_reason(told: Told) -> None:
    client, recorded = told
    named = client.items(name="Phone Case Model 31")
    assert [one.item_id for one in named.items] == ["B0030"]
    assert 5 <= named.total <= len(recorded)
    run_id = named.runs[0].run_id
    why = client.why(run_id, "Phone Case Model 31")
    assert (why.verdict, why.step_name, why.reason) == ("rejected", "filter_candidates", "rating_too_low")
    assert "rating was 2.9" in why.sentence, why.sentence


def test_the_quick_start_s_query_finds_runs_with_the_keyword(told: Told) -> None:
    client, recorded = told
    steps = client.steps(step_type="filter", rejection_rate_gt=0.9)
    asked_for_stands = {run.run_id for run in recorded if "stand" in run.keywords}
    assert {step.run_id for step in steps} <= asked_for_stands
    assert len(steps) > 0


def test_the_demo_prints_the_answer(told: Told) -> None:
    client, _ = told
    done = run("examples.demo", DXRAY_API_URL=client.api_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert_tells_the_story(done.stdout)
    found = re.search(r"dxray why (\S+) (\S+)", done.stdout)
    assert found is not None
    assert client.why(*found.groups()).verdict == "selected"


def test_the_command_brings_its_own_server(tmp_path: Path) -> None:
    done = run("dxray", "demo", "--exit", "--rebookings", "1", "--data", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert_tells_the_story(done.stdout)
    assert "1 passenger of the blizzard" in done.stdout or "flights are not installed" in done.stdout


def test_the_command_goes_on_serving_until_interrupted() -> None:
    command = [sys.executable, "-m", "dxray", "demo"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        page = next(line for line in process.stdout if line.startswith("The web page is at "))
        serving = next(line for line in process.stdout if line.startswith("Serving at "))
        api_url = serving.split()[2]
        assert page.split()[-1] == f"{api_url}/ui/"
        with dxray.Client(api_url) as client:
            assert client.runs(pipeline=demo.PIPELINE).total == 30
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            with pytest.raises(ClientError):
                client.health()


def test_without_a_server_one_line_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run("examples.demo", DXRAY_API_URL=f"http://127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "dxray serve" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def assert_tells_the_story(printed: str) -> None:
    assert "3 chose a laptop stand" in printed
    assert "SELECTED" in printed
    for part in (
        "Laptop Stand",
        "kw:stand",
        "generate_keywords",
        "filter_candidates",
        "category null",
        "dxray show run_",
    ):
        assert part in printed, part
    story, _, _ = printed.partition("\nNext:\n")  # what follows is to be copied, and may be long
    assert max(map(len, story.splitlines())) <= 80
