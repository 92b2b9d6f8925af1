"""`dxray stability`."""

from __future__ import annotations

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Query, Since, Until
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.stability import stability_lines


def stability(
    pipeline: Pipeline = None,
    since: Since = None,
    until: Until = None,
    q: Query = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say whether the same input leads to the same decision.

    And where repeated runs part. Exits with 1 where no run of the pipeline is recorded, or none can be compared.
    """
    with Client(api_url, api_key) as client, waiting("looking through the runs", as_json):
        answer = client.stability(pipeline, since=since, until=until, q=q)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, stability_lines(answer, width=min(out.width, READABLE), commands=True))
    if answer.flip_rate is None:
        raise typer.Exit(1)
