"""What-if, against pipelines that are executed again with the new limits (ANSWERS.md, section 4).

What the answer is sure of must be so, and what happened must be within its bounds. Where rules see everything and all
is scored, the answer must be what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any

from dxray.server.filters import Clause
from dxray.server.questions.flip import flip
from dxray.server.questions.whatif import whatif
from dxray.server.reasoning.histories import OF_RUN, histories
from dxray.server.reasoning.isolation import minimal_changes
from dxray.server.reasoning.limits import MAYBE, YES, Change
from dxray.server.reasoning.replay import History, replay
from dxray.server.store.base import Reader
from tests.oracles.figures import Figure
from tests.oracles.worlds import DISABLED, Filter, Limits, Rule, Went, World, again, limits_of, made, record

TOGETHER = 50  # worlds in one store


# What the answer is sure of


@dataclass
class Tally:
    """How the answers compare with what happened."""

    worlds: int = 0
    exact: int = 0
    wrong: list[str] = field(default_factory=list)
    flipped: int = 0  # in truth
    width: int = 0  # between the bounds of `flipped`
    chose: int = 0  # worlds that chose something
    sure: int = 0  # outcomes that are certain
    needs: int = 0  # outcomes for which a step has to run again
    changed: int = 0  # outcomes that truly change


def changes_of(limits: Limits) -> list[Change]:
    return [
        Change(reason, disable=True) if threshold is DISABLED else Change(reason, threshold)
        for reason, threshold in limits.items()
    ]


def usable(world: World, went: Went) -> bool:
    """Whether the record shows what the pipeline does: its checks were seen, and taste shows as something else."""
    for one in world.filters:
        came = went.came.get(one.name, ())
        if one.plain and not any(one.odd(world, item) and one.by_rules(world, item, {}) for item in came):
            return False
    return not went.hidden and (world.choice in ("score", "floor", "all") or not went.by_score)


def compare(world: World, limits: Limits, before: Went, run: History, tally: Tally) -> None:
    """One world with other limits: what is said, against what happens."""
    found = replay(run, changes_of(limits))
    after = again(world, limits)
    place = {item: n for n, item in enumerate(run.items)}
    said = f"{world.name} {limits}"
    low = high = truth = 0
    for n, at in enumerate(run.at):
        one = next((one for one in world.filters if one.name == at.stage.name), None)
        if one is None:
            continue
        came = set(after.came[one.name])
        for item, where in place.items():
            state = found.into[n][where]
            if (state == YES) != (item in came) and state != MAYBE:
                tally.wrong.append(f"{said}: {item} at {one.name} is {state}, in truth {item in came}")
        if n in found.judged:
            judged = found.judged[n]
            here = at.present
            certain = here & (judged.after != MAYBE) & (judged.before != (judged.after == YES))
            low += int(certain.sum())
            high += int((here & ((judged.after == MAYBE) | certain)).sum())
            truth += sum(one.lets(world, item, {}) != one.lets(world, item, limits) for item in before.came[one.name])
    if not low <= truth <= high:
        tally.wrong.append(f"{said}: {truth} flipped, said {low} to {high}")
    if before.chosen:
        tally.chose += 1
        sure = {run.items[n] for n in range(len(run.items)) if found.winners_after[n] == YES}
        maybe = {run.items[n] for n in range(len(run.items)) if found.winners_after[n] == MAYBE}
        if not sure <= after.chosen or not (after.chosen <= sure | maybe or found.may_be_others):
            tally.wrong.append(f"{said}: {sorted(after.chosen)} chosen, said {sorted(sure)} or {sorted(maybe)}")
        tally.sure += found.exactness == "certain"
        tally.needs += found.exactness == "replay_needed"
        tally.changed += before.chosen != after.chosen
        tally.exact += found.exactness == "certain" and sure == after.chosen and low == high
    else:
        tally.exact += low == high
    tally.worlds += 1
    tally.flipped += truth
    tally.width += high - low


def by_fifty(seeds: Iterable[int], whole: bool) -> Iterator[tuple[World, Went, History, Reader]]:
    """Worlds that ran, and what is recorded of each."""
    some = [made(seed, whole) for seed in seeds]
    for start in range(0, len(some), TOGETHER):
        worlds = {world.name: world for world in some[start : start + TOGETHER]}
        went, reader, store = record(list(worlds.values()))
        try:
            for run in histories(reader, reader.select("runs", OF_RUN).to_pylist()):
                world = worlds[run.run_id]
                if usable(world, went[world.name]):
                    yield world, went[world.name], run, reader
        finally:
            store.close()


def compared(count: int, whole: bool, first: int = 0) -> Tally:
    """So many worlds."""
    tally = Tally()
    for world, went, run, _ in by_fifty(range(first, first + 3 * count), whole):
        if tally.worlds < count:
            compare(world, limits_of(world, 0), went, run, tally)
    return tally


def sweeps(count: int) -> Tally:
    """The curve of one rule of each of so many worlds, against what its step decides at each threshold."""
    tally = Tally()
    for world, went, _, reader in by_fifty(range(3 * count), False):
        rules = [(one, rule) for one in world.filters for rule in one.rules if rule.op in ("<=", ">=", ">")]
        rules = [(one, rule) for one, rule in rules if went.came.get(one.name)]
        if tally.worlds >= count or not rules:
            continue
        one, rule = rules[world.seed % len(rules)]
        swept = {"reason": rule.reason, "from": 0, "to": 10 if rule.field != "price" else 200, "points": 9}
        said = whatif(reader, swept=swept, q=f"run_id:{world.name}")["curve"]
        assert len(said) == 9, said
        for point in said:
            limits = {rule.reason: point["threshold"]}
            truth = sum(one.lets(world, item, {}) != one.lets(world, item, limits) for item in went.came[one.name])
            low, high = point["flipped"]
            if not low <= truth <= high:
                tally.wrong.append(f"{world.name} {limits}: {truth} flipped, said {low} to {high}")
            tally.flipped += truth
            tally.width += high - low
            tally.exact += low == high
            tally.sure += 1
        tally.worlds += 1
    return tally


# The cheapest change of one item, and the smallest difference between two runs


def fails(world: World, item: str) -> list[tuple[Filter, Rule]]:
    """The rules that speak against an item, wherever they stand."""
    facts = world.of(item)
    return [(one, rule) for one in world.filters for rule in one.rules if not rule.passes(facts[rule.field], {})]


def flips(count: int) -> tuple[int, list[str]]:
    """`flip` of an item of each world, against all subsets of the limits that stop it, each executed."""
    asked, wrong = 0, []
    for world, went, _, reader in by_fifty(range(6 * count), True):
        if not went.chosen:  # what would have been chosen does not follow where nothing was
            continue
        for item in sorted(world.facts):
            failing = fails(world, item)
            if asked >= count or not 0 < len(failing) <= 8 or len({rule.reason for _, rule in failing}) < len(failing):
                continue
            said = flip(reader, world.name, item)
            asked += 1
            problem = flip_differs(world, item, failing, said)
            if problem:
                wrong.append(f"{world.name} {item}: {problem}; said {said['sentence']}")
            break
    return asked, wrong


def flip_differs(world: World, item: str, failing: Sequence[tuple[Filter, Rule]], said: dict[str, Any]) -> str | None:
    """Where the answer is not the cheapest of all; None where it is."""
    least = {rule.reason: lowered(rule, world.of(item)[rule.field]) for _, rule in failing}
    subsets = chain.from_iterable(combinations(least, size) for size in range(1, len(least) + 1))
    wins = [some for some in subsets if item in again(world, {reason: least[reason] for reason in some}).chosen]
    chosen = {one["reason"]: one["to"] for one in said["changes"]}
    if not wins:
        certain = said["exactness"] == "certain" and "would be selected" in said["sentence"]
        return "nothing selects it" if certain else None
    if set(chosen) not in [set(some) for some in wins]:
        return f"{wins} select it, said {chosen}"
    if chosen != {reason: least[reason] for reason in chosen}:
        return f"the least limits are {least}, said {chosen}"
    cost = {one["reason"]: one["cost"] for one in said["changes"]}
    if any(set(some) < set(chosen) for some in wins):
        return f"{wins} are enough"
    known = [sum(cost[reason] for reason in some) for some in wins if set(some) <= set(cost)]
    return None if said["cost"] <= min(known) + 1e-9 and said["exactness"] == "certain" else f"costs {said['cost']}"


def lowered(rule: Rule, value: Any) -> Any:
    """The nearest limit that lets a value pass."""
    if rule.op == "in":
        return [*rule.threshold, value]
    if rule.op == "between":
        return [min(rule.threshold[0], value), max(rule.threshold[1], value)]
    return value - 1 if rule.op == ">" else value


def isolated(count: int) -> tuple[int, list[str]]:
    """Two runs of a world with several other limits: the smallest set that makes an item's fate another."""
    asked, wrong = 0, []
    worlds = [made(seed, True) for seed in range(4 * count)]
    for start in range(0, len(worlds), TOGETHER):
        some = worlds[start : start + TOGETHER]
        other = [limits_of(world, 1) | limits_of(world, 2) | limits_of(world, 3) for world in some]
        went, reader, store = record(some, other)
        try:
            for world, limits in zip(some, other, strict=True):
                a, b = went[world.name].chosen, went[f"{world.name}-b"].chosen
                if asked >= count or a == b or not (a and b):
                    continue
                asked += 1
                problem = isolation_differs(reader, world, limits, sorted(a ^ b))
                wrong += [f"{world.name} {limits}: {problem}"] if problem else []
        finally:
            store.close()
    return asked, wrong


def isolation_differs(reader: Reader, world: World, limits: Limits, items: Sequence[str]) -> str | None:
    """Where a set that is said is not of the least size that truly flips an item's fate."""
    rows = [
        {
            row["step_name"]: row["step_id"]
            for row in reader.select("steps", where=[Clause("run_id", "==", run)]).to_pylist()
        }
        for run in (world.name, f"{world.name}-b")
    ]
    aligned = [(rows[0][name], rows[1][name]) for name in rows[0] if name in rows[1]]
    found = {one["item_id"]: one for one in minimal_changes(reader, world.name, f"{world.name}-b", aligned)}
    before = again(world, {}).chosen
    for item in items:
        sizes = range(1, len(limits) + 1)
        sets = [set(some) for size in sizes for some in combinations(limits, size)]
        enough = [
            some for some in sets
            if (item in again(world, {reason: limits[reason] for reason in some}).chosen) != (item in before)
        ]  # fmt: skip
        said = {one["reason"] for one in found[item]["changes"]} if item in found else set()
        least = min((len(some) for some in enough), default=0)
        if said not in enough or len(said) != least or found[item]["exactness"] != "certain":
            return f"{item}: {said} of {enough}"
    return None


def figures(full: bool) -> list[Figure]:
    """1,000 of each; a few where it is to be quick."""
    count = 1_000 if full else 40
    whole, censored, curves = compared(count, True), compared(count, False), sweeps(count if full else 15)
    asked, unlike = flips(count if full else 25)
    pairs, other = isolated(count if full else 15)
    told = [*whole.wrong, *censored.wrong, *curves.wrong, *unlike, *other]
    width = censored.width / max(1, censored.flipped)
    unsure = censored.chose - censored.sure - censored.needs
    return [
        Figure("4 whatif", f"{whole.worlds} pipelines executed again, all recorded: the same is selected", "all",
               f"{whole.exact} ({whole.changed} with another outcome) {'; '.join(told[:2])}".strip(),
               whole.exact == whole.worlds == count and not whole.wrong and whole.changed > 0),
        Figure("4 whatif", f"{censored.worlds} with part of the record: the truth outside the bounds", "0",
               f"{len(censored.wrong)} (bounds {width:.2f} of the flips wide; of {censored.chose} outcomes "
               f"{censored.sure} certain, {censored.needs} to run again, {unsure} open)",
               not censored.wrong and censored.worlds == count and censored.sure > count / 4),
        Figure("4 whatif", f"{curves.sure} thresholds of {curves.worlds} sweeps: the truth outside the bounds", "0",
               f"{len(curves.wrong)} ({curves.exact} exact)", not curves.wrong and curves.exact > curves.sure / 2),
        Figure("4 whatif", f"{asked} flips against all subsets, executed: another set is cheaper", "0",
               f"{len(unlike)}", not unlike and asked > 0),
        Figure("4 whatif", f"{pairs} pairs of runs isolated against all subsets, executed", "all",
               f"{pairs - len(other)}", not other and pairs > 0),
    ]  # fmt: skip
