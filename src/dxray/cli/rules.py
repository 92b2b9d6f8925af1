"""`dxray rules`."""

from __future__ import annotations

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Query, Since, Step, Until
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.rules import rules_lines


def rules(
    pipeline: Pipeline = None,
    since: Since = None,
    until: Until = None,
    step: Step = None,
    q: Query = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say which rules matter, which are dead, what to look at first.

    Exits with 1 where no run of the pipeline is recorded, or no rule.
    """
    with Client(api_url, api_key) as client, waiting("looking through the runs", as_json):
        answer = client.rules(pipeline, since=since, until=until, q=q, step=step)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, rules_lines(answer, width=min(out.width, READABLE), commands=True))
    if not answer.rules:
        raise typer.Exit(1)
