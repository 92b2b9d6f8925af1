"""The items of a step on the page: all of them, as the server orders and narrows them, and only those one looks at."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.browsing import Told, Watched, expect, post

MANY = 3_000
OF_ITEMS = re.compile(r"/runs/large/items\?")


@pytest.fixture(scope="module")
def large(story: Told) -> str:
    """A run with a filter of many items; a price falls with the number, names come from the step before."""
    made = [{"item_id": f"sku-{n}", "outcome": "produced", "name": f"Thing {n}"} for n in range(MANY)]
    kept = [
        {"item_id": f"sku-{n}", "evidence": {"price": MANY - n}}
        | ({"outcome": "accepted"} if n % 3 else {"outcome": "rejected", "reason": "every_third"})
        for n in range(MANY)
    ]
    steps = [{"name": "search", "events": made}, {"name": "filter", "step_type": "filter", "events": kept}]
    post(story[0].api_url, {"run_id": "large", "pipeline": "large", "steps": steps})
    return "/ui/runs/large"


def asked_by(page: Any) -> list[dict[str, str]]:
    asked: list[dict[str, str]] = []

    def note(request: Any) -> None:
        address = urlsplit(request.url)
        if address.path.endswith("/large/items"):
            asked.append({name: values[0] for name, values in parse_qs(address.query).items()})

    page.on("request", note)
    return asked


def test_any_item_is_a_scroll_away_and_only_what_is_seen_is_asked(watched: Watched, large: str) -> None:
    asked = asked_by(watched.page)
    page = watched.open(large)
    items = page.get_by_role("table", name="Items")
    expect(page.get_by_text("3,000 items", exact=True)).to_be_visible()
    expect(items.get_by_role("link", name="Thing 0 sku-0")).to_be_visible()  # no event of this step names it
    items.evaluate("frame => frame.scrollTo(0, frame.scrollHeight)")
    expect(items.get_by_role("link", name=f"Thing {MANY - 1} sku-{MANY - 1}")).to_be_visible()
    expect(items.locator(f'[aria-rowindex="{MANY + 1}"]')).to_be_visible()
    assert 2 <= len(asked) <= 4, asked
    assert {one["offset"] for one in asked} >= {"0", str(MANY - 200)}


def test_rows_that_are_on_their_way_have_a_place(watched: Watched, large: str) -> None:
    page = watched.open(large)
    items = page.get_by_role("table", name="Items")
    expect(items.get_by_role("link").first).to_be_visible()
    held: list[Any] = []
    page.route(OF_ITEMS, lambda route: held.append(route))
    items.evaluate("frame => frame.scrollTo(0, frame.scrollHeight / 2)")
    expect(items.locator(".mantine-Skeleton-root").first).to_be_visible()
    page.wait_for_timeout(300)
    for route in held:
        route.continue_()
    page.unroute(OF_ITEMS)
    expect(items.locator(".mantine-Skeleton-root")).to_have_count(0)
    expect(items.get_by_role("link", name="Thing 1500 sku-1500")).to_be_visible()


def test_a_header_orders_all_items_and_the_address_keeps_it(watched: Watched, large: str) -> None:
    page = watched.open(large)
    items = page.get_by_role("table", name="Items")
    items.get_by_role("button", name="price").click()
    expect(page).to_have_url(re.compile(r"sort=evidence\.price"))
    expect(items.get_by_role("row").nth(1)).to_contain_text("Thing 2999")
    expect(items.get_by_role("columnheader", name="price")).to_have_attribute("aria-sort", "ascending")
    items.get_by_role("button", name="price").click()
    expect(items.get_by_role("row").nth(1)).to_contain_text("Thing 0")
    items.get_by_role("button", name="reason").click()
    expect(items.get_by_role("row").nth(1)).to_contain_text("every_third")
    items.get_by_role("button", name="id", exact=True).press("Enter")
    items.get_by_role("button", name="id", exact=True).press("Enter")
    expect(items.get_by_role("row").nth(1)).to_contain_text("sku-2999")
    page.reload()
    expect(items.get_by_role("row").nth(1)).to_contain_text("sku-2999")


# Letter by letter, with no pause between that a busy machine could make long.
TYPED = """(field, text) => {
  const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  for (let n = 1; n <= text.length; n++) {
    set.call(field, text.slice(0, n));
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}"""


def test_typing_narrows_all_items_and_asks_when_it_pauses(watched: Watched, large: str) -> None:
    asked = asked_by(watched.page)
    page = watched.open(large)
    items = page.get_by_role("table", name="Items")
    expect(items.get_by_role("link").first).to_be_visible()
    asked.clear()
    page.get_by_label("Id or name").evaluate(TYPED, "price > 2990")
    expect(page.get_by_text("10 of 3,000 items")).to_be_visible()
    assert [one["q"] for one in asked] == ["evidence.price:>2990"]
    page.get_by_role("combobox", name="Outcome").click()
    page.get_by_role("option", name="rejected 1,000").click()
    expect(page.get_by_text("4 of 3,000 items")).to_be_visible()
    expect(page).to_have_url(re.compile("find=price.*outcome=rejected|outcome=rejected.*find=price"))
    page.get_by_label("Id or name").fill('"<b>')
    page.get_by_role("button", name="Show all 3,000").click()
    expect(page.get_by_label("Id or name")).to_have_value("")
    expect(page.get_by_text("3,000 items", exact=True)).to_be_visible()


def test_the_keys_go_from_row_to_row_and_leave_links_theirs(watched: Watched, large: str) -> None:
    page = watched.open(large + "?sort=-item_id")
    items = page.get_by_role("table", name="Items")
    items.get_by_role("link", name="sku-2990").press("Enter")
    expect(page).to_have_url(re.compile("item=sku-2990"))
    page = watched.open(large + "?sort=-item_id")
    expect(items.get_by_role("link").first).to_be_visible()
    for key in ("j", "j", "j", "k", "Enter"):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile("item=sku-2998"))


def test_the_values_that_a_rule_saw_are_those_of_all_items(story: Told, watched: Watched) -> None:
    evidence = [{"item_id": f"i{n}", "evidence": {"price": n}} for n in range(12_000)]
    events = [one | ({"outcome": "accepted"} if one["evidence"]["price"] <= 9_000 else
                     {"outcome": "rejected", "reason": "too_dear"}) for one in evidence]  # fmt: skip
    rule = {"field": "price", "op": "<=", "threshold": 9_000, "reason": "too_dear"}
    step = {"name": "filter", "step_type": "filter", "rules": [rule], "events": events}
    post(story[0].api_url, {"run_id": "priced", "pipeline": "large", "steps": [step]})
    page = watched.open("/ui/runs/priced")
    expect(page.get_by_text("12,000 have a value", exact=True)).to_be_visible()
    picture = page.get_by_role("img", name="price: 12,000 values")
    said = picture.locator("title").all_text_contents()
    counted = [re.search(r": ([\d,]+), ([\d,]+) kept, ([\d,]+) dropped$", one) for one in said]
    kept, dropped = ([int(one[at].replace(",", "")) for one in counted if one] for at in (2, 3))
    assert (sum(kept), sum(dropped)) == (9_001, 2_999)


def test_an_order_that_cannot_be_says_what_can(story: Told, browser: Any, large: str) -> None:
    page = browser.new_page()
    page.goto(f"{story[0].api_url}{large}?sort=evidence.prize")
    expect(page.get_by_text("did you mean 'evidence.price'?")).to_be_visible()
    page.close()


def test_a_list_of_runs_takes_one_request(watched: Watched, story: Told) -> None:
    asked: list[str] = []
    watched.page.on("request", lambda one: "/runs/run_" in one.url and asked.append(one.url))
    page = watched.open("/ui/runs")
    expect(page.get_by_role("row").nth(5)).to_contain_text("→")
    page.wait_for_timeout(500)
    assert [one for one in asked if "/ui/" not in one] == []
