"""The command `dxray`: a thin reader of the client's answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 when it failed, 2 when it was typed wrongly."""
    try:
        from dxray.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.stderr.write("dxray: the command line is not installed: pip install 'dxray[cli]'\n")
        return 1
    return run(argv)
