"""`dxray explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Step, Until
from dxray.cli.pipelines import check_pipeline
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.two_sets import outcome_of, two_sets
from dxray.wire.printed.explain import explain_lines


def explain(
    a: Annotated[str | None, typer.Option("--a", metavar="FILTER", help="The runs to compare with.")] = None,
    b: Annotated[str | None, typer.Option("--b", metavar="FILTER", help="The runs that are looked at.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option("--outcome", metavar="OUTCOME", help="rejected (default), accepted, ...; failed, label:bad."),
    ] = None,
    step: Step = None,
    pipeline: Pipeline = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="b: since 1h, 7d or a time; a: of the same length before."),
    ] = None,
    until: Until = None,
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
    """Say what one set of runs shares that another does not.

    Two sets are compared, a and b: give both, or one of --since, --versions and --label. Exits with 1 where a set is
    empty, or nothing stands out.
    """
    sets = two_sets(a, b, since=since, until=until, versions=versions, label=label, pipeline=pipeline)
    with Client(api_url, api_key) as client, waiting("looking through the runs", as_json):
        answer = client.explain(sets["a"], sets["b"], outcome=outcome_of(outcome, label), step=step)
        if pipeline is not None and not answer.runs_a and not answer.runs_b:
            check_pipeline(client, pipeline)
    if as_json:
        print_json(answer.to_dict())
    else:
        out = console()
        print_lines(out, explain_lines(answer, width=min(out.width, READABLE), asked=sets))
    if not answer.slices:
        raise typer.Exit(1)
