"""A server of one's own for a notebook or a test: `local()` starts it, and asks it."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dxray.client import Client, ServerNotReachable

if TYPE_CHECKING:
    import subprocess


class LocalClient(Client):
    """A server of its own, started as a child process, and its client. Made by `local()`.

    `data` is its folder; `log` holds the last lines that it printed.
    """

    def __init__(self, process: subprocess.Popen[bytes], api_url: str, data: Path) -> None:
        super().__init__(api_url)
        self.data = data
        self._process = process
        self.log: deque[str] = deque(maxlen=200)
        self._owner = os.getpid()
        _drain(process, self.log)
        atexit.register(self.close)

    def close(self) -> None:
        """Stop the server; its data goes too, unless a folder was named. Idempotent."""
        super().close()
        if os.getpid() == self._owner:  # not in a fork that ends
            atexit.unregister(self.close)
            _stop(self._process)

    def _check_alive(self) -> None:
        if self._process.poll() is not None:
            raise ServerNotReachable(f"the server at {self.api_url} ended by itself")


def local(data: str | os.PathLike[str] | None = None, port: int = 0) -> LocalClient:
    """Start a server on `port` of this machine, a free one by default, and return its client, ready to be asked.

    What is recorded goes to the folder `data`, else to a temporary one. The server ends at `close()`, at
    the end of a `with`, or with this process. Raises `ServerNotReachable` with what it said when it
    does not start.
    """
    import shutil
    import subprocess
    import tempfile

    folder = Path(data) if data is not None else Path(tempfile.mkdtemp(prefix="dxray-"))
    serve = ["serve", "--json", "--until-eof", "--port", str(port), "--data", str(folder)]
    serve += [] if data is not None else ["--forget"]
    # -P: a module of the caller's folder must not stand in for one of the server's.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "dxray", *serve],
        stdin=subprocess.PIPE,  # its end tells the server that this process has ended, however it did
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_child_env(),
    )
    try:
        client = LocalClient(process, _first_words(process), folder)
    except BaseException:
        _stop(process)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    client.wait_ready()
    return client


def _first_words(process: subprocess.Popen[bytes]) -> str:
    """The address that a starting server prints. Raises `ServerNotReachable` with what it prints instead."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    try:
        api_url = str(json.loads(line)["api_url"])
    except (ValueError, KeyError, TypeError):
        process.terminate()
        with process.stdout, process.stderr:
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
        last = said[-1].removeprefix("dxray: ") if said else repr(line)
        raise ServerNotReachable(f"the server did not start: {last}") from None
    return api_url


def _child_env() -> dict[str, str]:
    # A store or a catalog that was named for another server is not this one's.
    return {name: value for name, value in os.environ.items() if name not in ("DXRAY_STORE", "DXRAY_CATALOG")}


def _drain(process: subprocess.Popen[bytes], log: deque[str]) -> None:
    """Read on what the server prints, so that a full pipe never stops it."""
    import threading

    def read(stream: IO[bytes]) -> None:
        with stream:
            log.extend(line.decode(errors="replace").rstrip() for line in stream)

    for stream in (process.stdout, process.stderr):
        threading.Thread(target=read, args=(stream,), name="dxray-local", daemon=True).start()


def _stop(process: subprocess.Popen[bytes]) -> None:
    import subprocess

    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        process.stdin.close()
