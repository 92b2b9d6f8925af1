"""A3 and A9: harnesses that pytest runs, and their line in the table."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.faults.rig import ROOT
from tests.faults.rows import HERE, Result

TESTS = {
    "A3": ("test_spool_model.py", "Hypothesis model of the spool over a shim disk", "0 violations"),
    "A9": ("test_hostile_values.py", "hostile values", "0 exceptions, the other 99 arrive"),
}


def run_row(row: str, long: bool) -> list[Result]:
    file, test, wanted = TESTS[row]
    if not (HERE / file).exists():
        return [Result(row, test, wanted, f"there is no {file}", None)]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", str(HERE / file)]
    environment = os.environ | ({"FAULTS_LONG": "1"} if long else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=1800, env=environment)
    last = (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    details = done.stdout.splitlines()[-30:] if done.returncode else []
    return [Result(row, test, wanted, last, done.returncode == 0, details=details)]
