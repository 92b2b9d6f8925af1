"""Which batches are committed, and which are on their way: a batch counts once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dxray.server.errors import TooLarge
from dxray.server.ingest.submissions import Submission
from dxray.server.store.base import Mark
from dxray.wire.sequences import Sequences

_DEEPEST = 40  # so often nothing can be divided: a batch has fewer than 2^40 records

Key = tuple[str, str, int]  # project, producer, sequence number


class Known:
    """Of all producers. Whoever calls holds the lock of the ingest."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        marks = list(marks)
        self._committed = Sequences((mark.project, mark.producer, mark.ranges) for mark in marks)
        self._divided: set[tuple[str, str]] = set()  # project and name: batches of which a part has come
        for mark in marks:
            self._notice_part(mark.project, mark.producer)
        self._under_way: dict[Key, list[Submission]] = {}

    def begins(self, key: Key) -> bool:
        """Whether the batch is new; then it is on its way from now on.

        Raises `TooLarge` where a part of it is known: it was divided before, and would count twice.
        """
        if self._has(key):
            return False
        project, producer, seq = key
        if (project, f"{producer}.{seq}") in self._divided:
            raise TooLarge("a part of this batch is here already", fix="send it in parts, as before")
        self._notice_part(project, producer)
        self._under_way[key] = []
        return True

    def follows(self, key: Key, submission: Submission) -> bool:
        """Whether the same batch is on its way; then its answer is this one's answer too."""
        followers = self._under_way.get(key)
        if followers is not None:
            followers.append(submission)
        return followers is not None

    def is_committed(self, key: Key) -> bool:
        return self._committed.has(*key)

    def mark(self, producer: tuple[str, str], seqs: Sequence[int], now: int) -> Mark:
        """What is to be committed with these batches of a producer."""
        return Mark(*producer, self._committed.with_(producer, seqs), now)

    def committed(self, producer: tuple[str, str], seqs: Sequence[int]) -> None:
        """They are, with the mark."""
        self._committed.add(producer, seqs)

    def ends(self, key: Key) -> list[Submission]:
        """It is on its way no longer. Returns those that wait for the same answer."""
        return self._under_way.pop(key, [])

    def _has(self, key: Key) -> bool:
        return key in self._under_way or self._committed.has(*key)

    def _notice_part(self, project: str, producer: str) -> None:
        """A part is named after its whole: producer, point, number. What that names was divided, however often."""
        for _ in range(_DEEPEST):
            whole, point, number = producer.rpartition(".")
            if not point or not number.isdigit() or (project, producer) in self._divided:
                return
            self._divided.add((project, producer))
            producer = whole
