"""What waits, as one batch: gathered without taking anything away, so that who interrupts it loses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dxray.sdk.guard import guard
from dxray.sdk.losses import Slip
from dxray.sdk.memory import Pending, encoded
from dxray.sdk.spool import Frame
from dxray.wire.records import Loss

Part = tuple[bytes, Pending]


@dataclass(slots=True)
class Load:
    """The first `n` of what waits, encoded: the `parts` of one batch, and the `rest` where they are more than that."""

    n: int = 0
    parts: Sequence[Part] = ()
    rest: list[Pending] = field(default_factory=list)
    lost: list[Loss] = field(default_factory=list)  # in making the parts

    def held(self, told: Sequence[Loss]) -> tuple[tuple[str, str | None, int], ...]:
        """Run, step and number of events of what a batch holds that tells of these losses too."""
        found: Counter[tuple[str, str | None]] = Counter()
        for _, one in self.parts:
            found[one.run_id, one.step_id] += one.events
        for loss in told:
            found[loss.run_id, loss.step_id] += 0
        return tuple((*key, n) for key, n in found.items())


@dataclass(slots=True, eq=False)
class Parcel:
    """A batch that is packed, and what is to be done once it has a place."""

    frame: Frame
    data: bytes
    n: int  # of what waits, so many are in it
    rest: list[Pending]  # and of these, so much is not
    slip: Slip
    kept: bool | None = None  # nobody has asked yet


def gather(waiting: Sequence[Pending], size: int, is_over: Callable[[], bool]) -> Load:
    """What waits longest, encoded, up to about `size` bytes, and at least one; more of it only until it `is_over`."""
    load, parts, total = Load(), list[Part](), 0
    lost: Counter[tuple[str, str | None, str]] = Counter()
    for one in waiting:
        if total >= size or (load.n and is_over()):
            break
        load.n += 1
        try:
            found = encoded(one)
        except Exception as error:
            guard.caught(error)
            lost[one.run_id, one.step_id, "not_encoded"] += one.events
            continue
        total += sum(len(record) for record, _ in found)
        parts += found
    load.parts = _up_to(size, parts)
    load.rest = [of._replace(record=record, size=len(record)) for record, of in parts[len(load.parts) :]]
    for _, one in load.parts:
        lost[one.run_id, one.step_id, "truncated"] += one.cut
    load.lost = [
        Loss(run_id=run_id, step_id=step_id, cause=cause, n=n) for (run_id, step_id, cause), n in lost.items() if n
    ]
    return load


def _up_to(size: int, parts: list[Part]) -> list[Part]:
    taken = 0
    for number, (record, _) in enumerate(parts):
        taken += len(record)
        if number and taken > size:
            return parts[:number]
    return parts
