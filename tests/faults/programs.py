"""Programs that record and then end in one way or another: `python -m tests.faults.programs CASE URL SPOOL NUMBER`.

Each tells the ledger when it is about to leave. No traceback is wanted: those interrupted say nothing.
"""

from __future__ import annotations

import sys

if len(sys.argv) > 1 and sys.argv[1] == "gevent":  # before anything that it patches is imported
    from gevent import monkey  # type: ignore[import-untyped]

    monkey.patch_all()

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.faults import hook, instrument
from tests.faults.child import die_with_parent, record, say

ITEMS = 600
PROGRAMS: dict[str, Callable[..., None]] = {}


def program(function: Callable[..., None]) -> Callable[..., None]:
    PROGRAMS[function.__name__.rstrip("_")] = function
    return function


def recorder(url: str, spool: str, mode: str = "buffer") -> Any:
    from dxray import XRay

    return XRay("faults", api_url=url, spool_dir=spool, offline_mode=mode)


def leaving() -> None:
    """From now on the time to the process's end counts."""
    hook.report(hook.NOTE, {"leaving": time.monotonic()})


def some(url: str, spool: str, number: int, seconds: float = 0.5) -> Any:
    """Record for a moment, so that some of it is spooled, some posted, and some neither."""
    xray = recorder(url, spool)
    record(xray, {"producer": number, "items": 100, "rate": 4_000, "seconds": seconds})
    return xray


@program
def return_(url: str, spool: str, number: int) -> None:
    some(url, spool, number)
    leaving()


@program
def exception(url: str, spool: str, number: int) -> None:
    sys.excepthook = lambda *_: None
    some(url, spool, number)
    leaving()
    raise ValueError("the program's own")


@program
def sys_exit(url: str, spool: str, number: int) -> None:
    some(url, spool, number)
    leaving()
    sys.exit(3)


@program
def sigterm(url: str, spool: str, number: int) -> None:
    some(url, spool, number)
    leaving()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


@program
def sigint_twice(url: str, spool: str, number: int) -> None:
    """The second comes while the first one's exit is under way."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    some(url, spool, number)
    threading.Thread(target=_interrupt_twice, daemon=True).start()
    try:
        time.sleep(10)
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt_twice() -> None:
    time.sleep(0.05)  # until the main thread sleeps
    leaving()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)


@program
def os_exit(url: str, spool: str, number: int) -> None:
    some(url, spool, number)
    leaving()
    os._exit(4)


@program
def mp_fork(url: str, spool: str, number: int) -> None:
    some(url, spool, number, 0.3)
    _workers("fork", url, spool, number)
    leaving()


@program
def mp_spawn(url: str, spool: str, number: int) -> None:
    some(url, spool, number, 0.3)
    _workers("spawn", url, spool, number)
    leaving()


def _workers(method: str, url: str, spool: str, number: int) -> None:
    context = multiprocessing.get_context(method)
    some_ = [context.Process(target=worker, args=(url, spool, number + 1 + i)) for i in range(2)]  # type: ignore[attr-defined]
    for one in some_:
        one.start()
    for one in some_:
        one.join(20)
        if one.is_alive():
            hook.report(hook.NOTE, {"hang": f"a worker by {method}"})
            one.kill()


def worker(url: str, spool: str, number: int) -> None:
    if not any(name.partition(".")[0] == "dxray" for name in sys.modules):
        instrument.install()
    some(url, spool, number, 0.4)


@program
def gevent(url: str, spool: str, number: int) -> None:
    import gevent as library

    xray = recorder(url, spool)
    tasks = [
        library.spawn(record, xray, {"producer": number + i, "items": 20, "rate": 1_000, "seconds": 0.5})
        for i in range(4)
    ]
    library.joinall(tasks)
    leaving()


@program
def uvloop(url: str, spool: str, number: int) -> None:
    import uvloop as library

    xray = recorder(url, spool)

    async def task(n: int) -> None:
        for part in range(10):
            first = {"producer": n, "skip": part * 50, "items": 50, "rate": 100_000, "most": 50}
            record(xray, first)
            await asyncio.sleep(0.03)

    async def main() -> None:
        await asyncio.gather(*(task(number + i) for i in range(4)))

    with asyncio.Runner(loop_factory=library.new_event_loop) as runner:
        runner.run(main())
    leaving()


@program
def sigstop(url: str, spool: str, number: int) -> None:
    """Is stopped in the middle, and goes on later as if nothing had been."""
    some(url, spool, number)
    say(stop=True)
    time.sleep(0.2)
    some(url, spool, number + 1)
    leaving()


@program
def forks(url: str, spool: str, number: int) -> None:
    """Forks again and again while another thread records; each child records too, and flushes."""
    times = int(os.environ["FAULTS_FORKS"])
    xray = recorder(url, spool)
    end = {"producer": number, "items": 100, "rate": 20_000, "seconds": 900.0}
    thread = threading.Thread(target=record, args=(xray, end), daemon=True)
    thread.start()
    time.sleep(0.3)
    deadlocks = unflushed = 0
    for n in range(times):
        pid = os.fork()
        if pid == 0:
            _forked(xray, number + 1 + n)
        status = _ended_within(pid, 15.0)
        deadlocks += status is None
        unflushed += status not in (None, 0)
        time.sleep(0.001 * (n % 7))
    hook.report(hook.NOTE, {"deadlocks": deadlocks, "unflushed": unflushed})
    instrument.commands["finish"] = True
    thread.join(10)
    say(flushed=xray.flush(20.0))
    leaving()


def _forked(xray: Any, number: int) -> None:
    with suppress(BaseException):
        record(xray, {"producer": number, "items": 40, "rate": 100_000, "most": 40})
        os._exit(0 if xray.flush(10.0) else 7)
    os._exit(8)


def _ended_within(pid: int, seconds: float) -> int | None:
    """The status of a child; None when it had to be killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def main() -> None:
    case, url, spool, number = sys.argv[1:5]
    die_with_parent()
    instrument.install()
    PROGRAMS[case](url, spool, int(number))


if __name__ == "__main__":
    main()
