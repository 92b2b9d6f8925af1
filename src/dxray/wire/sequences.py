"""Which sequence numbers were seen, as closed ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
Producer = tuple[str, str]  # project, producer


class Sequences:
    """The sequence numbers seen of each producer. Most producers have one range; a gap is a batch on its way."""

    def __init__(self, known: Iterable[tuple[str, str, Ranges]] = ()) -> None:
        self._ranges: dict[Producer, Ranges] = {(project, producer): ranges for project, producer, ranges in known}

    def has(self, project: str, producer: str, seq: int) -> bool:
        ranges = self._ranges.get((project, producer), ())
        at = bisect_right(ranges, (seq, 2**63)) - 1
        return at >= 0 and ranges[at][1] >= seq

    def with_(self, producer: Producer, seqs: Iterable[int]) -> Ranges:
        """The ranges as they would be with `seqs` too."""
        return merge(self._ranges.get(producer, ()), seqs)

    def add(self, producer: Producer, seqs: Iterable[int]) -> None:
        self._ranges[producer] = self.with_(producer, seqs)


def merge(ranges: Ranges, seqs: Iterable[int]) -> Ranges:
    """Sorted closed ranges that hold both, joined where they touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted([*ranges, *((seq, seq) for seq in seqs)]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)
