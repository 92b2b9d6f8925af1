"""Whether the counts of a step's rules show that one of them may be enough."""

from __future__ import annotations

import pytest

from dxray.server.reasoning.swept import one_may_be_enough


@pytest.mark.parametrize(
    ("rules", "either"),
    [
        ([(10, 4)], False),
        ([(10, 4), (10, 2)], False),  # together
        ([(10, 4), (6, 2)], False),  # the second of what passed the first
        ([(10, 4), (4, 2)], True),  # the second of what failed the first
        ([(10, 0), (0, 0)], True),  # all passed the first, and the second was never asked
        ([(10, 10), (0, 0)], False),  # nothing passed the first
        ([(10, 4), (3, 1)], True),
        ([(8, 4), (10, 1)], False),  # the first is not asked of everything
        ([(10, 4), (6, 3), (3, 0)], True),  # of what passed or of what failed: the counts do not say
    ],
)
def test_what_the_counts_of_rules_show(rules: list[tuple[int, int]], either: bool) -> None:
    assert one_may_be_enough(rules) is either
