"""Runs as nobody means them, and a server that goes away: the page stays whole, and its pictures can be looked at.

The pictures are in `build/screenshots`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dxray
from tests.e2e import hostile_runs
from tests.e2e.browsing import PHONE, PICTURES, WIDE, Watched, expect, post, too_wide

MODES: dict[str, tuple[dict[str, int], str]] = {"light": (WIDE, "light"), "phone-dark": (PHONE, "dark")}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that holds every hostile run, and takes a silent one for abandoned after a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXRAY_ABANDONED_AFTER", "1")
        client = dxray.local(tmp_path_factory.mktemp("hostile"))
    with client:
        for make in hostile_runs.ALL:
            post(client.api_url, make())
        yield client.api_url


@pytest.fixture(params=MODES)
def looked(request: pytest.FixtureRequest, hostile: str, browser: Any) -> Iterator[tuple[str, Watched]]:
    size, scheme = MODES[request.param]
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    PICTURES.mkdir(parents=True, exist_ok=True)
    yield request.param, Watched(context, hostile)
    context.close()


def test_hostile_runs_look_right(looked: tuple[str, Watched]) -> None:
    mode, watched = looked
    found: dict[str, int] = {}
    paths = {make.__name__: f"/ui/runs/{make.__name__}" for make in hostile_runs.ALL}
    paths |= {"list": "/ui/runs", "all-steps": "/ui/steps", "of-pipeline": "/ui/pipelines?pipeline=hostile"}
    paths |= {"long-item": "/ui/runs/long_texts/item?item=long", "turned-item": f"/ui/items?id={hostile_runs.TURNED}"}
    for name, path in paths.items():
        watched.open(path)
        page = watched.settled()
        if (by := too_wide(page)) > 0:
            found[name] = by
        page.screenshot(path=PICTURES / f"hostile-{name}-{mode}.png")
        if "\u202e" in page.locator("main").inner_text():
            found[f"{name} turns round"] = 1
        if page.get_by_text("This page could not be drawn").count():
            found[f"{name} is not drawn"] = 1
    assert found == {}
    assert watched.wrong == []


def test_what_hostile_runs_say(looked: tuple[str, Watched]) -> None:
    _, watched = looked
    watched.open("/ui/runs/abandoned")
    expect(watched.page.get_by_text("abandoned").first).to_be_visible()
    watched.open("/ui/runs/no_steps")
    expect(watched.settled().get_by_text(re.compile("no step", re.IGNORECASE)).first).to_be_visible()
    watched.open("/ui/steps")
    expect(watched.page.get_by_text("the newest 1,000 of")).to_be_visible()


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path, browser: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = dxray.local(tmp_path, port=port)
    post(client.api_url, hostile_runs.run("before", []))
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(30_000)
    try:
        page.goto(f"{client.api_url}/ui/runs")
        expect(page.locator('a[href="/ui/runs/before"]')).to_be_visible()
        client.close()
        page.get_by_role("link", name="Pipelines").click()
        expect(page.get_by_text("The server does not answer")).to_be_visible()
        page.screenshot(path=PICTURES / "hostile-server-away-light.png")
        page.set_viewport_size(PHONE)
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=PICTURES / "hostile-server-away-phone-dark.png")
        client = dxray.local(tmp_path, port=port)
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("link", name="hostile", exact=True)).to_be_visible()
    finally:
        client.close()
        page.close()
