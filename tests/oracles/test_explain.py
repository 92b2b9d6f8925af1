"""The short form of what `python -m tests.oracles explain` checks."""

from __future__ import annotations

from tests.oracles.explain import figures


def test_causes_are_found_and_chance_is_not_taken_for_one() -> None:
    missed = [one for one in figures(full=False) if not one.ok]
    assert not missed, missed
