"""Rule health against rules whose health is known, the short form."""

from __future__ import annotations

from tests.oracles.rules import figures


def test_what_is_said_of_rules_is_so() -> None:
    for figure in figures(full=False):
        assert figure.ok, figure
