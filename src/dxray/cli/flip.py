"""`dxray flip RUN ITEM`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Refusal, RunId
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.flip import flip_lines


def flip(
    run: RunId,
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="An item's id; after -- if it begins with a dash.", show_default=False)
    ],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say which other limits would select an item.

    Exits with 1 where the run never had the item, or the record does not say.
    """
    if not item:
        raise Refusal("the item is empty: name one, as in dxray flip last ITEM; dxray show last shows what there is", 2)
    with Client(api_url, api_key) as client, waiting("trying other limits", as_json):
        answer = client.flip(run, item)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, flip_lines(answer, width=min(out.width, READABLE), commands=True))
    if answer.verdict == "never_retrieved" or (answer.unknown is not None and not answer.changes):
        raise typer.Exit(1)
