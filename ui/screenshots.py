"""Pictures of the page with the demo's runs, light, dark and as wide as a phone: `make screenshots`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

import dxray
from dxray import demo

WIDE, PHONE = (1360, 900), (390, 844)


def addresses(recorded: list[demo.Recorded]) -> dict[str, str]:
    """What is shown, by the picture's name."""
    wrong = next(run for run in recorded if run.selected.kind not in demo.RIGHT_KINDS)
    right = next(run for run in recorded if run.selected.kind in demo.RIGHT_KINDS and "stand" not in run.keywords)
    return {
        "runs": "/ui/runs",
        "run": f"/ui/runs/{wrong.run_id}",
        "item": f"/ui/runs/{wrong.run_id}/item?item={wrong.selected.id}",
        "compare": f"/ui/compare?a={right.run_id}&b={wrong.run_id}",
        "whatif": "/ui/ask?question=whatif&pipeline=competitor_selection&reason=price_too_high&to=105",
        "rules": "/ui/ask?question=rules&pipeline=competitor_selection",
        "stability": "/ui/ask?question=stability&pipeline=competitor_selection",
        "pipelines": "/ui/pipelines",
    }


def take(browser: Any, address: str, target: Path, size: tuple[int, int], scheme: str) -> None:
    """One picture, when everything that is waited for is there."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.locator("main h1").wait_for()
    expect(page.locator("[aria-busy=true], .mantine-Skeleton-root")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(400)
    page.screenshot(path=target, full_page=True)
    context.close()


def main() -> None:
    """Record the demo, and take every picture."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", nargs="?", type=Path, default=Path("build/screenshots"))
    folder = asked.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory() as data,
        dxray.local(data) as client,
        sync_playwright() as started,
        started.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        for name, path in addresses(demo.record(client.api_url)).items():
            for scheme in ("light", "dark"):
                take(browser, client.api_url + path, folder / f"{name}-{scheme}.png", WIDE, scheme)
            take(browser, client.api_url + path, folder / f"{name}-phone.png", PHONE, "light")


if __name__ == "__main__":
    main()
