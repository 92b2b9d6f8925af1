"""Rules that were set otherwise in one set of runs than in another: what stands beside what the runs share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dxray.server.reasoning.sentences import rule_text, shown
from dxray.server.reasoning.shown import parsed
from dxray.server.store.base import Reader

_NAMED = 3
_Rule = tuple[str, str, str, str]  # step, reason, field, operator


def other_limits(reader: Reader, steps: pa.Table, in_b: Sequence[bool]) -> str:
    """A sentence on the rules whose limits in the one set are none of those in the other; empty where there are none.

    `steps` has `run_id`, `step_id` and `step_name`; `in_b` says of each step whether its run is in b. A rule of which
    one set has several limits, or that one set has not, is left out: that may have many causes.
    """
    names = sorted(set(steps["step_name"].to_pylist()))
    places = {name: place for place, name in enumerate(names)}
    at = [2 * places[name] + side for name, side in zip(steps["step_name"].to_pylist(), in_b, strict=True)]
    beside = steps.select(["run_id", "step_id"]).append_column("at", pa.array(np.array(at, dtype=np.int64)))
    found: dict[_Rule, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for row in reader.count_by("rules", ["at", "reason", "field", "op", "threshold"], beside=beside).to_pylist():
        step, side = divmod(row["at"], 2)
        found[names[step], row["reason"], row["field"], row["op"]][side].add(row["threshold"])
    said = [
        f"{shown(rule[1])} at {shown(rule[0])} was {_text(rule, a)} in a and {_text(rule, b)} in b"
        for rule, (a, b) in sorted(found.items())
        if len(a) == len(b) == 1 and a != b
    ]
    if not said:
        return ""
    more = f", and {len(said) - _NAMED} more were set otherwise" if len(said) > _NAMED else ""
    return f" The rule {'; '.join(said[:_NAMED])}{more}."


def _text(rule: _Rule, limits: set[str]) -> str:
    (limit,) = limits
    return rule_text({"field": rule[2], "op": rule[3], "threshold": parsed(limit, limit)})
