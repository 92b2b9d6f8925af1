"""`dxray why-rank RUN ITEM OVER`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Refusal, RunId
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client
from dxray.wire.answers import WhyRank
from dxray.wire.printed.rank import rank_lines


def why_rank(
    run: RunId,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item, by id or exact name.", show_default=False)],
    over: Annotated[str, typer.Argument(metavar="OVER", help="The item to compare it with.", show_default=False)],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say why one item stands before another, or behind it.

    Exits with 1 where the run does not have both.
    """
    if not item or not over:
        raise Refusal(
            "the item is empty: name one, as in dxray why-rank last ITEM OVER; dxray show last shows what was chosen", 2
        )
    with Client(api_url, api_key) as client:
        answer = client.why_rank(run, item, over)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, rank_lines(answer, width=min(out.width, READABLE), commands=True))
    if not _has_both(answer):
        raise typer.Exit(1)


def _has_both(answer: WhyRank) -> bool:
    """Whether the run has both items, and it is clear which are meant: else there was nothing to compare."""
    absent = [side for side in (answer.item, answer.over) if side.verdict in (None, "never_retrieved")]
    return not absent and not answer.did_you_mean
