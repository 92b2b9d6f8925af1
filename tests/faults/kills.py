"""A1: SIGKILL of the SDK, the server and both, at named failpoints and at random times, against the ledger."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import instrument
from tests.faults.ledger import Books
from tests.faults.rig import Child, Patch, Rig, Verdict, judge, stored_in
from tests.faults.rows import Result

RATE = 5_000
PATIENCE_S = 1.2  # for a failpoint to be reached; then it is a kill at a random time
WANTED_POINTS = 25
# Small files, short waits, and a write-ahead log that is soon full: each failpoint is reached within a second.
SDK: dict[str, Any] = {
    "sets": {
        "dxray.sdk.spool.SEGMENT_BYTES": 30_000,
        "dxray.sdk.spool.SYNC_AFTER_S": 0.05,
        "dxray.sdk.spool.LOOK_EVERY_S": 0.3,
        "dxray.sdk.shipper.BACKLOG_BATCHES_S": 1_000.0,
        "dxray.sdk.shipper.BACKOFF_S": 0.05,
        "dxray.sdk.shipper.BACKOFF_CAP_S": 0.3,
    }
}
SERVER: dict[str, Any] = {
    "sets": {"dxray.server.store.duckdb.WAL_BYTES": 100_000},
    "patches": [["dxray.server.store.duckdb", "every=10.0", "every=1.0"]],
}
SERVER_FILES = "server/"
AWAY = ("ship.backoff", "spool.segment_closed", "spool.synced", "spool.before_unlink", "spool.unlinked")
SMALL_BODY = 20_000  # bytes, inflated: every batch of a fifth of a second is divided, and no record is too large


@dataclass(slots=True)
class Score:
    """What a campaign did."""

    verdict: Verdict | None = None
    kills: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)


class Campaign:
    """A rig whose processes are killed one after another, and replaced."""

    def __init__(self, folder: Path, seed: int, patches: Sequence[Patch] = ()) -> None:
        known = instrument.failpoints()
        self.sdk_points = sorted(name for name, place in known.items() if not place.startswith(SERVER_FILES))
        self.server_points = sorted(name for name, place in known.items() if place.startswith(SERVER_FILES))
        sdk_patches = [p for p in patches if not p[0].startswith("dxray.server")]
        server_patches = [p for p in patches if p[0].startswith("dxray.server")]
        self.rig = Rig(
            folder, sdk=SDK | {"patches": sdk_patches}, server=SERVER | {"patches": SERVER["patches"] + server_patches}
        )
        self.random = random.Random(seed)
        self.score = Score()
        self.patience_s = PATIENCE_S
        self.rig.serve(spare=True)
        self.producer = self._new_producer()

    def _new_producer(self) -> Child:
        return self.rig.produce(spare=True, rate=RATE, seconds=600, items=300)

    # --- one kill each ---

    def kill_sdk(self, point: str | None) -> None:
        """The producer dies at a point, or at a random time where it is None or not reached in time."""
        if point == "spool.quarantined":
            self._leave_rubbish()
        if point == "ship.split":
            self._replace_server(max_body=SMALL_BODY)
        if point is not None:
            self.producer.tell(kill=[point, self.random.randint(1, 3)], finish=point.startswith("exit."))
        self._await(self.producer, "sdk", point)
        if point == "ship.split":
            self._replace_server()
        self.producer = self._new_producer()

    def kill_server(self, point: str | None) -> None:
        """The server dies; the producer goes on, and finds the next one."""
        if point == "store.opened":
            self._replace_server(kill=[point, 1])
        elif point is not None:
            assert self.rig.server is not None
            self.rig.server.tell(kill=[point, self.random.randint(1, 3)])
        assert self.rig.server is not None
        self._await(self.rig.server, "server", point)
        self.rig.serve(spare=True)

    def kill_both(self, point: str | None) -> None:
        """The server dies, and the SDK while it is away; both come back."""
        assert self.rig.server is not None
        self._await(self.rig.server, "both", None, count=False)
        if point is not None:
            self.producer.tell(kill=[point, self.random.randint(1, 2)])
        self._await(self.producer, "both", point)
        self.rig.serve(spare=True)
        self.producer = self._new_producer()

    def _await(self, child: Child, who: str, point: str | None, count: bool = True) -> None:
        wait = self.patience_s if point is not None else self.random.uniform(0.05, 0.6)
        if point is not None and point.startswith("store.checkpoint"):  # once a second, where there is something
            wait *= 3
        died = child.ends_within(wait)
        child.kill()
        if count:
            self.score.kills[who] += 1
            self.score.points[point if died and point is not None else "at a random time"] += 1

    def _replace_server(self, **task: Any) -> None:
        self.rig.stop_server()
        self.rig.serve(spare=True, **task)

    def _leave_rubbish(self) -> None:
        """A file that no SDK ever wrote, where the next producer will adopt it."""
        for folder in {path.parent for path in self.rig.spool.rglob("*.seg")}:
            number = self.random.getrandbits(40)
            (folder / f"{number:x}-1.seg").write_bytes(self.random.randbytes(500))

    # --- the end ---

    def finish(self) -> Score:
        """Everything is delivered, and judged."""
        self.producer.kill()
        assert self.rig.server is not None
        if self.rig.server.process.poll() is not None:
            self.rig.serve()
        self.rig.deliver()
        self.rig.stop_server()
        books = Books(self.rig.ledger)
        self.score.verdict = judge(books, stored_in(self.rig.data), self.rig.waiting())
        self.score.reached = books.reached
        for role in ("produce", "serve", "deliver"):
            text = self.rig.errors(role)
            if "Traceback" in text:
                self.score.errors.append(f"{role}: {text[text.index('Traceback') :][:1500]}")
        return self.score

    def close(self) -> None:
        self.producer.kill()
        self.rig.close()


def plan(campaign: Campaign, kills: int) -> list[tuple[str, str | None]]:
    """Who is killed where: every failpoint in turn, and random times between."""
    sdk, server = campaign.sdk_points, campaign.server_points
    chosen: list[tuple[str, str | None]] = [("both" if name in AWAY else "sdk", name) for name in sdk]
    chosen += [("server", name) for name in server]
    campaign.random.shuffle(chosen)
    while len(chosen) < kills:
        who = campaign.random.choices(("sdk", "server", "both"), (91, 5, 4))[0]
        points = server if who == "server" else sdk
        if who == "sdk":  # those that want something special of the server take long, and had their turn
            points = [name for name in sdk if name not in (*AWAY, "ship.split")]
        chosen.append((who, campaign.random.choice(points) if points and campaign.random.random() < 0.6 else None))
    return chosen[: max(kills, len(sdk) + len(server))]


def run_plan(campaign: Campaign, chosen: Sequence[tuple[str, str | None]]) -> Score:
    start = time.monotonic()
    killers: Mapping[str, Any] = {"sdk": campaign.kill_sdk, "server": campaign.kill_server, "both": campaign.kill_both}
    for who, point in chosen:
        killers[who](point)
    score = campaign.finish()
    score.seconds = time.monotonic() - start
    return score


def run(folder: Path, long: bool, seed: int = 1, kills: int = 0) -> list[Result]:
    kills = kills or (1_000 if long else 50)
    campaign = Campaign(folder / "kills", seed)
    try:
        score = run_plan(campaign, plan(campaign, kills))
    finally:
        campaign.close()
    verdict = score.verdict
    assert verdict is not None
    done = sum(score.kills.values())
    by = ", ".join(f"{n} {who}" for who, n in sorted(score.kills.items()))
    unreached = sorted(set(instrument.failpoints()) - set(score.reached))
    return [
        Result(
            "A1",
            f"{done} x SIGKILL ({by}) at {RATE:,} events/s",
            "0 spooled or committed lost, 0 doubled",
            verdict.line(),
            verdict.clean and not score.errors and done >= kills,
            details=[
                f"{score.seconds / max(1, done):.2f} s a kill; {verdict.waiting} bytes left in the spool",
                f"{verdict.intended:,} intended, {verdict.spooled:,} spooled, {verdict.committed:,} seen committed",
                "kills: " + ", ".join(f"{n} {name}" for name, n in score.points.most_common()),
                *score.errors,
            ],
        ),
        Result(
            "A1",
            "named failpoints reached in it",
            f">= {WANTED_POINTS}",
            f"{len(score.reached)}, of them {len(set(score.points) - {'at a random time'})} killed at",
            len(score.reached) >= WANTED_POINTS,
            details=[f"in the source and not reached: {', '.join(unreached)}"] if unreached else [],
        ),
    ]
