"""A batch of 1 million items, in `make test` a tenth: a polars program as written, then watched, and asked about."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import dxray
from tests.e2e.foreign.programs import changed

SIZES = [100_000, pytest.param(1_000_000, marks=pytest.mark.long)]
WAIT_S = 100.0

pytestmark = pytest.mark.timeout(400)  # seconds

PLAIN = """
import polars as pl


def ads():
    numbers = pl.int_range(1_000_000, eager=True).alias("ad_id")
    return pl.DataFrame({"ad_id": numbers}).with_columns(
        bid=(numbers * 7919 % 1000) / 100,
        quality=(numbers * 104729 % 997) / 997,
        budget=numbers * 31 % 50,
    )


def shown(batch):
    funded = batch.filter(pl.col("budget") > 0)
    good = funded.filter(pl.col("quality") >= 0.4, pl.col("bid") >= 2.5)
    ranked = good.with_columns(value=pl.col("bid") * pl.col("quality"))
    return ranked.sort("value", descending=True, maintain_order=True).head(100)


chosen = shown(ads())
"""

WATCHED = PLAIN.replace("import polars as pl\n", "import polars as pl\n\nimport dxray\n", 1).replace(
    "chosen = shown(ads())\n",
    'chosen = shown(dxray.watch(ads(), key="ad_id", pipeline="ads"))\nchosen = chosen.unwatch()\n',
)


@pytest.fixture(scope="module", params=SIZES)
def told(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dxray.Client, str, dict[str, Any], dict[str, Any]]]:
    """A server that the watched program recorded to, its run, and what both programs left behind."""
    folder = tmp_path_factory.mktemp("million")
    for name, source in (("plain", PLAIN), ("watched", WATCHED)):
        Path(folder, f"{name}.py").write_text(source.replace("1_000_000", str(request.param)))
    with dxray.local(folder / "data") as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXRAY_API_URL", client.api_url)
        plain = runpy.run_path(str(folder / "plain.py"))
        watched = runpy.run_path(str(folder / "watched.py"))
        assert dxray.XRay("ads").flush(WAIT_S)
        (run,) = client.runs(pipeline="ads").runs
        yield client, run.run_id, plain, watched


def test_it_takes_at_most_five_changed_lines() -> None:
    assert 0 < changed(PLAIN, WATCHED) <= 5


def test_the_watched_program_chooses_what_the_plain_one_does(told: Any) -> None:
    _, _, plain, watched = told
    assert type(watched["chosen"]) is pl.DataFrame
    assert_frame_equal(watched["chosen"], plain["chosen"])


def test_no_item_of_the_batch_is_lost(told: Any) -> None:
    client, run_id, plain, _ = told
    batch = plain["ads"]()
    funded = batch.filter(pl.col("budget") > 0)
    good = funded.filter(pl.col("quality") >= 0.4, pl.col("bid") >= 2.5)
    run = client.run(run_id)
    assert run.status == "completed"
    assert [(step.input_count, step.output_count) for step in run.steps] == [
        (batch.height, funded.height), (funded.height, good.height), (good.height, good.height), (good.height, 100)
    ]  # fmt: skip
    funnel = client.funnel(run_id)
    assert [step.unaccounted for step in funnel.steps] == [0] * 4


def test_why_and_why_not_agree_with_the_plain_frame(told: Any) -> None:
    client, run_id, plain, _ = told
    chosen = set(plain["chosen"]["ad_id"])
    fit = (pl.col("budget") > 0) & (pl.col("quality") >= 0.4) & (pl.col("bid") >= 2.5)
    unseen = plain["ads"]().filter(~pl.col("ad_id").is_in(plain["chosen"]["ad_id"].implode()))
    asked = [
        *unseen.filter(pl.col("budget") == 0)[-1:].rows(named=True),
        *unseen.filter(pl.col("budget") > 0, pl.col("quality") < 0.4)[-1:].rows(named=True),
        *unseen.filter(fit)[-1:].rows(named=True),
        *plain["chosen"][:1].rows(named=True),
    ]
    seen = set()
    for ad in asked:
        why = client.why(run_id, ad["ad_id"])
        if ad["budget"] == 0:
            expected = ("rejected", 'inferred: filter pl.col("budget") > 0')
        elif ad["quality"] < 0.4 or ad["bid"] < 2.5:
            expected = ("rejected", 'inferred: filter pl.col("quality") >= 0.4, pl.col("bid") >= 2.5')
        else:
            expected = ("selected", "inferred: head 100") if ad["ad_id"] in chosen else ("outranked", None)
        assert (why.verdict, why.journey[-1].reason) == expected, ad
        seen.add(expected[0])
    assert seen == {"rejected", "selected", "outranked"}


def test_an_item_beyond_the_batch_is_not_explained_away(told: Any) -> None:
    client, run_id, plain, _ = told
    assert client.why(run_id, plain["ads"]().height).verdict not in ("rejected", "outranked", "selected", "accepted")
