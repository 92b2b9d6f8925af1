"""A11: batches through a network that breaks: nothing twice, nothing lost, nothing altered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.proxy import CORRUPT, FAULTS, Proxy, running
from tests.faults.rig import Patch, Rig, Verdict
from tests.faults.rows import Result

# Many small batches, and a client that gives up soon: a fault costs a fraction of a second.
SDK: dict[str, Any] = {
    "sets": {
        "dxray.sdk.channel.FLUSH_S": 0.02,
        "dxray.sdk.shipper.BACKOFF_S": 0.01,
        "dxray.sdk.shipper.BACKOFF_CAP_S": 0.05,
        "dxray.sdk.shipper.BACKLOG_BATCHES_S": 1_000.0,
    },
    "patches": [["dxray.sdk.transport", "READ_S = 30.0", "READ_S = 1.2"]],
}


class Outcome:
    """What became of what went through the proxy."""

    def __init__(self, verdict: Verdict, proxy: Proxy, losses: dict[str, int], seconds: float) -> None:
        self.verdict, self.proxy, self.losses, self.seconds = verdict, proxy, losses, seconds
        self.quarantined = 0

    @property
    def faults(self) -> int:
        return sum(self.proxy.done.values())


def through(
    folder: Path, faults: int, kinds: Sequence[str] = FAULTS, patches: Sequence[Patch] = (), limit_s: float = 60.0,
    every: int = 2, flush_s: float = 0.02, **task: Any,
) -> Outcome:  # fmt: skip
    """A producer's batches through a proxy that does so many faults; `task` is the server's."""
    sdk = [p for p in patches if not p[0].startswith("dxray.server")]
    server = [p for p in patches if p[0].startswith("dxray.server")]
    start = time.monotonic()
    config = {"sets": SDK["sets"] | {"dxray.sdk.channel.FLUSH_S": flush_s}, "patches": [*SDK["patches"], *sdk]}
    with Rig(folder, sdk=config, server_patches=server) as rig:
        rig.serve(**task)
        with running(Proxy(rig.port, tuple(kinds))) as proxy:
            proxy.limit, proxy.every = faults, every
            producer = rig.produce(
                url=f"http://127.0.0.1:{proxy.port}", seconds=limit_s, rate=2_000, items=50, flush=20.0
            )
            while sum(proxy.done.values()) < faults and time.monotonic() - start < limit_s:
                if producer.ends_within(0.05):
                    break
            producer.tell(finish=True)
            said = [producer.hear(30.0), producer.hear(5.0)]
            producer.ends_within(5.0)
            producer.kill()
            rig.url = f"http://127.0.0.1:{proxy.port}"
            verdict = rig.verdict()
        losses: dict[str, int] = next((one["losses"] for one in said if "losses" in one), {})
        out = Outcome(verdict, proxy, losses, time.monotonic() - start)
        out.quarantined = len(list(rig.spool.rglob("*.bad")))
        return out


def run(folder: Path, long: bool) -> list[Result]:
    faults, limit = (1_000, 1_200.0) if long else (100, 90.0)
    drops = through(folder / "drops", faults, ["drop_answer"], limit_s=limit)
    out = through(folder / "all", faults, limit_s=limit)
    corrupt = through(folder / "corrupt", faults // 4, [CORRUPT], limit_s=limit)
    return [
        _result(f"commit, then drop the answer, x{drops.faults:,}", drops, faults),
        _result(f"{out.faults:,} faults of {len(set(FAULTS))} kinds", out, faults),
        _corrupt(corrupt, faults // 4),
    ]


def _result(test: str, out: Outcome, faults: int) -> Result:
    verdict = out.verdict
    return Result(
        "A11",
        test,
        "0 doubled, 0 lost, 0 altered",
        f"{verdict.line()}; of {verdict.intended:,} recorded; counted as lost: {out.losses or 'none'}",
        verdict.clean and out.faults >= faults and verdict.stored == verdict.intended and not out.losses,
        details=[", ".join(f"{n} {fault}" for fault, n in out.proxy.done.items())],
    )


def _corrupt(out: Outcome, faults: int) -> Result:
    """A flipped bit: nothing is stored that was not sent, and what the server refused is counted, to the item."""
    verdict = out.verdict
    missing = verdict.intended - verdict.stored
    counted = sum(out.losses.values())
    return Result(
        "A11",
        f"a flipped bit in the request, x{out.faults}",
        "0 altered, alien or doubled; 0 lost, or counted and quarantined",
        f"{verdict.line()}; {missing} of {verdict.intended:,} missing, {counted} counted {out.losses or ''}",
        not (verdict.altered or verdict.alien or verdict.doubled)
        and out.faults >= faults
        and missing == counted
        and (missing == 0 or out.quarantined > 0),
        details=[f"{out.quarantined} files in the quarantine"],
    )
