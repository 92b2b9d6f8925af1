"""The list of runs in a real browser: a time that is chosen, words that are offered, views that are kept, and a server
that goes away and comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import dxray
from tests.e2e.browsing import WIDE, expect, post

START = datetime(2026, 11, 20, 8, 0, 10, tzinfo=UTC)
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a run a minute for two hours; every tenth failed."""
    with dxray.local(tmp_path_factory.mktemp("data")) as client:
        for n in range(120):
            category = NASTY if n == 60 else "laptop stands" if n % 3 else "phone cases"
            at = (START + timedelta(minutes=n)).isoformat()
            run = {"run_id": f"r{n:03d}", "pipeline": "p", "started_at": at, "input": {"category": category}}
            post(client.api_url, {**run, "status": "completed" if n % 10 else "failed"})
        yield client.api_url


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport=WIDE, timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(30_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert wrong == []


def fit(page: Any, n: int) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{n} fit the filter")


def test_the_bars_are_there_with_the_first_answer(page: Any, address: str) -> None:
    page.route("**/times*", lambda route: (page.wait_for_timeout(200), route.continue_()))
    page.goto(f"{address}/ui/runs")
    bars = page.get_by_role("slider", name="Stretch of time").locator("svg rect")
    expect(bars.first).to_be_visible()
    box = page.get_by_role("slider", name="Stretch of time").bounding_box()
    drawn = [bars.nth(at).bounding_box() for at in range(bars.count())]
    assert len(drawn) >= 60
    assert all(one["width"] > 1 and one["height"] > 0 for one in drawn)
    assert max(one["x"] for one in drawn) > box["x"] + box["width"] * 0.9


def test_the_filter_of_steps_offers_what_steps_have(page: Any, address: str) -> None:
    page.goto(f"{address}/ui/steps")
    field = page.get_by_role("combobox", name="Filter of steps")
    field.press_sequentially("attem")
    expect(page.get_by_role("option")).to_have_count(1)
    field.fill("pipeline:")
    expect(page.get_by_role("option").first).to_contain_text("pipeline:p")
    field.fill("status:completed ")
    page.keyboard.press("Enter")
    page.locator("button[aria-haspopup=dialog]").click()
    page.get_by_label("Name of the view").fill("steps of good runs")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved steps of good runs.")).to_be_visible()
    page.goto(f"{address}/ui/runs")
    page.locator("button[aria-haspopup=dialog]").click()
    expect(page.get_by_text("steps of good runs")).to_have_count(0)


def test_a_time_is_chosen_with_the_mouse_and_let_go(page: Any, address: str) -> None:
    page.goto(f"{address}/ui/runs?q=status:completed")
    bars = page.get_by_role("slider", name="Stretch of time")
    box = bars.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 20)
    expect(page.get_by_text(re.compile("^20 Nov, 08:00 to 08:02: 1 completed$"))).to_be_visible()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 2, box["y"] + 25, steps=3)
    page.mouse.up()
    fit(page, 54)
    expect(page.get_by_label("Filter of runs")).to_have_value(
        "status:completed since:2026-11-20T08:00:00Z until:2026-11-20T09:00:00Z"
    )
    page.go_back()
    fit(page, 108)
    page.go_forward()
    page.get_by_role("button", name="Clear range").click()
    fit(page, 108)
    expect(page).to_have_url(re.compile(r"q=status%3Acompleted$"))


def test_a_time_is_chosen_with_the_keys(page: Any, address: str) -> None:
    page.goto(f"{address}/ui/runs")
    bars = page.get_by_role("slider", name="Stretch of time")
    bars.press("Home")
    bars.press("ArrowRight")
    bars.press("Shift+ArrowRight")
    expect(bars).to_have_attribute("aria-valuetext", "20 Nov, 08:02 to 08:06: 4 completed")
    bars.press("Enter")
    fit(page, 4)
    expect(page).to_have_url(re.compile(r"since%3A2026-11-20T08%3A02%3A00Z\+until%3A2026-11-20T08%3A06%3A00Z$"))


def test_fields_and_values_are_offered_and_taken_with_the_keys(page: Any, address: str) -> None:
    page.goto(f"{address}/ui/runs")
    field = page.get_by_role("combobox", name="Filter of runs")
    field.press_sequentially("categ")
    expect(page.get_by_role("option")).to_have_count(1)
    field.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", re.compile("."))
    field.press("Enter")
    expect(field).to_have_value("input.category:")
    expect(page.get_by_role("option")).to_have_text(
        [
            'input.category:"laptop stands" 80 runs',
            'input.category:"phone cases" 39 runs',
            f'input.category:"{NASTY}" 1 run',
        ]
    )
    field.press_sequentially("img")
    field.press("Tab")
    fit(page, 1)
    assert page.locator("#root img").count() == 0
    expect(field).to_be_focused()
    field.press_sequentially("status:")
    expect(page.get_by_role("option").first).to_have_text("status:failed 1 run")  # of those that fit the other words
    field.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)


def test_a_view_is_saved_replaced_renamed_opened_and_brought_back(page: Any, address: str) -> None:
    page.goto(f"{address}/ui/runs?q=status:failed")
    fit(page, 12)
    views = page.locator("button[aria-haspopup=dialog]")
    views.click()
    page.get_by_label("Name of the view").fill("bad ones")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved bad ones.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(views).to_have_text("bad ones")
    page.get_by_label("Filter of runs").fill("status:failed pipeline:p")
    page.keyboard.press("Enter")
    expect(views).to_have_text("Views")
    views.click()
    page.get_by_label("Name of the view").fill("bad ones")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("there is a view 'bad ones' already")
    page.get_by_role("button", name="Replace it").click()
    expect(page.get_by_text("Replaced bad ones.")).to_be_visible()
    page.get_by_role("button", name="Rename bad ones").click()
    page.keyboard.type("failed / p")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Renamed failed / p.")).to_be_visible()
    page.get_by_role("button", name="Delete failed / p").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Saved failed / p.")).to_be_visible()
    page.keyboard.press("Escape")
    page.goto(f"{address}/ui/runs")
    views.click()
    page.get_by_role("button", name="failed / p status:failed pipeline:p").click()
    expect(page).to_have_url(re.compile("q=status%3Afailed"))
    fit(page, 12)


def test_the_server_goes_and_comes_back_while_one_looks(page: Any, tmp_path: Path) -> None:
    with dxray.local(tmp_path) as client:
        address = client.api_url
        post(address, {"run_id": "before", "pipeline": "p"})
        page.goto(f"{address}/ui/runs")
        expect(page.locator('a[href="/ui/runs/before"]')).to_be_visible()
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    expect(page.locator('a[href="/ui/runs/before"]')).to_be_visible()
    with dxray.local(tmp_path, port=int(address.rpartition(":")[2])):
        post(address, {"run_id": "after", "pipeline": "p"})
        expect(page.locator('a[href="/ui/runs/after"]')).to_be_visible()
        expect(page.get_by_text("The server does not answer")).to_have_count(0)
