"""The oracle of sampling in short; `python -m tests.oracles sampling` is the long form."""

from __future__ import annotations

import pytest

from tests.oracles import sampling
from tests.oracles.figures import Figure


@pytest.fixture(scope="module")
def found() -> list[Figure]:
    return sampling.figures(full=False)


def test_every_figure_is_reached(found: list[Figure]) -> None:
    assert [one for one in found if not one.ok] == []


def test_a_reason_without_its_examples_is_seen() -> None:
    step = sampling.record(sampling.ids_of(3_000), 1)["calls"]
    assert sampling.missing_reasons(step) == []
    step.extras.pop("reason0")
    assert len(sampling.missing_reasons(step)) == 1
