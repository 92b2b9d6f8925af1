"""`dxray view list | save | show | remove`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client
from dxray.wire.answers import View, Views
from dxray.wire.printed.views import view_lines, views_lines

view = typer.Typer(help="Keep filters under names; in --q, view:NAME stands for one.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The view's name.", show_default=False)]


@view.command("list")
def list_views(as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKey = None) -> None:
    """List the saved views."""
    with Client(api_url, api_key) as client:
        _print(client.views(), as_json)


@view.command()
def save(
    name: Name,
    q: Annotated[str, typer.Option("--q", "-q", metavar="FILTER", help="The filter to keep.", show_default=False)],
    source: Annotated[Literal["runs", "steps"], typer.Option("--source", help="What it is asked of.")] = "runs",
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What it is for.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Save a filter under a name, in place of what the name stood for."""
    with Client(api_url, api_key) as client:
        _print(client.save_view(name, q, source=source, note=note), as_json)


@view.command()
def show(name: Name, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKey = None) -> None:
    """Show a view, and how many fit it now."""
    with Client(api_url, api_key) as client:
        _print(client.view(name), as_json)


@view.command()
def remove(name: Name, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKey = None) -> None:
    """Remove a view."""
    with Client(api_url, api_key) as client:
        _print(client.remove_view(name), as_json)


def _print(answer: View | Views, as_json: bool) -> None:
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    width = min(out.width, READABLE)
    if isinstance(answer, Views):
        lines = views_lines(answer, width, commands=True)
    else:
        lines = view_lines(answer, width, commands=True)
    print_lines(out, lines)
