"""A7: however a program ends, and whatever the server does: no hang, delay or traceback, nothing spooled lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import instrument
from tests.faults.ledger import Books
from tests.faults.rig import ROOT, Rig, free_port, judge, stored_in
from tests.faults.rows import Result

CASES = (
    "return", "exception", "sys_exit", "sigterm", "sigint_twice", "os_exit", "mp_fork", "mp_spawn", "gevent", "uvloop",
    "sigstop", "gunicorn",
)  # fmt: skip
DELAY_S = 2.0
HANG_S = 20.0
WEB = "tests.faults.web:app"
CLOCK_S = 0.25  # that clearing away an interpreter takes on a busy machine, on top of what the SDK waits


@dataclass(slots=True)
class End:
    """How a program ended."""

    case: str
    server: str
    hung: bool = False
    delay: float = 0.0
    stderr: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        found = [*self.notes]
        if self.hung:
            found.append("hung")
        # gunicorn's master ends after its workers, and each of the two has that time.
        if self.delay > (DELAY_S + CLOCK_S) * (2 if self.case == "gunicorn" else 1):
            found.append(f"left after {self.delay:.1f} s")
        if "Traceback" in self.stderr:
            found.append("a traceback: " + self.stderr[self.stderr.index("Traceback") :][-300:].replace("\n", " | "))
        return found


@contextmanager
def silent() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


class Exits:
    """Programs, their ends, and the rig that judges what they recorded."""

    def __init__(self, rig: Rig, stop_s: float) -> None:
        self.rig = rig
        self.stop_s = stop_s
        self.number = 0
        self.ends: list[End] = []

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DXRAY_")}
        return kept | {instrument.VARIABLE: json.dumps({"ledger": self.rig.ledger.path})}

    def run(self, case: str, server: str, url: str) -> None:
        self.number += 10
        end = End(case, server)
        before = self._leavings()
        (self._gunicorn if case == "gunicorn" else self._program)(end, url)
        ended = time.monotonic()
        notes = self._leavings()[len(before) :]
        if case != "gunicorn":
            left = [one["leaving"] for one in notes if "leaving" in one]
            end.delay = ended - left[-1] if left else 0.0
            if not left and not end.hung:
                end.notes.append("did not come to its end")
        end.notes += [one["hang"] for one in notes if "hang" in one]
        self.ends.append(end)

    def _leavings(self) -> list[dict[str, Any]]:
        from tests.faults import hook

        return [json.loads(text) for kind, _, text in self.rig.ledger.messages() if kind == hook.NOTE]

    def _program(self, end: End, url: str) -> None:
        command = [sys.executable, "-m", "tests.faults.programs", end.case, url, str(self.rig.spool), str(self.number)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(), cwd=ROOT
        )
        if end.case == "sigstop":
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGSTOP)
            time.sleep(self.stop_s)
            process.send_signal(signal.SIGCONT)
        _wait(process, end)

    def _gunicorn(self, end: End, url: str) -> None:
        port = free_port()
        environment = self.environment() | {
            "FAULTS_URL": url, "FAULTS_SPOOL": str(self.rig.spool), "FAULTS_NUMBER": str(self.number)
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", WEB],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        answered: set[bytes] = set()
        for n in range(1, 9):
            answered.add(_get(port, self.number + n))
        if len(answered) < 2:
            end.notes.append("only one worker answered")
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _wait(process, end)
        end.delay = time.monotonic() - start


def _get(port: int, number: int) -> bytes:
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}", timeout=10) as answer:
                found: bytes = answer.read()
                time.sleep(0.05)
                return found
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _wait(process: subprocess.Popen[str], end: End) -> None:
    try:
        _, end.stderr = process.communicate(timeout=HANG_S)
    except subprocess.TimeoutExpired:
        end.hung = True
        process.kill()
        _, end.stderr = process.communicate()


def run(folder: Path, long: bool, cases: tuple[str, ...] = CASES) -> list[Result]:
    with Rig(folder / "exits") as rig, silent() as quiet:
        exits = Exits(rig, 60.0 if long else 3.0)
        rig.serve()
        for case in cases:
            exits.run(case, "up", rig.url)
            exits.run(case, "away", f"http://127.0.0.1:{free_port()}")
            exits.run(case, "silent", f"http://127.0.0.1:{quiet}")
        _bring_home(rig)
        rig.deliver()
        rig.stop_server()
        verdict = judge(Books(rig.ledger), stored_in(rig.data), rig.waiting())
    wrong = [f"{end.case}, server {end.server}: {what}" for end in exits.ends for what in end.wrong]
    hung = sum(end.hung for end in exits.ends)
    slowest = max(
        (end for end in exits.ends if end.case != "gunicorn"), key=lambda end: end.delay, default=exits.ends[0]
    )
    twice = max((end.delay for end in exits.ends if end.case == "gunicorn"), default=0.0)
    traces = sum("Traceback" in end.stderr for end in exits.ends)
    return [
        Result(
            "A7",
            f"{len(cases)} ways to end, with the server up, away and silent",
            f"0 hangs, exit delay <= {DELAY_S:g} s, 0 stack traces, 0 spooled lost",
            f"{hung} hangs, {slowest.delay:.2f} s at most ({slowest.case}, {slowest.server}), {traces} stack traces, "
            + verdict.line(),
            not wrong and verdict.clean,
            details=[
                *wrong,
                f"gunicorn's workers and then its master: {twice:.2f} s at most, together",
                f"recorded {verdict.intended:,}, stored {verdict.stored:,}; missing is what no spool had yet",
            ],
        )
    ]


def _bring_home(rig: Rig) -> None:
    """What was meant for servers that were never there goes to the one that is."""
    from dxray.sdk.spool import folder_of

    home = folder_of(rig.spool, rig.url, "default")
    home.mkdir(parents=True, exist_ok=True)
    for path in list(rig.spool.rglob("*.seg")):
        if path.parent != home:
            path.rename(home / path.name)
