"""A5: drop mode, with a server that is slow or away: what was not sent is counted, to the event, and told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.faults.rig import Patch, Rig
from tests.faults.rows import Result

# A queue that is full soon.
SDK = {
    "sets": {
        "dxray.sdk.memory.PENDING_BYTES": 60_000,
        "dxray.sdk.channel.BEHIND_BYTES": 40_000,
        "dxray.sdk.outbox.MEMORY_BYTES": 12_000,
        "dxray.sdk.channel.BATCH_BYTES": 20_000,
    }
}


class Collector(ThreadingHTTPServer):
    """Takes batches as slowly as it is told, and counts what is in them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay = 0.0
        self.events: set[tuple[str, str, int]] = set()
        self.losses: Counter[str] = Counter()
        self.batches: set[tuple[str, int]] = set()
        self.lock = threading.Lock()

    def take(self, body: bytes) -> None:
        from dxray.wire.codec import inflate, unpack_batch, unpack_record
        from dxray.wire.records import Events, Loss

        batch = unpack_batch(inflate(body, "zstd"))
        with self.lock:
            if (batch.producer, batch.seq) in self.batches:
                return
            self.batches.add((batch.producer, batch.seq))
            for raw in batch.records:
                record = unpack_record(raw)
                if isinstance(record, Events):
                    self.events.update(
                        (record.run_id, record.step_id, record.first + n) for n in range(len(record.ops))
                    )
                elif isinstance(record, Loss):
                    self.losses[record.cause] += record.n


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.server.delay)
        self.server.take(body)
        answer = b'{"accepted":1,"rejected":[],"duplicate":false}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.shutdown()
        collector.server_close()
        thread.join(5)


def slow(folder: Path, seconds: float, patches: Sequence[Patch] = ()) -> Result:
    """A server that takes half a second for a batch."""
    with Rig(folder, sdk=SDK, sdk_patches=patches) as rig, collecting() as collector:
        collector.delay = 0.5
        url = f"http://127.0.0.1:{collector.server_port}"
        producer = rig.produce(mode="drop", url=url, seconds=seconds, rate=20_000, flush=20.0)
        time.sleep(seconds)
        collector.delay = 0.0
        said = _said(producer)
        producer.ends_within(10.0)
        producer.kill()
        return _balance("slow server", said, len(collector.events), dict(collector.losses))


def absent(folder: Path, seconds: float) -> Result:
    """No server, until shortly before the end; then the real one, and what it has stored."""
    import duckdb

    with Rig(folder) as rig:
        producer = rig.produce(mode="drop", seconds=seconds + 60, rate=5_000, flush=20.0)
        time.sleep(seconds)
        rig.serve()
        time.sleep(2.0)
        producer.tell(finish=True)
        said = _said(producer)
        producer.ends_within(10.0)
        producer.kill()
        rig.stop_server()
        (path,) = rig.data.glob("*.duckdb")
        with duckdb.connect(str(path), read_only=True) as con:
            stored = con.execute(
                "SELECT count(*) FROM (SELECT DISTINCT run_id, step_id, event_no FROM events)"
            ).fetchone()
            losses = dict(con.execute("SELECT cause, sum(n) FROM losses GROUP BY 1").fetchall())
    assert stored is not None
    return _balance("server away at first", said, stored[0], {cause: int(n) for cause, n in losses.items()})


def _said(producer: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    while line := producer.hear(40.0):
        said.update(line)
        if "made" in line:
            break
    return said


def _balance(how: str, said: dict[str, Any], arrived: int, told: dict[str, int]) -> Result:
    counted = sum(said.get("losses", {}).values())
    made = said.get("made", 0)
    return Result(
        "A5",
        f"drop mode, {how}: {made:,} events",
        "sent + dropped = produced, exactly; drops by cause reach the server",
        f"{arrived:,} + {counted:,} = {arrived + counted:,}; told: {told}",
        made > 0 and arrived + counted == made and told == said.get("losses") and counted > 0,
        details=[f"counted in the process: {said.get('losses')}"],
    )


def run(folder: Path, long: bool) -> list[Result]:
    seconds = 30.0 if long else 4.0
    return [slow(folder / "slow", seconds), absent(folder / "absent", seconds)]
