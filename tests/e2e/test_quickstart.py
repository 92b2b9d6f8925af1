"""The quick start, word for word, as a stranger types it: installed, served, recorded, asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PORT = 8000

pytestmark = pytest.mark.timeout(600)  # it installs everything into an environment of its own


@dataclass
class Shell:
    """A stranger's shell: a fresh home and a fresh, activated environment."""

    env: dict[str, str]
    port: int = PORT
    log: list[str] = field(default_factory=list)

    def type(self, line: str, cwd: Path = CHECKOUT, timeout: float = 300) -> str:
        """Run one line and return what it prints. Where the port is another, that alone is changed."""
        line = line.replace(f"localhost:{PORT}", f"localhost:{self.port}")
        done = subprocess.run(
            ["bash", "-c", line], cwd=cwd, env=self.env, capture_output=True, text=True, timeout=timeout, check=False
        )
        self.log.append(f"$ {line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        assert done.returncode == 0, self.log[-1]
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    if shutil.which("curl") is None:
        pytest.fail("the quick start types curl: apt-get install curl")
    home, venv = tmp_path, tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    kept = {name: os.environ[name] for name in os.environ if not name.startswith(("DXRAY_", "VIRTUAL_ENV", "PYTHON"))}
    env = {**kept, "HOME": str(home), "VIRTUAL_ENV": str(venv), "PATH": f"{venv}/bin:{os.environ['PATH']}"}
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    one = Shell(env, free_port())
    if one.port != PORT:
        env["DXRAY_API_URL"] = f"http://localhost:{one.port}"
    one.type("pip install -r requirements.txt", timeout=500)
    with serving(one):
        yield one


def free_port() -> int:
    """The port of the quick start, or another where somebody has it."""
    for port in (PORT, 0):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise AssertionError("no port is free")


class serving:  # noqa: N801
    """`cd api && uvicorn main:app --reload`, in a process group of its own, until the end of the block."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    def __enter__(self) -> None:
        other = "" if self.shell.port == PORT else f" --port {self.shell.port}"
        self.process = subprocess.Popen(
            ["bash", "-c", "cd api && uvicorn main:app --reload" + other],
            cwd=CHECKOUT,
            env=self.shell.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "uvicorn ended by itself"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.shell.port}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.__exit__()
        pytest.fail("the server was not ready within 60 s")

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def curl(shell: Shell, line: str) -> dict[str, Any]:
    answer = json.loads(shell.type(line))
    assert isinstance(answer, dict)
    return answer


def test_the_quick_start_works_word_for_word(shell: Shell) -> None:
    # One test, because its environment and its server are made once: workers that run tests side by side
    # would each make their own.
    told = shell.type("python -m examples.demo")
    assert re.search(r"chose a laptop stand", told), told
    runs = curl(shell, "curl http://localhost:8000/runs")
    assert runs["total"] >= len(runs["runs"]) >= 1
    run_id = runs["runs"][0]["run_id"]
    run = curl(shell, f"curl http://localhost:8000/runs/{run_id}")
    assert run["run_id"] == run_id
    assert {step["step_type"] for step in run["steps"]} >= {"filter", "select"}
    steps = curl(shell, 'curl "http://localhost:8000/steps?step_type=filter&rejection_rate_gt=0.9"')
    assert steps["total"] >= len(steps["steps"]) >= 1
    assert all(step["rejection_rate"] > 0.9 and step["step_type"] == "filter" for step in steps["steps"])
    code = "from sdk import XRay; import dxray; print(XRay is dxray.XRay)"
    assert shell.type(f"python -c '{code}'") == "True\n"
    the_command_finds_the_same_server(shell, run_id)
    assert list((Path(shell.env["HOME"]) / ".dxray" / "data").iterdir())


def the_command_finds_the_same_server(shell: Shell, run_id: str) -> None:
    assert shell.type("dxray version").startswith("dxray ")
    assert run_id in shell.type("dxray runs")
    assert run_id in shell.type("dxray show last")
