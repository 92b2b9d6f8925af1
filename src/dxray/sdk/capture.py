"""Which events keep their evidence. Verdicts are always kept; this is about the facts behind them.

`full` keeps all, `none` keeps none, `sample` keeps an item's evidence when a hash of its id falls
below p, and `auto` is full for a step's first 10,000 events and sample after that. The hash makes
the choice the same for an item at every step, in every run and process, so journeys stay whole
(coordinated sampling: Cohen & Kaplan). The first events of each reason are kept besides, and
marked, so that no reason is without an example; they never enter an estimate.
"""

from __future__ import annotations

from typing import Literal, get_args
from zlib import crc32

from dxray.sdk.values import as_optional_text, as_text

Capture = Literal["auto", "full", "sample", "none"]
CAPTURES: tuple[str, ...] = get_args(Capture)

FULL_EVENTS = 10_000
SAMPLE_P = 0.01
EXTRAS_PER_REASON = 32

_MASK = 0xFFFFFFFF


def item_hash(item_id: object) -> int:
    """32 well-mixed bits of an item's id as text: crc32, then murmur3's finalizer (crc alone is linear)."""
    h = crc32(as_text(item_id).encode("utf-8", "surrogatepass"))
    h = ((h ^ h >> 16) * 0x85EBCA6B) & _MASK
    h = ((h ^ h >> 13) * 0xC2B2AE35) & _MASK
    return h ^ h >> 16


class Sampler:
    """The choice for one step. Not locked: two threads may keep one example more than the bound."""

    __slots__ = ("_below", "_extras", "_seen", "p")

    def __init__(self, p: float = SAMPLE_P, extras: int = EXTRAS_PER_REASON) -> None:
        self.p = p
        self._extras = extras
        self._below = int(p * (_MASK + 1))
        self._seen: dict[object, int] = {}

    def cause(self, item_id: object, reason: object) -> str | None:
        """Why this event's evidence is kept: `chance`, `first_of_reason`, or None when it is not."""
        if item_hash(item_id) < self._below:
            return "chance"
        reason = as_optional_text(reason)
        seen = self._seen.get(reason, 0)
        if seen < self._extras:
            self._seen[reason] = seen + 1
            return "first_of_reason"
        return None
