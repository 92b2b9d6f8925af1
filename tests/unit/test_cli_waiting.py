"""What a terminal shows while a question takes long, and how Ctrl-C ends it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dxray.cli.waiting import AFTER_S

# A command as the real ones are: a client's call inside `waiting`.
PROGRAM = """
import sys
from dxray.cli.waiting import waiting
from dxray.cli.app import app, run
from dxray.cli.options import AsJson
from dxray.cli.render import print_json
from dxray.client import Client

@app.command("ask")
def ask(as_json: AsJson = False) -> None:
    with Client() as client, waiting("asking", as_json):
        answer = client.get("/slow")
    print_json(answer)

sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def slow(httpserver: HTTPServer) -> HTTPServer:
    def answer(request: Request) -> Response:
        time.sleep(AFTER_S + 1.0)
        return Response('{"a": 1}', content_type="application/json")

    httpserver.expect_request("/slow").respond_with_handler(answer)
    return httpserver


class Asking:
    """The command, its stderr on a terminal of its own, its stdout in a pipe or there too."""

    def __init__(self, server: HTTPServer, *argv: str, piped: bool, **env: str) -> None:
        self.terminal, end = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "ask", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else end,
            stderr=end,
            env={**os.environ, "DXRAY_API_URL": server.url_for(""), "TERM": "xterm", "PYTHONUTF8": "1", **env},
        )
        os.close(end)
        self.seen = b""

    def read_until(self, text: bytes) -> None:
        while text not in self.seen and self._read():
            pass
        assert text in self.seen, self.seen

    def end(self) -> int:
        while self._read():
            pass
        os.close(self.terminal)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait(30)

    def _read(self) -> bool:
        assert select.select([self.terminal], [], [], 30)[0], self.seen
        try:
            piece = os.read(self.terminal, 4096)
        except OSError:  # the other end is closed
            return False
        self.seen += piece
        return bool(piece)


@pytest.fixture(params=[True, False], ids=["piped", "terminal"])
def asking(request: pytest.FixtureRequest, slow: HTTPServer) -> Iterator[Asking]:
    found = Asking(slow, piped=request.param)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def test_a_long_question_shows_its_time_and_leaves_nothing(asking: Asking) -> None:
    asking.read_until(b"asking, 1 s; Ctrl-C ends it")
    assert asking.end() == 0
    last = asking.seen.rpartition(b"Ctrl-C ends it")[2]
    assert last.startswith(b"\r\x1b[2K")


def test_ctrl_c_ends_it_with_130(asking: Asking) -> None:
    asking.read_until(b"asking, ")
    began = time.monotonic()
    asking.process.send_signal(signal.SIGINT)
    assert asking.end() == 130
    assert time.monotonic() - began < AFTER_S + 0.9, "it waited for the answer"
    assert b"Traceback" not in asking.seen
    assert asking.seen.endswith(b"\r\x1b[2K")


@pytest.mark.parametrize(
    ("argv", "env"), [(("--json",), {}), ((), {"TERM": "dumb"})], ids=["json in a pipe", "a plain terminal"]
)
def test_where_nobody_reads_it_nothing_is_shown(slow: HTTPServer, argv: tuple[str, ...], env: dict[str, str]) -> None:
    found = Asking(slow, *argv, piped=True, **env)
    assert found.end() == 0
    assert found.seen == b""


def test_a_quick_question_shows_nothing(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/slow").respond_with_json({"a": 1})
    found = Asking(httpserver, piped=True)
    assert found.end() == 0
    assert found.seen == b""
