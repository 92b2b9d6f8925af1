"""A setting that is filled with what earlier steps made -> the template that it was filled into. Pure functions.

Some pipelines record as config the whole prompt that a model was given, with the candidates in it. Two such prompts
differ wherever an earlier step differed, and yet are one setting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

_SLOT = "\ue000"  # of Unicode's private use: in no text that means anything
_LEAST = 3  # characters: shorter ones stand in too many texts by chance
_MOST = 2_000  # texts that are looked for in one config
_SEVERAL = re.compile(rf"{_SLOT}(?:[\W_]*{_SLOT})+")


def texts_in(value: Any) -> Iterator[str]:
    """The texts in a recorded value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)


def template(config: Any, made: Iterable[str]) -> str:
    """A config as canonical JSON, in whose texts what was `made` before stands as one slot, however often it does."""
    known = sorted({one for one in made if len(one) >= _LEAST}, key=lambda one: (-len(one), one))[:_MOST]
    if known:
        parts = "|".join(map(re.escape, known))
        config = _filled(config, re.compile(rf"(?<!\w)(?:{parts})(?!\w)"))
    return json.dumps(config, sort_keys=True)


def _filled(value: Any, known: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return _SEVERAL.sub(_SLOT, known.sub(_SLOT, value))
    if isinstance(value, dict):
        return {key: _filled(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return _together([_filled(one, known) for one in value])
    return value


def _together(values: list[Any]) -> list[Any]:
    """Slots that follow each other in a list as one."""
    return [one for place, one in enumerate(values) if one != _SLOT or values[place - 1 : place] != [_SLOT]]
