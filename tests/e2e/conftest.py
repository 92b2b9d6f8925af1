"""One browser and one server with the demo's runs for all tests of the web page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import dxray
from dxray import demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dxray.Client, list[demo.Recorded]]]:
    """A server with the demo's runs, and its client. Tests add runs, and change none."""
    with dxray.local(tmp_path_factory.mktemp("story")) as client:
        yield client, demo.record(client.api_url)


@pytest.fixture
def watched(story: tuple[dxray.Client, list[demo.Recorded]], browser: Any) -> Iterator[Any]:
    """A page of that server; the test fails where anything went wrong in it."""
    from tests.e2e.browsing import WIDE, Watched

    context = browser.new_context(viewport=WIDE)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched = Watched(context, story[0].api_url)
    yield watched
    context.close()
    assert watched.wrong == []
