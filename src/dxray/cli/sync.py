"""`dxray sync`: send what pipelines left on this machine.

The one command that does not speak through the client alone: the spool is the SDK's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson
from dxray.cli.render import console, print_json, print_line
from dxray.wire.text import clean, number


def sync(
    spool: Annotated[
        Path | None, typer.Option("--spool", metavar="DIR", help="The spool; ~/.dxray/spool if not given.")
    ] = None,
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="NAME", help="What was recorded for this project; 'default' if not given."),
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Send runs that ended processes could not deliver."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from dxray.sdk.offline import sync_spool
    from dxray.sdk.settings import resolve
    from dxray.sdk.spool import folder_of

    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn())
    screen = console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("sending", total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        done: Mapping[str, Any] = sync_spool(spool, api_url, on_progress, project=project, api_key=api_key)
    if as_json:
        print_json(done)
    else:
        settings = resolve(api_url=api_url, project=project)
        print_line(_said(done, folder_of(spool or settings.spool_root, settings.api_url, settings.project)))
    if done.get("failed") or done.get("quarantined"):
        raise typer.Exit(1)


def _said(done: Mapping[str, Any], folder: Path) -> str:
    synced, failed, quarantined = done.get("synced", 0), done.get("failed", 0), done.get("quarantined") or {}
    lines = []
    if synced or failed:
        sent = f"{number(synced)} run{'' if synced == 1 else 's'} sent"
        lines.append(sent + (f", {number(failed)} not" if failed else ""))
    if quarantined:
        n = sum(quarantined.values())
        words = (
            "batch could not be read or was refused, and lies"
            if n == 1
            else ("batches could not be read or were refused, and lie")
        )
        why = ", ".join(f"{clean(reason)}: {number(count)}" for reason, count in quarantined.items())
        lines.append(f"{number(n)} {words} in {clean(folder / 'quarantine')}: {why}")
    return "\n".join(lines) or "nothing was left to send"
