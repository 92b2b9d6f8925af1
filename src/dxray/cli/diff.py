"""`dxray diff A B`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.diff import diff_lines

FirstRun = Annotated[
    str, typer.Argument(metavar="A", help="The one run's id, or 'last' for the newest.", show_default=False)
]
SecondRun = Annotated[
    str, typer.Argument(metavar="B", help="The other run's id, or 'last' for the newest.", show_default=False)
]


def diff(
    a: FirstRun,
    b: SecondRun,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="Also find the smallest changes of limits that flip a decision.")
    ] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Show where two runs parted, and what became of what.

    That nothing differs is an answer too. Exits with 1 where the record does not say whether anything does.
    """
    with Client(api_url, api_key) as client, waiting("comparing the runs", as_json):
        answer = client.diff(a, b, isolate=isolate)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, diff_lines(answer, width=min(out.width, READABLE), commands=True))
    if answer.first_divergence is None and answer.unknown is not None:
        raise typer.Exit(1)
