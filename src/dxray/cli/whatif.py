"""`dxray whatif`."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Refusal
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.runs import When
from dxray.cli.waiting import waiting
from dxray.client import Client
from dxray.wire.printed.whatif import whatif_lines

_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FROM_TO = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")


def whatif(
    pipeline: Pipeline = None,
    q: Annotated[
        str | None, typer.Option("--q", "-q", metavar="FILTER", help="A filter of runs, such as 'label:bad'.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Of runs started since. {When}")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="REASON=THRESHOLD", help="A rule, by its reason, with another threshold."),
    ] = None,
    disabled: Annotated[
        list[str] | None, typer.Option("--disable", metavar="REASON", help="A rule that is switched off.")
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", metavar="NAME", help="Only the rules at the steps of this name.")
    ] = None,
    sweep: Annotated[
        tuple[str, str] | None, typer.Option("--sweep", metavar="REASON FROM..TO", help="A rule at many thresholds.")
    ] = None,
    points: Annotated[
        int, typer.Option("--points", metavar="N", min=2, max=1000, help="How many thresholds are swept.")
    ] = 60,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say what another threshold would have done, over recorded history."""
    asked = [_change(said, step) for said in changes or ()]
    asked += [_at({"reason": reason, "disable": True}, step) for reason in disabled or ()]
    swept = None if sweep is None else _at(_sweep(*sweep, points), step)
    if not asked and swept is None:
        raise Refusal("say what to change: --set REASON=THRESHOLD, --disable REASON or --sweep REASON FROM..TO", 2)
    with Client(api_url, api_key) as client, waiting("trying other limits", as_json):
        answer = client.whatif(asked, sweep=swept, pipeline=pipeline, since=since, q=q)
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    print_lines(out, whatif_lines(answer, width=min(out.width, READABLE), commands=True))


def _change(said: str, step: str | None) -> dict[str, Any]:
    reason, equals, threshold = said.rpartition("=")
    if not equals or not reason:
        raise Refusal(f"--set {said}: write REASON=THRESHOLD, such as price_too_high=120", 2)
    try:
        value = json.loads(threshold)
    except ValueError:
        value = threshold
    return _at({"reason": reason, "threshold": value}, step)


def _sweep(reason: str, ends: str, points: int) -> dict[str, Any]:
    found = _FROM_TO.fullmatch(ends)
    if found is None:
        raise Refusal(f"--sweep {reason} {ends}: write the two ends as FROM..TO, such as 50..150", 2)
    return {"reason": reason, "from": float(found[1]), "to": float(found[2]), "points": points}


def _at(change: dict[str, Any], step: str | None) -> dict[str, Any]:
    return change if step is None else {**change, "step_name": step}
