"""What the docs tell to type or to write does what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dxray import Client, XRay, cli, demo, local
from dxray.testing import capture

from .markdown import README, Block, blocks

PYTHON = blocks("python")
# Not run here: what installs or serves is the subject of the quick start's own test, and `make test` is this one.
OTHERS = ("make ", "pip ", "cd api", "python -m examples.demo")


def ids(found: list[Block]) -> list[str]:
    return [block.where for block in found]


def first(text: str) -> Block:
    """The Python block that holds a text."""
    return next(block for block in PYTHON if text in block.text)


# --- recording ---


def product(item_id: str, price: float, category: str) -> SimpleNamespace:
    parts = {"rating_part": 0.6, "price_part": 0.3}
    return SimpleNamespace(
        id=item_id, title=item_id, price=price, category=category, found_by="stand", score=0.9 - price / 1000, **parts
    )


def stand_ins() -> dict[str, Any]:
    """What a reader's own program would hold around a snippet."""
    return {
        "__name__": "snippet",
        "my_existing_pipeline": lambda: {"selected": "p1"},
        "prompt": "Write keywords",
        "title": "iPhone Case",
        "generate_keywords": lambda title: ["case", "stand"],
        "search": lambda keywords: [
            product("p1", 20.0, "phone_accessories"),
            product("p2", 129.0, "phone_accessories"),
            product("p3", 30.0, "laptop_accessories"),
        ],
        "products": [{"id": f"p{n}", "price": n * 40, "stock": n % 2} for n in range(1, 5)],
        "xray": XRay("snippets"),
        "run_id": "none",
        "item_id": "none",
    }


def recorded_by(block: Block) -> tuple[Any, dict[str, Any]]:
    with capture() as captured:
        names = stand_ins()
        exec(compile(block.text, block.where, "exec"), names)
        captured.records  # noqa: B018 - flushes, so that all of it is held
    return captured, names


RECORDING = [block for block in PYTHON if not re.search(r"Client|pytest|offline_mode", block.text)]


@pytest.mark.parametrize("block", RECORDING, ids=ids(RECORDING))
def test_every_recording_snippet_runs_and_records_a_run_that_ends(block: Block) -> None:
    captured, _ = recorded_by(block)
    assert captured.runs
    assert {run.status for run in captured.runs} == {"completed"}
    assert captured.records


def test_what_runs_side_by_side_is_no_chain() -> None:
    captured, _ = recorded_by(first("asyncio.gather"))
    assert [(step.name, step.after) for step in captured.steps] == [("look_up", [])] * 2


def test_the_minimal_form_is_three_lines_and_keeps_input_and_output() -> None:
    block = first("my_existing_pipeline")
    body = [line for line in block.text.splitlines() if line and "import" not in line]
    captured, _ = recorded_by(block)
    assert len(body) == 3
    assert json.loads(captured.runs[0].input) == {"product": "iPhone Case"}
    assert json.loads(captured.runs[0].output) == {"selected": "p1"}


def test_the_full_form_records_what_its_comments_say() -> None:
    captured, _ = recorded_by(first("select_competitor"))
    assert captured.outcomes("filter_candidates") == {"p1": "accepted", "p2": "rejected", "p3": "rejected"}
    assert captured.outcomes("search")["kw:stand"] == "consumed"
    assert captured.outcomes("select_best") == {"p1": "selected"}


def test_rules_asked_together_hide_none() -> None:
    captured, _ = recorded_by(first("require_all"))
    (step,) = captured.steps
    assert [(rule.reason, rule.failed) for rule in step.rules] == [("price_too_high", 1), ("rating_too_low", 1)]


def test_the_snippet_for_tests_is_a_test_that_passes(tmp_path: Path) -> None:
    file = tmp_path / "test_snippet.py"
    file.write_text(first("import pytest").text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


# --- asking ---


@pytest.fixture(scope="module")
def story() -> Iterator[tuple[Client, demo.Recorded]]:
    """A server that holds the demo's runs, and the run that chose a laptop stand."""
    with local() as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "configure", lambda **_: None)  # it would hold for all tests of this process
        runs = demo.record(client.api_url)
        yield client, next(run for run in runs if run.selected.kind == "laptop stand")


def test_the_snippet_that_asks_gets_an_answer(
    story: tuple[Client, demo.Recorded], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client, wrong = story
    monkeypatch.setenv("DXRAY_API_URL", client.api_url)
    block = first("Client()")
    exec(compile(block.text, block.where, "exec"), {"run_id": wrong.run_id, "item_id": wrong.selected.id})
    printed = capsys.readouterr().out
    assert printed.count("completed") == 5
    assert "selected - Gale Soft Laptop Stand was selected" in printed


def test_the_snippet_of_delivery_flushes_and_finds_nothing_left(
    story: tuple[Client, demo.Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DXRAY_API_URL", story[0].api_url)
    block = first("offline_mode=")
    names: dict[str, Any] = {}
    exec(f"from dxray import XRay\n{block.text}", names)
    assert names["xray"].sync_offline() == {"synced": 0, "failed": 0}


def typed() -> list[tuple[str, str]]:
    """Every command in the shell blocks that asks a server, with where it stands."""
    found = []
    for block in blocks("bash"):
        for command in re.split(r"\n(?=[a-z#\n])", block.text):
            command = command.strip()
            if command.startswith(("curl ", "dxray ")):
                found.append((block.where, command))
            else:
                assert not command or command.startswith(("#", *OTHERS)), f"{block.where} types {command!r}"
    return found


COMMANDS = typed()


@pytest.mark.parametrize(("where", "command"), [one for one in COMMANDS if one[1].startswith("curl ")])
def test_every_curl_is_answered_and_finds_something(
    where: str, command: str, story: tuple[Client, demo.Recorded]
) -> None:
    client, wrong = story
    line = command.replace("http://localhost:8000", client.api_url).replace("{run_id}", wrong.run_id)
    line = re.sub("^curl ", "curl --silent --show-error --fail-with-body ", line)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
    if command.endswith("/metrics"):
        assert 'dxray_store_rows{table="runs"}' in done.stdout
        return
    answer = json.loads(done.stdout)
    assert answer.get("total", 1) > 0, f"{where}: found nothing"
    assert answer.get("events", [1]), f"{where}: found nothing"


@pytest.mark.parametrize(("where", "command"), [one for one in COMMANDS if one[1].startswith("dxray ")])
def test_every_dxray_command_finds_something(
    where: str,
    command: str,
    story: tuple[Client, demo.Recorded],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DXRAY_API_URL", story[0].api_url)
    assert cli.main(shlex.split(command)[1:]) == 0, f"{where}: {capsys.readouterr().err}"
    assert "run_" in capsys.readouterr().out, f"{where}: found nothing"


def test_the_answer_shown_in_the_readme_is_the_demos(story: tuple[Client, demo.Recorded]) -> None:
    client, wrong = story
    from dxray.wire.printed.why import why_lines
    from dxray.wire.text import plain

    printed = [line.rstrip() for line in plain(why_lines(client.why(wrong.run_id, wrong.selected.id), 80)).splitlines()]
    shown = re.search(r"^```text\n(SELECTED.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert [line for line in shown[1].splitlines() if line not in printed] == []
