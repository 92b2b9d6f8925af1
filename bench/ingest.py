"""From a client to queryable: `make bench-ingest`.

One server process, one client process, as a user would have them. A workload is timed from the first call to the moment
when the server answers with everything: the client flushes, then counts what can be queried.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

RUNS, CANDIDATES = 200, 5_000
SMALL_RUNS, SMALL_ITEMS = 1_000, 50


@dataclass
class Workload:
    name: str
    runs: int
    items: int
    evidence: bool = True


@dataclass
class Outcome:
    """What one workload took."""

    seconds: float
    client_cpu: float
    server_cpu: float
    peak_mb: float
    disk_bytes: int


# --- the client process -----------------------------------------------------------------------------------


def record(url: str, runs: int, items: int, evidence: bool) -> None:
    """Record `runs` runs of one filter step over `items` candidates, and wait until they are committed."""
    from dxray import XRay

    ids = [f"item_{number}" for number in range(items)]
    facts = [{"price": number * 0.5, "rating": 4.5, "category": "phone", "stock": number} for number in range(items)]
    xray = XRay("bench", api_url=url, capture="full")
    for _ in range(runs):
        with xray.run(input={"product": "iPhone Case"}) as run:
            with run.step("filter_candidates", step_type="filter") as step:
                step.set_input_count(items)
                reject, accept = step.reject, step.accept
                for number, item_id in enumerate(ids):
                    fact = facts[number] if evidence else None
                    if number % 3:
                        reject(item_id, "price_too_high", fact)
                    else:
                        accept(item_id, None, fact)
            run.set_output({"selected": ids[0]})
    if not xray.flush(timeout=300):
        raise SystemExit("not everything was committed within 300 s")


def client(arguments: list[str]) -> None:
    """A child process: record, then print the seconds and the CPU seconds it took."""
    url, runs, items, evidence = arguments
    import dxray  # noqa: F401 - importing is not what is timed

    cpu, start = time.process_time(), time.perf_counter()
    record(url, int(runs), int(items), evidence == "True")
    print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]))


# --- the server process -----------------------------------------------------------------------------------


class Server:
    """A real server on a folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        command = [sys.executable, "-m", "dxray", "serve", "--port", "0", "--data", str(data), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.url: str = said["api_url"]
        self._watched = psutil.Process(self.process.pid)

    def cpu(self) -> float:
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def count(self) -> int:
        """How many runs are completed, as the API says."""
        import urllib3

        answer = urllib3.request("GET", f"{self.url}/runs?limit=1&status=completed")
        return int(answer.json()["total"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def disk_bytes(self) -> int:
        """After the end, when everything is in the file."""
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        started = Server(Path(folder))
        try:
            yield started
        finally:
            if started.process.poll() is None:
                started.stop()


def measure(work: Workload, home: str) -> Outcome:
    """One workload against a fresh server."""
    with server() as running:
        cpu = running.cpu()
        command = [sys.executable, "-m", "bench.ingest", "--client", running.url]
        command += [str(work.runs), str(work.items), str(work.evidence)]
        environment = {**os.environ, "DXRAY_HOME": home, "XDG_STATE_HOME": home, "HOME": home}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        seconds, client_cpu = json.loads(done.stdout.splitlines()[-1])
        start = time.perf_counter()
        while running.count() < work.runs:
            time.sleep(0.01)
        seconds += time.perf_counter() - start
        server_cpu, peak = running.cpu() - cpu, running.peak_mb()
        running.stop()
        return Outcome(seconds, client_cpu, server_cpu, peak, running.disk_bytes())


# --- the table --------------------------------------------------------------------------------------------


def line(name: str, target: str, value: str, reached: bool | None = None) -> bool:
    said = "" if reached is None else "ok" if reached else "MISSED"
    print(f"{name:<58} {target:>14} {value:>14} {said:>7}", flush=True)
    return reached is not False


def full(home: str, rounds: int, scale: float) -> bool:
    work = Workload("full", max(int(RUNS * scale), 1), CANDIDATES)
    events = work.runs * work.items
    best = min((measure(work, home) for _ in range(rounds)), key=lambda one: one.seconds)
    rate, per_event = events / best.seconds, best.disk_bytes / events
    ok = line(
        f"{work.runs} runs of {work.items:,}, 4 keys: events/s to queryable",
        ">= 200,000",
        f"{rate:,.0f}",
        rate >= 200_000,
    )
    ok &= line("  server memory, peak MB", "<= 600", f"{best.peak_mb:,.0f}", best.peak_mb <= 600)
    ok &= line("  bytes on disk an event", "<= 22", f"{per_event:.1f}", per_event <= 22)
    line("  client CPU, us an event (recording included)", "", f"{best.client_cpu / events * 1e6:.2f}")
    line("  server CPU, us an event", "<= 2.5", f"{best.server_cpu / events * 1e6:.2f}")
    return ok


def ledger(home: str, scale: float) -> bool:
    work = Workload("ledger", max(int(RUNS * scale), 1), CANDIDATES, evidence=False)
    events = work.runs * work.items
    got = measure(work, home)
    per_event = got.disk_bytes / events
    line(f"{work.runs} runs of {work.items:,}, ledger only: events/s", "", f"{events / got.seconds:,.0f}")
    return line("  bytes on disk an event", "<= 10", f"{per_event:.1f}", per_event <= 10)


def small(home: str, rounds: int, scale: float) -> bool:
    work = Workload("small", max(int(SMALL_RUNS * scale), 1), SMALL_ITEMS)
    best = min((measure(work, home) for _ in range(rounds)), key=lambda one: one.seconds)
    rate = work.runs / best.seconds
    return line(f"{work.runs:,} runs of {work.items}: runs/s to queryable", ">= 1,000", f"{rate:,.0f}", rate >= 1_000)


def main() -> int:
    """Run all workloads and print the table; 1 when a figure was missed."""
    if "--client" in sys.argv:
        client(sys.argv[sys.argv.index("--client") + 1 :])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the work, for a quick look")
    parser.add_argument("--only", choices=["full", "ledger", "small"])
    given = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores\n")
    print(f"{'figure':<58} {'reach':>14} {'measured':>14}")
    ok = True
    with tempfile.TemporaryDirectory() as home:
        if given.only in (None, "full"):
            ok &= full(home, given.rounds, given.scale)
        if given.only in (None, "ledger"):
            ok &= ledger(home, given.scale)
        if given.only in (None, "small"):
            ok &= small(home, given.rounds, given.scale)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
