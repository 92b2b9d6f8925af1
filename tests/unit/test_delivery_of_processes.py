"""What processes leave to one another: a death, a fork, an exit, and a sync of what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dxray import XRay
from dxray.sdk.offline import sync_spool
from dxray.sdk.transport import Transport
from dxray.wire.records import Events, Run
from tests.unit.taking import NOWHERE, Server, record

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
    assert sync_spool(tmp_path, NOWHERE) == {"synced": 0, "failed": 0, "quarantined": {"damaged": 1}}
    (aside,) = tmp_path.rglob("*.bad")
    assert aside.parent.name == "quarantine"


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


def test_a_child_that_lives_on_does_not_hold_its_parents_segment(server: Server, tmp_path: Path) -> None:
    server.status = 503
    script = """
        import os, signal, sys, time
        from dxray import XRay
        xray = XRay("p", api_url=sys.argv[1], spool_dir=sys.argv[2])
        with xray.run() as run, run.step("f") as step:
            step.accept("a")
        xray.flush(0.3)
        if (pid := os.fork()) == 0:
            sys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2)
            time.sleep(20)
            os._exit(0)
        print(pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), server.url, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, timeout=30, check=False,
    )  # fmt: skip
    server.status = 200
    try:
        assert sync_spool(tmp_path, server.url) == {"synced": 1, "failed": 0}
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


def test_sync_stops_asking_a_server_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        child("xray.flush(0.3); os._exit(9)", NOWHERE, tmp_path)
    posts = []
    post = Transport.post
    monkeypatch.setattr(Transport, "post", lambda self, data: posts.append(1) or post(self, data))
    assert sync_spool(tmp_path, NOWHERE) == {"synced": 0, "failed": 6}
    assert len(posts) == 1


def test_an_address_needs_no_scheme_and_localhost_is_this_machine(server: Server, tmp_path: Path) -> None:
    bare = server.url.partition("//")[2].replace("127.0.0.1", "localhost")
    xray = XRay("p", api_url=bare, spool_dir=str(tmp_path))
    assert xray.api_url == f"http://{bare}"
    server.status = 503
    child("xray.flush(0.3); os._exit(9)", bare, tmp_path)
    server.status = 200
    assert sync_spool(tmp_path, f"http://{bare.replace('localhost', '127.0.0.1')}") == {"synced": 2, "failed": 0}
