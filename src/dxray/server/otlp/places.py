"""Where the steps of a trace stand: their order, and what each comes after. Pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MOST_BEFORE = 64  # steps that one comes after
_NEVER = 2**63


@dataclass(slots=True)
class Place:
    """A step by its times, in microseconds, and its place so far: `position` is None for one that has none yet."""

    step_id: str
    parent: str | None
    started: int | None
    ended: int | None
    position: int | None = None
    after: list[str] = field(default_factory=list)


def arranged(steps: Sequence[Place], whole: bool) -> list[Place]:
    """The steps whose place differs from the one they have, with the new one.

    `whole`: the root has come; all are numbered in the order of their starts. Before that those that have a number
    keep it, and what comes is numbered after them, so that no number is left out.
    """
    in_order = sorted(steps, key=lambda one: (one.started or 0, -(one.ended or _NEVER), one.step_id))
    if not whole:
        in_order = sorted(in_order, key=lambda one: _NEVER if one.position is None else one.position)
    after = _after(steps)
    out: list[Place] = []
    for position, one in enumerate(in_order):
        found = after.get(one.step_id, []) if whole or one.position is None else one.after
        if one.position != position or found != one.after:
            one.position, one.after = position, found
            out.append(one)
    return out


def _after(steps: Iterable[Place]) -> dict[str, list[str]]:
    """By step the siblings it comes after: those that had ended when it began, but for those that another of these
    came after."""
    lines: dict[str | None, list[Place]] = {}
    for one in steps:
        lines.setdefault(one.parent, []).append(one)
    out: dict[str, list[str]] = {}
    for line in lines.values():
        _along(sorted(line, key=lambda one: (one.started or 0, one.ended or _NEVER, one.step_id)), out)
    return out


def _along(line: Sequence[Place], out: dict[str, list[str]]) -> None:
    open_: list[tuple[int, int]] = []  # when each ends, and its number
    last: list[tuple[int, int, str]] = []  # those that ended: end, start, id
    since = -1  # the latest start among those that ended
    for number, one in enumerate(line):
        began = one.started or 0
        while open_ and open_[0][0] <= began:
            ended, before = heapq.heappop(open_)
            since = max(since, line[before].started or 0)
            last.append((ended, line[before].started or 0, line[before].step_id))
        last = [(end, start, step_id) for end, start, step_id in last if end > since or start == since][-MOST_BEFORE:]
        if last:
            out[one.step_id] = [step_id for _, _, step_id in last]
        if one.ended is not None:
            heapq.heappush(open_, (one.ended, number))
