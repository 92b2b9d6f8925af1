"""Starting: one owner, one process, a folder that can be written; and one line where it cannot be."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dxray.server.app import prepare
from dxray.server.errors import CannotStart
from dxray.server.settings import Settings, load


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def uvicorn(data: Path, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port), *arguments],
        cwd=Path(__file__).parents[2] / "api",
        env={**os.environ, "DXRAY_DATA": str(data), "DXRAY_OWNER_WAIT": "0.5", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for(url: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)


def test_a_second_server_says_who_owns_the_data_and_a_restart_takes_over(tmp_path: Path) -> None:
    with uvicorn(tmp_path) as (first, url):
        wait_for(url)
        with uvicorn(tmp_path) as (second, _):
            said, _ = second.communicate(timeout=30)
            assert second.returncode != 0
            assert str(first.pid) in said
            assert "--data" in said
            assert "Traceback" not in said
        with uvicorn(tmp_path, DXRAY_OWNER_WAIT="20") as (_, next_url):
            time.sleep(0.5)
            first.send_signal(signal.SIGINT)
            wait_for(next_url)


def test_more_than_one_worker_is_refused_in_clear_text(tmp_path: Path) -> None:
    with uvicorn(tmp_path, "--workers", "2") as (process, _):
        said, _ = process.communicate(timeout=60)  # uvicorn ends, with whatever code it likes
        assert "--workers 1" in said
        assert "Traceback" not in said


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CannotStart, match="cannot be written") as caught:
        prepare(Settings(data=file / "data"))
    assert "\n" not in caught.value.line()
    assert "--data" in caught.value.line()
    with uvicorn(file / "data") as (process, _):
        said, _ = process.communicate(timeout=30)
        assert process.returncode != 0
        assert "cannot be written" in said
        assert "Traceback" not in said


def test_arguments_then_environment_then_pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DXRAY_NO_SUCH_SETTING", "1")
    monkeypatch.delenv("DXRAY_DATA", raising=False)
    assert load().data == Path("~/.dxray/data").expanduser()
    (tmp_path / "pyproject.toml").write_text('[tool.dxray]\ndata = "from-file"\nabandoned_after = 7\nother = 1\n')
    assert (load().data, load().abandoned_after) == (tmp_path / "from-file", 7)
    monkeypatch.setenv("DXRAY_DATA", "from-env")
    monkeypatch.setenv("DXRAY_ALLOWED_HOSTS", "a.example, B.example")
    assert load().data == tmp_path / "from-env"
    assert load().allowed_hosts == ("a.example", "b.example")
    assert load(data=tmp_path / "argument").data == tmp_path / "argument"
    assert load(data=None).data == tmp_path / "from-env"


def test_a_wrong_setting_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXRAY_ABANDONED_AFTER", "soon")
    with pytest.raises(CannotStart, match="abandoned_after") as caught:
        load()
    assert "soon" in caught.value.line()
    assert "\n" not in caught.value.line()
