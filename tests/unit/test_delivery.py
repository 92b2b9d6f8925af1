"""Shipping in the background: flush, a server that is away, the spool."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dxray import DeliveryError, XRay
from dxray.sdk import channel as channel_module
from dxray.sdk.contents import halves
from dxray.sdk.shipper import BACKOFF_CAP_S, BACKOFF_S, THREADS, backoff
from dxray.testing import capture
from dxray.wire.codec import inflate, pack_batch, pack_record, unpack_batch
from dxray.wire.records import Batch, Events, Loss, Run
from tests.unit.taking import NOWHERE, Server, record


def test_flush_is_true_when_committed(server: Server, tmp_path: Path) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    record(xray, 2000)
    assert xray.flush(5)
    assert sum(len(r.ops) for r in server.records if isinstance(r, Events)) == 2000
    assert [r.status for r in server.records if isinstance(r, Run)][-1] == "completed"
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.seg")) == 0, "what is committed leaves the spool"


def test_flush_is_false_when_nobody_answers_and_the_pipeline_goes_on(tmp_path: Path) -> None:
    xray = XRay("p", api_url=NOWHERE, spool_dir=str(tmp_path))
    start = time.monotonic()
    record(xray)
    assert time.monotonic() - start < 0.5
    assert not xray.flush(0.5)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.seg")) > 0


def test_a_busy_server_gets_it_later_once(server: Server, tmp_path: Path) -> None:
    server.status = 503
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    record(xray)
    assert not xray.flush(0.3)
    server.status = 200
    assert xray.flush(5)
    assert len(server.seqs) == len(set(server.seqs))


def test_a_refused_batch_is_counted(server: Server, tmp_path: Path) -> None:
    server.status = 400
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    record(xray)
    assert not xray.flush(5), "what was refused is not committed"
    assert xray._channel is not None and xray._channel.losses == {"refused": 3}
    server.status = 200
    record(xray)
    assert xray.flush(5), "a flush speaks of what came since the last"


def test_an_open_run_is_seen_before_it_ends(server: Server, tmp_path: Path) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    with xray.run() as run, run.step("f") as step:
        step.accept("a")
        deadline = time.monotonic() + 5
        while not any(isinstance(r, Events) for r in server.records) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [r.status for r in server.records if isinstance(r, Run)] == ["running"]
        assert any(isinstance(r, Events) for r in server.records)


def test_strict_raises_but_never_masks(tmp_path: Path) -> None:
    xray = XRay("p", api_url=NOWHERE, spool_dir=str(tmp_path), offline_mode="strict", strict_timeout=0.2)
    with pytest.raises(DeliveryError, match="not acknowledged"):
        record(xray)
    with pytest.raises(KeyError), xray.run():
        raise KeyError


def test_strict_raises_when_the_server_refuses(server: Server, tmp_path: Path) -> None:
    server.status = 404
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path), offline_mode="strict", strict_timeout=5)
    with pytest.raises(DeliveryError):
        record(xray, 0)


def test_drop_keeps_nothing_on_disk_and_counts(tmp_path: Path) -> None:
    xray = XRay("p", api_url=NOWHERE, spool_dir=str(tmp_path), offline_mode="drop")
    record(xray)
    assert not xray.flush(5)
    assert xray._channel is not None and xray._channel.losses == {"server_away": 3}
    assert list(tmp_path.rglob("*")) == []


def test_a_spool_that_cannot_be_written_degrades_to_memory(server: Server, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    xray = XRay("p", api_url=server.url, spool_dir=str(blocked))
    record(xray)
    assert xray.flush(5)
    assert any(isinstance(r, Events) for r in server.records)
    record(xray)
    assert xray.flush(5)
    last = [r for r in server.records if isinstance(r, Run)][-1]
    assert last.marks == ["not spooled to disk (the spool is not a folder): held in memory until it was sent"]


# --- what the server does not take ------------------------------------------------------------------------


def losses(server: Server) -> dict[tuple[str, str], int]:
    """What the server was told of: by run and cause."""
    found: Counter[tuple[str, str]] = Counter()
    for record_ in server.records:
        if isinstance(record_, Loss):
            found[record_.run_id, record_.cause] += record_.n
    return dict(found)


def test_a_batch_that_is_too_large_arrives_in_parts_and_each_counts_once(server: Server, tmp_path: Path) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    server.status, server.most_records = 503, 2
    with xray.run() as run:
        for number in range(7):
            with run.step(f"s{number}") as step:
                step.accept(number)
    assert not xray.flush(0.3)
    server.status = 200
    assert xray.flush(10)
    events = [event for event in server.records if isinstance(event, Events)]
    assert sorted(event.ids[0] for event in events) == list(range(7))
    first = list(server.seqs)
    assert len(first) == len(set(first)) > 3
    assert losses(server) == {}


def test_dividing_a_batch_again_makes_the_same_parts() -> None:
    batch = pack_batch("me", 7, "p", [pack_record(Loss(run_id=f"r{n}", cause="c", n=1)) for n in range(5)])
    parts = halves(batch)
    assert [(b.producer, b.seq, len(b.records)) for b in map(unpack, parts)] == [("me.7", 1, 2), ("me.7", 2, 3)]
    assert halves(batch) == parts
    assert halves(halves(parts[0])[0]) == (), "one record cannot be divided"


def unpack(data: bytes) -> Batch:
    return unpack_batch(inflate(data, "zstd"))


def test_what_is_refused_is_put_aside_and_the_run_says_so(server: Server, tmp_path: Path) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    server.status = 400
    with xray.run() as run, run.step("f") as step:
        for number in range(5):
            step.accept(number)
    assert not xray.flush(5)
    server.status = 200
    assert xray.flush(5)
    assert losses(server) == {(run.run_id, "refused"): 5}
    (aside,) = tmp_path.rglob("*.bad")
    assert "HTTP-400" in aside.name
    xray.flush(5)
    assert sum(losses(server).values()) == 5, "told once"


def test_a_record_the_server_cannot_store_is_a_loss(server: Server, tmp_path: Path) -> None:
    server.rejects = 0
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    record(xray, 4)
    xray.flush(5)
    server.rejects = None
    xray.flush(5)
    assert sorted(cause for _, cause in losses(server)) == ["rejected_by_server"]
    assert set(losses(server).values()) == {4}, "the events come first in the batch"


def test_an_answer_that_is_not_the_servers_keeps_the_batch(server: Server, tmp_path: Path) -> None:
    server.body = "<html>please log in</html>"
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    record(xray)
    assert not xray.flush(0.5)
    assert xray._channel is not None and not xray._channel.losses
    server.body = None
    assert xray.flush(5)
    assert len([r for r in server.records if isinstance(r, Events)]) >= 1


# --- the spool's bounds -----------------------------------------------------------------------------------


def test_past_its_cap_the_oldest_goes_first_and_is_counted(server: Server, tmp_path: Path) -> None:
    server.status = 503
    xray = XRay("capped", api_url=server.url, spool_dir=str(tmp_path), offline_mode="buffer")
    channel = xray._channel
    assert channel is not None and channel._outbox._spool is not None
    channel._outbox._spool._cap = 40_000
    random.seed(5)
    runs = []
    for _ in range(30):
        with xray.run() as run, run.step("f") as step:
            step.reject("a", "r", {"noise": random.randbytes(3_000).hex()})
        runs.append(run.run_id)
        channel.collect()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.seg")) <= 40_000
    server.status = 200
    xray.flush(10)
    xray.flush(10)
    there = {r.run_id for r in server.records if isinstance(r, Events)}
    lost = {run_id for (run_id, cause), n in losses(server).items() if cause == "spool_full" and n == 1}
    assert there | lost == set(runs) and not there & lost
    assert runs[-1] in there and len(lost) > 10
    assert lost <= set(runs[: len(lost) + THREADS]), "the oldest, but for those that are being sent"


def test_a_full_queue_loses_nothing_while_the_flusher_gets_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path), capture="full")
    monkeypatch.setattr("dxray.sdk.channel.BEHIND_BYTES", 100_000)
    monkeypatch.setattr("dxray.sdk.memory.PENDING_BYTES", 2_000_000)
    monkeypatch.setattr("dxray.sdk.memory.YIELD_S", 0.2)  # also where a busy machine stops it for long
    evidence = {"text": "x" * 200}
    with xray.run() as run, run.step("f") as step:
        for number in range(60_000):  # 13 MB
            step.accept(number, evidence=evidence)
    assert xray.flush(20)
    assert xray._channel is not None and not xray._channel.losses
    assert sum(len(r.ops) for r in server.records if isinstance(r, Events)) == 60_000


def test_a_spool_that_is_a_link_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "elsewhere")
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path / "spool"))
    record(xray)
    assert xray.flush(5)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert any(isinstance(r, Events) for r in server.records)


def test_the_spool_is_its_owners_only(server: Server, tmp_path: Path) -> None:
    server.status = 503
    (tmp_path / "spool").mkdir(mode=0o755)
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path / "spool"))
    record(xray)
    xray.flush(0.3)
    (segment,) = tmp_path.rglob("*.seg")
    modes = [path.stat().st_mode & 0o777 for path in (segment, segment.parent, segment.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_a_handler_that_flushes_in_the_middle_of_a_flush_repeats_no_number(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    packed = channel_module.pack_batch

    def interrupted(*arguments: Any) -> bytes:
        monkeypatch.setattr(channel_module, "pack_batch", packed)
        record(xray)
        xray.flush(0.1)
        return packed(*arguments)

    record(xray)
    monkeypatch.setattr(channel_module, "pack_batch", interrupted)
    assert xray.flush(5) or xray.flush(5)
    assert len(server.seqs) == len(set(server.seqs))
    assert sum(len(r.ops) for r in server.records if isinstance(r, Events)) == 6


def test_the_hosts_random_numbers_are_its_own() -> None:
    before = random.getstate()
    assert len({backoff(5, 60.0) for _ in range(9)}) > 1
    assert random.getstate() == before


def test_no_pause_is_longer_than_the_server_was_away() -> None:
    for away in (0.0, 3.0, 12.0, 3_600.0):
        pauses = [backoff(9, away) for _ in range(400)]
        longest = min(max(away, BACKOFF_S), BACKOFF_CAP_S)
        assert longest * 0.9 < max(pauses) <= longest


def test_what_a_flush_turns_up_itself_finds_room(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path), capture="full")
    channel = xray._channel
    assert channel is not None
    monkeypatch.setattr("dxray.sdk.channel.BATCH_BYTES", 20_000)
    monkeypatch.setattr("dxray.sdk.channel.BEHIND_BYTES", 20_000)
    monkeypatch.setattr("dxray.sdk.memory.PENDING_BYTES", 60_000)
    with channel._collecting, xray.run() as run:  # the flusher gets nothing: all is turned up by one flush
        for number in range(300):
            with run.step(f"s{number}") as step:
                step.reject("a", "r", {"text": "x" * 1_000})
        start = time.monotonic()
        channel.collect()
        assert time.monotonic() - start < 1.0, "it does not wait for itself"
    assert xray.flush(10)
    assert channel.losses == {}
    assert sum(len(r.ops) for r in server.records if isinstance(r, Events)) == 300


def test_what_was_recorded_before_a_capture_goes_where_it_was_bound_for(server: Server, tmp_path: Path) -> None:
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    channel = xray._channel
    assert channel is not None
    with channel._collecting:  # the flusher gets to it only later
        record(xray)
        with capture() as captured:
            channel._collecting.release()
            assert channel.flush(10)
            channel._collecting.acquire()
            record(xray, 1)
            assert len(captured.runs) == 1 and len(captured.events) == 1
    assert xray.flush(10)
    assert sum(len(r.ops) for r in server.records if isinstance(r, Events)) == 3
