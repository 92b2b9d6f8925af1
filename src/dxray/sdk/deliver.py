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
        ...


@dataclass(slots=True)
class Delivery:
    """A batch on its way: what is left to send, and what the server said of the rest."""

    left: list[bytes]
    fate: Fate = Fate.COMMITTED  # but for what is named here; or RETRY
    detail: str = ""
    retry_after: float | None = None
    rejected: list[Held] = field(default_factory=list)  # records that the server cannot store
    refused: list[tuple[bytes, str]] = field(default_factory=list)  # parts that it will never take, and what it said

    def go_on(self, transport: Posts) -> Fate:
        """Post what is left, until the server does not take it now. A part that is refused costs only itself."""
        while self.left:
            part = self.left[0]
            # failpoint: ship.before_post
            answer = transport.post(part)
            # failpoint: ship.posted
            self.fate, self.detail, self.retry_after = answer.fate, answer.detail, answer.retry_after
            if answer.fate is Fate.RETRY:
                return self.fate
            parts = halves(part) if answer.fate is Fate.TOO_LARGE else ()
            if answer.fate is Fate.COMMITTED:
                self.rejected += _named(part, answer.rejected)
            elif not parts:
                self.refused.append((part, answer.detail))
            # failpoint: ship.split
            self.left[:1] = parts
        self.fate = Fate.COMMITTED
        return self.fate


def _named(data: bytes, rejected: tuple[int, ...]) -> list[Held]:
    if not rejected:
        return []
    held = contents(data) or []
    return [held[index] for index in rejected if 0 <= index < len(held)]
