"""`dxray blame`."""

from __future__ import annotations

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Query, Since, Until
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.blame import blame_lines


def blame(
    pipeline: Pipeline = None,
    since: Since = None,
    until: Until = None,
    q: Query = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say which steps are to blame for what labels say was wrong.

    Exits with 1 where no run is labelled, or the record explains no label.
    """
    with Client(api_url, api_key) as client, waiting("looking through the runs", as_json):
        answer = client.blame(pipeline, since=since, until=until, q=q)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, blame_lines(answer, width=min(out.width, READABLE), commands=True))
    if not answer.labelled or (answer.complaints and not answer.explained):
        raise typer.Exit(1)
