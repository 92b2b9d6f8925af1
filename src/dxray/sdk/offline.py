"""Ship what other processes left in the spool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from dxray.sdk.settings import resolve
from dxray.sdk.spool import Frame, Segment, adopt, folder_of
from dxray.sdk.transport import Fate, Transport
from dxray.wire.codec import CodecError, inflate, unpack_batch

Progress = Callable[[int, int], None]


class _Owner(msgspec.Struct):
    run_id: str


_owner_of = msgspec.msgpack.Decoder(_Owner).decode


def sync_spool(
    root: Path | None = None,
    api_url: str | None = None,
    on_progress: Progress | None = None,
    *,
    project: str | None = None,
    api_key: str | None = None,
) -> dict[str, int]:
    """Post every batch that a dead process left for this server and project.

    Returns `{"synced": n, "failed": m}`, in runs: a run with any batch that did not arrive has
    failed. `on_progress(done, total)` counts segments. Raises OSError only where `root` cannot be read.
    """
    settings = resolve(api_url=api_url, project=project, api_key=api_key)
    folder = folder_of(root or settings.spool_root, settings.api_url, settings.project)
    segments = list(adopt(folder))
    transport = Transport(settings.api_url, settings.api_key)
    synced: set[str] = set()
    failed: set[str] = set()
    try:
        for number, segment in enumerate(segments):
            _ship_segment(segment, transport, synced, failed)
            if on_progress is not None:
                on_progress(number + 1, len(segments))
    finally:
        for segment in segments:
            segment.release()
        transport.close()
    return {"synced": len(synced - failed), "failed": len(failed)}


def _ship_segment(segment: Segment, transport: Transport, synced: set[str], failed: set[str]) -> None:
    """Post a segment's batches; the file goes when all are committed. A repeat counts once."""
    complete = True
    for _seq, data in segment.frames():
        runs = _owners(data)
        if transport.post(data).fate is Fate.COMMITTED:
            synced.update(runs)
        else:
            failed.update(runs)
            complete = False
    if complete:
        segment.remove()


def runs_of(frame: Frame) -> set[str]:
    """The runs that a batch says something of."""
    try:
        return _owners(frame.read())
    except OSError:
        return set()


def _owners(data: bytes) -> set[str]:
    try:
        return {_owner_of(record).run_id for record in unpack_batch(inflate(data, "zstd")).records}
    except (CodecError, msgspec.DecodeError):
        return set()
