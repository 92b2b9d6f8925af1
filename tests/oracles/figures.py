"""What an oracle reports: a figure to reach, the figure reached, and whether that is enough."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table."""

    section: str  # of the questions: "1 why", "2 diff", "3 blame", "8 sampling"
    test: str
    wanted: str
    reached: str
    ok: bool
