"""The web page in a real browser: the demo's story from the list of runs to the reason, with the policy on."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dxray
from dxray import demo

CHECKOUT = Path(__file__).resolve().parents[2]
BUILT = CHECKOUT / "src" / "dxray" / "server" / "page" / "index.html"
AXE = CHECKOUT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium")

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")
if CHROMIUM is None:
    pytest.skip("chromium is not installed: the page is not tested", allow_module_level=True)
if not BUILT.is_file():
    pytest.skip("the page is not built (make ui): it is not tested", allow_module_level=True)
expect = playwright.expect


@pytest.fixture(scope="module", autouse=True)
def own_spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXRAY_SPOOL_DIR", str(tmp_path_factory.mktemp("spool")))
        yield


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[demo.Recorded]]]:
    """A server with the demo's runs, and its client."""
    with dxray.local(tmp_path_factory.mktemp("data")) as client:
        yield client, demo.record(client.api_url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


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


@pytest.fixture
def watched(told: tuple[Any, list[demo.Recorded]], browser: Any) -> Iterator[Watched]:
    expect.set_options(timeout=30_000)
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched = Watched(context, told[0].api_url)
    yield watched
    context.close()
    assert watched.wrong == []


def wrong_run(recorded: list[demo.Recorded]) -> demo.Recorded:
    return next(run for run in recorded if run.selected.kind not in demo.RIGHT_KINDS)


def right_run(recorded: list[demo.Recorded]) -> demo.Recorded:
    return next(run for run in recorded if run.selected.kind in demo.RIGHT_KINDS and "stand" not in run.keywords)


def post(client: Any, run: dict[str, Any]) -> None:
    import urllib3

    answer = urllib3.request("POST", f"{client.api_url}/runs", body=json.dumps(run))
    assert answer.status == 201, answer.data


def test_from_the_runs_to_the_reason(watched: Watched, told: tuple[Any, list[demo.Recorded]]) -> None:
    wrong = wrong_run(told[1])
    page = watched.open("/ui/")
    expect(page).to_have_url(re.compile("/ui/runs$"))
    expect(page.get_by_role("heading", name=re.compile(r"\d+ recorded"))).to_be_visible()
    page.get_by_label("Filter of runs").fill('"laptop stand"')
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?q=%22laptop"))
    stands = sum(run.selected.kind not in demo.RIGHT_KINDS for run in told[1])
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


def test_back_to_the_keyword(watched: Watched, told: tuple[Any, list[demo.Recorded]]) -> None:
    wrong = wrong_run(told[1])
    page = watched.open(f"/ui/runs/{wrong.run_id}")
    page.get_by_role("link", name="stand generate_keywords").click()
    expect(page).to_have_url(re.compile("item=kw%3Astand"))
    expect(page.get_by_text("came of it")).to_be_visible()
    page.reload()  # an address of the page is an address
    expect(page.get_by_text("came of it")).to_be_visible()


def test_two_runs_compared(watched: Watched, told: tuple[Any, list[demo.Recorded]]) -> None:
    wrong, right = wrong_run(told[1]), right_run(told[1])
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


def test_labels_are_said_and_taken_back(watched: Watched, told: tuple[Any, list[demo.Recorded]]) -> None:
    page = watched.open(f"/ui/runs/{told[1][0].run_id}")
    page.get_by_label("Note").fill("for a test")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("labelled bad")).to_be_visible()
    expect(page.get_by_text("for a test")).to_be_visible()
    page.get_by_role("button", name="Take back bad").click()
    expect(page.get_by_text("labelled bad")).to_have_count(0)


def test_a_run_appears_while_one_looks_and_hostile_texts_are_texts(
    watched: Watched, told: tuple[Any, list[demo.Recorded]]
) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    page = watched.open("/ui/runs")
    expect(page.get_by_role("heading", name=re.compile(r"\d+ recorded"))).to_be_visible()
    events = [
        {"item_id": "../a/b?c#d", "outcome": "produced", "name": nasty},
        {"item_id": "../a/b?c#d", "outcome": "rejected", "reason": "<script>alert(1)</script>", "evidence": {nasty: 1}},
    ]  # fmt: skip
    run = {"run_id": "nasty", "pipeline": nasty, "input": {"product": nasty + "\u202e"}, "output": {"title": nasty}}
    post(told[0], {**run, "steps": [{"name": nasty, "step_type": "filter", "input_count": 3, "events": events}]})
    page.locator('a[href="/ui/runs/nasty"]').click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(nasty)
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("\u202e")
    expect(page.get_by_role("button", name=re.compile("^unaccounted"))).to_be_visible()
    page.get_by_role("table", name="Items").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(nasty)
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    assert page.locator("#root img, #root script").count() == 0


def test_what_is_looked_at_does_not_jump(watched: Watched, told: tuple[Any, list[demo.Recorded]]) -> None:
    page = watched.open("/ui/runs")
    rows = page.get_by_role("rowgroup", name="Rows")
    expect(rows.get_by_role("row").nth(5)).to_be_visible()
    rows.evaluate("rows => rows.scrollTo(0, 400)")
    page.wait_for_timeout(300)
    post(told[0], {"run_id": "late", "pipeline": "late_comer"})
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


def test_where_the_filter_is_wrong_it_says_how_to_mend_it(told: tuple[Any, list[demo.Recorded]], browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{told[0].api_url}/ui/runs?q=pipelin:x")
    expect(page.get_by_text("there is no field 'pipelin' here")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").last.click()
    expect(page.get_by_role("row").nth(2)).to_be_visible()
    page.goto(f"{told[0].api_url}/ui/runs/nope")
    expect(page.get_by_text("there is no run 'nope'")).to_be_visible()
    page.close()


def test_where_nothing_is_recorded_it_says_what_to_type(browser: Any, tmp_path: Path) -> None:
    with dxray.local(tmp_path) as client:
        page = browser.new_page()
        page.goto(f"{client.api_url}/ui/")
        expect(page.get_by_text(f'api_url="{client.api_url}"')).to_be_visible()
        page.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm ci in ui/): contrast and names untested")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_read_it(told: tuple[Any, list[demo.Recorded]], browser: Any, scheme: str) -> None:
    wrong, right = wrong_run(told[1]), right_run(told[1])
    context = browser.new_context(viewport={"width": 1360, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    found = {}
    for path in (
        "/ui/runs",
        f"/ui/runs/{wrong.run_id}",
        f"/ui/runs/{wrong.run_id}/item?item={wrong.selected.id}",
        f"/ui/compare?a={right.run_id}&b={wrong.run_id}",
        "/ui/ask?question=rules&pipeline=competitor_selection",
    ):
        page.goto(told[0].api_url + path)
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("[aria-busy=true], .mantine-Skeleton-root")).to_have_count(0)
        page.add_script_tag(path=str(AXE))
        result = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
        for one in result["violations"]:
            found[f"{path}: {one['id']}"] = [node["html"][:200] for node in one["nodes"][:4]]
    context.close()
    assert not found, json.dumps(found, indent=1)
