"""The commands against a server that answers from samples: what they ask, print and return."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from dxray import __version__
from dxray.cli import main
from dxray.sdk.spool import folder_of
from tests.unit import cli_answers as answers

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DXRAY_API_URL", httpserver.url_for(""))
    monkeypatch.setenv("COLUMNS", "100")

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def serve_samples(httpserver: HTTPServer) -> None:
    page = {"runs": [answers.summary(), answers.summary(status="failed", error={"type": "E", "message": "no"})]}
    httpserver.expect_request("/runs").respond_with_json({**page, "total": 1234, "limit": 20, "offset": 0})
    httpserver.expect_request(f"/runs/{answers.RUN_ID}").respond_with_json(answers.run())
    for item, answer in (("B0012", answers.rejected()), ("-5", answers.rejected(item_id="-5"))):
        httpserver.expect_request(f"/runs/{answers.RUN_ID}/why", query_string={"item": item}).respond_with_json(answer)
    steps = [{**step, "run_id": answers.RUN_ID, "pipeline": "p"} for step in answers.run()["steps"]]
    httpserver.expect_request("/steps").respond_with_json({"steps": steps, "total": 4})


def test_runs_are_listed_with_how_many_there_are(run: Run, httpserver: HTTPServer) -> None:
    serve_samples(httpserver)
    code, out, err = run("runs")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["run", "pipeline", "status", "age", "took"]
    assert lines[1].startswith(f"{answers.RUN_ID}  competitor_selection  ✔ completed")
    assert lines[-1] == "the newest 2 of 1,234 runs; --limit N shows more"
    assert "\x1b" not in out


def test_runs_that_lost_events_are_marked(run: Run, httpserver: HTTPServer) -> None:
    page = [answers.summary(losses={"refused": 1200, "truncated": 7}), answers.summary()]
    httpserver.expect_request("/runs").respond_with_json({"runs": page, "total": 2})
    lines = run("runs")[1].splitlines()
    assert lines[0].split() == ["run", "pipeline", "status", "age", "took", "lost"]
    assert lines[1].endswith("  1,200")
    assert lines[2].endswith(" s")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `sync_spool` gives, and is given."""
    found: dict[str, Any] = {"result": {"synced": 0, "failed": 0}}

    def sync_spool(*given: Any, **more: Any) -> Any:
        found["given"] = (*given[:2], more)
        given[2](1, 1)
        return found["result"]

    monkeypatch.setattr("dxray.sdk.offline.sync_spool", sync_spool)
    return found


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        ({"synced": 0, "failed": 0}, 0, "nothing was left to send\n"),
        ({"synced": 2, "failed": 0}, 0, "2 runs sent\n"),
        ({"synced": 1, "failed": 3}, 1, "1 run sent, 3 not\n"),
        (
            {"synced": 1, "failed": 0, "quarantined": {"refused with HTTP 401": 2}},
            1,
            (
                "1 run sent\n"
                "2 batches could not be read or were refused, and lie in FOLDER/quarantine: refused with HTTP 401: 2\n"
            ),
        ),
        (
            {"synced": 0, "failed": 0, "quarantined": {"dam\x1b[2Jaged": 1}},
            1,
            "1 batch could not be read or was refused, and lies in FOLDER/quarantine: dam\ufffdaged: 1\n",
        ),
    ],
)
def test_sync_says_what_became_of_each(
    run: Run, synced: dict[str, Any], tmp_path: Path, result: dict[str, Any], code: int, said: str
) -> None:
    synced["result"] = result
    words = ("sync", "--spool", str(tmp_path), "--project", "mine", "--api-url", "http://here:1", "--api-key", "k")
    folder = folder_of(tmp_path, "http://here:1", "mine")
    assert run(*words)[:2] == (code, said.replace("FOLDER", str(folder)))
    assert synced["given"] == (tmp_path, "http://here:1", {"project": "mine", "api_key": "k"})
    done, out, _ = run(*words, "--json")
    assert (done, json.loads(out)) == (code, result)


def test_filters_of_runs_are_passed_on(run: Run, httpserver: HTTPServer) -> None:
    query = {"pipeline": "p", "status": "failed", "since": "2h", "until": "1h", "q": "label:bad", "limit": "5"}
    httpserver.expect_request("/runs", query_string=query).respond_with_json({"runs": [], "total": 0})
    words = ["--pipeline", "p", "--status", "failed", "--since", "2h", "--until", "1h", "--q", "label:bad", "-n", "5"]
    assert run("runs", *words)[:2] == (0, "no run fits these filters\n")


def test_filters_of_steps_are_passed_on(run: Run, httpserver: HTTPServer) -> None:
    query = {"step_type": "filter", "name": "f", "rejection_rate_gt": "0.9", "rejection_rate_lt": "1.0", "limit": "20"}
    httpserver.expect_request("/steps", query_string=query).respond_with_json({"steps": [], "total": 0})
    words = ["--type", "filter", "--name", "f", "--rejection-rate-gt", "0.9", "--rejection-rate-lt", "1"]
    assert run("steps", *words)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs", "--pipeline", "diner"], "no run fits these filters; did you mean dinner?"),
        (["runs", "--pipeline", "DINNER"], "did you mean dinner?"),
        (["runs", "--pipeline", "zzz"], "no run fits these filters"),
        (["runs", "--status", "failed"], "no run fits these filters"),
        (["steps", "--type", "fliter"], "no step fits; did you mean filter?"),
        (["steps", "--type", "filter", "--name", "keep wram"], "no step fits; did you mean 'keep warm'?"),
        (["steps", "--type", "filter"], "no step fits; dxray show last shows what steps there are"),
    ],
)
def test_a_name_that_finds_nothing_is_answered_with_the_nearest(
    run: Run, httpserver: HTTPServer, words: list[str], said: str
) -> None:
    step = {"step_id": "s1", "step_name": "keep warm", "step_type": "filter", "pipeline": "dinner"}
    found = {"runs": [answers.summary(pipeline="dinner")], "steps": [step], "total": 1}
    httpserver.expect_request(f"/{words[0]}", query_string={"limit": "500"}).respond_with_json(found)
    httpserver.expect_request(f"/{words[0]}").respond_with_json({"runs": [], "steps": [], "total": 0})
    assert run(*words)[:2] == (0, f"{said}\n" if said.startswith("no") else f"no run fits these filters; {said}\n")
    assert len(httpserver.log) <= 2


def test_an_empty_server_names_the_next_command(run: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/runs").respond_with_json({"runs": [], "total": 0})
    assert "dxray demo" in run("runs")[1]
    code, _, err = run("show", "last")
    assert code == 1
    assert "dxray demo" in err


def test_show_prints_the_tree_of_the_newest_run(run: Run, httpserver: HTTPServer) -> None:
    serve_samples(httpserver)
    code, out, _ = run("show", "last")
    assert code == 0
    assert "└─ select_best" in out
    assert "+ 3 unaccounted" in out
    assert f"dxray why {answers.RUN_ID} B0541" in out
    assert run("show", answers.RUN_ID)[1] == out


def test_why_prints_the_sentence_and_what_to_ask_next(run: Run, httpserver: HTTPServer) -> None:
    serve_samples(httpserver)
    code, out, _ = run("why", "last", "B0012")
    assert code == 0
    assert out.startswith("REJECTED  Alder Slim Case for iPhone 15  B0012\n")
    assert f"ask next  dxray why {answers.RUN_ID} 'kw:iphone 15 case'" in out


def test_an_item_with_a_leading_dash_goes_after_two(run: Run, httpserver: HTTPServer) -> None:
    serve_samples(httpserver)
    assert run("why", answers.RUN_ID, "--", "-5")[0] == 0
    code, _, err = run("why", answers.RUN_ID, "-5")
    assert code == 2
    assert "goes after --" in err


def test_steps_are_listed_with_their_rates(run: Run, httpserver: HTTPServer) -> None:
    serve_samples(httpserver)
    _, out, _ = run("steps")
    assert "filter_candidates  375   64    82.9 %  run_" in out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["show", answers.RUN_ID], answers.run),
        (["why", answers.RUN_ID, "B0012"], answers.rejected),
    ],
)
def test_json_is_what_the_api_said(
    run: Run, httpserver: HTTPServer, words: list[str], answer: Callable[..., dict[str, Any]]
) -> None:
    said = answer(unknown_field=["\x1b[31m\u202e", 1])
    path = f"/runs/{answers.RUN_ID}" + ("/why" if words[0] == "why" else "")
    httpserver.expect_request(path).respond_with_json(said)
    _, out, _ = run(*words, "--json")
    assert json.loads(out) == said
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_json_of_lists_holds_the_whole_page(run: Run, httpserver: HTTPServer) -> None:
    serve_samples(httpserver)
    assert json.loads(run("runs", "--json")[1])["total"] == 1234
    assert json.loads(run("steps", "--json")[1])["total"] == 4


def test_recorded_markup_and_controls_do_nothing(run: Run, httpserver: HTTPServer) -> None:
    evil = "[bold red]x[/bold red]\x1b]0;owned\x07\x1b[2J\u202e\r\n"
    httpserver.expect_request("/runs").respond_with_json({"runs": [answers.summary(pipeline=evil)], "total": 1})
    sample = answers.rejected(name=evil, sentence=evil, reason=evil, hint=evil, item_id=evil)
    sample["journey"][0] |= {"step_name": evil, "outcome": evil, "evidence": {evil: evil}}
    httpserver.expect_request(f"/runs/{answers.RUN_ID}/why").respond_with_json(sample)
    for words in (["runs"], ["why", answers.RUN_ID, "x"]):
        out = run(*words)[1]
        assert not set("\x1b\x07\u202e\r") & set(out)
        assert "[bold red]x" in out


def test_the_servers_word_is_the_error(run: Run, httpserver: HTTPServer) -> None:
    problem = {"detail": "there is no run 'nope'", "fix": "GET /runs lists the runs there are"}
    httpserver.expect_request("/runs/nope").respond_with_json(problem, status=404)
    assert run("show", "nope") == (1, "", "dxray: there is no run 'nope' (dxray runs lists the runs there are)\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shwo"], "no such command 'shwo'. Did you mean 'show'?"),
        (["runs", "--pipline", "x"], "Did you mean '--pipeline'?"),
        (["runs", "--status", "bad"], "'bad' is not one of"),
        (["runs", "--limit", "0"], "greater than or equal to 1"),
        (["runs", "extra"], "extra"),
        (["show"], "missing argument 'RUN'; see dxray show --help"),
        (["why", "last"], "missing argument 'ITEM'; see dxray why --help"),
        (["why", "last", ""], "the item is empty: name one"),
        (["runs", "--q"], "see dxray runs --help"),
        (["steps", "--type"], "see dxray steps --help"),
        (["help", "shwo"], "no such command 'shwo'"),
    ],
)
def test_what_is_typed_wrongly_is_told_in_one_line(run: Run, words: list[str], said: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("dxray: ")
    assert err.count("\n") == 1


def test_no_server_is_one_line(run: Run) -> None:
    code, out, err = run("runs", "--api-url", "http://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert 'start a server with "dxray serve"' in err


def test_help_lists_every_command(run: Run) -> None:
    out = run()[1]
    assert run("--help")[1] == out
    assert run("help")[1] == out
    assert run("help", "why")[1] == run("why", "--help")[1]
    for name in ("serve", "demo", "runs", "steps", "show", "why", "sync", "version"):
        assert f"  {name} " in out


def test_the_version_is_told(run: Run) -> None:
    assert run("version")[1] == run("--version")[1] == run("-V")[1] == f"dxray {__version__}\n"
    assert json.loads(run("version", "--json")[1])["version"] == __version__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "there are no keys yet"),
        (["--host", "::"], "there are no keys yet"),
        (["--host", "no such host"], "is no address of this machine"),
    ],
)
def test_serve_lets_no_stranger_in(run: Run, words: list[str], said: str) -> None:
    code, out, err = run("serve", "--port", "0", *words)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_port_in_use_is_one_line(run: Run, httpserver: HTTPServer) -> None:
    code, out, err = run("serve", "--port", str(httpserver.port))
    assert (code, out) == (1, "")
    assert (
        err
        == f"dxray: port {httpserver.port} is in use: try --port {httpserver.port + 1}, or --port 0 for a free one\n"
    )


def in_fresh_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_without_typer_one_line_says_what_to_install() -> None:
    done = in_fresh_python(
        "import sys; sys.modules['typer'] = None\nfrom dxray.cli import main\nsys.exit(main(['runs']))"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "dxray: the command line is not installed: pip install 'dxray[cli]'\n"


def test_the_command_line_loads_no_server_and_no_http_until_it_asks() -> None:
    done = in_fresh_python(
        "import sys\nfrom dxray.cli import main\nmain(['version'])\n"
        "print([m for m in ('duckdb', 'fastapi', 'uvicorn', 'urllib3', 'dxray.server', 'pyarrow') if m in sys.modules])"
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["--list", "--remove", "1"], ["bad", "--list"], ["bad", "--remove", "1"]])
def test_a_label_is_given_shown_or_taken_back_one_at_a_time(run: Run, words: list[str], httpserver: HTTPServer) -> None:
    code, out, err = run("label", "r1", *words)
    assert (code, out) == (2, "")
    assert "one at a time" in err
    assert httpserver.log == []
