"""Names of pipelines that were typed wrongly."""

from __future__ import annotations

from difflib import get_close_matches

from dxray.cli.options import Refusal
from dxray.client import Client
from dxray.wire.text import clean


def check_pipeline(client: Client, name: str) -> None:
    """Raise `Refusal` where no run of this pipeline is recorded, with the name that may be meant."""
    names = [one.pipeline for one in client.pipelines()]
    if name in names:
        return
    near = get_close_matches(name, names, n=1)
    words = f"; did you mean {near[0]}?" if near else ""
    raise Refusal(clean(f"no run of a pipeline {name} is recorded{words}"))
