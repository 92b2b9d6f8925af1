"""What a test of the table comes back with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(slots=True)
class Result:
    """One line of the table."""

    row: str
    test: str
    wanted: str
    reached: str
    ok: bool | None  # None: not run here, and `reached` says why
    seconds: float = 0.0
    details: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return {True: "ok", False: "MISSED", None: "not run"}[self.ok]


@contextmanager
def timed(results: list[Result]) -> Iterator[None]:
    """The time of a block goes to the results that it adds."""
    before, start = len(results), time.monotonic()
    yield
    for result in results[before:]:
        result.seconds = time.monotonic() - start
