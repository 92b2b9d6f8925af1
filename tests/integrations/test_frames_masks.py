"""`step.mask` and `step.filtered`, on frames that are not watched."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from dxray import XRay
from dxray.testing import capture

HALF = {"1": "accepted", "2": "rejected", "3": "accepted"}
IDS: dict[str, Any] = {
    "int": [1, 2, 3],
    "text": ["1", "2", "3"],
    "nullable": pd.array([1, 2, 3], dtype="Int64"),
    "category": pd.Categorical(["1", "2", "3"]),
}


def masked(frame: Any, keep: Any, **options: Any) -> tuple[Any, dict[str, str], dict[str, int]]:
    """What `step.mask` returned, the outcomes, and the losses."""
    with capture() as captured:
        with XRay("masks").run() as run, run.step("cap") as step:
            kept = step.mask(frame, keep, reason="too_dear", **options)
        return kept, captured.outcomes("cap"), captured.losses


@pytest.mark.parametrize("kind", IDS)
def test_a_mask_over_pandas_by_a_column(kind: str) -> None:
    frame = pd.DataFrame({"id": IDS[kind], "x": [1, 9, 2]})
    kept, outcomes, losses = masked(frame, frame["x"] < 5, id="id")
    assert kept.equals(frame[frame["x"] < 5])
    assert (outcomes, losses) == (HALF, {})


@pytest.mark.parametrize("kind", IDS)
def test_a_mask_over_pandas_by_the_index(kind: str) -> None:
    frame = pd.DataFrame({"x": [1, 9, 2]}, index=pd.Index(IDS[kind]))
    kept, outcomes, losses = masked(frame, frame["x"] < 5)
    assert len(kept) == 2
    assert (outcomes, losses) == (HALF, {})


@pytest.mark.parametrize("kind", ["int", "text"])
def test_a_mask_over_polars(kind: str) -> None:
    frame = pl.DataFrame({"id": IDS[kind], "x": [1, 9, 2]})
    kept, outcomes, losses = masked(frame, frame["x"] < 5, id="id")
    assert kept.equals(frame.filter(frame["x"] < 5))
    assert (outcomes, losses) == (HALF, {})


@pytest.mark.parametrize("keep", [[True, False, True], np.array([True, False, True]), pd.array([True, None, True])])
def test_masks_of_any_kind_keep_what_pandas_keeps(keep: Any) -> None:
    frame = pd.DataFrame({"id": [1, 2, 3]})
    kept, outcomes, losses = masked(frame, keep, id="id")
    assert kept["id"].tolist() == [1, 3]
    assert (outcomes, losses) == (HALF, {})


def test_a_polars_mask_with_a_null_keeps_what_polars_keeps() -> None:
    frame = pl.DataFrame({"id": [1, 2, 3], "x": [1, None, 2]})
    kept, outcomes, losses = masked(frame, frame["x"] < 5, id="id")
    assert kept["id"].to_list() == [1, 3]
    assert (outcomes, losses) == (HALF, {})


def test_ids_and_facts_that_are_missing_are_none_and_leave_the_others_as_they_are() -> None:
    for ids in (pl.Series([7, None]), pd.array([7, None], dtype="Int64"), pd.Series([7, None], dtype="Int64")):
        with capture() as captured:
            with XRay("masks").run() as run, run.step("cap") as step:
                step.accept_many(["a", "b"], evidence={"n": ids})
            assert [event.evidence for event in captured.events] == [{"n": 7}, {"n": None}]


def test_dates_are_dates_and_no_numbers() -> None:
    for dates in (pd.Series(pd.date_range("2026-01-01", periods=1)), pl.Series([dt.date(2026, 1, 1)])):
        with capture() as captured:
            with XRay("masks").run() as run, run.step("cap") as step:
                step.accept_many(["a"], evidence={"on": dates})
            assert [str(event.evidence["on"])[:10] for event in captured.events if event.evidence] == ["2026-01-01"]


def test_an_index_whose_labels_repeat() -> None:
    frame = pd.DataFrame({"x": [1, 9, 2, 8]}, index=[1, 2, 3, 2])
    assert masked(frame, frame["x"] < 5)[1:] == (HALF, {})


def test_a_pandas_mask_in_another_order_is_laid_by_its_labels() -> None:
    frame = pd.DataFrame({"x": [1, 9, 2]}, index=[1, 2, 3])
    keep = pd.Series([True, True, False], index=[3, 1, 2])
    with pytest.warns(UserWarning, match="reindexed"):
        kept, outcomes, _ = masked(frame, keep)
    assert list(kept.index) == [1, 3]
    assert outcomes == HALF


EMPTY: Any = {"id": np.array([], dtype=int), "x": np.array([], dtype=int)}


@pytest.mark.parametrize("frame", [pd.DataFrame(EMPTY), pl.DataFrame(EMPTY)])
def test_an_empty_frame(frame: Any) -> None:
    kept, outcomes, losses = masked(frame, frame["x"] < 5, id="id")
    assert len(kept) == 0
    assert (outcomes, losses) == ({}, {})


def test_filtered_takes_the_rows_of_either() -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "x": [1, 9, 2]})
    rows = list(frame.itertuples())
    dicts = pl.from_pandas(frame).to_dicts()
    for before, after in ((rows, [rows[0], rows[2]]), (dicts, [dicts[0], dicts[2]])):
        with capture() as captured, XRay("filters").run() as run:
            with run.step("cap") as step:
                assert step.filtered(before, after, "too_dear", key="id") == after
            assert captured.outcomes("cap") == HALF
