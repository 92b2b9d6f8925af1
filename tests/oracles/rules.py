"""Rule health, against rules whose health is known: pipelines are made by chance, executed, recorded and asked.

Steps ask their rules one after the other or all of every item. Some rules can never fail, some are never asked, some
are looser than another on the same value; limits change from run to run, some items are dropped without a rule. The
harness keeps for itself what every rule said of every item, and would have said where it was not asked.
"""

from __future__ import annotations

import operator
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dxray import XRay, testing
from dxray.server.questions.rules import rules
from dxray.server.reasoning.rule_health import SUPPORT
from tests.oracles.figures import Figure
from tests.oracles.stability import stored

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "between": lambda value, limits: bool(limits[0] <= value <= limits[1]),
    "in": lambda value, members: value in members,
}
COLOURS = ("red", "green", "blue")

Key = tuple[str, str]  # step, reason


@dataclass
class Planned:
    """A rule of a step: its limit in each run, and the items that it is asked about."""

    field: str
    op: str
    reason: str
    limits: list[Any]
    asked: bool = True


@dataclass
class Truth:
    """What a rule did."""

    evaluated: int = 0
    failed: int = 0
    sole: int = 0
    perhaps: int = 0  # the others that are not known to have failed another
    margins: list[tuple[float, bool, bool, float]] = field(default_factory=list)  # margin, passed, alone, value
    failed_on: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class World:
    """One pipeline: steps with rules."""

    steps: dict[str, list[Planned]]
    together: dict[str, bool]  # whether a step asks all its rules of every item
    runs: int
    items: int


def world(chance: random.Random) -> World:
    runs = chance.randint(3, 8)
    steps, together = {}, {}
    for number in range(chance.randint(1, 3)):
        name = f"filter{number}"
        steps[name] = [planned(chance, place, runs) for place in range(chance.randint(1, 5))]
        first = steps[name][0]
        if first.op == "<=" and chance.random() < 0.7:  # a looser one beside it
            steps[name].append(Planned(first.field, "<=", "looser", [one + 20.0 for one in first.limits]))
        if chance.random() < 0.5:
            steps[name].append(Planned("price", "<=", "dead", [1e6] * runs))
        if chance.random() < 0.3:
            steps[name].append(Planned("price", "<=", "unasked", [1.0] * runs, asked=False))
        together[name] = chance.random() < 0.6 and all(one.asked for one in steps[name])
        chance.shuffle(steps[name])
    return World(steps, together, runs, chance.randint(20, 120))


def planned(chance: random.Random, place: int, runs: int) -> Planned:
    op = chance.choice(list(COMPARE))
    if op == "in":
        return Planned("colour", op, f"r{place}", [chance.sample(COLOURS, 2)] * runs)
    name = chance.choice(("price", "rating"))
    low, high = sorted(chance.uniform(10, 90) for _ in range(2))
    limits: list[Any] = [[low, high] if op == "between" else high] * runs
    if op != "between" and chance.random() < 0.4:
        limits = limits[: runs // 2] + [low] * (runs - runs // 2)
    return Planned(name, op, f"r{place}", limits)


def execute(made: World, chance: random.Random) -> tuple[dict[Key, Truth], Counter[Key], dict[str, Any]]:
    """The truth, the rejections without a rule, and the answer."""
    truth: dict[Key, Truth] = defaultdict(Truth)
    plain: Counter[Key] = Counter()
    with testing.capture() as captured:
        xray = XRay("oracle")
        for number in range(made.runs):
            with xray.run(input=number) as run:
                for name in made.steps:
                    with run.step(name, step_type="filter") as step:
                        one_step(made, name, number, step, chance, truth, plain)
        store = stored(captured.records)
    try:
        return truth, plain, rules(store.project("default"))
    finally:
        store.close()


def one_step(
    made: World, name: str, run: int, step: Any, chance: random.Random, truth: dict[Key, Truth], plain: Counter[Key]
) -> None:
    some = made.steps[name]
    recorded = [step.require(one.field, one.op, one.limits[run], reason=one.reason) for one in some]
    whole = step.require_all([(one.field, one.op, one.limits[run], one.reason) for one in some]) \
        if made.together[name] else None  # fmt: skip
    for one in some:
        truth[name, one.reason].evaluated += 0
    for number in range(made.items):
        item = {
            "price": chance.uniform(0, 100),
            "rating": round(chance.uniform(0, 100)),
            "colour": chance.choice(COLOURS),
        }
        said: dict[str, bool] = {}
        if whole is not None:
            whole.passes(number, item)
            said = {one.reason: COMPARE[one.op](item[one.field], one.limits[run]) for one in some}
        else:
            for one, rule in zip(some, recorded, strict=True):
                if one.asked:
                    said[one.reason] = rule.passes(number, item[one.field])
                    assert said[one.reason] == COMPARE[one.op](item[one.field], one.limits[run])
                    if not said[one.reason]:
                        break
        if all(said.values()) and chance.random() < 0.1:
            step.reject(number, "by_hand")
            plain[name, "by_hand"] += 1
        note(name, (run, number), item, run, some, said, truth)


def note(
    name: str, where: tuple[int, int], item: dict[str, Any], run: int, some: list[Planned], said: dict[str, bool],
    truth: dict[Key, Truth],
) -> None:  # fmt: skip
    failed = [reason for reason, passed in said.items() if not passed]
    for one in some:
        if one.reason not in said:
            continue
        found, passed = truth[name, one.reason], said[one.reason]
        found.evaluated += 1
        alone = not passed and len(failed) == 1
        if not passed:
            found.failed += 1
            found.failed_on.add(where)
            found.sole += alone and len(said) == len(some)
            found.perhaps += alone and len(said) < len(some)
        if one.op != "in":
            value, limit = item[one.field], one.limits[run]
            low, high = limit if one.op == "between" else (limit, limit)
            margin = {"<": high - value, "<=": high - value, ">": value - low, ">=": value - low}.get(
                one.op, min(value - low, high - value)
            )
            found.margins.append((margin, passed, alone, value))


def wrong_in(made: World, truth: dict[Key, Truth], plain: Counter[Key], found: dict[str, Any]) -> list[str]:
    """What of an answer is not so."""
    rows = {(row["step_name"], row["reason"]): row for row in found["rules"]}
    if set(rows) != set(truth):
        return [f"rules {sorted(set(rows) ^ set(truth))}"]
    wrong = []
    for key, row in rows.items():
        one = truth[key]
        wanted = {
            "evaluated": one.evaluated,
            "kills": one.failed,
            "sole_kills_range": [one.sole, one.sole + one.perhaps],
            "sole_kills": None if one.perhaps else one.sole,
            "fires_never": one.evaluated > 0 and not one.failed,
            "never_ran": not one.evaluated,
        }
        wrong += [
            f"{key} {name}: {row[name]}, in truth {value}" for name, value in wanted.items() if row[name] != value
        ]
        wrong += [f"{key} {what}" for what in near_wrong(row, one)]
        others = {other["reason"] for other in row["redundant_with"]}
        contained = {
            reason
            for (step, reason), other in truth.items()
            if step == key[0]
            and reason != key[1]
            and len(one.failed_on) >= SUPPORT
            and one.failed_on <= other.failed_on
        }
        if others != contained:
            wrong.append(f"{key} redundant with {others}, in truth {contained}")
        planned_ = next(rule for rule in made.steps[key[0]] if rule.reason == key[1])
        if row["threshold"] != planned_.limits[-1] or row["thresholds"] != len({str(n) for n in planned_.limits}):
            wrong.append(f"{key} limits")
    said = {(row["step_name"], row["reason"]): row["rejections"] for row in found["without_rule"]["reasons"]}
    return wrong + ([] if said == dict(plain) else [f"without a rule {said}, in truth {dict(plain)}"])


def near_wrong(row: dict[str, Any], one: Truth) -> list[str]:
    near = row["near_misses"]
    if near is None:
        return ["has margins"] if len({value for *_, value in one.margins}) > 1 else []
    within = near["within"]
    close = [(passed, alone) for margin, passed, alone, _ in one.margins if abs(margin) <= within]
    counted = sum(bin_["n"] for bin_ in near["bins"]) + near["below"] + near["above"]
    said = (near["values"], counted, near["passed"], near["failed"], near["failed_alone"])
    failed = [alone for passed, alone in close if not passed]
    true = (len(one.margins), len(one.margins), len(close) - len(failed), len(failed), sum(failed))
    inside = sum(bin_["n"] for bin_ in near["bins"] if bin_["from"] >= 0) + near["above"]
    passed = sum(passed for _, passed, _, _ in one.margins)
    return [f"near {said}, in truth {true}"] * (said != true) + [f"{inside} inside, in truth {passed}"] * (
        inside != passed
    )


def figures(full: bool) -> list[Figure]:
    """200 pipelines, some 1,500 rules."""
    worlds = 200 if full else 12
    wrong: list[str] = []
    count: Counter[str] = Counter()
    for seed in range(worlds):
        chance = random.Random(seed)
        made = world(chance)
        truth, plain, found = execute(made, chance)
        wrong += [f"{seed} {one}" for one in wrong_in(made, truth, plain, found)]
        count["rules"] += len(truth)
        for name in ("fires_never", "never_ran", "redundant_with"):
            count[name] += sum(bool(row[name]) for row in found["rules"])
    kinds = f"{count['fires_never']} dead, {count['never_ran']} unasked, {count['redundant_with']} redundant"
    return [
        Figure("7 rules", f"{count['rules']} rules of {worlds} pipelines, {kinds}: all that is said of them", "exact",
               "exact" if not wrong else f"{len(wrong)} wrong: {'; '.join(wrong[:3])}", not wrong),
    ]  # fmt: skip
