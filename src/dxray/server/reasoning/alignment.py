"""Which steps of two runs are the same step, what of them is the same, and what that says of each.

Steps are matched by path, type, name and occurrence. With such unique keys the longest common subsequence, which Myers'
algorithm finds (An O(ND) Difference Algorithm, 1986), is the longest rising sequence of positions (Hunt & Szymanski,
1977). Pure functions.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dxray.server.reasoning.flow import Flow, Stage
from dxray.server.reasoning.shown import Row, parsed

RUN_CONFIG = ("code_version", "variant", "environment")  # of a run, and so of all its steps


class Said(Enum):
    """What two records say of one thing."""

    SAME = "same"
    OTHER = "other"
    ABSENT = "not recorded on either side"
    UNKNOWN = "cannot be said"


def both(*parts: Said) -> Said:
    """Of several things together: one that differs is enough, and one that is not known leaves the rest open."""
    for found in (Said.OTHER, Said.UNKNOWN, Said.SAME):
        if found in parts:
            return found
    return Said.ABSENT


def equal(a: Any, b: Any) -> Said:
    """Of two values that are both there."""
    return Said.SAME if a == b else Said.OTHER


# --- which steps are the same step -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """What a step is called in every run of its pipeline; `path` are the steps around it, with their occurrence."""

    path: tuple[tuple[str, int], ...]
    type: str | None
    name: str
    occurrence: int


def keys_of(flow: Flow) -> dict[str, Key]:
    """The key of each step that counts, by its id. Superseded attempts have none: what stands for them has it."""
    keys: dict[str, Key] = {}
    taken: Counter[tuple[Any, ...]] = Counter()
    waiting = list(flow.stages)
    while waiting:
        left = {one.step_id for one in waiting}
        ready = [one for one in waiting if flow.parent_of(one.step_id) not in left]
        for stage in ready or waiting:  # steps that are around each other stand at the top
            parent = keys.get(flow.parent_of(stage.step_id) or "")
            path = (*parent.path, (parent.name, parent.occurrence)) if parent is not None else ()
            taken[path, stage.type, stage.name] += 1
            keys[stage.step_id] = Key(path, stage.type, stage.name, taken[path, stage.type, stage.name])
        waiting = [one for one in waiting if one.step_id not in keys]
    return keys


@dataclass(frozen=True, slots=True)
class Pair:
    """A step of the one run beside its match in the other; one of them may be missing."""

    a: Stage | None
    b: Stage | None
    moved: bool = False  # it stands at another place among the others


def align(flow_a: Flow, flow_b: Flow) -> list[Pair]:
    """The steps of two runs side by side, in an order that is that of both as far as there is one."""
    keys_a, keys_b = keys_of(flow_a), keys_of(flow_b)
    place_b = {keys_b[stage.step_id]: place for place, stage in enumerate(flow_b.stages)}
    matches = [place_b.get(keys_a[stage.step_id]) for stage in flow_a.stages]
    in_line = set(_rising([place for place in matches if place is not None]))
    matched = {place for place in matches if place is not None}
    out: list[Pair] = []
    done = 0
    for stage, place in zip(flow_a.stages, matches, strict=True):
        if place is None:
            out.append(Pair(stage, None))
        elif place not in in_line:
            out.append(Pair(stage, flow_b.stages[place], moved=True))
        else:
            out += [Pair(None, flow_b.stages[n]) for n in range(done, place) if n not in matched]
            out.append(Pair(stage, flow_b.stages[place]))
            done = place + 1
    return out + [Pair(None, flow_b.stages[n]) for n in range(done, len(flow_b.stages)) if n not in matched]


def _rising(values: Sequence[int]) -> list[int]:
    """The longest rising subsequence of distinct numbers (patience sorting)."""
    tops: list[int] = []  # the smallest value that a rising sequence of each length ends with
    before: dict[int, int | None] = {}
    for value in values:
        at = bisect_left(tops, value)
        before[value] = tops[at - 1] if at else None
        tops[at : at + 1] = [value]
    out: list[int] = []
    value_: int | None = tops[-1] if tops else None
    while value_ is not None:
        out.append(value_)
        value_ = before[value_]
    return out[::-1]


def superseded_by(flow: Flow, stages: Collection[Stage]) -> dict[str, list[Stage]]:
    """The attempts that a step took the place of, by its id."""
    out: dict[str, list[Stage]] = {}
    for stage in sorted(stages, key=lambda one: one.position):
        if stage.step_id not in flow.superseded:
            continue
        later = [
            one
            for one in flow.stages
            if (one.parent, one.name) == (stage.parent, stage.name) and one.position > stage.position
        ]
        if later:
            out.setdefault(min(later, key=lambda one: one.position).step_id, []).append(stage)
    return out


def sources_of(flow: Flow) -> dict[str, list[str]]:
    """The steps whose items come to each step."""
    out: dict[str, list[str]] = {stage.step_id: [] for stage in flow.stages}
    for stage in flow.stages:
        for taker in flow.successors(stage.step_id):
            out[taker.step_id].append(stage.step_id)
    return out


# --- what is the same ------------------------------------------------------------------------------------------


def texts(a: Row, b: Row, name: str) -> Said:
    """Of a recorded value: by its fingerprints, which were taken before anything was cut, else by the texts."""
    one, other = a[name], b[name]
    if one is None or other is None:
        return Said.ABSENT if one is other else Said.UNKNOWN
    prints = a.get(f"{name}_fingerprint"), b.get(f"{name}_fingerprint")
    if None not in prints:
        return equal(*prints)
    if parsed(one, one) == parsed(other, other):
        return Said.SAME
    return Said.UNKNOWN if any(_is_cut(row, name) for row in (a, b)) else Said.OTHER


def _is_cut(row: Row, name: str) -> bool:
    marks = parsed(row.get("marks"), ())
    return any(isinstance(mark, str) and mark.startswith(f"{name}:") for mark in marks)


def errors(a: Row, b: Row) -> Said:
    """Of what stopped a step: its type and its message, not the lines of code that it passed."""
    return Said.ABSENT if a["error"] is b["error"] is None else equal(_error(a["error"]), _error(b["error"]))


def _error(text: str | None) -> Any:
    found = parsed(text, text)
    return (found.get("type"), found.get("message")) if isinstance(found, dict) else found


def configs(a: Row, b: Row, rules_a: Sequence[Row], rules_b: Sequence[Row], by_hand: bool) -> Said:
    """Of the rules, the cut-off and the recorded config. Who posts a run need not say which rules there were."""
    rules = Said.ABSENT
    if rules_a and rules_b:
        rules = equal(Counter(map(_rule_key, rules_a)), Counter(map(_rule_key, rules_b)))
    elif rules_a or rules_b:
        rules = Said.UNKNOWN if by_hand else Said.OTHER
    cutoff = Said.ABSENT if a["cutoff"] is b["cutoff"] is None else equal(a["cutoff"], b["cutoff"])
    return both(rules, cutoff, texts(a, b, "config"))


def _rule_key(rule: Row) -> tuple[Any, ...]:
    return rule["field"], rule["op"], _canonical(rule["threshold"]), rule["reason"]


def _canonical(text: str) -> str:
    return json.dumps(parsed(text, text), sort_keys=True)


def rule_changes(rules_a: Sequence[Row], rules_b: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """The rules that are not on both sides, those beside each other that speak of the same."""
    left_b = list(rules_b)
    left_a = []
    for rule in rules_a:
        same = next((one for one in left_b if _rule_key(one) == _rule_key(rule)), None)
        if same is None:
            left_a.append(rule)
        else:
            left_b.remove(same)
    for names in (("reason", "field"), ("reason",), ("field", "op")):
        for rule in list(left_a):
            near = next((one for one in left_b if all(one[name] == rule[name] for name in names)), None)
            if near is not None:
                left_a.remove(rule)
                left_b.remove(near)
                yield _rule_change(rule, near)
    yield from (_rule_change(rule, None) for rule in left_a)
    yield from (_rule_change(None, rule) for rule in left_b)


def _rule_change(a: Row | None, b: Row | None) -> dict[str, Any]:
    said = b or a or {}
    return {"kind": "rule", "reason": said["reason"], "field": said["field"], "a": _predicate(a), "b": _predicate(b)}


def _predicate(rule: Row | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {"field": rule["field"], "op": rule["op"], "threshold": parsed(rule["threshold"], rule["threshold"])}


def value_changes(a: str | None, b: str | None) -> Iterator[dict[str, Any]]:
    """The leaves of two JSON texts that differ, by their path; nothing where one of them was not recorded."""
    if a is None or b is None or a == b:
        return
    leaves_a, leaves_b = dict(_leaves(parsed(a, a), "")), dict(_leaves(parsed(b, b), ""))
    for path in dict.fromkeys([*leaves_a, *leaves_b]):
        if leaves_a.get(path) != leaves_b.get(path) or (path in leaves_a) != (path in leaves_b):
            yield {"kind": "config", "field": path or "config", "a": leaves_a.get(path), "b": leaves_b.get(path)}


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and depth < 8:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key, depth + 1)
    else:
        yield path, value


# --- what that says --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """What is known of one step in two runs. `*_order`: whether the same items stood in the same order."""

    input: Said
    config: Said
    output: Said
    run_config: Said = Said.ABSENT
    input_order: bool = True
    output_order: bool = True
    astray: bool = False  # other items came in, though what came before gave the same


@dataclass(frozen=True, slots=True)
class Verdict:
    """A step's label. `differs` None: the record does not say whether the runs differ there."""

    label: str
    differs: bool | None = True
    order_only: bool = False


SAME = Verdict("same", False)
STRUCTURAL = Verdict("structural")
UNSAID = Verdict("unknown_cause", None)
INHERITED = Verdict("inherited")
UNKNOWN_CAUSE = Verdict("unknown_cause")


def verdict_of(seen: Compared) -> Verdict:
    """The label of a step that both runs have."""
    if seen.config is Said.OTHER:
        return Verdict("config_changed")
    if seen.input is Said.OTHER:
        return Verdict("unknown_cause" if seen.astray else "inherited")
    if seen.output is Said.UNKNOWN:
        return UNSAID
    if seen.output is Said.OTHER:
        return Verdict(_cause(seen))
    return SAME if seen.output_order else Verdict(_cause(seen), order_only=True)


def _cause(seen: Compared) -> str:
    """Why the same step gave something else."""
    if seen.input is not Said.SAME:
        return "unknown_cause"
    if not seen.input_order:
        return "inherited"
    if seen.run_config is Said.OTHER:
        return "config_changed"
    recorded = seen.config is Said.SAME or (seen.config is Said.ABSENT and seen.run_config is Said.SAME)
    return "nondeterministic_here" if recorded else "unknown_cause"


def run_configs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Said:
    """Of the versions of two runs. Only a version of the code says that it is the same."""
    if any(a[name] != b[name] and None not in (a[name], b[name]) for name in RUN_CONFIG):
        return Said.OTHER
    if a["code_version"] is None or b["code_version"] is None:
        return Said.ABSENT if a["code_version"] is b["code_version"] else Said.UNKNOWN
    return Said.SAME
