"""Shipping in the background: flush, a server that is away, the spool, exit."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dxray import DeliveryError, XRay
from dxray.sdk.offline import sync_spool
from dxray.wire.codec import inflate, unpack_batch, unpack_record
from dxray.wire.records import AnyRecord, Events, Run

NOWHERE = "http://127.0.0.1:9"


class Server:
    """Takes batches and keeps them; answers `status` instead while that is set."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.status = 200
        self.records: list[AnyRecord] = []
        self.seqs: list[tuple[str, int]] = []
        server.expect_request("/ingest", method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        if self.status != 200:
            return Response(status=self.status)
        batch = unpack_batch(inflate(request.get_data(), request.headers["Content-Encoding"]))
        self.seqs.append((batch.producer, batch.seq))
        self.records += [unpack_record(raw) for raw in batch.records]
        return Response('{"accepted": 1, "rejected": []}')


@pytest.fixture
def server(httpserver: HTTPServer) -> Server:
    return Server(httpserver)


def record(xray: XRay, n: int = 3) -> None:
    with xray.run() as run, run.step("f") as step:
        for number in range(n):
            step.accept(number)


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
    assert last.marks == ["not spooled to disk (Not a directory): held in memory until it was sent"]


CHILD = """
    import os, sys
    from dxray import XRay
    xray = XRay("p", api_url=sys.argv[1], spool_dir=sys.argv[2])
    for number in range(2):
        with xray.run() as run, run.step("f") as step:
            step.accept("a")
    {end}
"""


def child(end: str, url: str, spool: Path) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(CHILD).format(end=end)
    return subprocess.run(
        [sys.executable, "-c", script, url, str(spool)], capture_output=True, text=True, timeout=30, check=False
    )


def test_what_a_dead_process_left_is_sent_by_the_next(server: Server, tmp_path: Path) -> None:
    server.status = 503
    dead = child("xray.flush(0.3); os._exit(9)", server.url, tmp_path)
    assert dead.returncode == 9
    assert server.records == []
    server.status = 200
    assert XRay("p", api_url=server.url, spool_dir=str(tmp_path)).sync_offline() == {"synced": 2, "failed": 0}
    assert sum(isinstance(r, Events) for r in server.records) == 2
    assert sync_spool(tmp_path, server.url) == {"synced": 0, "failed": 0}


def test_the_next_process_sends_what_a_dead_one_left(server: Server, tmp_path: Path) -> None:
    server.status = 503
    child("xray.flush(0.3); os._exit(9)", server.url, tmp_path)
    server.status = 200
    record(XRay("p", api_url=server.url, spool_dir=str(tmp_path)))
    deadline = time.monotonic() + 10
    while sum(isinstance(r, Events) for r in server.records) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sum(isinstance(r, Events) for r in server.records) == 3


def test_sync_counts_what_waits_in_this_process(server: Server, tmp_path: Path) -> None:
    server.status = 503
    xray = XRay("p", api_url=server.url, spool_dir=str(tmp_path))
    record(xray)
    start = time.monotonic()
    assert xray.sync_offline() == {"synced": 0, "failed": 1}
    assert time.monotonic() - start < 3, "it does not wait for a server that says no"
    server.status = 200
    assert xray.sync_offline() == {"synced": 1, "failed": 0}


def test_a_fork_inside_a_run_adds_steps_of_its_own(server: Server, tmp_path: Path) -> None:
    script = """
        import os, sys
        from dxray import XRay
        xray = XRay("p", api_url=sys.argv[1], spool_dir=sys.argv[2])
        with xray.run() as run:
            with run.step("a") as step:
                step.accept("before")
                if (pid := os.fork()) == 0:
                    step.accept("child")
            if pid == 0:
                with run.step("b") as step:
                    step.accept("child")
                xray.flush(5)
                os._exit(0)
            os.waitpid(pid, 0)
            with run.step("b") as step:
                step.accept("parent")
        xray.flush(5)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), server.url, str(tmp_path)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    events = [(r.step_id, r.first + n, i) for r in server.records if isinstance(r, Events) for n, i in enumerate(r.ids)]
    assert len(events) == len({event[:2] for event in events}) == 4, "no event twice, none under another's identity"
    assert sorted(event[2] for event in events) == ["before", "child", "child", "parent"]
    assert len({r.version for r in server.records if isinstance(r, Run) and r.status == "completed"}) == 1


def test_a_torn_frame_is_not_sent(server: Server, tmp_path: Path) -> None:
    child("xray.flush(0.3); os._exit(9)", NOWHERE, tmp_path)
    (segment,) = tmp_path.rglob("*.seg")
    segment.write_bytes(segment.read_bytes()[:-3])
    assert sync_spool(tmp_path, NOWHERE) == {"synced": 0, "failed": 0}


def test_sync_says_what_failed(tmp_path: Path) -> None:
    child("xray.flush(0.3); os._exit(9)", NOWHERE, tmp_path)
    assert sync_spool(tmp_path, NOWHERE) == {"synced": 0, "failed": 2}
    assert list(tmp_path.rglob("*.seg")), "what did not arrive stays"


def test_exit_ships_what_waits_and_is_quick_when_nobody_answers(server: Server, tmp_path: Path) -> None:
    done = child("pass", server.url, tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert sum(isinstance(r, Events) for r in server.records) == 2
    start = time.monotonic()
    away = child("pass", NOWHERE, tmp_path / "away")
    assert away.returncode == 0 and "Traceback" not in away.stderr
    assert time.monotonic() - start < 5
    assert list((tmp_path / "away").rglob("*.seg")), "it waits in the spool"
