"""A10: disks that are full, read-only or not there, a spool of two processes, and one full of old segments."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.ledger import PER_PRODUCER
from tests.faults.rig import Child, Rig, Verdict
from tests.faults.rows import Result

RATE = 5_000
MIB = 1024 * 1024
P99_NS = 25_000
OLD = 900  # the number of the producer that old segments are from


class NoMount(Exception):
    """File systems cannot be mounted here."""


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs there."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoMount(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _watched(rig: Rig, seconds: float, back_after: float = 0.0, **task: Any) -> dict[str, Any]:
    """A watched producer, without a server for the first while; what it saw."""
    if not back_after:
        rig.serve()
    producer = rig.produce(role="measure", rate=RATE, warm_up=0.5, flush=30.0, **task)
    time.sleep(back_after or seconds)
    if back_after:
        rig.serve()
        time.sleep(max(0.0, seconds - back_after))
    return _finished(producer)


def _finished(producer: Child) -> dict[str, Any]:
    producer.tell(finish=True)
    seen = producer.hear(60.0)
    producer.ends_within(15.0)
    producer.kill()
    return seen


def _result(test: str, seen: dict[str, Any], verdict: Verdict | None, more: str = "") -> Result:
    """Whether the pipeline went on as if nothing were wrong, and what it recorded is there or counted."""
    wanted = "pipeline unaffected, all there or counted, RSS growth <= 64 MB, <= 64 descriptors"
    if not seen:
        return Result("A10", test, wanted, "the program said nothing at its end", False)
    counted = sum(seen["losses"].values())
    missing = 0 if verdict is None else verdict.intended - verdict.stored - counted
    wrong = 0 if verdict is None else verdict.doubled + verdict.alien + verdict.altered
    good = seen["rss_growth"] <= 64 * MIB and seen["descriptors"] <= 64 and seen["p99_ns"] <= P99_NS
    return Result(
        "A10",
        test,
        wanted,
        f"{seen['made']:,} recorded, p99 {seen['p99_ns'] / 1e3:.1f} µs, {counted} counted as lost, "
        f"{missing} unaccounted, "
        f"RSS +{seen['rss_growth'] / MIB:.0f} MB, {seen['descriptors']} descriptors{more}",
        good and not missing and not wrong and seen["made"] > 0,
        details=[
            f"lost: {seen['losses'] or 'nothing'}; XRay() took {seen['made_in'] * 1e3:.0f} ms; mark: {seen['mark']}"
        ],
    )


def full(folder: Path, long: bool) -> Result:
    def fill(spool: Path) -> None:
        (spool / "other").write_bytes(b"x" * (MIB - 20 * 4096))

    return _mounted(folder, "spool on a full 1 MB tmpfs, the server away at first", "size=1m", 9.0, 5.0, fill)


def read_only(folder: Path, long: bool) -> Result:
    return _mounted(folder, "read-only spool folder, the server away at first", "ro,size=1m", 6.0, 3.0)


def _mounted(
    folder: Path,
    test: str,
    options: str,
    seconds: float,
    back_after: float,
    prepare: Callable[[Path], None] = lambda _: None,
) -> Result:
    with Rig(folder) as rig:
        try:
            with mounted(rig.spool, options):
                prepare(rig.spool)
                seen = _watched(rig, seconds, back_after=back_after)
                verdict = rig.verdict()
        except NoMount as error:
            return Result("A10", test, "", f"mount is not allowed here: {error}", None)
    return _result(test, seen, verdict)


def homeless(folder: Path, long: bool) -> Result:
    with Rig(folder) as rig:
        seen = _watched(rig, 4.0, homeless=True)
        verdict = rig.verdict()
    return _result("no HOME, and no entry in the password file", seen, verdict)


def shared(folder: Path, long: bool) -> Result:
    """Two processes and one folder; the server comes and goes; one of the two is killed."""
    with Rig(folder) as rig:
        rig.serve(spare=True)
        one = rig.produce(role="measure", rate=RATE // 2, warm_up=0.5, flush=30.0)
        two = rig.produce(rate=RATE // 2)
        time.sleep(1.5)
        assert rig.server is not None
        rig.server.kill()
        time.sleep(2.0)
        two.kill()
        rig.serve()
        time.sleep(2.0)
        seen = _finished(one)
        verdict = rig.verdict()
    lost = verdict.lost_spooled + verdict.lost_committed
    result = _result("one spool of two processes, one of them killed", seen, None, f"; {verdict.line()}")
    result.ok = bool(result.ok) and verdict.clean and not lost
    return result


def old(folder: Path, long: bool) -> Result:
    number = 100_000 if long else 5_000
    with Rig(folder) as rig:
        _leave(rig, number)
        seen = _watched(rig, 8.0)
        left = len(list(rig.spool.rglob("*.seg")))
        rig.stop_server()
    result = _result(f"{number:,} old segments at start", seen, None, f"; {number - left:,} of them shipped in 8 s")
    result.ok = bool(result.ok) and seen["made_in"] < 0.5 and left < number
    return result


def _leave(rig: Rig, number: int) -> None:
    """Segments of processes that are long dead, each with one batch of one event."""
    from dxray.sdk.segment import framed
    from dxray.sdk.spool import folder_of
    from dxray.wire.codec import pack_batch, pack_record
    from dxray.wire.records import Events, Op

    home = folder_of(rig.spool, rig.url, "default")
    home.mkdir(parents=True)
    for n in range(number):
        item = OLD * PER_PRODUCER + n
        event = Events(
            run_id=f"old-{n}", step_id="1", first=0, at=1, ops=bytes([Op.ACCEPTED]), ids=[str(item)], b=[{"k": n}]
        )
        (home / f"{n:032x}-1.seg").write_bytes(framed(1, pack_batch(f"{n:032x}", 1, "default", [pack_record(event)])))


def run(folder: Path, long: bool) -> list[Result]:
    return [case(folder / case.__name__, long) for case in (full, read_only, homeless, shared, old)]
