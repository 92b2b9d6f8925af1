"""What a failpoint does in a process under test: it reports to the ledger, and dies where it was told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

FRAME = struct.Struct("<IBd")  # length, kind, when (seconds, of the clock that all processes share)
INTENT, SPOOLED, COMMITTED, SYNCED, REACHED, KILLED, NOTE, BARRIER = b"ISCYRKNB"

_BATCHES = {"spool.appended": SPOOLED, "ship.committed": COMMITTED}


class Injected(Exception):
    """A failure that was asked for."""


class Reporter:
    """A process's line to the ledger: what was sent outlives the sender, for the kernel holds it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = 0
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def send(self, kind: int, payload: bytes) -> None:
        if self._pid != os.getpid():  # a forked child speaks for itself
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            line.connect(self._path)
            self._lock, self._socket, self._pid = threading.Lock(), line, os.getpid()  # another thread may look by now
        with self._lock:
            assert self._socket is not None
            self._socket.sendall(FRAME.pack(len(payload), kind, time.monotonic()) + payload)


class State:
    """What this process was told to do, and which failpoints it came by."""

    def __init__(self) -> None:
        self.reporter: Reporter | None = None
        self.kill_at: str | None = None
        self.kill_n = 1
        self.counts: Counter[str] = Counter()
        self.fail_at: str | None = None
        self.fail_every = 0
        self.unsynced: list[bytes] = []
        self.watch_syncs = False


state = State()


def configure(config: Mapping[str, Any]) -> None:
    """Take what a configuration says; what it does not name stays."""
    if config.get("ledger"):
        state.reporter = Reporter(config["ledger"])
    if "kill" in config:
        name, n = config["kill"] or (None, 1)
        state.kill_n = n + (state.counts[name] if name else 0)
        state.kill_at = name
    if "fail" in config:
        state.fail_at, state.fail_every = config["fail"]
    state.watch_syncs = config.get("watch_syncs", state.watch_syncs)


def report(kind: int, what: Any) -> None:
    """Tell the ledger, if there is one."""
    if state.reporter is not None:
        state.reporter.send(kind, what if isinstance(what, bytes) else json.dumps(what).encode())


def reach(name: str, around: Mapping[str, Any]) -> None:
    """A failpoint was reached; `around` are the local names there."""
    state.counts[name] += 1
    n = state.counts[name]
    if n == 1:
        report(REACHED, name.encode())
    if name in _BATCHES:
        _report_batch(name, around)
    elif name == "spool.synced" and state.watch_syncs:
        synced, state.unsynced = state.unsynced, []
        for data in synced:
            report(SYNCED, data)
    if name == state.kill_at and n >= state.kill_n:
        report(KILLED, name.encode())
        os.kill(os.getpid(), signal.SIGKILL)
    if name == state.fail_at and n % state.fail_every == 0:
        raise Injected(name)


def _report_batch(name: str, around: Mapping[str, Any]) -> None:
    data = around.get("data")
    frame = around.get("frame")
    if data is None and frame is not None:
        data = frame.data
    if data is None:
        raise AssertionError(f"failpoint {name}: no `data` among {sorted(around)}")
    if name == "spool.appended":
        if frame is not None and getattr(frame, "segment", True) is None:
            return  # held in memory only: nothing was promised
        if state.watch_syncs:
            state.unsynced.append(bytes(data))
    report(_BATCHES[name], bytes(data))
