"""A2: the harness is worth what it catches. Each planted bug must be caught; without a bug each scenario must pass."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults import drops, forks, hook, kills, network
from tests.faults.planted import BUGS
from tests.faults.rig import Patch, Rig, Verdict
from tests.faults.rows import Result

Scenario = Callable[[Path, Sequence[Patch]], str]  # what it caught, empty if nothing
SCENARIOS: dict[str, Scenario] = {}
GOES = 2  # at a planted bug; without one, the first alarm is a false one


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def _caught(verdict: Verdict | None, complete: bool = False) -> str:
    """What is wrong by a verdict; with `complete`, nothing may be missing either."""
    assert verdict is not None
    if not verdict.clean:
        return verdict.line() + (f", {verdict.lost_synced} synced lost" if verdict.lost_synced else "")
    if complete and verdict.stored != verdict.intended:
        return f"{verdict.intended - verdict.stored} of {verdict.intended} are missing"
    return ""


def _kills(folder: Path, patches: Sequence[Patch], plan: Sequence[tuple[str, str]]) -> str:
    campaign = kills.Campaign(folder, 1, patches)
    campaign.patience_s = 8.0  # each is killed where the bug shows, however slow the machine is
    try:
        return _caught(kills.run_plan(campaign, plan).verdict)
    finally:
        campaign.close()


@scenario
def server_killed_in_commit(folder: Path, patches: Sequence[Patch]) -> str:
    return _kills(folder, patches, [("server", "commit.marks_written")] * 4)


@scenario
def server_killed_after_commit(folder: Path, patches: Sequence[Patch]) -> str:
    return _kills(folder, patches, [("server", "commit.committed"), ("server", "ingest.committed")])


@scenario
def sdk_killed_in_post(folder: Path, patches: Sequence[Patch]) -> str:
    return _kills(folder, patches, [("sdk", "ship.before_post")] * 3)


@scenario
def commit_fails(folder: Path, patches: Sequence[Patch]) -> str:
    """Every second commit of the server fails; the SDK sends again.

    A group that fails is committed one by one at once, so of a group of two that fails the second fails again: it is
    the batch that fails alone that is answered with an error, and that the SDK sends again.
    """
    with Rig(folder, sdk=network.SDK, server={"fail": ["commit.marks_written", 2]}, server_patches=patches) as rig:
        rig.serve()
        producer = rig.produce(seconds=4.0, rate=2_000, items=50, flush=20.0)
        producer.hear(30.0)
        producer.ends_within(10.0)
        producer.kill()
        return _caught(rig.verdict(), complete=True)


def _network(folder: Path, patches: Sequence[Patch], kind: str, faults: int = 12) -> str:
    out = network.through(folder, faults, [kind], patches, limit_s=20.0)
    if out.faults < faults:
        return f"only {out.faults} faults were done"
    return _caught(out.verdict, complete=True)


@scenario
def network_drop(folder: Path, patches: Sequence[Patch]) -> str:
    return _network(folder, patches, "drop_answer")


@scenario
def network_busy(folder: Path, patches: Sequence[Patch]) -> str:
    return _network(folder, patches, "busy")


@scenario
def network_split(folder: Path, patches: Sequence[Patch]) -> str:
    """A server that takes small bodies only, and answers that are lost: a batch is divided more than once."""
    out = network.through(folder, 12, ["drop_answer"], patches, limit_s=20.0, flush_s=0.2, max_body=3_000)
    return _caught(out.verdict, complete=True)


@scenario
def sdk_killed_between_parts(folder: Path, patches: Sequence[Patch]) -> str:
    """The SDK dies when some parts of a batch are committed; the next process divides the batch again."""
    with Rig(folder, sdk_patches=patches) as rig:
        rig.serve(max_body=3_000)
        for reached in (5, 8, 12):
            producer = rig.produce(seconds=60.0, rate=2_000, items=50)
            producer.tell(kill=["ship.split", reached])
            producer.ends_within(10.0)
            producer.kill()
        rig.deliver()
        return _caught(rig.verdict())


@scenario
def forks_(folder: Path, patches: Sequence[Patch]) -> str:
    verdict, seen, _ = forks.storm(folder, 12, tuple(patches))
    wrong = _caught(verdict, complete=True)
    return wrong or ("" if seen == {"deadlocks": 0, "unflushed": 0} else str(seen))


@scenario
def drops_(folder: Path, patches: Sequence[Patch]) -> str:
    result = drops.slow(folder, 1.5, patches)
    return "" if result.ok else result.reached


@scenario
def power(folder: Path, patches: Sequence[Patch]) -> str:
    """The power fails while the server is away: of each file there is what was synced."""
    durable = folder / "durable"
    durable.mkdir(parents=True)
    sdk = {"watch_syncs": True, "durable": str(durable), "sets": {"dxray.sdk.spool.SYNC_AFTER_S": 0.2}}
    with Rig(folder, sdk=sdk, sdk_patches=patches) as rig:
        producer = rig.produce(seconds=60.0)
        time.sleep(2.0)
        producer.kill()
        for path in rig.spool.rglob("*.seg"):
            kept = durable / path.name
            path.write_bytes(kept.read_bytes() if kept.exists() else b"")
        rig.serve()
        rig.deliver()
        claimed = any(kind == hook.SYNCED for kind, _, _ in rig.ledger.messages())
        verdict = rig.verdict()
    if not claimed:
        return "nothing was ever synced"
    return f"{verdict.lost_synced} synced lost" if verdict.lost_synced or verdict.doubled or verdict.alien else ""


@scenario
def damage(folder: Path, patches: Sequence[Patch]) -> str:
    """One byte of a batch on the disk is another: that batch is put aside as damaged, and no other suffers."""
    with Rig(folder, sdk_patches=patches) as rig:
        producer = rig.produce(seconds=60.0)
        time.sleep(1.5)
        producer.kill()
        (path,) = rig.spool.rglob("*.seg")
        content = bytearray(path.read_bytes())
        content[60] ^= 1
        path.write_bytes(content)
        rig.serve()
        rig.deliver()
        verdict = rig.verdict()
        put_aside = [one.name for one in rig.spool.rglob("*.bad")]
    if verdict.altered or verdict.alien or verdict.doubled:
        return verdict.line()
    if len(put_aside) != 1 or "damaged" not in put_aside[0]:
        return f"put aside: {put_aside or 'nothing'}"
    return "" if 0 < verdict.lost_spooled < verdict.spooled / 2 else verdict.line()


def catches(name: str, folder: Path, patches: Sequence[Patch]) -> str:
    """What a scenario caught; a program that a bug stops dead is caught too, one that never started is not."""
    function = SCENARIOS.get(name) or SCENARIOS[name + "_"]
    found = function(folder, patches)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def run(folder: Path, long: bool) -> list[Result]:
    caught: list[str] = []
    missed: list[str] = []
    for number, bug in enumerate(BUGS):
        # What a kill catches depends on where it comes, and these scenarios are short: each has a second go.
        what, go = "", 0
        while not what and go < GOES:
            go += 1
            what = catches(bug.scenario, folder / f"bug{number}-{go}", bug.patches)
        again = f", at go {go}" if go > 1 else ""
        (caught if what else missed).append(f"{bug.name}: {what or 'NOT CAUGHT'} ({bug.scenario}{again})")
    false = {name: catches(name.rstrip("_"), folder / f"clean-{name}", ()) for name in SCENARIOS}
    alarms = [f"{name}: {what}" for name, what in false.items() if what]
    return [
        Result(
            "A2",
            "planted bugs, each in a short scenario",
            f"{len(BUGS)}/{len(BUGS)} caught, and no alarm without a bug",
            f"{len(caught)}/{len(BUGS)} caught, {len(alarms)} of {len(false)} scenarios alarmed without a bug",
            not missed and not alarms and len(BUGS) >= 10,
            details=[*missed, *(f"false alarm: {one}" for one in alarms), *caught],
        )
    ]
