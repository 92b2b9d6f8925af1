"""The external ledger: a process that writes down what others say before and after they do it.

It knows nothing of the product and is never killed. What a killed process had sent is in the socket still, and is
written down; half a message is not.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.faults import hook

Ids = NDArray[np.int64]
PER_PRODUCER = 10_000_000  # item ids of a producer: its number times this, and a running number


def serve(path: str, log: str) -> None:
    """Listen at `path`, append to `log`. Ends with its stdin."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    with selectors.DefaultSelector() as waiting, open(log, "ab", buffering=0) as file:
        waiting.register(listener, selectors.EVENT_READ, None)
        waiting.register(0, selectors.EVENT_READ, None)
        barriers: list[socket.socket] = []
        while True:
            ready = waiting.select(0.0 if barriers else None)
            if not ready:
                for one in barriers:
                    one.sendall(b"!")
                barriers = []
            for key, _ in ready:
                if key.fileobj == 0:
                    if not os.read(0, 4096):
                        return
                elif key.fileobj is listener:
                    waiting.register(listener.accept()[0], selectors.EVENT_READ, bytearray())
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    if not _take(key.fileobj, key.data, file.fileno(), barriers):
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()


def _take(source: socket.socket, held: bytearray, log: int, barriers: list[socket.socket]) -> bool:
    try:
        chunk = source.recv(1 << 20)
    except ConnectionError:
        return False
    held += chunk
    end = 0
    while len(held) - end >= hook.FRAME.size:
        length, kind, _ = hook.FRAME.unpack_from(held, end)
        if len(held) - end < hook.FRAME.size + length:
            break
        if kind == hook.BARRIER:
            barriers.append(source)
        end += hook.FRAME.size + length
    os.write(log, held[:end])
    del held[:end]
    return bool(chunk)


class Ledger:
    """The ledger's process, and what it wrote down."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ledger.socket")
        self._log = folder / "ledger.log"
        self._log.touch()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.ledger", self.path, str(self._log)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def settle(self) -> None:
        """Wait until all that was sent is written down."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(30)
            line.connect(self.path)
            line.sendall(hook.FRAME.pack(0, hook.BARRIER, 0.0))
            line.recv(1)

    def messages(self) -> Iterator[tuple[int, float, bytes]]:
        """What was written down so far: kind, time and content."""
        self.settle()
        with open(self._log, "rb") as file:
            while len(head := file.read(hook.FRAME.size)) == hook.FRAME.size:
                length, kind, at = hook.FRAME.unpack(head)
                yield kind, at, file.read(length)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Books:
    """What the ledger says, as sets of item ids."""

    def __init__(self, ledger: Ledger) -> None:
        intended: list[Ids] = []
        batches: dict[int, list[Ids]] = {hook.SPOOLED: [], hook.COMMITTED: [], hook.SYNCED: []}
        self.reached: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.notes: list[dict[str, Any]] = []
        for kind, _, payload in ledger.messages():
            if kind == hook.INTENT:
                first, n = json.loads(payload)
                intended.append(np.arange(first, first + n, dtype=np.int64))
            elif kind in batches:
                batches[kind].append(items_of(payload))
            elif kind == hook.REACHED:
                self.reached[payload.decode()] += 1
            elif kind == hook.KILLED:
                self.killed[payload.decode()] += 1
            elif kind == hook.NOTE:
                self.notes.append(json.loads(payload))
        self.intended = joined(intended)
        self.spooled = joined(batches[hook.SPOOLED])
        self.committed = joined(batches[hook.COMMITTED])
        self.synced = joined(batches[hook.SYNCED])


def joined(parts: list[Ids]) -> Ids:
    """The distinct ids of all parts."""
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def items_of(packed: bytes) -> Ids:
    """The item ids in a packed batch."""
    from dxray.wire.codec import inflate, unpack_batch, unpack_record
    from dxray.wire.records import Events

    found: list[int] = []
    for raw in unpack_batch(inflate(packed, "zstd")).records:
        record = unpack_record(raw)
        if isinstance(record, Events):
            found += [int(item) for item in record.ids]
    return np.array(found, dtype=np.int64)


if __name__ == "__main__":
    serve(*sys.argv[1:3])
