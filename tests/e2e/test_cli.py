"""The command line against a real server: started, asked, looked at on a terminal, and ended."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from fcntl import ioctl
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from dxray import Client, XRay, local
from dxray.cli import main
from dxray.wire.text import cells

Ask = Callable[..., str]
DXRAY = [sys.executable, "-m", "dxray"]
# Every kind of id that a shell, an address or a terminal could stumble over.
ODD_IDS = ["-5", "a b", "a/b?c=d&e#f%20", "日本語", "'\"$(x)`", "x\x1b[31my", "--json", "[bold]z[/bold]"]


def env_of(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DXRAY_", "COLUMNS", "NO_COLOR"))}
    return {**kept, "TERM": "xterm-256color", **changes}


def dxray(*argv: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DXRAY, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env or env_of(),
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with local() as client:
        record(client.api_url)
        client.post_run(
            {
                "run_id": "posted-1",
                "pipeline": "by_hand",
                "steps": [
                    {
                        "name": "keep",
                        "step_type": "filter",
                        "events": [
                            *({"item_id": item, "outcome": "rejected", "reason": "odd"} for item in ODD_IDS),
                            {"item_id": "plain", "outcome": "accepted"},
                        ],
                    }
                ],
            }
        )
        yield client


def record(api_url: str) -> None:
    xray = XRay("choose_case", api_url=api_url)
    with xray.run(input={"product": "case"}) as run:
        with run.step("keywords", step_type="generate") as step:
            step.produce("kw:stand", name="stand")
            step.produce("kw:case", name="case")
        with run.step("search", step_type="retrieve") as step:
            for n in range(40):
                step.produce(f"p{n}", name=f"Product {n}", parents=["kw:stand" if n % 5 == 0 else "kw:case"])
        with run.step("filter", step_type="filter") as step:
            cap = step.require("price", "<=", 90, reason="price_too_high")
            for n in range(40):
                if cap.passes(f"p{n}", 60.0 + n):
                    step.accept(f"p{n}")
        with run.step("select", step_type="select") as step:
            for n in range(31):
                step.score(f"p{n}", n / 31)
            step.decide(decision="choose", selected="p30", reason="highest_score", score=30 / 31)
        run.set_output({"selected": "p30"})
    assert xray.flush(timeout=20)


@pytest.fixture
def ask(server: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("DXRAY_API_URL", server.api_url)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*argv: str) -> str:
        code = main(argv)
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    return call


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command prints, whichever answer it finds."""
    code = main(argv)
    out, err = capsys.readouterr()
    assert (code in (0, 1), err) == (True, "")
    return out


# Questions


def test_runs_steps_show_and_why_tell_the_story(ask: Ask, server: Client) -> None:
    assert "choose_case" in ask("runs")
    assert "choose_case" not in ask("runs", "--pipeline", "by_hand")
    run_id = server.runs(pipeline="choose_case")[0].run_id
    shown = ask("show", run_id)
    assert re.search(r"40 in = 31 accepted \+ 9 rejected \+ 0 unaccounted · 0 lost before", shown), shown
    assert "price_too_high 9" in shown
    assert "selected p30" in shown
    why = ask("why", run_id, "p35")
    assert why.startswith("REJECTED  Product 35")
    assert "price <= 90   observed 95   outside by 5" in why
    assert "kw:stand" in why
    assert ask("why", run_id, "p30").startswith("SELECTED")
    assert ask("why", run_id, "no-such-item").split()[0] in ("NEVER", "UNKNOWN")
    assert "filter" in ask("steps", "--type", "filter", "--rejection-rate-gt", "0.2", "--pipeline", "choose_case")


def test_last_is_the_newest_run(ask: Ask, server: Client) -> None:
    assert server.runs(limit=1)[0].run_id in ask("show", "last")


@pytest.mark.parametrize("item", ODD_IDS)
def test_an_item_of_any_characters_can_be_asked_for(ask: Ask, server: Client, item: str) -> None:
    out = ask("why", "posted-1", "--", item)
    assert out.startswith("REJECTED")
    assert "\x1b" not in out
    assert server.why("posted-1", item).item_id == item
    assert json.loads(ask("why", "posted-1", "--json", "--", item))["item_id"] == item


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["runs", "--limit", "3"], "/runs?limit=3"),
        (["show", "posted-1"], "/runs/posted-1"),
        (["why", "posted-1", "plain"], "/runs/posted-1/why?item=plain"),
        (["steps", "--type", "filter", "--limit", "5"], "/steps?step_type=filter&limit=5"),
        (["rules", "--pipeline", "choose_case"], "/rules?pipeline=choose_case"),
        (["blame", "--q", "pipeline:by_hand"], "/blame?q=pipeline:by_hand"),
        (["stability", "--since", "7d"], "/stability?since=7d"),
        (["diff", "posted-1", "posted-1", "--isolate"], "/diff?a=posted-1&b=posted-1&isolate=true"),
        (["view", "list"], "/views"),
    ],
)
def test_json_is_the_apis(
    ask: Ask, server: Client, capsys: pytest.CaptureFixture[str], words: list[str], path: str
) -> None:
    assert json.loads(printed(capsys, *words, "--json")) == server.get(path)


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (["flip", "posted-1", "plain"], "/flip", {"run_id": "posted-1", "item_id": "plain"}),
        (["explain", "--a", "pipeline:choose_case", "--b", "pipeline:by_hand"], "/explain", None),
        (
            ["whatif", "--set", "price_too_high=80", "--pipeline", "choose_case"],
            "/whatif",
            {"changes": [{"reason": "price_too_high", "threshold": 80}], "pipeline": "choose_case"},
        ),
    ],
)
def test_json_of_what_is_posted_is_the_apis(
    ask: Ask,
    server: Client,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    path: str,
    body: dict[str, object] | None,
) -> None:
    said = body or {"a": "pipeline:choose_case", "b": "pipeline:by_hand", "outcome": "rejected"}
    request = Request(server.api_url + path, json.dumps(said).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        assert json.loads(printed(capsys, *words, "--json")) == json.load(answer)


def test_a_list_is_typed_with_commas(server: Client) -> None:
    server.post_run(
        {
            "pipeline": "kinds",
            "steps": [
                {
                    "name": "keep",
                    "step_type": "filter",
                    "rules": [{"field": "kind", "op": "in", "threshold": ["case"], "reason": "wrong_kind"}],
                    "events": [
                        {"item_id": "a", "outcome": "accepted", "evidence": {"kind": "case"}},
                        {"item_id": "b", "outcome": "rejected", "reason": "wrong_kind", "evidence": {"kind": "stand"}},
                    ],
                }
            ],
        }
    )
    words = ("whatif", "--pipeline", "kinds", "--api-url", server.api_url, "--set")
    done = dxray(*words, "wrong_kind=case,stand")
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrong_kind at case, stand instead of case, 1 of 2 items" in done.stdout
    refused = dxray(*words, "wrong_kind=stand")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "its values with commas between: case,)" in refused.stderr
    assert dxray(*words, "wrong_kind=stand,").returncode == 0


def test_answers_of_the_client_are_typed(server: Client) -> None:
    run = server.run(server.runs(pipeline="choose_case")[0].run_id)
    assert [step.title for step in run.steps] == ["keywords", "search", "filter", "select"]
    rejected = [event.item_id for event in server.events(run.run_id, outcome="rejected")]
    assert rejected == [f"p{n}" for n in range(31, 40)]
    assert {one.pipeline for one in server.pipelines()} >= {"choose_case", "by_hand"}
    assert server.health()["status"] == "ok"
    again = server.post_run({"run_id": "posted-2", "pipeline": "by_hand"})
    assert again.run_id == "posted-2"
    assert not server.post_run({"run_id": "posted-2", "pipeline": "by_hand"}).created


def test_a_run_that_is_not_there_is_one_line(server: Client) -> None:
    done = dxray("show", "nope", "--api-url", server.api_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("dxray: there is no run 'nope'")
    assert done.stderr.count("\n") == 1


def test_a_filter_that_does_not_exist_is_named(server: Client) -> None:
    done = dxray("runs", "--q", "pipline:x", "--api-url", server.api_url)
    assert done.returncode == 2
    assert "pipline" in done.stderr
    assert "pipeline" in done.stderr


# On a terminal


def on_terminal(width: int, *argv: str, **env: str) -> str:
    """What a command shows on a terminal of so many columns."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    process = subprocess.Popen([*DXRAY, *argv], stdin=slave, stdout=slave, stderr=slave, env=env_of(**env))
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            shown += part
    os.close(master)
    assert process.wait(30) == 0
    return shown.decode().replace("\r\n", "\n")


COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["show", "last"],
        ["why", "{run}", "p35"],
        ["flip", "{run}", "p35"],
        ["whatif", "--set", "price_too_high=80"],
        ["whatif", "--sweep", "price_too_high", "50..100"],
        ["diff", "{run}", "posted-1", "--isolate"],
        ["rules"],
    ],
)
def test_nothing_is_wider_than_the_terminal(server: Client, width: int, words: list[str]) -> None:
    run_id = server.runs(pipeline="choose_case")[0].run_id
    shown = on_terminal(width, *(word.format(run=run_id) for word in words), DXRAY_API_URL=server.api_url)
    assert "\x1b[" in shown
    for line in COLOURS.sub("", shown).splitlines():
        assert cells(line) <= width, line


def test_no_color_is_respected(server: Client) -> None:
    shown = on_terminal(100, "why", "posted-1", "plain", DXRAY_API_URL=server.api_url, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown)
    assert "SURVIVED" in shown


# Serving


class Serving:
    """A `dxray serve` of a test, and the address it printed."""

    def __init__(self, *argv: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [*DXRAY, "serve", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env_of(**env)
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        self.url = self.first.rpartition(" ")[2].strip()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout as out, self.process.stderr as err:
            return self.process.wait(20), out.read(), err.read()


def test_serve_prints_where_it_listens_ends_cleanly_and_keeps_its_data(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        serving = Serving("--port", "0", "--data", str(tmp_path / "d"))
        assert re.fullmatch(r"Listening on http://127\.0\.0\.1:\d+\n", serving.first)
        with Client(serving.url) as client:
            client.wait_ready()
            assert client.post_run({"run_id": "kept", "pipeline": "p"}).created == (number == signal.SIGTERM)
        code, out, err = serving.end(number)
        assert (code, err) == (0, "")
        assert str(tmp_path / "d") in out
        assert f"{serving.url}/ui/" in out


def test_a_second_server_on_the_same_data_says_who_has_it(tmp_path: Path) -> None:
    first = Serving("--port", "0", "--data", str(tmp_path))
    done = dxray("serve", "--port", "0", "--data", str(tmp_path), env=env_of(DXRAY_OWNER_WAIT="0.1"))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(first.process.pid) in done.stderr
    assert done.stderr.count("\n") == 1
    assert first.end()[0] == 0


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = dxray("serve", "--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "file") in done.stderr
    assert "--data" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_setting_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    done = dxray("serve", "--port", "0", "--data", str(tmp_path), env=env_of(DXRAY_OWNER_WAIT="soon"))
    assert done.returncode == 1
    assert "owner_wait" in done.stderr.lower()
    assert done.stderr.count("\n") == 1


# A server for a notebook


def test_a_local_server_keeps_a_folder_that_was_named(tmp_path: Path) -> None:
    with local(tmp_path / "kept") as client:
        client.post_run({"run_id": "r", "pipeline": "p"})
    with local(tmp_path / "kept") as client:
        assert client.run("r").run_id == "r"


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_local_server_ends_with_its_process(ending: str) -> None:
    code = f"import os, signal, sys, dxray\nc = dxray.local()\nprint(c._process.pid, c.data, flush=True)\n{ending}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    pid, folder = done.stdout.split()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (Path(folder).exists() or is_running(int(pid))):
        time.sleep(0.05)
    assert not is_running(int(pid))
    assert not Path(folder).exists()


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def test_a_local_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Exception, match="did not start: the data folder"):
        local(tmp_path / "file" / "data")


# The rest


def test_sync_sends_what_a_killed_process_left(tmp_path: Path) -> None:
    with local() as client:
        url, port = client.api_url, int(client.api_url.rpartition(":")[2])
        assert client.data.is_dir()
    assert not client.data.exists()
    code = (  # nobody is there while it records
        "import os, signal, dxray\n"
        f"x = dxray.XRay('left_behind', api_url={url!r})\n"
        "with x.run(run_id='left-1') as run:\n    run.set_output(1)\n"
        "x.flush(timeout=1)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    env = env_of(DXRAY_SPOOL_DIR=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], env=env, timeout=60, check=False)
    words = ("sync", "--spool", str(tmp_path), "--api-url", url)
    left = dxray(*words, "--json")
    assert left.returncode == 1, left.stderr
    assert json.loads(left.stdout) == {"synced": 0, "failed": 1}
    with local(port=port) as client:
        done = dxray(*words)
        assert (done.returncode, done.stdout) == (0, "1 run sent\n"), done.stderr
        assert client.run("left-1").output == 1


def test_sync_of_nothing_says_so(tmp_path: Path, server: Client) -> None:
    done = dxray("sync", "--spool", str(tmp_path), "--api-url", server.api_url)
    assert (done.returncode, done.stdout) == (0, "nothing was left to send\n")
