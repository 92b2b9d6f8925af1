"""The web page in a real browser: the demo's story from the list of runs to the reason, with the policy on."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

import dxray
from dxray.demo import RIGHT_KINDS
from tests.e2e.browsing import Told, Watched, expect, post, right_run, wrong_run


def test_from_the_runs_to_the_reason(watched: Watched, story: Told) -> None:
    wrong = wrong_run(story[1])
    page = watched.open("/ui/")
    expect(page).to_have_url(re.compile("/ui/runs$"))
    expect(page.get_by_role("heading", name=re.compile(r"\d+ recorded"))).to_be_visible()
    page.get_by_label("Filter of runs").fill('"laptop stand"')
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?q=%22laptop"))
    stands = sum(run.selected.kind not in RIGHT_KINDS for run in story[1])
    expect(page.get_by_role("heading", name=re.compile(f"{stands} fit the filter"))).to_be_visible()
    page.locator(f'a[href="/ui/runs/{wrong.run_id}"]').click()

    expect(page.get_by_role("heading", level=1)).to_contain_text(wrong.selected.title)
    expect(page.get_by_text(f"{wrong.selected.title} was selected at select_best:")).to_be_visible()
    expect(page.get_by_text("the rule category == phone_accessories was not evaluated for it")).to_be_visible()
    expect(page.get_by_role("link", name="stand generate_keywords")).to_be_visible()

    page.get_by_role("button", name=re.compile("^price_too_high:")).click()  # a loss of the funnel
    expect(page).to_have_url(re.compile("outcome=rejected&reason=price_too_high"))
    items = page.get_by_role("table", name="Items")
    expect(items.get_by_role("cell", name="price_too_high").first).to_be_visible()
    expect(items.get_by_role("cell", name="accepted")).to_have_count(0)
    items.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Why was .* not selected"))
    expect(page.get_by_text(re.compile("was rejected at filter_candidates")).first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("price was .* margin -"))).to_be_visible()
    expect(page.get_by_text("select_best: never reached")).to_be_visible()


def test_back_to_the_keyword(watched: Watched, story: Told) -> None:
    wrong = wrong_run(story[1])
    page = watched.open(f"/ui/runs/{wrong.run_id}")
    page.get_by_role("link", name="stand generate_keywords").click()
    expect(page).to_have_url(re.compile("item=kw%3Astand"))
    expect(page.get_by_text("came of it")).to_be_visible()
    page.reload()  # an address of the page is an address
    expect(page.get_by_text("came of it")).to_be_visible()


def test_two_runs_compared(watched: Watched, story: Told) -> None:
    wrong, right = wrong_run(story[1]), right_run(story[1])
    page = watched.open(f"/ui/runs/{right.run_id}")
    page.get_by_role("link", name="Compare with another run").click()
    page.get_by_label("Id of the run").fill(wrong.run_id)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Two runs with the same input, two decisions")
    expect(page.get_by_text("The runs parted at generate_keywords:")).to_be_visible()
    steps = page.get_by_role("region", name="Step by step")
    expect(steps.get_by_role("row", name=re.compile("nondeterministic here.*stand"))).to_be_visible()
    expect(steps.get_by_text("inherited")).to_have_count(3)


def test_another_limit(watched: Watched) -> None:
    page = watched.open("/ui/ask?question=whatif&pipeline=competitor_selection&reason=price_too_high&to=105")
    expect(page.get_by_text("With price_too_high at 105 instead of 100")).to_be_visible()
    expect(page.get_by_text("bounded: only limits are known")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Items that flip"))).to_be_visible()


def test_a_limit_is_dragged(watched: Watched) -> None:
    page = watched.open("/ui/ask?question=whatif&pipeline=competitor_selection&reason=price_too_high")
    thumb = page.get_by_role("slider", name="Limit of price")
    expect(page.get_by_text("Drag the limit, or click into the curve")).to_be_visible()
    thumb.scroll_into_view_if_needed()
    at = thumb.bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(at["x"] + at["width"] / 2 + 16 * step, at["y"] + at["height"] / 2)
    page.mouse.up()
    expect(page).to_have_url(re.compile("to=1[0-9]"))
    limit = page.get_by_label("Limit", exact=True).input_value()
    assert float(limit) > 100
    expect(page.get_by_text(f"With price_too_high at {float(limit):g} instead of 100")).to_be_visible()
    before = page.url
    thumb.press("ArrowLeft")  # keys move it too
    expect(page).not_to_have_url(before)


def test_steps_across_runs(watched: Watched, story: Told) -> None:
    page = watched.open("/ui/steps")
    table = page.get_by_role("table", name="Steps")
    expect(table.get_by_role("row", name=re.compile("filter_candidates"))).to_be_visible()
    page.get_by_label("Filter of steps").fill("step_type:filter rejection_rate:>0.9 pipeline:competitor_selection")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("rejection_rate"))
    expect(table.get_by_role("row")).to_have_count(2)  # its head, and the one step
    row = table.get_by_role("row", name=re.compile("filter_candidates"))
    found = story[0].steps(step_type="filter", rejection_rate_gt=0.9, pipeline="competitor_selection").total
    expect(row.get_by_role("link", name=str(found), exact=True)).to_be_visible()
    expect(row.get_by_role("img", name=re.compile("wrong_category"))).to_be_visible()
    expect(row.get_by_role("img", name=re.compile("rejection rate from 9"))).to_be_visible()
    row.get_by_role("link", name="filter_candidates").click()
    seen = page.get_by_role("table", name="Runs")
    expect(seen.get_by_role("row")).to_have_count(found + 1)
    page.reload()
    expect(seen.get_by_role("row")).to_have_count(found + 1)
    row.get_by_role("link", name=str(found), exact=True).click()
    expect(page.get_by_role("heading", name=re.compile(f"{found} fit the filter"))).to_be_visible()


def test_the_health_of_a_pipeline(watched: Watched) -> None:
    page = watched.open("/ui/pipelines")
    page.get_by_role("link", name="competitor_selection", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("competitor_selection")
    expect(page.get_by_text(re.compile("repeated inputs? flip"))).to_be_visible()
    expect(page.get_by_text("rejected at filter_candidates, which rejects most")).to_be_visible()
    expect(page.get_by_text(re.compile("^lost, in"))).to_be_visible()
    expect(page.get_by_text("Look first at price <= 100")).to_be_visible()
    expect(page.get_by_role("table", name="Steps").get_by_role("row")).to_have_count(5)


@pytest.mark.parametrize("question", ["rules", "stability", "blame", "explain"])
def test_the_other_questions_answer(watched: Watched, question: str) -> None:
    page = watched.open(f"/ui/ask?question={question}&pipeline=competitor_selection")
    said = {
        "rules": "Look first at price <= 100",
        "stability": "did not always lead to the same decision",
        "blame": "No label says that something was wrong",
        "explain": "a reference, and what is looked at",
    }
    expect(page.get_by_text(said[question]).first).to_be_visible()


def test_labels_are_said_and_taken_back(watched: Watched, story: Told) -> None:
    page = watched.open(f"/ui/runs/{story[1][0].run_id}")
    page.get_by_label("Note").fill("for a test")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("labelled bad")).to_be_visible()
    expect(page.get_by_text("for a test")).to_be_visible()
    page.get_by_role("button", name="Take back bad").click()
    expect(page.get_by_text("labelled bad")).to_have_count(0)


def test_a_run_appears_while_one_looks_and_hostile_texts_are_texts(watched: Watched, story: Told) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    page = watched.open("/ui/runs")
    expect(page.get_by_role("heading", name=re.compile(r"\d+ recorded"))).to_be_visible()
    events = [
        {"item_id": "../a/b?c#d", "outcome": "produced", "name": nasty},
        {"item_id": "../a/b?c#d", "outcome": "rejected", "reason": "<script>alert(1)</script>", "evidence": {nasty: 1}},
    ]  # fmt: skip
    run = {"run_id": "nasty", "pipeline": nasty, "input": {"product": nasty + "\u202e"}, "output": {"title": nasty}}
    post(
        story[0].api_url, {**run, "steps": [{"name": nasty, "step_type": "filter", "input_count": 3, "events": events}]}
    )
    page.locator('a[href="/ui/runs/nasty"]').click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(nasty)
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("\u202e")
    expect(page.get_by_role("button", name=re.compile("^unaccounted"))).to_be_visible()
    page.get_by_role("table", name="Items").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(nasty)
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    assert page.locator("#root img, #root script").count() == 0


def test_what_is_looked_at_does_not_jump(watched: Watched, story: Told) -> None:
    page = watched.open("/ui/runs")
    rows = page.get_by_role("rowgroup", name="Rows")
    expect(rows.get_by_role("row").nth(5)).to_be_visible()
    rows.evaluate("rows => rows.scrollTo(0, 400)")
    page.wait_for_timeout(300)
    post(story[0].api_url, {"run_id": "late", "pipeline": "late_comer"})
    page.get_by_role("button", name=re.compile("^Show [1-9]")).wait_for()
    assert rows.evaluate("rows => rows.scrollTop") == 400
    assert page.locator('a[href="/ui/runs/late"]').count() == 0
    page.get_by_role("button", name=re.compile("^Show [1-9]")).click()
    rows.evaluate("rows => rows.scrollTo(0, 0)")
    expect(page.locator('a[href="/ui/runs/late"]')).to_be_visible()


def test_the_first_page_is_light(watched: Watched) -> None:
    scripts: dict[str, int] = {}
    watched.page.on(
        "response", lambda got: got.url.endswith(".js") and scripts.update({got.url: len(gzip.compress(got.body()))})
    )
    page = watched.open("/ui/runs")
    expect(page.get_by_role("row").nth(3)).to_be_visible()
    assert 50_000 < sum(scripts.values()) <= 260_000, scripts


def test_the_keys(watched: Watched) -> None:
    page = watched.open("/ui/runs")
    expect(page.get_by_role("row").nth(3)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    chosen = page.locator("[role=row][aria-selected=true]")
    expect(chosen).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/ui/runs/."))
    page.keyboard.press("/")
    page.keyboard.type("Laptop Stand")
    expect(page.get_by_role("option", name=re.compile("Gale Soft Laptop Stand")).first).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_where_the_filter_is_wrong_it_says_how_to_mend_it(story: Told, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{story[0].api_url}/ui/runs?q=pipelin:x")
    expect(page.get_by_text("there is no field 'pipelin' here")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").last.click()
    expect(page.get_by_role("row").nth(2)).to_be_visible()
    page.goto(f"{story[0].api_url}/ui/runs/nope")
    expect(page.get_by_text("there is no run 'nope'")).to_be_visible()
    page.close()


def test_where_nothing_is_recorded_it_says_what_to_type(browser: Any, tmp_path: Path) -> None:
    with dxray.local(tmp_path) as client:
        page = browser.new_page()
        page.goto(f"{client.api_url}/ui/")
        expect(page.get_by_text(f'api_url="{client.api_url}"')).to_be_visible()
        page.close()
