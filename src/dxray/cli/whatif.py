"""`dxray whatif`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Annotated, Any

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Pipeline, Query, Refusal, Since, Step, Until
from dxray.cli.pipelines import check_pipeline
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.cli.waiting import waiting
from dxray.client import Client, ClientError
from dxray.wire.printed.whatif import whatif_lines

_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FROM_TO = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="REASON=LIMIT",
        help="A rule, by its reason, with another limit: price_too_high=120; a list as wrong_kind=case,stand, "
        "and of one value as wrong_kind=case,; between as odd_size=1,20.",
    ),
]
Sweep = Annotated[
    tuple[str, str] | None,
    typer.Option("--sweep", metavar="REASON FROM..TO", help="A rule at many limits: price_too_high 50..150."),
]


def whatif(
    pipeline: Pipeline = None,
    q: Query = None,
    since: Since = None,
    until: Until = None,
    changes: Changes = None,
    disabled: Annotated[
        list[str] | None, typer.Option("--disable", metavar="REASON", help="A rule that is switched off.")
    ] = None,
    step: Step = None,
    sweep: Sweep = None,
    points: Annotated[int, typer.Option("--points", metavar="N", min=2, max=1000, help="How many are swept.")] = 60,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say what other limits would have done to recorded runs.

    --set and --disable may be given several times; dxray rules shows the reasons and the limits that there are.
    """
    limits = _limits(changes or ())
    both = [reason for reason in disabled or () if reason in limits]
    if both:
        raise Refusal(f"{both[0]} is both set and disabled; say one of them", 2)
    swept = None if sweep is None else _sweep(*sweep, points)
    if not limits and not disabled and swept is None:
        raise Refusal("say what to change: --set REASON=LIMIT, --disable REASON or --sweep REASON FROM..TO", 2)
    with Client(api_url, api_key) as client, waiting("trying other limits", as_json):
        try:
            of: dict[str, Any] = {"pipeline": pipeline, "since": since, "until": until, "q": q}
            answer = client.whatif(set=limits, disable=disabled or (), sweep=swept, step=step, **of)
        except ClientError as error:
            if error.status == 404 and pipeline is not None:
                check_pipeline(client, pipeline)
            raise
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    print_lines(out, whatif_lines(answer, width=min(out.width, READABLE), commands=True))


def _limits(said: Sequence[str]) -> dict[str, Any]:
    """The limits by their reasons. Raises `Refusal`."""
    found: dict[str, Any] = {}
    for one in said:
        reason, _, written = one.rpartition("=")
        if not reason or not written:
            raise Refusal(f"--set {one}: write REASON=LIMIT, such as price_too_high=120", 2)
        if reason in found:
            raise Refusal(f"--set {one}: {reason} is set twice; ask twice instead", 2)
        found[reason] = _limit(written)
        if found[reason] is None:
            raise Refusal(f"--set {one}: is no limit; --disable {reason} switches the rule off", 2)
        if not all(isfinite(n) for n in _numbers(found[reason])):
            raise Refusal(f"--set {one}: a limit is a finite number", 2)
    return found


def _limit(written: str) -> Any:
    """JSON, else words between commas, with or without brackets, else the text as it is."""
    try:
        return json.loads(written, parse_constant=_refuse)
    except ValueError:
        bare = written[1:-1] if written[0] == "[" and written[-1] == "]" else written
        return (
            [_limit(one.strip()) for one in bare.split(",") if one.strip()]
            if "," in written or bare != written
            else bare
        )


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _numbers(limit: Any) -> Iterator[float]:
    for one in limit if isinstance(limit, list) else [limit]:
        if isinstance(one, float):
            yield one


def _sweep(reason: str, ends: str, points: int) -> dict[str, Any]:
    found = _FROM_TO.fullmatch(ends)
    if found is None:
        raise Refusal(f"--sweep {reason} {ends}: write the two ends as FROM..TO, such as 50..150", 2)
    low, high = float(found[1]), float(found[2])
    if not isfinite(high - low):
        raise Refusal(f"--sweep {reason} {ends}: the ends are finite numbers", 2)
    if low > high:
        raise Refusal(f"--sweep {reason} {ends}: the lower end comes first: {found[2]}..{found[1]}", 2)
    return {"reason": reason, "from": low, "to": high, "points": points}
