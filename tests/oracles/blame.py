"""Blame, against planted faults: pipelines are made and run with one verdict changed, and blame must name it.

A pipeline has a generator of values, a search, filters with a rule each, and a choice by score. It is run some times
as it should be, and once with one fault: the value that brings the wrong item in, the search that misses the right one,
the rule that is too strict, the rule that is not asked, the score. The runs are recorded as an SDK records them, and
asked over HTTP. Then the same runs lose a part of their record: what blame is still sure of must be true.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Decision, Events, Op, Rule, Run, Step
from tests.api.conftest import connect
from tests.oracles.figures import Figure

FAULTS = ("recall_loss", "too_strict", "too_lenient", "mis_ranked", "mis_ranked_choice", "bad_generation")
HOLES = ("no_generate", "no_parents", "no_produce", "no_evidence", "lost_step", "lost_events", "uncounted",
         "no_filter", "no_names", "no_types", "forgot", "forgot_counts")  # fmt: skip
LIMIT = 100.0
WINNER, SECOND, BAD = "right", "spare", "planted"


@dataclass
class Made:
    """One step as it is recorded, before anything of it is lost."""

    name: str
    type: str | None
    input_count: int | None = None
    rules: list[Rule] = field(default_factory=list)
    rows: list[tuple[int, str, Any, Any]] = field(default_factory=list)  # op, item, a, b
    chosen: tuple[str, float] | None = None
    lost: int = 0  # events that did not arrive, and are known not to have

    def say(self, op: int, item: str, a: Any = None, b: Any = None) -> None:
        self.rows.append((op, item, a, b))


@dataclass
class World:
    """A pipeline, and the fault that is planted in its last run."""

    name: str
    fault: str
    values: list[str]
    searches: list[str]
    filters: list[str]
    items: dict[str, list[str]]  # by value, what it finds
    score: dict[str, float]
    facts: dict[str, dict[str, float]]  # by item, by filter
    at: str  # the filter with the fault

    @property
    def truth(self) -> tuple[str, str]:
        """The step and the class."""
        step = {"recall_loss": self.searches[0], "too_strict": self.at, "too_lenient": self.at,
                "bad_generation": "generate"}.get(self.fault, "choose")  # fmt: skip
        return step, self.fault.removesuffix("_choice")

    @property
    def label(self) -> dict[str, str]:
        if self.fault in ("recall_loss", "too_strict", "mis_ranked"):
            return {"label": "expected", "item_id": WINNER}
        return {"label": "wrong", "item_id": BAD} if self.fault == "mis_ranked_choice" else {"label": "bad"}


def made(seed: int) -> World:
    """A pipeline drawn by chance."""
    chance = random.Random(seed)
    fault = FAULTS[seed % len(FAULTS)]
    values = [f"word {n}" for n in range(chance.randint(2, 4))]
    searches = ["search"]
    filters = [f"filter {n}" for n in range(chance.randint(1, 3))]
    items = {value: [f"{value}/{n}" for n in range(chance.randint(1, 4))] for value in values}
    everything = [one for some in items.values() for one in some]
    score = {one: round(chance.uniform(0, 0.8), 3) for one in everything} | {WINNER: 0.9, SECOND: 0.85, BAD: 0.1}
    facts = {one: {name: chance.uniform(0, 2 * LIMIT) for name in filters} for one in everything}
    facts |= {one: dict.fromkeys(filters, LIMIT / 2) for one in (WINNER, SECOND, BAD)}
    for one in everything[:1]:  # each filter drops something, so that it can be missed
        facts[one] = dict.fromkeys(filters, 2 * LIMIT)
    items[values[0]].append(WINNER)
    items[values[1]].append(SECOND)
    return World(f"p{seed}", fault, values, searches, filters, items, score, facts, chance.choice(filters))


def ran(world: World, broken: bool) -> tuple[list[Made], str]:
    """The steps of one run, and what it chose."""
    fault = world.fault if broken else ""
    values, items = list(world.values), {value: list(found) for value, found in world.items.items()}
    score, facts = dict(world.score), {one: dict(some) for one, some in world.facts.items()}
    if fault == "bad_generation":
        values.append("bad word")
        items["bad word"], score[BAD] = [BAD, "bad word/1"], 0.95
        facts["bad word/1"], score["bad word/1"] = dict.fromkeys(world.filters, LIMIT / 2), 0.05
    elif fault == "recall_loss":
        items[values[0]].remove(WINNER)
    else:
        items[values[-1]].append(BAD)
    if fault == "too_strict":
        facts[WINNER][world.at] = LIMIT * 1.5
    elif fault.startswith("mis_ranked"):
        score[BAD] = 0.95
    elif fault == "too_lenient":
        facts[BAD][world.at], score[BAD] = LIMIT * 1.5, 0.95
    elif not fault and world.fault == "too_lenient":
        facts[BAD][world.at], score[BAD] = LIMIT * 1.5, 0.95  # there as well, and dropped by the rule
    steps = [generated(values), searched(values, items)]
    pool = list(dict.fromkeys(one for value in values for one in items[value]))
    for name in world.filters:
        step, pool = filtered(name, pool, facts, skipped=BAD if (fault, name) == ("too_lenient", world.at) else None)
        steps.append(step)
    step, winner = chosen(pool, score)
    return [*steps, step], winner


def generated(values: Sequence[str]) -> Made:
    step = Made("generate", "generate")
    for value in values:
        step.say(Op.PRODUCED, f"v:{value}", value)
    return step


def searched(values: Sequence[str], items: dict[str, list[str]]) -> Made:
    step = Made("search", "retrieve", len(values))
    parents: dict[str, list[str]] = {}
    for value in values:
        step.say(Op.CONSUMED, f"v:{value}")
        for one in items[value]:
            parents.setdefault(one, []).append(f"v:{value}")
    for one, found in parents.items():
        step.say(Op.PRODUCED, one, f"name of {one}", found)
    return step


def filtered(
    name: str, pool: Sequence[str], facts: dict[str, dict[str, float]], skipped: str | None
) -> tuple[Made, list[str]]:
    step, kept = Made(name, "filter", len(pool)), []
    asked = [one for one in pool if one != skipped]
    failed = [one for one in asked if facts[one][name] > LIMIT]
    step.rules = [Rule(name, "<=", str(LIMIT), "too_much", len(asked), len(failed))]
    for one in pool:
        if one in failed:
            step.say(Op.RULE_FAILED, one, 0, facts[one][name])
            continue
        if one != skipped:
            step.say(Op.RULE_PASSED, one, 0, facts[one][name])
        step.say(Op.ACCEPTED, one, None, {name: facts[one][name]})
        kept.append(one)
    return step, kept


def chosen(pool: Sequence[str], score: dict[str, float]) -> tuple[Made, str]:
    step = Made("choose", "select", len(pool))
    best, *others = sorted(pool, key=lambda one: (-score[one], one))
    for one in pool:
        step.say(Op.SCORED, one, score[one])
    step.say(Op.SELECTED, best, "highest", score[best])
    for one in others:
        step.say(Op.OUTRANKED, one, None, score[one])
    step.chosen = (best, score[best])
    return step, best


def spoil(steps: list[Made], hole: str, chance: random.Random) -> list[Made]:
    """The same run, worse recorded."""
    generate, search = steps[0], steps[1]
    middle = [step for step in steps if step.type == "filter"]
    if hole == "no_generate":
        generate.rows = []
    elif hole == "no_parents":
        search.rows = [(op, item, a, None) for op, item, a, _ in search.rows if op != Op.CONSUMED]
        search.input_count = None
    elif hole == "no_produce":
        search.rows, search.input_count = [], None
    elif hole == "no_evidence":
        for step in middle:
            step.rows = [(op, item, a, None if op == Op.ACCEPTED else b) for op, item, a, b in step.rows]
    elif hole == "lost_step":
        steps.remove(chance.choice(steps[:-1]))
    elif hole == "no_filter":  # nobody ever thought of recording it
        steps.remove(chance.choice(middle))
    elif hole == "no_names":
        without_names(generate, search)
    elif hole == "no_types":
        for step in steps:
            step.type = None
    elif hole.startswith("forgot"):
        forget(chance.choice(steps[:-1]), chance)
    else:
        lose(chance.choice(steps), chance)
    return steps


def lose(step: Made, chance: random.Random) -> None:
    """Some events of a step do not arrive."""
    emitted = len(step.rows)
    step.rows = [row for row in step.rows[1:] if chance.random() < 0.6]
    step.lost = emitted - len(step.rows)


def forget(step: Made, chance: random.Random) -> None:
    """Of some items a step never says anything."""
    forgotten = {item for item in {row[1] for row in step.rows} if chance.random() < 0.4}
    step.rows = [row for row in step.rows if row[1] not in forgotten]


def without_names(generate: Made, search: Made) -> None:
    """Values are counted instead, from the start in each run."""
    number = {item: f"v{n}" for n, (_, item, _, _) in enumerate(generate.rows)}
    generate.rows = [(op, number[item], None, b) for op, item, _, b in generate.rows]
    search.rows = [
        (op, number.get(item, item), a, [number[one] for one in b] if b else b) for op, item, a, b in search.rows
    ]


def records(world: World, run_id: str, steps: Sequence[Made], hole: str | None) -> Iterator[AnyRecord]:
    """What an SDK would send."""
    yield Run(run_id=run_id, version=1, pipeline=world.name, status="completed", started_at=1, input='{"ask": 1}')
    places = {step.name: place for place, step in enumerate(steps)}
    if hole == "lost_step":
        order = ["generate", "search", *world.filters, "choose"]
        places = {name: place for place, name in enumerate(order)}
    before: list[str] = []
    for step in steps:
        step_id = f"s{places[step.name]}"
        ops = bytes(op for op, _, _, _ in step.rows)
        yield Step(
            run_id=run_id,
            step_id=step_id,
            version=1,
            name=step.name,
            type=step.type,
            position=places[step.name],
            after=before,
            started_at=10 + places[step.name],
            ended_at=11 + places[step.name],
            input_count=None if hole in ("uncounted", "forgot_counts") else step.input_count,
            rules=step.rules,
            events=len(ops) + step.lost,
        )
        if ops:
            _, ids, a, b = (list(column) for column in zip(*step.rows, strict=True))
            yield Events(run_id=run_id, step_id=step_id, first=0, at=20, ops=ops, ids=ids, a=a, b=b, rules=step.rules)
        if step.chosen is not None:
            yield Decision(run_id=run_id, step_id=step_id, number=0, decision="choose", selected=[step.chosen[0]],
                           reason="highest", score=step.chosen[1], at=21)  # fmt: skip
        before = [step_id]


def tell(api: TestClient, world: World, hole: str | None, batch: int, normal: int = 4) -> str:
    """Record the runs of a world, the broken one last, and label it. Returns the broken run's id."""
    chance = random.Random(f"{world.name}.{hole}")
    rows: list[AnyRecord] = []
    for number in range(normal + 1):
        broken = number == normal
        steps, _ = ran(world, broken)
        if hole is not None:
            steps = spoil(steps, hole, chance if broken else random.Random(f"{world.name}.{hole}"))
        rows += records(world, f"{world.name}-{number}", steps, hole)
    body = pack_batch("oracle", batch, "default", map(pack_record, rows))
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()
    assert answer["rejected"] == [], answer
    run_id = f"{world.name}-{normal}"
    said = api.post(f"/runs/{run_id}/labels", json=world.label)
    assert said.status_code == 201, said.text
    return run_id


def asked(api: TestClient, world: World) -> tuple[str, str] | str | None:
    """The earliest step and the class that blame is sure of; None where it is not, else why nothing is said."""
    found = api.get("/blame", params={"pipeline": world.name}).json()
    assert found["complaints"] == 1, found
    sure = [(one["step_name"], one["class"]) for one in found["faults"] if one["earliest"]]
    if sure:
        return sure[0]
    if found["faults"]:
        one = found["faults"][0]
        assert one["unknown"]["detail"], found
        return None
    assert found["undecided"] == 1, found
    assert found["unknown"][0]["detail"], found
    return str(found["unknown"][0]["cause"])


def compare(worlds: int, holes: Sequence[str | None], wrong: list[str]) -> Counter[str]:
    """How often blame was right, unsure, silent, or sure of what is not so."""
    seen: Counter[str] = Counter()
    batches = count(1)
    with tempfile.TemporaryDirectory() as folder, connect(Path(folder)) as api:
        for seed in range(worlds):
            hole = holes[(seed + seed // len(FAULTS)) % len(holes)]
            world = made(seed)
            tell(api, world, hole, next(batches))
            said = asked(api, world)
            verdict = "right" if said == world.truth else "wrong" if isinstance(said, tuple) else "unsure"
            seen[verdict] += 1
            if verdict == "wrong" or (verdict == "unsure" and hole is None):
                wrong.append(f"{world.name} {world.fault} {hole}: said {said}, true {world.truth}")
    return seen


def figures(full: bool) -> list[Figure]:
    """1,000 pipelines with a whole record, and 1,000 without."""
    worlds, spoiled = (1_000, 1_000) if full else (24, 36)
    wrong: list[str] = []
    whole = compare(worlds, [None], wrong)
    holes = compare(spoiled, HOLES, wrong)
    told = "; ".join(wrong[:3])
    return [
        Figure("3 blame", f"{worlds} planted faults, step and class", "all", f"{whole['right']} {told}".strip(),
               whole["right"] == worlds),
        Figure("3 blame", f"{spoiled} planted faults, part of the record missing: surely wrong", "0",
               f"{holes['wrong']} ({holes['unsure']} undecided)", holes["wrong"] == 0 and holes["right"] > 0),
    ]  # fmt: skip
