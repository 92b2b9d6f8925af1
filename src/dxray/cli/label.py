"""`dxray label RUN LABEL [ITEM]`."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from typing import Annotated

import typer

from dxray.cli.options import ApiKey, ApiUrl, AsJson, Refusal, RunId
from dxray.cli.render import READABLE, console, print_json, print_lines
from dxray.client import Client
from dxray.wire.answers import Labels
from dxray.wire.printed.labels import labels_lines
from dxray.wire.records import LABELS
from dxray.wire.text import clean

_HOW = "dxray label RUN bad, or dxray label RUN wrong ITEM"
_OF_ITEMS = ("expected", "wrong")


def label(
    run: RunId,
    said: Annotated[
        str | None,
        typer.Argument(
            metavar="LABEL", help="Of a run: good or bad; of an item: expected, wrong or keep.", show_default=False
        ),
    ] = None,
    item: Annotated[
        str | None,
        typer.Argument(metavar="ITEM", help="An item's id; after -- if it begins with a dash.", show_default=False),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, in words.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the labels of the run.")] = False,
    remove: Annotated[int | None, typer.Option("--remove", metavar="N", help="Take back the label number N.")] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Say that a run was good or bad, an item expected or wrong.

    Of good and bad the last one said counts; the other is shown as replaced.
    """
    if (said is not None) + listed + (remove is not None) > 1:
        raise Refusal("a label is given, shown or taken back, one at a time; see dxray label --help", 2)
    if said is None and (item is not None or note is not None):
        raise Refusal(f"the label is missing: {_HOW}", 2)
    if said is not None:
        _check(run, said, item)
    with Client(api_url, api_key) as client:
        answer = _answer(client, run, said, item, note, remove)
    if as_json:
        print_json(answer.to_dict())
        return
    out = console()
    print_lines(out, labels_lines(answer, width=min(out.width, READABLE), commands=True))


def _check(run: str, said: str, item: str | None) -> None:
    """Refuse what cannot be meant: words in another order, a label that there is not, an item that is missing."""
    if said not in LABELS:
        typed = [run, said] if item is None else [run, said, item]
        labels = [word for word in typed if word in LABELS]
        if len(labels) == 1:
            typed.remove(labels[0])
            meant = " ".join(shlex.quote(clean(word)) for word in (typed[0], labels[0], *typed[1:]))
            raise Refusal(f"the run comes first, and then the label: dxray label {meant}", 2)
        near = get_close_matches(said.lower(), LABELS, n=1)
        fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(LABELS)}"
        raise Refusal(f"there is no label {said!r}; {fix}", 2)
    if not item and said in _OF_ITEMS:
        raise Refusal(f"{said} needs an item: dxray label {shlex.quote(clean(run))} {said} ITEM", 2)
    if item == "":
        raise Refusal(f"the item is empty: {_HOW}", 2)


def _answer(
    client: Client, run_id: str, said: str | None, item: str | None, note: str | None, remove: int | None
) -> Labels:
    if remove is not None:
        return client.unlabel(run_id, remove)
    if said is not None:
        return client.label(run_id, said, item, note)
    return client.labels(run_id)
