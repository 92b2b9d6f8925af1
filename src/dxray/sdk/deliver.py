"""A batch to the server, in one piece or, where that is too large for it, in several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from dxray.sdk.contents import Held, contents, halves
from dxray.sdk.transport import Answer, Fate


class Posts(Protocol):
    """A transport."""

    def post(self, data: bytes) -> Answer:
        """Send a packed batch."""


@dataclass(slots=True)
class Delivery:
    """What became of a batch: `fate` is COMMITTED, where all of it is but what is named here, or RETRY."""

    fate: Fate = Fate.COMMITTED
    detail: str = ""
    retry_after: float | None = None
    rejected: list[Held] = field(default_factory=list)  # records that the server cannot store
    refused: list[tuple[bytes, str]] = field(default_factory=list)  # parts that it will never take, and what it said


def deliver(transport: Posts, data: bytes) -> Delivery:
    """Post a batch. A part that is refused costs only itself."""
    # failpoint: ship.before_post
    answer = transport.post(data)
    # failpoint: ship.posted
    if answer.fate is Fate.RETRY:
        return Delivery(Fate.RETRY, answer.detail, answer.retry_after)
    if answer.fate is Fate.COMMITTED:
        return Delivery(rejected=_named(data, answer.rejected))
    parts = halves(data) if answer.fate is Fate.TOO_LARGE else ()
    if not parts:
        return Delivery(refused=[(data, answer.detail)])
    # failpoint: ship.split
    whole = Delivery()
    for part in parts:
        one = deliver(transport, part)
        if one.fate is Fate.RETRY:  # the parts that are committed count once, also when they are sent again
            return one
        whole.rejected += one.rejected
        whole.refused += one.refused
    return whole


def _named(data: bytes, rejected: tuple[int, ...]) -> list[Held]:
    if not rejected:
        return []
    held = contents(data) or []
    return [held[index] for index in rejected if 0 <= index < len(held)]
