"""What the foreign pipelines share: how much of a program was changed, and how one is run as its author would."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from pathlib import Path


def changed(before: str, after: str) -> int:
    """Lines that were written or written over."""
    lines = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    return sum(max(b - a, d - c) for kind, a, b, c, d in lines.get_opcodes() if kind != "equal")


def run(text: str, folder: Path, **env: str) -> str:
    """What a program prints, in a process of its own; it fails where the program or an adapter says an error."""
    file = folder / "pipeline.py"
    file.write_text(text)
    kept = {**os.environ, "DXRAY_SPOOL_DIR": str(folder / "spool"), "DXRAY_LOUD": "1", **env}
    done = subprocess.run(
        [sys.executable, str(file)], env=kept, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Error in Recorder" not in done.stderr, done.stderr
    return done.stdout
