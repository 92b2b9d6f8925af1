"""A ledger, a server and producers in processes of their own, and the verdict over what became of their items."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import instrument
from tests.faults.ledger import PER_PRODUCER, Books, Ledger

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
Patch = Sequence[str]


class Child:
    """A process under test, which waits for its task once it has imported what it needs."""

    def __init__(self, role: str, config: Mapping[str, Any], stderr: Path) -> None:
        self.role = role
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DXRAY_")}
        environment[instrument.VARIABLE] = json.dumps(config)
        self.stderr = stderr
        with open(stderr, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.child", role],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=ROOT,
            )  # fmt: skip
        self._rest = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, **what: Any) -> None:
        """A line of configuration, or the task."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(what).encode() + b"\n")
            self.process.stdin.flush()

    def hear(self, timeout: float = READY_S) -> dict[str, Any]:
        """The next line it says; empty when it has ended or says nothing in time."""
        assert self.process.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return {}
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                return {}
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        said: dict[str, Any] = json.loads(line)
        return said

    def started(self) -> Child:
        """This child, once it waits for its task. Raises with what it said on stderr."""
        if not self.hear().get("ready"):
            self.kill()
            raise RuntimeError(f"{self.role} did not start:\n{self.stderr.read_text('utf-8')[-3000:]}")
        return self

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends so soon."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and its remains are cleared away. Idempotent."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


@dataclass(slots=True)
class Verdict:
    """What became of the items, by set equality with the ledger."""

    intended: int
    spooled: int
    committed: int
    stored: int
    lost_spooled: int
    lost_committed: int
    doubled: int
    alien: int  # stored, never intended
    altered: int  # stored, with another value than was recorded
    lost_synced: int = 0
    waiting: int = 0  # bytes left in the spool
    examples: list[int] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        wrong = self.lost_spooled + self.lost_committed + self.doubled + self.alien + self.altered + self.lost_synced
        return not wrong and not self.waiting

    def line(self) -> str:
        return (
            f"{self.lost_spooled} spooled and {self.lost_committed} committed lost, {self.doubled} doubled, "
            f"{self.alien} alien, {self.altered} altered of {self.stored:,} stored"
        )


class Rig:
    """Everything that a scenario needs, in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        sdk_patches: Sequence[Patch] = (),
        server_patches: Sequence[Patch] = (),
        sdk: Mapping[str, Any] | None = None,
        server: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.spool, self.data = folder / "spool", folder / "data"
        self.ledger = Ledger(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        common = {"ledger": self.ledger.path}
        self._configs = {
            "sdk": {**common, "patches": [list(p) for p in sdk_patches], **(sdk or {})},
            "server": {**common, "patches": [list(p) for p in server_patches], **(server or {})},
        }
        self._spare: dict[str, Child] = {}
        self._living: list[Child] = []
        self.producers = 0
        self.server: Child | None = None

    def child(self, role: str, spare: bool = False) -> Child:
        """A started child; with `spare`, another one is made to stand by."""
        found = self._spare.pop(role, None) or self._make(role)
        found.started()
        if spare:
            self._spare[role] = self._make(role)
        return found

    def _make(self, role: str) -> Child:
        config = self._configs["server" if role == "serve" else "sdk"]
        child = Child(role, config, self.folder / f"{role}.stderr")
        self._living = [one for one in self._living if one.process.poll() is None] + [child]
        return child

    def serve(self, spare: bool = False, **task: Any) -> Child:
        """A server, listening; or dead already where it was told to die at its start."""
        self.server = self.child("serve", spare)
        self.server.tell(port=self.port, data=str(self.data), **task)
        if not self.server.hear(30.0) and self.server.process.poll() is None and not task.get("kill"):
            raise RuntimeError(f"the server does not listen:\n{self.server.stderr.read_text('utf-8')[-3000:]}")
        return self.server

    def produce(self, spare: bool = False, role: str = "produce", **task: Any) -> Child:
        """A producer at work."""
        self.producers += 1
        child = self.child(role, spare)
        child.tell(**{"url": self.url, "spool": str(self.spool), "producer": self.producers, **task})
        return child

    def stop_server(self) -> None:
        """SIGTERM, and SIGKILL when that does not do."""
        if self.server is not None and self.server.process.poll() is None:
            self.server.process.terminate()
            self.server.ends_within(20.0)
        if self.server is not None:
            self.server.kill()

    def deliver(self, attempts: int = 5) -> int:
        """Send what lies in the spool. Returns the bytes that are left."""
        for _ in range(attempts):
            if not self.waiting():
                break
            child = self.child("deliver")
            child.tell(url=self.url, spool=str(self.spool))
            child.hear(60.0)
            child.ends_within(20.0)
            child.kill()
        return self.waiting()

    def waiting(self) -> int:
        """Bytes in segments of the spool; a segment without a batch is none."""
        return sum(path.stat().st_size for path in self.spool.rglob("*.seg"))

    def verdict(self, deliver: bool = True) -> Verdict:
        """Deliver what waits, stop the server, and compare."""
        if deliver:
            if self.server is None or self.server.process.poll() is not None:
                self.serve()
            self.deliver()
        self.stop_server()
        return judge(Books(self.ledger), stored_in(self.data), self.waiting())

    def errors(self, role: str = "produce") -> str:
        path = self.folder / f"{role}.stderr"
        return path.read_text("utf-8") if path.exists() else ""

    def close(self) -> None:
        for child in self._living:
            child.kill()
        self.ledger.close()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def stored_in(data: Path) -> dict[str, Any]:
    """Items with how often each is stored, and how many rows are not as they were recorded."""
    import duckdb

    (path,) = data.glob("*.duckdb")
    with duckdb.connect(str(path), read_only=True) as con:
        rows = con.execute(
            "SELECT TRY_CAST(item_id AS BIGINT) AS item, count(*) AS n FROM events GROUP BY 1"
        ).fetchnumpy()
        wrong = con.execute(
            "SELECT count(*) FROM events WHERE TRY_CAST(item_id AS BIGINT) IS NULL OR len(num) IS DISTINCT FROM 1"
            " OR num[1] IS DISTINCT FROM TRY_CAST(item_id AS BIGINT) % ?",
            [PER_PRODUCER],
        ).fetchone()
    items = np.ma.filled(rows["item"], -1).astype(np.int64)
    return {"items": items, "times": np.asarray(rows["n"]), "altered": wrong[0] if wrong else 0}


def judge(books: Books, stored: Mapping[str, Any], waiting: int) -> Verdict:
    """The verdict, by set equality."""
    items = np.unique(stored["items"])
    spooled = np.setdiff1d(books.spooled, items)
    committed = np.setdiff1d(books.committed, items)
    alien = np.setdiff1d(items, books.intended)
    return Verdict(
        intended=len(books.intended),
        spooled=len(books.spooled),
        committed=len(books.committed),
        stored=len(items),
        lost_spooled=len(spooled),
        lost_committed=len(committed),
        doubled=int((stored["times"] > 1).sum()),
        alien=len(alien),
        altered=int(stored["altered"]),
        lost_synced=len(np.setdiff1d(books.synced, items)),
        waiting=waiting,
        examples=[int(one) for one in (*spooled[:3], *committed[:3], *alien[:3])],
    )
