"""What a list says of a run besides its row: what went in and came out, how many candidates, and where most stopped.

Pure functions on recorded JSON texts and rows of the source `steps`. Everything is short, whatever was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dxray.server.reasoning.losses import Losses
from dxray.server.reasoning.shown import Row, parsed

# The keys under which a person would look for what a run is about, the best first: `ui/src/logic/summary.ts` titles by
# them, and a short form must hold the one it would choose.
TELLING = (
    "title", "name", "product", "query", "question", "prompt", "text", "input", "selected", "answer", "result",
)  # fmt: skip
COLUMNS = (
    "run_id", "step_id", "step_name", "position", "attempt", "after", "produced", "consumed", "input_count",
    "output_count", "declared_input_count", "declared_output_count", "rejection_rate",
)  # fmt: skip

_FIELDS = 4  # one more than is shown in a line: then it is seen that there are more
_LONGEST = 120
_LARGE = 2**63
_NO_JSON = object()


def short(text: str | None) -> Any:
    """A recorded input or output in a few words: a scalar, a few of its fields, or of its elements; None for none."""
    if text is None:
        return None
    value = parsed(text, _NO_JSON)
    if value is _NO_JSON:
        return _scalar(text)
    if isinstance(value, dict):
        return _fields(value)
    if isinstance(value, list):
        first = [_fields(one) if isinstance(one, dict) else _scalar(one) for one in value[:_FIELDS]]
        return [*first, "…"] if len(value) > _FIELDS else first
    return _scalar(value)


def _fields(found: dict[str, Any]) -> dict[str, Any]:
    said = [key for key, value in found.items() if value is not None] or list(found)
    first = said[:_FIELDS]
    telling = next((key for key in TELLING if isinstance(found.get(key), str) and found[key]), None)
    if telling is not None and telling not in first:
        first = [telling, *first[:-1]]
    return {_cut(key): _scalar(found[key]) for key in first}


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, list | dict):
        return _cut(msgspec.json.encode(_few(value)).decode(errors="replace"))
    if isinstance(value, int) and abs(value) >= _LARGE:
        return f"{value:.6g}" if abs(value) < 10**300 else "…"
    return value


def _few(value: list[Any] | dict[str, Any]) -> list[Any] | dict[str, Any]:
    """So much of it as fits a line: what is cut anyway need not be written."""
    return value[:_LONGEST] if isinstance(value, list) else dict(list(value.items())[:_LONGEST])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def counted(steps: Sequence[Row], losses: Losses) -> dict[str, Any]:
    """The candidates of a run, from its steps that count, and the one that rejected the largest share.

    `items_in`: what was produced and not expanded into others, and what came to steps that take their items from no
    other; not known where several steps let in what remains, as it may be the same. `items_out`: what its last step let
    go on. Where events were lost, only what steps declared is known.
    """
    lossy = losses.of_events()
    steps = sorted(steps, key=lambda step: (step["position"], step["attempt"]))
    last = steps[-1] if steps else None
    worst = max(steps, key=lambda step: step["rejection_rate"] or 0, default=None)
    return {
        "items_in": _came_in(steps, lossy),
        "items_out": last and last["declared_output_count" if lossy else "output_count"],
        "steps": len(steps),
        "worst_step": None
        if worst is None or not worst["rejection_rate"]
        else {name: worst[name] for name in ("step_id", "step_name", "rejection_rate")},
    }


def _came_in(steps: Sequence[Row], lossy: bool) -> int | None:
    sources = [n for step in steps if (n := _entered(step, lossy)) != 0]
    if None in sources:
        return None
    if not sources:
        return 0 if any(step["input_count"] is not None for step in steps) else None
    counts = [n for n in sources if n is not None]
    left = sum(counts) - (0 if lossy else sum(step["consumed"] for step in steps))
    # What the sources before the last let in became what the last did; or there is one.
    return left if len(counts) == 1 or left == counts[-1] else None


def _entered(step: Row, lossy: bool) -> int | None:
    """How many candidates entered a run at a step; None where it is not known."""
    first = not step["after"]
    if lossy:
        declared: int | None = step["declared_input_count"]
        return declared if first and not step["produced"] else None if first or step["produced"] else 0
    return int(step["produced"]) + ((step["input_count"] or 0) if first else 0)
