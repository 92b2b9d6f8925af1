"""What-if against pipelines that are executed again, the short form."""

from __future__ import annotations

from tests.oracles.whatif import figures


def test_what_is_said_of_other_limits_is_what_happens() -> None:
    for figure in figures(full=False):
        assert figure.ok, figure
