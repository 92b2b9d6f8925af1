"""What the tests of the web page share: a browser, a watched page, the demo's runs, and hand-written ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import urllib3

import dxray
from dxray import demo

BUILT = Path(dxray.__file__).resolve().parent / "server" / "page" / "index.html"
CHECKOUT = Path(__file__).resolve().parents[2]
AXE = CHECKOUT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = CHECKOUT / "build" / "screenshots"
CHROMIUM = shutil.which("chromium")
WIDE, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")
if CHROMIUM is None:
    pytest.skip("chromium is not installed: the page is not tested", allow_module_level=True)
if not BUILT.is_file():
    pytest.skip("the page is not built (make ui): it is not tested", allow_module_level=True)
expect = playwright.expect
expect.set_options(timeout=30_000)

Told = tuple[dxray.Client, list[demo.Recorded]]


class Watched:
    """A page of the browser, and everything that went wrong in it."""

    def __init__(self, context: Any, base: str) -> None:
        self.page = context.new_page()
        self.base = base
        self.wrong: list[str] = []
        self.page.set_default_timeout(30_000)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda asked: asked.url.startswith(base) or self.wrong.append(f"asked {asked.url}"))

    def open(self, path: str) -> Any:
        answer = self.page.goto(self.base + path)
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        return self.page

    def settled(self) -> Any:
        """The page, once all that is waited for is there."""
        expect(self.page.locator("main h1, main h2").first).to_be_visible()
        expect(self.page.locator("[aria-busy=true], .mantine-Skeleton-root")).to_have_count(0)
        return self.page


def wrong_run(recorded: list[demo.Recorded]) -> demo.Recorded:
    return next(run for run in recorded if run.selected.kind not in demo.RIGHT_KINDS)


def right_run(recorded: list[demo.Recorded]) -> demo.Recorded:
    return next(run for run in recorded if run.selected.kind in demo.RIGHT_KINDS and "stand" not in run.keywords)


def post(api_url: str, run: dict[str, Any]) -> None:
    """Record a run by hand."""
    answer = urllib3.request("POST", f"{api_url}/runs", body=json.dumps(run), timeout=60.0, retries=False)
    assert answer.status == 201, answer.data


def hard_to_read(page: Any) -> dict[str, list[str]]:
    """What some people cannot read or reach on the page as it is, by the rule that says so. It loads `AXE`."""
    result = page.evaluate("tags => axe.run(document, {runOnly: tags})", WCAG)
    return {one["id"]: [node["html"][:200] for node in one["nodes"][:4]] for one in result["violations"]}


def too_wide(page: Any) -> int:
    """How many pixels the page is wider than the screen."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))
