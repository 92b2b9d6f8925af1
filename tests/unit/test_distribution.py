"""The bins of recorded values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.reasoning.distribution import BINS, distribution, edges_of

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def found(values: list[float], edge: float | None) -> dict[str, object]:
    none = np.zeros(len(values), dtype=np.bool_)
    return distribution(np.array(values, dtype=np.float64), pa.nulls(len(values), pa.string()), none, none, edge)


@given(st.lists(NUMBERS, max_size=50), st.none() | NUMBERS)
def test_every_value_is_in_one_bin_and_no_bin_holds_both_sides_of_the_edge(
    values: list[float], edge: float | None
) -> None:
    answer = found(values, edge)
    bins = answer["bins"]
    assert isinstance(bins, list)
    assert sum(one["n"] for one in bins) == answer["n"] == len(values)
    assert len(bins) <= BINS + 3
    assert all(one["from"] <= one["to"] for one in bins)
    if values and edge is not None and len(bins) > 1:
        assert any(one["from"] == edge or one["to"] == edge for one in bins)
        assert sum(one["n"] for one in bins if one["from"] < edge) == sum(value < edge for value in values)


@pytest.mark.parametrize("edge", [None, 5.0])
def test_equal_values_are_one_bin(edge: float | None) -> None:
    assert edges_of(5.0, 5.0, edge).tolist() == [5.0, 5.0]
    assert found([5.0, 5.0], edge)["bins"] == [{"from": 5.0, "to": 5.0, "n": 2, "kept": 0, "dropped": 0}]


def test_what_is_no_finite_number_is_in_no_bin() -> None:
    answer = found([1.0, np.nan, np.inf, 3.0], None)
    assert (answer["n"], answer["without"], answer["greatest"]) == (2, 2, 3.0)
