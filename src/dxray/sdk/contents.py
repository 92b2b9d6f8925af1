"""What a packed batch holds, read without building its records; and a batch in two halves."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dxray.wire.codec import CodecError, inflate, pack_batch, unpack_batch
from dxray.wire.records import Batch, Loss

OWN_LIMIT = 256 * 1024 * 1024  # bytes of a batch that was packed here, or by a process like this one


class Held(msgspec.Struct):
    """What matters of a record when it is lost: whose it is, and how many events it holds."""

    run_id: str = ""
    step_id: str | None = None
    ops: bytes = b""
    cause: str | None = None  # of a `Loss`
    n: int = 0

    @property
    def loss(self) -> Loss | None:
        """The record, where it is a `Loss`."""
        if self.cause is None:
            return None
        return Loss(run_id=self.run_id, step_id=self.step_id, cause=self.cause, n=self.n)


_decode = msgspec.msgpack.Decoder(Held).decode
_UNREADABLE = (CodecError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def contents(data: bytes) -> list[Held] | None:
    """The records of a packed batch, in order; None of one that cannot be read."""
    try:
        return [_decode(raw) for raw in unpack_batch(inflate(data, "zstd", OWN_LIMIT)).records]
    except _UNREADABLE:
        return None


def runs_in(data: bytes) -> set[str]:
    """The runs that a packed batch says something of."""
    return {held.run_id for held in contents(data) or () if held.run_id}


def halves(data: bytes) -> Sequence[bytes]:
    """A packed batch as two; none where it cannot be divided.

    The halves are numbered after the whole, so that dividing it once more, in another process, makes the same two.
    """
    try:
        batch = unpack_batch(inflate(data, "zstd", OWN_LIMIT))
    except _UNREADABLE:
        return ()
    if len(batch.records) < 2:
        return ()
    middle = len(batch.records) // 2
    return [_part(batch, 1, 0, middle), _part(batch, 2, middle, len(batch.records))]


def _part(batch: Batch, number: int, start: int, stop: int) -> bytes:
    records = [bytes(raw) for raw in batch.records[start:stop]]
    return pack_batch(f"{batch.producer}.{batch.seq}", number, batch.project, records)
