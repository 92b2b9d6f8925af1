"""A run that waits for a person, and goes on in another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dxray
from dxray import XRay

APPROVE = """
import sys
from dxray import XRay
xray = XRay("shop", api_url=sys.argv[1])
with xray.resume(sys.argv[2]) as run:
    with run.step("approve", "approve") as step:
        step.accept("a", by="person")
    run.set_output({"selected": "a"})
assert xray.flush(10)
"""


def test_what_the_first_process_said_stays(tmp_path: Path) -> None:
    with dxray.local(data=tmp_path / "data") as client:
        xray = XRay("shop", api_url=client.api_url)
        with xray.run(input={"product": "case"}, metadata={"version": 2}) as run:
            with run.step("filter", "filter") as step:
                step.accept("a")
                step.reject("b", "too_dear")
            run.wait()
        assert xray.flush(10)
        waiting = client.run(run.run_id).to_dict()
        assert (waiting["status"], waiting["ended_at"]) == ("waiting", None)

        subprocess.run([sys.executable, "-c", APPROVE, client.api_url, run.run_id], check=True, timeout=60)
        done = client.run(run.run_id).to_dict()
        assert done["status"] == "completed"
        assert done["started_at"] == waiting["started_at"]
        assert done["ended_at"] > done["started_at"] and done["duration_ms"] > 0
        assert (done["input"], done["metadata"]) == ({"product": "case"}, {"version": 2})
        assert done["output"] == {"selected": "a"}
        assert [step["name"] for step in done["steps"]] == ["filter", "approve"]
        assert client.why(run.run_id, "a").verdict == "survived"
        assert client.why(run.run_id, "b").verdict == "rejected"


def test_a_step_in_another_process_belongs_to_the_run(tmp_path: Path) -> None:
    worker = """
import json, sys
from dxray import XRay
xray = XRay("worker", api_url=sys.argv[1])
with xray.extract(json.loads(sys.argv[2])) as run, run.step("remote", "filter") as step:
    step.reject("b", "remote_says_no")
assert xray.flush(10)
"""
    import json

    with dxray.local(data=tmp_path / "data") as client:
        xray = XRay("shop", api_url=client.api_url)
        with xray.run() as run:
            with run.step("search", "retrieve") as step:
                step.produce("a")
                step.produce("b")
            headers = json.dumps(xray.inject({}))
            subprocess.run([sys.executable, "-c", worker, client.api_url, headers], check=True, timeout=60)
        assert xray.flush(10)
        assert client.run(run.run_id).to_dict()["pipeline"] == "shop"
        why = client.why(run.run_id, "b")
        assert (why.verdict, why.reason) == ("rejected", "remote_says_no")
