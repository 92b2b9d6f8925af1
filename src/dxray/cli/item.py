"""`dxray item ITEM`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Limit, Refusal
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client
from dxray.wire.answers import Items
from dxray.wire.printed.items import items_lines


def item(
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="An item, by id, else by name or a part of one.", show_default=False)
    ],
    name: Annotated[bool, typer.Option("--name", help="ITEM is a name, also where an item has that id.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Show what became of an item across runs.

    Exits with 1 where no run has it.
    """
    if not item.strip():
        raise Refusal("the item is empty: name one, as in dxray item ITEM; dxray show last shows what was chosen", 2)
    with Client(api_url, api_key) as client:
        answer = client.items(name=item, limit=limit) if name else _either(client, item, limit)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, items_lines(answer, width=min(out.width, READABLE), commands=True))
    if not answer.total:
        raise typer.Exit(1)


def _either(client: Client, item: str, limit: int) -> Items:
    """By its id; where no item has that, by its name."""
    by_id = client.items(item, limit=limit)
    if by_id.total:
        return by_id
    by_name = client.items(name=item, limit=limit)
    return by_name if by_name.total else by_id
