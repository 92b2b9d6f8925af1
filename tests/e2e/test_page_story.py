"""What support is asked, answered from the list of runs in at most three clicks, by people who know no id."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.browsing import Told, Watched, expect, post

MOST_CLICKS = 3


@pytest.fixture(scope="module")
def yesterday(story: Told) -> None:
    """What the pipeline did a day before the demo: it rejected a few, for their price."""
    began = datetime.now(UTC) - timedelta(hours=30)
    for number in range(20):
        at = (began + timedelta(minutes=number)).isoformat()
        prices = {f"old_{place}": 20.0 + 2 * ((place * 7 + number) % 45) for place in range(40)}
        events = [
            {"item_id": item, "outcome": "rejected", "reason": "price_too_high", "evidence": {"price": price}}
            if price > 100
            else {"item_id": item, "outcome": "accepted", "evidence": {"price": price}}
            for item, price in prices.items()
        ]
        step = {"name": "filter_candidates", "step_type": "filter", "input_count": len(events), "events": events}
        post(
            story[0].api_url,
            {"pipeline": "competitor_selection", "started_at": at, "ended_at": at, "steps": [{**step, "rules": [CAP]}]},
        )


CAP = {"field": "price", "op": "<=", "threshold": 100, "reason": "price_too_high"}


class Hand:
    """Clicks, and counts them. Typing is free."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = 0

    def click(self, target: Any) -> None:
        target.click()
        self.clicks += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)


def why_did_this_win(hand: Hand) -> Any:
    rows = hand.page.get_by_role("rowgroup", name="Rows")
    hand.click(rows.get_by_role("row").filter(has_text="competitor_selection").get_by_role("link").first)
    return hand.page.get_by_text(re.compile("was selected at select_best: it scored highest"))


def why_did_that_lose(hand: Hand) -> Any:
    hand.click(hand.page.get_by_label("Search runs and items"))
    hand.type("Phone Case Model 31")
    hand.click(hand.page.get_by_role("option", name=re.compile(r"Phone Case Model 31\s+B0030")))
    hand.click(hand.page.get_by_role("link", name=re.compile("^why, in")).first)
    return hand.page.get_by_text(re.compile("Phone Case Model 31 was rejected at filter_candidates: rating_too_low"))


def what_changed_since_yesterday(hand: Hand) -> Any:
    hand.click(hand.page.get_by_role("link", name="Ask", exact=True))
    hand.click(hand.page.get_by_role("link", name="What changed since yesterday?"))
    expect(hand.page.get_by_role("table", name="Slices").get_by_role("row").nth(1)).to_be_visible()
    return hand.page.get_by_text(re.compile("8.6 % of 800. What stands out most")).first


def which_rule_kills_most(hand: Hand) -> Any:
    hand.click(hand.page.get_by_role("link", name="Ask", exact=True))
    hand.click(hand.page.get_by_role("link", name="Which rule stops most?"))
    return hand.page.get_by_text(re.compile("^wrong_category stops most: "))


def what_if_the_limit_were_120(hand: Hand) -> Any:
    hand.click(hand.page.get_by_role("link", name="Ask", exact=True))
    hand.click(hand.page.get_by_role("link", name="What if a limit were another?"))
    hand.click(hand.page.get_by_label("Limit", exact=True))
    hand.page.keyboard.press("Control+a")
    hand.type("120")
    return hand.page.get_by_text("With price_too_high at 120 instead of 100")


@pytest.mark.usefixtures("yesterday")
@pytest.mark.parametrize(
    "task",
    [
        why_did_this_win,
        why_did_that_lose,
        what_changed_since_yesterday,
        which_rule_kills_most,
        what_if_the_limit_were_120,
    ],
)
def test_support_is_answered_in_three_clicks(watched: Watched, task: Callable[[Hand], Any]) -> None:
    page = watched.open("/ui/runs")
    expect(page.get_by_role("rowgroup", name="Rows").get_by_role("link").first).to_be_visible()
    hand = Hand(page)
    expect(task(hand)).to_be_visible()
    assert hand.clicks <= MOST_CLICKS
