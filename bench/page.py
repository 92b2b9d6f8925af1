"""How the web page feels: `make bench-page`. 10,000 runs, and runs of 5,000 and 100,000 items, in a real browser."""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from bench.query import record_large, record_small
from dxray import XRay, configure, local

RUNS, ITEMS = 10_000, 100_000
TIMES = 5
ROWS = "[role=table] [role=row] a, table[aria-label=Steps] tbody a"

# Milliseconds from the start of the navigation until rows are there and the page has drawn twice since.
INTERACTIVE = """selector => new Promise((done, fail) => {
  const look = () => performance.now() > 60000 ? fail("no rows within a minute") : document.querySelector(selector)
    ? requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))
    : requestAnimationFrame(look);
  look();
})"""

# Milliseconds of each frame while the rows are scrolled by a third of a screen a frame.
SCROLL = """frames => new Promise(done => {
  const scrolls = one => ["auto", "scroll"].includes(getComputedStyle(one).overflowY);
  const rows = [...document.querySelectorAll("[role=rowgroup], .scroll, [role=table] *, table")];
  const frame = rows.find(one => one.scrollHeight > one.clientHeight + 400 && scrolls(one));
  const taken = [];
  let last = performance.now();
  const next = now => {
    taken.push(now - last);
    last = now;
    if (frame) frame.scrollTop += 300; else window.scrollBy(0, 300);
    if (taken.length < frames) requestAnimationFrame(next); else done(taken.slice(2));
  };
  requestAnimationFrame(next);
})"""

# Milliseconds from a key until what it changed is drawn; `answered` says by what that is seen.
WATCH = """answered => { window.bench = new Promise(done => {
  const seen = () => document.querySelector(answered)?.textContent ?? "";
  addEventListener("keydown", () => {
    const [start, before] = [performance.now(), seen()];
    const look = () => seen() !== before || performance.now() - start > 5000
      ? requestAnimationFrame(() => done(performance.now() - start)) : requestAnimationFrame(look);
    look();
  }, {capture: true, once: true});
}); }"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    reach: float
    reached: float
    unit: str = "ms"


def record_huge(xray: XRay, count: int) -> str:
    """One run of two steps over `count` items; its id."""
    ids = [f"item_{number}" for number in range(count)]
    with xray.run(input={"huge": True}) as run:
        with run.step("search", "retrieve") as step:
            step.produce_many(ids)
        with run.step("keep", "filter") as step:
            step.reject_many(ids[::3], "price_too_high", evidence={"price": list(range(len(ids[::3])))})
            step.accept_many([item for at, item in enumerate(ids) if at % 3])
    return str(run.run_id)


class Bench:
    """A browser, and the pages of one server. Each page is opened with nothing kept of those before."""

    def __init__(self, browser: Any, base: str) -> None:
        self.browser = browser
        self.base = base

    def opened(self, path: str) -> tuple[Any, float]:
        """The page, and how long it took until it could be used."""
        page = self.browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
        page.set_default_timeout(60_000)
        page.goto(self.base + path, wait_until="commit")
        return page, float(page.evaluate(INTERACTIVE, ROWS))

    def opening(self, path: str, times: int = TIMES) -> float:
        """The median."""
        return statistics.median(self._closed(self.opened(path)) for _ in range(times))

    def scrolling(self, path: str) -> float:
        """The slowest of twenty frames, over 120."""
        page, _ = self.opened(path)
        page.wait_for_timeout(500)
        frames = page.evaluate(SCROLL, 120)
        page.context.close()
        return statistics.quantiles(frames, n=20)[-1]

    def key(self, path: str, field: str, keys: str, answered: str) -> float:
        """The median of some keys, one after another."""
        page, _ = self.opened(path)
        page.wait_for_timeout(500)
        page.get_by_label(field).first.click()
        taken = []
        for one in keys:
            page.evaluate(WATCH, answered)
            page.keyboard.press(one)
            taken.append(float(page.evaluate("window.bench")))
            page.wait_for_timeout(400)
        page.context.close()
        return statistics.median(taken)

    def shell(self) -> float:
        """Kilobytes of script, packed, until the list of runs is there."""
        page = self.browser.new_context().new_page()
        scripts: dict[str, int] = {}
        page.on(
            "response",
            lambda got: got.url.endswith(".js") and scripts.update({got.url: len(gzip.compress(got.body()))}),
        )
        page.goto(self.base + "/ui/runs")
        page.evaluate(INTERACTIVE, ROWS)
        page.context.close()
        return sum(scripts.values()) / 1000

    @staticmethod
    def _closed(opened: tuple[Any, float]) -> float:
        opened[0].context.close()
        return opened[1]


def figures(bench: Bench, large: str, huge: str, runs: int, items: int) -> list[Callable[[], Figure]]:
    """What is measured, one after another."""
    of_huge, note = f"/ui/runs/{huge}", "section[aria-label^='Items at'] header"
    return [
        lambda: Figure("script of the first page, packed", 260, bench.shell(), "kB"),
        lambda: Figure(f"{runs:,} runs: the list can be used", 1_000, bench.opening("/ui/runs")),
        lambda: Figure("a run of 5,000 items can be used", 1_000, bench.opening(f"/ui/runs/{large}")),
        lambda: Figure(f"a run of {items:,} items can be used", 1_500, bench.opening(of_huge)),
        lambda: Figure("steps across runs can be used", 1_000, bench.opening("/ui/steps")),
        lambda: Figure(f"scroll {runs:,} runs, a frame, p95", 50, bench.scrolling("/ui/runs")),
        lambda: Figure(f"scroll {items:,} items, a frame, p95", 50, bench.scrolling(of_huge)),
        lambda: Figure(
            "a key in the filter of runs", 150, bench.key("/ui/runs", "Filter of runs", "sta", "main [role=listbox]")
        ),
        lambda: Figure(f"a key in the filter of {items:,} items", 150, bench.key(of_huge, "Id or name", "99", note)),
    ]


def main() -> None:
    """Print the table; with `--check`, exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--items", type=int, default=ITEMS)
    arguments = parser.parse_args()
    configure(show_url=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        local(data=Path(folder)) as client,
        sync_playwright() as started,
        started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]) as browser,
    ):
        xray = XRay("bench", api_url=client.api_url, spool_dir=f"{folder}/spool")
        huge = record_huge(xray, arguments.items)
        large = record_large(xray)
        record_small(xray, arguments.runs)
        if not xray.flush(240):
            raise SystemExit("not everything was committed within 240 s")
        time.sleep(1)
        about = f"Python {platform.python_version()}, {os.cpu_count()} cores, Chromium {browser.version}"
        print(f"{about}; load {os.getloadavg()[0]:.1f}\n")
        print(f"{'':<44} {'to reach':>12} {'reached':>12}\n{'-' * 70}")
        missed = 0
        for measured in figures(Bench(browser, client.api_url), large, huge, arguments.runs, arguments.items):
            one = measured()
            late = one.reached > one.reach
            missed += late
            wanted = f"<= {one.reach:g} {one.unit}"
            print(f"{one.name:<44} {wanted:>12} {one.reached:9.0f} {one.unit}{'  MISSED' if late else ''}", flush=True)
    if arguments.check and missed:
        raise SystemExit(f"{missed} figures missed")


if __name__ == "__main__":
    main()
