"""Whether the counts of a step's rules show that one of them may be enough."""

from __future__ import annotations

import pytest

from dxray.server.reasoning.swept import one_may_be_enough


@pytest.mark.parametrize(
    ("rules", "rejected", "either"),
    [
        ([(10, 4)], 4, False),
        ([(10, 4), (10, 2)], 5, False),  # together
        ([(10, 4), (6, 2)], 6, False),  # the second of what passed the first
        ([(10, 4), (4, 2)], 2, True),  # the second of what failed the first
        ([(10, 0), (0, 0)], 0, True),  # all passed the first, and the second was never asked
        ([(10, 10), (0, 0)], 10, False),  # nothing passed the first
        ([(10, 4), (3, 1)], 1, True),
        ([(8, 4), (10, 1)], 5, False),  # the first is not asked of everything
        ([(10, 5), (5, 2)], 7, None),  # as many passed as failed, and both rules reject, or what has no rule
        ([(10, 5), (5, 2)], 2, True),  # as many passed as failed, and only what failed both is rejected
        ([(10, 4), (6, 3), (3, 0)], 7, None),
        ([(10, 4), (6, 3), (3, 0)], 4, True),
    ],
)
def test_what_the_counts_of_rules_show(rules: list[tuple[int, int]], rejected: int, either: bool | None) -> None:
    assert one_may_be_enough(rules, rejected) is either
