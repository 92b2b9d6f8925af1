"""`dxray explain`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Refusal
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.explain import explain_lines

_AGE = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def explain(
    a: Annotated[str | None, typer.Option("--a", metavar="FILTER", help="The runs to compare with.")] = None,
    b: Annotated[str | None, typer.Option("--b", metavar="FILTER", help="The runs that are looked at.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option("--outcome", metavar="OUTCOME", help="rejected (default), accepted, ...; failed, label:bad."),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", metavar="NAME", help="Only items at steps of this name.")
    ] = None,
    pipeline: Pipeline = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE", help="b: since 1h, 7d; a: the same length before.")
    ] = None,
    versions: Annotated[
        tuple[str, str] | None, typer.Option("--versions", metavar="A B", help="Two values of code_version.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="b: runs with it; a: those without.")
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say what the runs of one set share that those of another do not."""
    sets = _sets(a, b, since, versions, label)
    if pipeline is not None:
        sets = {name: f"pipeline:{_quoted(pipeline)} {q}".strip() for name, q in sets.items()}
    # Of labelled runs, what tells them from the others is asked; of all else, what became of their items.
    outcome = outcome or (f"label:{label}" if label is not None else "rejected")
    with Client(api_url, api_key) as client, waiting("looking through the runs", as_json):
        answer = client.explain(sets["a"], sets["b"], outcome=outcome, step_name=step)
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    print_lines(out, explain_lines(answer, width=min(out.width, READABLE), asked=sets))


def _sets(
    a: str | None, b: str | None, since: str | None, versions: tuple[str, str] | None, label: str | None
) -> dict[str, str]:
    """The two filters. Raises `Refusal`."""
    given = [
        name
        for name, value in (("--a and --b", a or b), ("--since", since), ("--versions", versions), ("--label", label))
        if value is not None
    ]
    if len(given) != 1:
        which = " or ".join(given) if given else "--a and --b, --since, --versions or --label"
        raise Refusal(f"which two sets? give one of: {which}; such as dxray explain --since 1h", 2)
    if since is not None:
        return _before_and_since(since)
    if versions is not None:
        return {name: f"version:{_quoted(value)}" for name, value in zip("ab", versions, strict=True)}
    if label is not None:
        return {"a": f"-label:{_quoted(label)}", "b": f"label:{_quoted(label)}"}
    if a is None or b is None:
        raise Refusal(f"--{'a' if a is None else 'b'} is missing: the other set of runs", 2)
    return {"a": a, "b": b}


def _before_and_since(since: str) -> dict[str, str]:
    age = _AGE.fullmatch(since)
    if age is None:
        raise Refusal(f"--since {since}: is no age; write 15m, 1h or 7d", 2)
    try:
        length = timedelta(**{_UNITS[age[2]]: int(age[1])})
        now = datetime.now(UTC)
        middle, first = (f"{now - n * length:%Y-%m-%dT%H:%M:%SZ}" for n in (1, 2))
    except OverflowError:
        raise Refusal(f"--since {since}: is longer than there are times", 2) from None
    return {"a": f"since:{first} until:{middle}", "b": f"since:{middle}"}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return value if re.fullmatch(r"[\w.:+-]+", value) else f'"{escaped}"'
