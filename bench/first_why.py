"""From a wheel in an empty environment to the first right *why*: `python -m bench.first_why [--check]`.

Builds the wheel, makes an environment with nothing in it, installs `dxray[server,frames]` and pandas there, runs a
foreign pandas script with its changed lines, and compares the answer with the frame. The seconds are those of this
machine; uv takes what it has in its cache from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
REACH = 60.0  # seconds
SCRIPT = """
import json
import pandas as pd
import dxray

shoes = pd.DataFrame({"sku": ["a", "b", "c", "d"], "price": [30, 80, 55, 20], "stock": [5, 9, 0, 2]})
with dxray.local() as client:
    xray = dxray.XRay("shoes", api_url=client.api_url)
    with xray.run() as run:
        shoes = dxray.watch(shoes, key="sku")
        cheap = shoes[shoes["price"] <= 60]
        there = cheap[cheap["stock"] > 0]
    xray.flush()
    answers = {item: client.why(run.run_id, item) for item in "abcd"}
print(json.dumps({item: [why.verdict, why.step_name, why.sentence] for item, why in answers.items()}))
"""
RIGHT = {"a": "survived", "b": "rejected", "c": "rejected", "d": "survived"}


def _timed(what: str, command: list[str], **more: str) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=more.pop("cwd", None), env={**os.environ, **more}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{what}: {done.stdout}{done.stderr}")
    print(f"{what:<44} {seconds:6.1f} s", flush=True)
    return seconds, done.stdout


def main() -> None:
    """Print how long each part took; with `--check`, exit 1 when the sum is over the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        _timed("the wheel (not counted)", build, cwd=str(CHECKOUT))
        [wheel] = here.glob("*.whl")
        python = str(here / "env" / "bin" / "python")
        (here / "shoes.py").write_text(SCRIPT)
        for name in ("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
            os.environ.pop(name, None)
        spool = {"DXRAY_SPOOL_DIR": str(here / "spool"), "cwd": folder}
        parts = [
            _timed("an empty environment", [uv, "venv", "--quiet", str(here / "env"), "--python", sys.executable]),
            _timed("dxray[server,frames] and pandas", [uv, "pip", "install", "--quiet", "--python", python,
                    f"{wheel}[server,frames]", "pandas"]),
            _timed("the first run, and why of four items", [python, "shoes.py"], **spool),
        ]  # fmt: skip
        told = json.loads(parts[-1][1].splitlines()[-1])
    wrong = {item: told[item] for item, verdict in RIGHT.items() if told[item][0] != verdict}
    if wrong:
        raise SystemExit(f"wrong answers: {wrong}")
    print(f"  {told['b'][2]}")
    seconds = sum(one for one, _ in parts)
    print(f"{'from the wheel to the first why':<44} {seconds:6.1f} s  ({REACH:.0f} to reach)")
    if given.check and seconds > REACH:
        raise SystemExit("missed")


if __name__ == "__main__":
    main()
