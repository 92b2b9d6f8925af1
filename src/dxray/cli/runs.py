"""`dxray runs` and `dxray show RUN`."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from typing import Annotated, Literal

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Limit, Pipeline, Query, RunId, Since, Until
from dxray.cli.render import READABLE, Column, console, print_json, print_lines, table
from dxray.client import Client, ClientError
from dxray.wire.answers import Run
from dxray.wire.printed.runs import error_text, lost_events, run_lines, status_span
from dxray.wire.text import Line, Span, age, clean, duration, number

Status = Literal["running", "waiting", "completed", "failed", "abandoned"]
NEWEST = 500  # rows among which a name is looked for that is like one that was not found


def runs(
    pipeline: Pipeline = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only with this status.")] = None,
    since: Since = None,
    until: Until = None,
    q: Query = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """List runs, newest first."""
    with Client(api_url, api_key) as client:
        page = client.runs(pipeline=pipeline, status=status, since=since, until=until, q=q, limit=limit)
        meant = "" if page.runs or as_json else meant_instead(client, pipeline=pipeline)
    if as_json:
        print_json(page.to_dict())
        return
    out = console()
    if not page.runs:
        filtered = any((pipeline, status, since, until, q))
        words = f"no run fits these filters{meant}" if filtered else 'no run is recorded yet; "dxray demo" shows some'
        print_lines(out, [Line().add(words, "dim")])
        return
    wide = out.width >= 104
    columns = [Column("run"), Column("pipeline", least=8), Column("status")]
    columns += [Column("age", right=True), Column("took", right=True)]
    columns += [Column("steps", right=True)] if wide else []
    columns += [Column("lost", right=True)] if any(lost_events(run) for run in page) else []
    columns += [Column("error", least=6)] if wide and any(run.error is not None for run in page) else []
    rows = [[_cell(run, column.head) for column in columns] for run in page]
    print_lines(out, table(columns, rows, out.width))
    more(page.total, len(page), "runs")


def _cell(run: Run, head: str) -> Span | str:
    match head:
        case "run":
            return Span(clean(run.run_id), "name")
        case "pipeline":
            return run.pipeline
        case "status":
            return status_span(run.status)
        case "age":
            return Span(age(run.started_at), "dim")
        case "took":
            return duration(run.duration_ms)
        case "steps":
            return number(run.step_count)
        case "lost":
            return Span(number(lost_events(run)) if lost_events(run) else "", "warn")
        case _:
            return Span("" if run.error is None else clean(error_text(run.error)), "bad")


def meant_instead(client: Client, **asked: str | None) -> str:
    """`; did you mean …?` where what was asked for is near a name among the newest steps and runs; one request."""
    given = {field: value for field, value in asked.items() if value}
    if not given:
        return ""
    try:
        rows = client.runs(limit=NEWEST).runs if set(given) == {"pipeline"} else client.steps(limit=NEWEST).steps
    except ClientError:
        return ""  # it was only to help
    said = []
    for field, value in given.items():
        names = {name for row in rows if (name := getattr(row, field, None))}
        by_lower = {name.lower(): name for name in names}
        near = get_close_matches(value.lower(), by_lower, n=1) or [one for one in by_lower if value.lower() in one][:1]
        if value not in names and near:
            said.append(f"{shlex.quote(clean(by_lower[near[0]]))}")
    return f"; did you mean {' and '.join(said)}?" if said else ""


def more(total: int | None, shown: int, what: str) -> None:
    """Say how much is not shown."""
    if total is not None and total > shown:
        words = f"the newest {number(shown)} of {number(total)} {what}; --limit N shows more"
        print_lines(console(), [Line().add(words, "dim")])


def show(run: RunId, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKey = None) -> None:
    """Show one run: its steps, and what went in and came out."""
    with Client(api_url, api_key) as client:
        answer = client.run(run)
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    print_lines(out, run_lines(answer, width=min(out.width, READABLE), commands=True))
