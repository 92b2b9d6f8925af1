"""Blame against planted faults, the short form."""

from __future__ import annotations

from tests.oracles.blame import figures


def test_planted_faults_are_found_and_what_is_not_recorded_is_not_guessed() -> None:
    for figure in figures(full=False):
        assert figure.ok, figure
