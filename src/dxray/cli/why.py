"""`dxray why RUN ITEM`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Refusal, RunId
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client, ClientError
from dxray.wire.printed.why import why_lines

_NEWEST = ("latest", "newest")  # said for what is called last


def why(
    run: RunId,
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="An item's id; after -- if it begins with a dash.", show_default=False)
    ],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say why an item was selected, or why not.

    That it was never in the run is an answer too. Exits with 1 where the record does not say.
    """
    if not item:
        raise Refusal(
            "the item is empty: name one, as in dxray why last ITEM; dxray show last shows what was chosen", 2
        )
    with Client(api_url, api_key) as client:
        try:
            answer = client.why(run, item)
        except ClientError as error:
            if error.status == 404 and run in _NEWEST:
                raise Refusal(f"no run is called {run}; the newest is last: dxray why last ITEM") from None
            raise
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, why_lines(answer, width=min(out.width, READABLE), commands=True))
    if answer.verdict == "unknown":
        raise typer.Exit(1)
