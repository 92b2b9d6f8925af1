"""`dxray lineage RUN ITEM`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Refusal, RunId
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client
from dxray.wire.printed.lineage import lineage_lines


def lineage(
    run: RunId,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item, by id or exact name.", show_default=False)],
    levels: Annotated[
        int | None, typer.Option("--levels", metavar="N", min=0, max=20, help="So many steps on to what came of it.")
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Show what an item came from, and what came of it.

    Exits with 1 where the run has no such item.
    """
    if not item:
        raise Refusal(
            "the item is empty: name one, as in dxray lineage last ITEM; dxray show last shows what was chosen", 2
        )
    with Client(api_url, api_key) as client:
        answer = client.lineage(run, item, levels=levels)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, lineage_lines(answer, width=min(out.width, READABLE), commands=True))
    if not answer.nodes:
        raise typer.Exit(1)
