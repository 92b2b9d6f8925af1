"""A8: a process forks again and again while it flushes: no deadlock, and no event twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.exits import Exits
from tests.faults.ledger import Books
from tests.faults.rig import ROOT, Patch, Rig, Verdict, judge, stored_in
from tests.faults.rows import Result

SDK = {"sets": {"dxray.sdk.channel.FLUSH_S": 0.03}}  # something waits, or is being flushed, at nearly every fork


def storm(folder: Path, times: int, patches: tuple[Patch, ...] = ()) -> tuple[Verdict, dict[str, int], str]:
    """So many forks; the verdict, what the parent saw, and stderr."""
    import json

    from tests.faults import instrument

    with Rig(folder, sdk=SDK, sdk_patches=patches) as rig:
        rig.serve()
        config = {"ledger": rig.ledger.path, "patches": [list(p) for p in patches], **SDK}
        environment = Exits(rig, 0).environment() | {
            instrument.VARIABLE: json.dumps(config), "FAULTS_FORKS": str(times)
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.programs", "forks", rig.url, str(rig.spool), "1"],
            capture_output=True, text=True, env=environment, cwd=ROOT, check=False, timeout=60 + times * 16,
        )  # fmt: skip
        rig.deliver()
        rig.stop_server()
        books = Books(rig.ledger)
        seen = {"deadlocks": -1, "unflushed": -1}
        for note in books.notes:
            seen.update({name: int(n) for name, n in note.items() if name in seen})
        return judge(books, stored_in(rig.data), rig.waiting()), seen, done.stderr


def run(folder: Path, long: bool) -> list[Result]:
    times = 500 if long else 50
    verdict, seen, stderr = storm(folder / "forks", times)
    missing = verdict.intended - verdict.stored
    return [
        Result(
            "A8",
            f"fork in mid-flush x{times}",
            "0 deadlocks, 0 events sent twice",
            f"{seen['deadlocks']} deadlocks, {seen['unflushed']} children whose flush failed, {verdict.line()}; "
            f"{missing} of {verdict.intended:,} recorded are missing",
            seen == {"deadlocks": 0, "unflushed": 0} and verdict.clean and not missing and "Traceback" not in stderr,
            details=[stderr[-1500:]] if "Traceback" in stderr else [],
        )
    ]
