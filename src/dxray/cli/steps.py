"""`dxray steps`."""

from __future__ import annotations

from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Limit, Pipeline, Query, Since, Until
from dxray.cli.render import Column, console, print_json, print_lines, table
from dxray.cli.runs import meant_instead, more
from dxray.client import Client
from dxray.wire.answers import Step
from dxray.wire.printed.runs import rejected
from dxray.wire.text import Line, Span, clean, duration, number

MoreThan = Annotated[
    float | None,
    typer.Option("--rejection-rate-gt", metavar="RATE", help="That rejected more than this share, 0 to 1."),
]
LessThan = Annotated[
    float | None,
    typer.Option("--rejection-rate-lt", metavar="RATE", help="That rejected less than this share, 0 to 1."),
]


def steps(
    step_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only of this type: filter, rank, select, …")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only with this name.")] = None,
    pipeline: Pipeline = None,
    gt: MoreThan = None,
    lt: LessThan = None,
    since: Since = None,
    until: Until = None,
    q: Query = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Find steps across all runs."""
    asked = {"step_type": step_type, "step_name": name, "pipeline": pipeline}
    with Client(api_url, api_key) as client:
        page = client.steps(
            step_type=step_type,
            name=name,
            pipeline=pipeline,
            rejection_rate_gt=gt,
            rejection_rate_lt=lt,
            since=since,
            until=until,
            q=q,
            limit=limit,
        )
        meant = "" if page.steps or as_json else meant_instead(client, **asked)
    if as_json:
        print_json(page.to_dict())
        return
    out = console()
    if not page.steps:
        print_lines(out, [Line().add(f"no step fits{meant or '; dxray show last shows what steps there are'}", "dim")])
        return
    wide = out.width >= 112
    columns = [Column("step", least=8), Column("in", right=True), Column("out", right=True)]
    columns.append(Column("rejected", right=True))
    if wide:
        columns += [Column("took", right=True), Column("type", least=4), Column("pipeline", least=8)]
    columns.append(Column("run"))
    print_lines(out, table(columns, [_row(step, wide) for step in page], out.width))
    more(page.total, len(page), "steps")


def _row(step: Step, wide: bool) -> list[Span | str]:
    row: list[Span | str] = [Span(clean(step.title), "name"), number(step.input_count), number(step.output_count)]
    row.append(Span(rejected(step), "warn" if (step.rejection_rate or 0) > 0.9 else ""))
    if wide:
        row += [duration(step.duration_ms), Span(clean(step.step_type or ""), "dim"), step.pipeline or ""]
    return [*row, Span(clean(step.run_id or ""), "dim")]
