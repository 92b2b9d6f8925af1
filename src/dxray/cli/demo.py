"""`dxray demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dxray.cli.options import Refusal


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="End after printing, instead of serving on.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for a free one.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where to keep it; a fresh folder if not given.")
    ] = None,
    rebookings: Annotated[
        int,
        typer.Option(
            "--rebookings", min=0, metavar="N", help="Also record N rebookings, on real flights; needs dxray[examples]."
        ),
    ] = 0,
) -> None:
    """Record a pipeline that goes wrong, and explain why it did."""
    try:
        from dxray.demo import run_demo
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "dxray":
            raise
        raise Refusal(f"the demo needs the server ({error.name} is missing): pip install 'dxray[server]'") from None
    run_demo(port=port, data=data, exit_after=leave, rebookings=rebookings)
