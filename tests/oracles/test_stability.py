"""Stability against published figures and planted noise, the short form."""

from __future__ import annotations

import pytest

from tests.oracles import stability


def test_what_is_said_of_repeated_runs_is_so() -> None:
    for figure in stability.figures(full=False):
        assert figure.ok, figure


def test_published_agreement_rates() -> None:
    if stability.folder() is None:
        pytest.skip("the recorded answers (llm_runs) are not here")
    assert stability.agreed("college_mathematics") == stability.TASKS["college_mathematics"]
