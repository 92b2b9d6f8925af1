"""A2's bugs: text of the product, and what a bug would make of it. Each must apply exactly once."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.rig import Patch


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, and the scenario that must catch it."""

    name: str
    scenario: str
    patches: tuple[Patch, ...]


SEGMENT, CHANNEL, SHIPPER = "dxray.sdk.segment", "dxray.sdk.channel", "dxray.sdk.shipper"
THREADS, COMMIT = "dxray.server.ingest.threads", "dxray.server.store.duck_commit"

BUGS = (
    Bug(
        "the sync is skipped",
        "power",
        ((SEGMENT, "        self._disk.sync(self._fd)\n", "        pass\n"),),
    ),
    Bug(
        "the server answers before it commits",
        "server_killed_in_commit",
        (
            (
                THREADS,
                "        self._store.insert(Commit(joined(parts), marks))\n",
                (
                    "        for s in submissions:\n            s.resolve()\n        time.sleep(0.5)\n"
                    "        self._store.insert(Commit(joined(parts), marks))\n"
                ),
            ),
        ),
    ),
    Bug(
        "seen is marked before the insert",
        "commit_fails",
        (
            (
                THREADS,
                "        self._store.insert(Commit(joined(parts), marks))\n",
                (
                    "        with self._changed:\n            for producer, seqs in producers.items():\n"
                    "                self._known.committed(producer, seqs)\n"
                    "        self._store.insert(Commit(joined(parts), marks))\n"
                ),
            ),
        ),
    ),
    Bug(
        "the spool forgets before the server has it",
        "sdk_killed_in_post",
        (
            (
                SHIPPER,
                "        delivery = frame.delivery or Delivery([data])\n",
                (
                    "        if frame.segment is not None:\n            frame.segment.acknowledge()\n"
                    "            frame.segment = None\n        delivery = frame.delivery or Delivery([data])\n"
                ),
            ),
        ),
    ),
    Bug(
        "the spool forgets what was not taken",
        "network_busy",
        (
            (
                SHIPPER,
                '        if delivery.go_on(way) is Fate.RETRY and self._settings.offline_mode != "drop":\n',
                '        if delivery.go_on(way) is Fate.RETRY and delivery.detail == "":\n',
            ),
        ),
    ),
    Bug(
        "the server's mark is not written",
        "server_killed_after_commit",
        ((COMMIT, "    if commit.marks:\n        _put_marks(con, commit.marks)\n", "    pass\n"),),
    ),
    Bug(
        "the server does not look whether it knows a batch",
        "network_drop",
        ((THREADS, "        elif self._is_known((", "        elif False and self._is_known(("),),
    ),
    Bug(
        "a forked child keeps its parent's producer id",
        "forks",
        (
            (
                CHANNEL,
                "        self.producer = uuid7_hex()\n",
                '        self.producer = getattr(self, "producer", None) or uuid7_hex()\n',
            ),
        ),
    ),
    Bug(
        "a forked child keeps its parent's buffer",
        "forks",
        (
            (
                CHANNEL,
                "        self._pending = Memory()\n",
                '        self._pending = getattr(self, "_pending", None) or Memory()\n',
            ),
            (
                CHANNEL,
                "        self._ended: deque[Run | Ledger] = deque()\n",
                '        self._ended: deque[Run | Ledger] = getattr(self, "_ended", None) or deque()\n',
            ),
        ),
    ),
    Bug(
        "a retry gets a new number",
        "network_drop",
        (
            (
                SHIPPER,
                "            self._backlog.appendleft(frame)\n",
                (
                    "            from dxray.wire import codec\n"
                    '            batch = codec.unpack_batch(codec.inflate(frame.read(), "zstd"))\n'
                    "            frame.data = codec.pack_batch(\n"
                    "                batch.producer, batch.seq + 1_000_000, batch.project,\n"
                    "                [bytes(r) for r in batch.records]\n"
                    "            )\n"
                    "            self._backlog.appendleft(frame)\n"
                ),
            ),
        ),
    ),
    Bug(
        "a damaged record is read without its checksum",
        "damage",
        (
            (
                SEGMENT,
                "            sound = len(data) == length and zlib.crc32(data) == crc\n",
                "            sound = len(data) == length\n",
            ),
        ),
    ),
    Bug(
        "a full queue drops and does not count",
        "drops",
        (
            (
                "dxray.sdk.outbox",
                '        self._lose_frame(frame, "spool_full" if full else "memory_full")\n',
                "",
            ),
        ),
    ),
    Bug(
        "a batch that is split gets new numbers each time",
        "sdk_killed_between_parts",
        (
            (
                "dxray.sdk.contents",
                'return pack_batch(f"{batch.producer}.{batch.seq}", number,',
                'import uuid\n    return pack_batch(f"{batch.producer}.{uuid.uuid4().hex}", number,',
            ),
        ),
    ),
)
