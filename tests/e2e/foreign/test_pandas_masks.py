"""A pandas mask chain, written as pandas' own guide writes one, then watched, and asked about its products."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import dxray
from tests.e2e.foreign.programs import changed

PLAIN = """
import numpy as np
import pandas as pd


def catalog():
    numbers = np.arange(400)
    return pd.DataFrame(
        {
            "sku": [f"sku-{n}" for n in numbers],
            "price": 5.0 + (numbers * 37) % 120,
            "rating": 2.5 + (numbers * 13) % 26 / 10,
            "stock": (numbers * 7) % 9,
            "category": np.where(numbers % 4 == 0, "laptop", "phone"),
        }
    )


def offers(products, cap=60):
    products = products[products["category"] == "phone"]
    affordable = (products["price"] <= cap) & (products["stock"] > 0)
    products = products[affordable]
    products = products.query("rating >= 3.5")
    products = products.assign(value=products["rating"] / products["price"])
    return products.sort_values("value", ascending=False).head(5)


best = offers(catalog())
"""

WATCHED = PLAIN.replace("import pandas as pd\n", "import pandas as pd\n\nimport dxray\n", 1).replace(
    "best = offers(catalog())\n",
    'best = offers(dxray.watch(catalog(), key="sku", pipeline="offers"))\nbest = best.unwatch()\n',
)


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dxray.Client, str, dict[str, Any], dict[str, Any]]]:
    """A server that the watched program recorded to, its run, and what both programs left behind."""
    folder = tmp_path_factory.mktemp("masks")
    for name, source in (("plain", PLAIN), ("watched", WATCHED)):
        Path(folder, f"{name}.py").write_text(source)
    with dxray.local(folder / "data") as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXRAY_API_URL", client.api_url)
        plain = runpy.run_path(str(folder / "plain.py"))
        watched = runpy.run_path(str(folder / "watched.py"))
        assert dxray.XRay("offers").flush(30)
        (run,) = client.runs(pipeline="offers").runs
        yield client, run.run_id, plain, watched


def test_it_takes_at_most_five_changed_lines() -> None:
    assert 0 < changed(PLAIN, WATCHED) <= 5


def test_the_watched_program_computes_what_the_plain_one_does(told: Any) -> None:
    _, _, plain, watched = told
    assert type(watched["best"]) is pd.DataFrame
    assert_frame_equal(watched["best"], plain["best"])


def test_every_stage_is_a_step_with_the_counts_of_the_plain_frame(told: Any) -> None:
    client, run_id, plain, _ = told
    products = plain["catalog"]()
    phones = products[products["category"] == "phone"]
    fit = phones[(phones["price"] <= 60) & (phones["stock"] > 0)]
    rated = fit[fit["rating"] >= 3.5]
    run = client.run(run_id)
    assert run.status == "completed"
    assert [(step.name, step.input_count, step.output_count) for step in run.steps] == [
        ('filter products["category"] == "phone"', len(products), len(phones)),
        ("filter affordable", len(phones), len(fit)),
        ("query rating >= 3.5", len(fit), len(rated)),
        ("sort_values value ascending=False", len(rated), len(rated)),
        ("head 5", len(rated), 5),
    ]


def test_why_and_why_not_of_every_product_agree_with_the_plain_frame(told: Any) -> None:
    client, run_id, plain, _ = told
    products = plain["catalog"]().set_index("sku")
    best = set(plain["best"]["sku"])
    for sku, row in products.iloc[::23].iterrows():
        why = client.why(run_id, str(sku))
        last = why.journey[-1]
        if row["category"] != "phone":
            expected = ("rejected", 'inferred: filter products["category"] == "phone"')
        elif row["price"] > 60 or row["stock"] == 0:
            expected = ("rejected", "inferred: filter affordable")
        elif row["rating"] < 3.5:
            expected = ("rejected", "inferred: query rating >= 3.5")
            assert last.evidence == {"rating": row["rating"]}
        else:
            expected = ("selected", "inferred: head 5") if sku in best else ("outranked", None)
        assert (why.verdict, last.reason) == expected, sku


def test_the_winners_are_selected_and_who_just_missed_is_outranked(told: Any) -> None:
    client, run_id, plain, _ = told
    for sku in plain["best"]["sku"]:
        assert client.why(run_id, sku).verdict == "selected"
    everyone = plain["offers"](plain["catalog"]()).index
    more = plain["catalog"]()
    more = more[(more["category"] == "phone") & (more["price"] <= 60) & (more["stock"] > 0) & (more["rating"] >= 3.5)]
    missed = more.drop(everyone)
    first = missed.assign(value=missed["rating"] / missed["price"]).nlargest(1, "value")["sku"].item()
    assert client.why(run_id, first).verdict == "outranked"


def test_what_was_never_there_is_not_explained_away(told: Any) -> None:
    client, run_id, _, _ = told
    assert client.why(run_id, "sku-9999").verdict not in ("rejected", "outranked", "selected", "accepted")
