"""The processes under test: `python -m tests.faults.child ROLE`, with one JSON line on stdin that says what to do.

They import what they need at once and then wait for that line, so that one can stand by while another dies.
Everything of `dxray` is imported under the hook of `instrument`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.faults import hook, instrument
from tests.faults.ledger import PER_PRODUCER

CHUNK = 25  # items between two looks at the clock
Task = dict[str, Any]


def say(**what: Any) -> None:
    """A line to whoever started this."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def first_line() -> Task:
    """The task. Read byte by byte, for what follows belongs to another reader."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    task: Task = json.loads(line)
    hook.configure(task)
    instrument.obey_stdin()
    return task


# --- the SDK ---


def produce() -> None:
    """Record runs until told to finish, or for so many seconds; then end as a program ends."""
    import urllib3  # noqa: F401 - the shipper's; a program that uses HTTP has it already

    from dxray import XRay

    say(ready=True)
    task = first_line()
    xray = XRay("faults", api_url=task["url"], spool_dir=task["spool"], offline_mode=task.get("mode", "buffer"))
    made = record(xray, task)
    if task.get("flush"):
        say(flushed=xray.flush(task["flush"]))
    channel = xray._channel
    assert channel is not None
    say(made=made, leaving=time.monotonic(), losses=dict(channel.losses), mark=channel.mark)


def measure() -> None:
    """Like `produce`, and watched meanwhile."""
    import urllib3  # noqa: F401 - it is no memory of the SDK's

    from dxray import XRay
    from tests.faults.measure import measured

    say(ready=True)
    task = first_line()
    if task.get("homeless"):
        _without_home()
        task["spool"] = None
    begun = time.monotonic()
    xray = XRay("faults", api_url=task["url"], spool_dir=task["spool"], offline_mode=task.get("mode", "buffer"))
    made_in = time.monotonic() - begun
    seen = measured(xray, task)
    channel = xray._channel
    assert channel is not None
    flushed = xray.flush(task.get("flush", 5.0))
    say(**seen, made_in=made_in, flushed=flushed, losses=dict(channel.losses), mark=channel.mark)
    say(leaving=time.monotonic())


def _without_home() -> None:
    """As in a container whose user nobody knows."""
    import pwd

    def unknown(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    os.environ.pop("HOME", None)
    pwd.getpwuid = unknown


def record(xray: Any, task: Task) -> int:
    """Runs of `items` items, `rate` a second, each told to the ledger before the call. Returns how many."""
    first, items, rate = task["producer"] * PER_PRODUCER, task.get("items", 300), task.get("rate", 5_000)
    start, end = time.monotonic(), time.monotonic() + task.get("seconds", 60.0)
    most = task.get("most", PER_PRODUCER)
    made = 0
    first += task.get("skip", 0)
    while made < most and time.monotonic() < end and not instrument.commands.get("finish"):
        with xray.run() as run:
            for name in ("retrieve", "filter"):
                with run.step(name) as step:
                    made += _fill(step, first + made, min(items // 2, most - made))
                    pause = start + made / rate - time.monotonic()
                    if pause > 0:
                        time.sleep(pause)
    return made


def _fill(step: Any, first: int, n: int) -> int:
    for begin in range(0, n, CHUNK):
        size = min(CHUNK, n - begin)
        hook.report(hook.INTENT, [first + begin, size])
        for item in range(first + begin, first + begin + size):
            step.accept(str(item), evidence={"k": item % PER_PRODUCER})
    return n


def deliver() -> None:
    """What dead processes left goes to the server."""
    from dxray.sdk.offline import sync_spool

    say(ready=True)
    task = first_line()
    from pathlib import Path

    say(**sync_spool(Path(task["spool"]), task["url"]))


# --- the server ---


def serve() -> None:
    """`dxray serve`, with what takes long imported before it is told to begin."""
    import uvicorn  # noqa: F401

    import dxray.server.app  # noqa: F401
    from dxray.cli import main

    say(ready=True)
    task = first_line()
    if "max_body" in task:
        os.environ["DXRAY_MAX_BODY"] = str(task["max_body"])
    sys.exit(main(["serve", "--port", str(task["port"]), "--data", task["data"], "--json"]))


ROLES: dict[str, Callable[[], None]] = {"produce": produce, "measure": measure, "deliver": deliver, "serve": serve}


def die_with_parent() -> None:
    """A harness that is killed leaves no processes behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    die_with_parent()
    instrument.install()
    ROLES[sys.argv[1]]()
