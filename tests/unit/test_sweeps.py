"""The bins of a sweep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dxray.server.reasoning.sweeps import Bin, bins, counted, thresholds

_any = st.floats(-1.7e308, 1.7e308)


@given(_any, _any, st.integers(1, 100), st.lists(st.floats(), max_size=30))
@example(-1.7e308, 1.7e308, 3, [0.0, -1e308])
@example(1e16, 1e16 + 4, 100, [1e16 + 2])
@example(0.0, 5e-324, 3, [0.0, 5e-324])
@pytest.mark.parametrize("op", ["<", "<=", ">", ">="])
def test_a_bin_is_how_many_thresholds_a_value_reaches(
    op: str, first: float, last: float, points: int, values: list[float]
) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        at = thresholds(first, last, points)
    if not np.isfinite(at).all():  # too far apart for a double
        return
    values += at.tolist()
    found = bins(op, at, np.array(values))
    for value, place in zip(values, found.tolist(), strict=True):
        reached = at <= value if op in ("<", ">=") else at < value
        assert place == (-1 if np.isnan(value) else int(reached.sum()))


def test_rows_are_counted_by_verdict_certainty_and_bin() -> None:
    passed, certain = np.array([True, True, True, False]), np.array([True, True, False, True])
    assert counted("<", passed, certain, np.array([2, 2, 0, -1])) == [
        Bin("<", False, False, None, 1),
        Bin("<", True, False, 0, 1),
        Bin("<", True, True, 2, 2),
    ]
    assert counted("<", True, np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.int64)) == []
