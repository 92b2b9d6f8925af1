"""`POST /whatif` where the evidence that would tell was sampled: bounds that hold, and an estimate within them."""

from __future__ import annotations

from itertools import count
from typing import Any, Literal

import pytest
from starlette.testclient import TestClient

from dxray import XRay, testing
from dxray.wire.answers.whatif import Whatif
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.printed.whatif import whatif_lines
from dxray.wire.records import Run
from dxray.wire.text import plain
from tests.api.test_whatif import ask

BATCHES = count(1)
ITEMS = [f"https://shop.example/{n}" for n in range(4_000)]


def price(place: int) -> float:
    return float(place % 200)


def rating(place: int) -> float:
    return place * 7919 % 50 / 10


def shop(api: TestClient, capture: Literal["full", "sample", "none"], runs: int = 1) -> None:
    """A search whose evidence is sampled; then a cap on the price, and a floor for the rating of what is left."""
    with testing.capture() as captured:
        for _ in range(runs):
            with XRay("shop").run(input=1) as run:
                with run.step("search", "retrieve", capture=capture) as step:
                    for place, item in enumerate(ITEMS):
                        step.produce(item, evidence={"rating": rating(place)})
                with run.step("keep", "filter") as step:
                    cap = step.require("price", "<=", 100, reason="dear")
                    floor = step.require("rating", ">=", 2, reason="poor")
                    for place, item in enumerate(ITEMS):
                        if cap.passes(item, price(place)) and floor.passes(item, rating(place)):
                            step.accept(item)
    records = sorted(captured.records, key=lambda record: type(record) is not Run)
    body = pack_batch("test", next(BATCHES), "default", map(pack_record, records))
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"})
    assert answer.json()["rejected"] == [], answer.text


def newly(limit: float) -> int:
    return sum(100 < price(n) <= limit and rating(n) >= 2 for n in range(len(ITEMS)))


@pytest.mark.parametrize("runs", [1, 3])
def test_the_sample_narrows_what_it_leaves_open(api: TestClient, runs: int) -> None:
    shop(api, "sample", runs)
    found = ask(api, {"reason": "dear", "threshold": 180})
    truth, (low, high) = newly(180) * runs, found["flipped"]
    assert low < truth < high
    estimate = found["flipped_estimate"]
    assert low <= estimate["interval"][0] <= truth <= estimate["interval"][1] <= high
    assert 0 < estimate["looked_at"] < estimate["items"] == sum(100 < price(n) <= 180 for n in range(len(ITEMS)))
    assert "kept by chance, it is" in found["sentence"]
    assert "by the sample" in plain(whatif_lines(Whatif.read(found)))


def test_the_same_items_in_many_runs_tell_no_more_than_in_one(api: TestClient) -> None:
    shop(api, "sample")
    found = ask(api, {"reason": "dear", "threshold": 180})
    one = found["flipped_estimate"]["interval"]
    assert one[0] > found["flipped"][0], "the sample says more than what is certain"
    shop(api, "sample", 3)
    four = ask(api, {"reason": "dear", "threshold": 180})["flipped_estimate"]["interval"]
    assert one[0] * 4 <= four[0] < (one[0] + 1) * 4  # each end is a whole number: the lower one is rounded down
    assert four[1] >= one[1] * 4


@pytest.mark.parametrize("capture", ["full", "none"])
def test_where_nothing_was_left_to_chance_nothing_is_estimated(
    api: TestClient, capture: Literal["full", "none"]
) -> None:
    shop(api, capture)
    found: dict[str, Any] = ask(api, {"reason": "dear", "threshold": 180})
    assert found["flipped_estimate"] is None
    if capture == "full":
        assert found["newly_kept"][1] == newly(180)


def test_what_the_rules_asked_themselves_is_not_estimated(api: TestClient) -> None:
    shop(api, "sample")
    found = ask(api, {"reason": "dear", "threshold": 50})
    assert found["flipped"][0] == found["flipped"][1]
    assert found["flipped_estimate"] is None
