"""The short form of what `python -m tests.oracles diff` checks."""

from __future__ import annotations

import pytest

from tests.oracles import diff


def test_planted_mutations_are_found_and_nothing_else_is() -> None:
    missed = [one for one in diff.figures(full=False) if not one.ok]
    if missed:
        pytest.fail("\n".join(f"{one.test}: {one.reached}" for one in missed))
