"""`dxray funnel RUN`."""

from __future__ import annotations

from dxray.cli.options import ApiKey, ApiUrl, AsJson, RunId
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client
from dxray.wire.printed.funnel import funnel_lines


def funnel(run: RunId, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKey = None) -> None:
    """Show where the items of a run went, step by step."""
    with Client(api_url, api_key) as client:
        answer = client.funnel(run)
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    print_lines(out, funnel_lines(answer, width=min(out.width, READABLE), commands=True))
