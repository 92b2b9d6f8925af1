"""Ship what dead processes left in the spool, at once and to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from dxray.sdk import outbox, transport
from dxray.sdk.contents import contents, runs_in
from dxray.sdk.deliver import Delivery
from dxray.sdk.losses import Losses
from dxray.sdk.segment import Segment
from dxray.sdk.settings import resolve
from dxray.sdk.spool import Frame, Spool, SpoolFull
from dxray.sdk.transport import Fate, Transport
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.ids import uuid7_hex

THREADS = 8  # the server commits together what comes together

Progress = Callable[[int, int], None]


def sync_spool(
    root: Path | None = None,
    api_url: str | None = None,
    on_progress: Progress | None = None,
    *,
    project: str | None = None,
    api_key: str | None = None,
) -> dict[str, Any]:
    """Post every batch that a dead process left for this server and project.

    Returns `{"synced": n, "failed": m}`, in runs: a run with any batch that did not arrive has failed. Where batches
    were damaged or refused, `quarantined` says how many by reason. `on_progress(done, total)` counts segments.
    """
    settings = resolve(api_url=api_url, project=project, api_key=api_key)
    # Looked up here, not when this is imported: inside a capture both are others.
    folder = outbox.folder_of(root or settings.spool_root, settings.api_url, settings.project)  # type: ignore[attr-defined]
    way = transport.Transport(settings.api_url, settings.api_key)
    sync = _Sync(Spool(folder, uuid7_hex(), cap=settings.spool_bytes), way)
    try:
        sync.all(on_progress or (lambda done, total: None))
        sync.tell_losses(settings.project)
    finally:
        sync.spool.close()
        sync.transport.close()
    found: dict[str, Any] = {"synced": len(sync.synced - sync.failed), "failed": len(sync.failed)}
    return {**found, "quarantined": dict(sync.quarantined)} if sync.quarantined else found


class _Sync:
    """One pass over the spool. Once the server is away, what is left is only looked at."""

    def __init__(self, spool: Spool, transport: Transport) -> None:
        self.spool = spool
        self.transport = transport
        self.synced: set[str] = set()
        self.failed: set[str] = set()
        self.quarantined: Counter[str] = Counter()
        self._losses = Losses()
        self._is_away = False

    def all(self, on_progress: Progress) -> None:
        self.spool.look()
        total = self.spool.left
        while (segment := self.spool.adopt()) is not None:
            self._segment(segment)
            on_progress(total - self.spool.left, total)

    def tell_losses(self, project: str) -> None:
        """What the server will never get, it should know of: now, or where it is away at the next sync."""
        losses = self._losses.untold()
        if not losses:
            return
        data = pack_batch(uuid7_hex(), 1, project, [pack_record(loss) for loss in losses])
        if self.transport.post(data).fate is Fate.RETRY:
            with suppress(OSError, SpoolFull):  # it was said here, in what is returned
                self.spool.append(Frame(1, len(data)), data)

    def _segment(self, segment: Segment) -> None:
        frames, damaged = self.spool.frames_of(segment)
        pool = ThreadPoolExecutor(THREADS, "dxray-sync")
        try:
            left = sum(not self._settled(*shipped) for shipped in pool.map(self._ship, frames))
        finally:
            pool.shutdown(cancel_futures=True)
        if left:
            segment.waiting = left  # it stays, with all that is in it: a repeat counts once
            return
        for data in damaged:
            self._put_aside(data, "damaged")
            self._losses.add("damaged", 1)
        self.spool.drop(segment)

    def _ship(self, frame: Frame) -> tuple[set[str], Delivery | None]:
        """In a thread of the pool: a batch's runs, and what became of it; None once the server is away."""
        data = frame.read()
        delivery = None
        if not self._is_away:
            delivery = Delivery([data])
            if delivery.go_on(self.transport) is Fate.RETRY:
                self._is_away = True
                delivery = None
        return runs_in(data), delivery

    def _settled(self, runs: set[str], delivery: Delivery | None) -> bool:
        """Whether a batch is done with: committed, or refused and put aside."""
        if delivery is None:
            self.failed |= runs
            return False
        for part, said in delivery.refused:
            self.failed |= runs_in(part)
            self._put_aside(part, f"refused with {said}")
            for held in contents(part) or ():
                self._losses.add("refused", len(held.ops), held.run_id, held.step_id)
        for held in delivery.rejected:
            self._losses.add("rejected_by_server", len(held.ops) or 1, held.run_id, held.step_id)
        self.synced |= runs
        return True

    def _put_aside(self, data: bytes, why: str) -> None:
        self.quarantined[why] += 1
        self.spool.quarantine(data, why, uuid7_hex())
