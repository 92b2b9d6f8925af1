"""`dxray blame`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Query
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.runs import When, meant_instead
from dxray.client import Client
from dxray.wire.printed.blame import blame_lines
from dxray.wire.text import Line


def blame(
    pipeline: Pipeline = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Of runs started since. {When}")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help=f"Of runs started before. {When}")
    ] = None,
    q: Query = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say which steps are to blame for what labels say was wrong."""
    with Client(api_url, api_key) as client:
        answer = client.blame(pipeline, since=since, until=until, q=q)
        meant = "" if answer.labelled or as_json else meant_instead(client, pipeline=pipeline)
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    lines = blame_lines(answer, width=min(out.width, READABLE), commands=True)
    if meant:
        lines.append(Line().add(meant.removeprefix("; "), "dim"))
    print_lines(out, lines)
