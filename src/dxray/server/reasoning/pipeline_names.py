"""Which pipeline could have been meant?"""

from __future__ import annotations

from difflib import get_close_matches

from dxray.server.reasoning.sentences import shown
from dxray.server.store.base import Reader


def pipelines_like(reader: Reader, asked: str | None) -> list[str] | None:
    """Up to three names that are nearest to one that no run has; None where runs have it, or none was asked for."""
    if asked is None:
        return None
    names = reader.count_by("runs", ["pipeline"]).column("pipeline").to_pylist()
    if asked in names:
        return None
    by_lower = {name.lower(): name for name in sorted(names)}
    near = [one for one in by_lower if asked and asked.lower() in one]
    return [by_lower[one] for one in (near or get_close_matches(asked.lower(), by_lower, n=3))[:3]]


def no_such_pipeline(asked: str, near: list[str]) -> str:
    """That in a sentence."""
    meant = " or ".join(shown(name) for name in near)
    return f"No run of a pipeline {shown(asked)} is recorded{f'; did you mean {meant}?' if meant else '.'}"
