"""`dxray sync`: send what pipelines left on this machine.

The one command that does not speak through the client alone: the spool is the SDK's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson
from dxray.cli.render import console, print_json, print_line
from dxray.wire.text import number


def sync(
    spool: Annotated[
        Path | None, typer.Option("--spool", metavar="DIR", help="The spool; ~/.dxray/spool if not given.")
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Send runs that ended processes could not deliver."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from dxray.sdk.offline import sync_spool

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn())
    screen = console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("sending", total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        done = sync_spool(root=spool, api_url=api_url, api_key=api_key, on_progress=on_progress)
    synced, failed = done.get("synced", 0), done.get("failed", 0)
    if as_json:
        print_json(done)
    elif not synced and not failed:
        print_line("nothing was left to send")
    else:
        print_line(
            f"{number(synced)} run{'' if synced == 1 else 's'} sent" + (f", {number(failed)} not" if failed else "")
        )
    if failed:
        raise typer.Exit(1)
