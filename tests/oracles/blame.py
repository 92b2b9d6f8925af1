"""Blame, against planted faults: pipelines are made and run with one verdict changed, and blame must name it.

The pipelines are those of `faulty`. Each is run some times as it should be, and once with its fault: the value that
brings the wrong item in, the search that misses the right one, the rule that is too strict, the rule that is not asked
or is overruled, the score. The runs are recorded as an SDK records them, and asked over HTTP. Then the same runs lose
a part of their record: what blame is still sure of must be true.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from starlette.testclient import TestClient

from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Decision, Events, Loss, Op, Run, Step
from tests.api.conftest import connect
from tests.oracles.faulty import BAD, FAULTS, OF_THE_RIGHT, Execution, Made, World, made
from tests.oracles.figures import Figure

LIMIT_OF_EVIDENCE = 0.01  # the share of evidence that is kept by chance

Chance = random.Random
Spoil = Callable[[list[Made], Chance], None]


# --- records with holes ----------------------------------------------------------------------------------------


def _of_type(steps: list[Made], *types: str) -> list[Made]:
    return [step for step in steps if step.type in types]


def no_generate(steps: list[Made], chance: Chance) -> None:
    for step in _of_type(steps, "generate"):
        step.rows, step.input_count, step.output_count = [], None, None


def no_parents(steps: list[Made], chance: Chance) -> None:
    """Of what one step or all of them made it is not said from what."""
    makers = _of_type(steps, "generate", "retrieve")
    for step in makers if chance.random() < 0.5 else [chance.choice(makers)]:
        step.rows = [(op, item, a, None) for op, item, a, _ in step.rows if op != Op.CONSUMED]
        step.input_count = step.output_count = None


def no_produce(steps: list[Made], chance: Chance) -> None:
    searches = _of_type(steps, "retrieve")
    for step in searches if chance.random() < 0.5 else [chance.choice(searches)]:
        step.rows, step.input_count, step.output_count = [], None, None


def no_evidence(steps: list[Made], chance: Chance) -> None:
    for step in _of_type(steps, "filter"):
        step.rows = [(op, item, a, None if op in (Op.ACCEPTED, Op.REJECTED) else b) for op, item, a, b in step.rows]


def sampled_evidence(steps: list[Made], chance: Chance) -> None:
    for step in _of_type(steps, "filter"):
        step.sampled = True
        step.rows = [
            (op, item, a, False if op in (Op.ACCEPTED, Op.REJECTED) and chance.random() < 0.9 else b)
            for op, item, a, b in step.rows
        ]


def lost_step(steps: list[Made], chance: Chance) -> None:
    """It does not arrive, and its place is empty."""
    steps.remove(chance.choice(steps[:-1]))


def never_recorded(*types: str) -> Spoil:
    """Nobody ever thought of recording a step: what came after it is said to come after those before it."""

    def spoil(steps: list[Made], chance: Chance) -> None:
        names = sorted({step.name for step in _of_type(steps, *types)})
        if not names:
            return
        name = chance.choice(names)
        for gone in [step for step in steps if step.name == name]:
            steps.remove(gone)
            for step in steps:
                if gone in step.after:
                    step.after = list({one.name: one for one in [*step.after, *gone.after] if one is not gone}.values())
        for place, step in enumerate(steps):
            step.place = place

    return spoil


def silent(*types: str) -> Spoil:
    """A step that is there, and says nothing of items."""

    def spoil(steps: list[Made], chance: Chance) -> None:
        found = _of_type(steps, *types)
        if found:
            step = chance.choice(found)
            step.rows, step.input_count, step.output_count, step.rules, step.chosen = [], None, None, [], []

    return spoil


def no_names(steps: list[Made], chance: Chance) -> None:
    """Values are counted instead, from the start in each run."""
    values = dict.fromkeys(item for step in steps for _, item, _, _ in step.rows if item.startswith("v:"))
    number = {item: f"v{n}" for n, item in enumerate(values)}
    for step in steps:
        step.rows = [
            (op, number.get(item, item), None if item in number else a,
             [number.get(one, one) for one in b] if op == Op.PRODUCED and b else b)
            for op, item, a, b in step.rows
        ]  # fmt: skip


def no_types(steps: list[Made], chance: Chance) -> None:
    for step in steps:
        step.type = None


def no_order(steps: list[Made], chance: Chance) -> None:
    """Nobody says what comes after what: the SDK infers the step before."""
    for step in steps:
        step.inferred = True


def no_attempts(steps: list[Made], chance: Chance) -> None:
    """A step that was tried again does not say so."""
    for step in steps:
        step.attempt = 1


def attempt_lost(steps: list[Made], chance: Chance) -> None:
    last = [step for step in steps if step.attempt == 2]
    if last:
        lose(chance.choice(last), chance)


def lost_events(steps: list[Made], chance: Chance) -> None:
    lose(chance.choice(steps), chance)


def lose(step: Made, chance: Chance) -> None:
    """Some events of a step do not arrive."""
    emitted = len(step.rows)
    step.rows = [row for row in step.rows[1:] if chance.random() < 0.6]
    step.lost = emitted - len(step.rows)


def unplaced(steps: list[Made], chance: Chance) -> None:
    """Some events do not arrive, and nobody knows of which step they were."""
    lose(chance.choice(steps), chance)
    for step in steps:
        step.unplaced, step.lost = step.lost, 0


def forgot(steps: list[Made], chance: Chance) -> None:
    """Of some items a step never says anything."""
    step = chance.choice(steps[:-1])
    forgotten = {item for item in {row[1] for row in step.rows} if chance.random() < 0.4}
    step.rows = [row for row in step.rows if row[1] not in forgotten]


def forgot_counts(steps: list[Made], chance: Chance) -> None:
    forgot(steps, chance)
    uncounted(steps, chance)


def uncounted(steps: list[Made], chance: Chance) -> None:
    for step in steps:
        step.input_count = step.output_count = None


def no_scores(steps: list[Made], chance: Chance) -> None:
    """Only the winners are named."""
    for step in _of_type(steps, "rank", "select"):
        step.rows = [row for row in step.rows if row[0] == Op.SELECTED]


def no_choice(steps: list[Made], chance: Chance) -> None:
    steps[-1].chosen = []
    steps[-1].rows = [row for row in steps[-1].rows if row[0] == Op.SCORED]


def alone(steps: list[Made], chance: Chance) -> None:
    """No other run of the pipeline is recorded."""


HOLES: tuple[Spoil, ...] = (
    no_generate, no_parents, no_produce, no_evidence, sampled_evidence, lost_step, never_recorded("filter"),
    never_recorded("merge", "rank"), never_recorded("generate", "retrieve"), silent("filter", "merge"),
    silent("rank", "select"), no_names, no_types, no_order, no_attempts, attempt_lost, lost_events, unplaced, forgot,
    forgot_counts, uncounted, no_scores, no_choice, alone,
)  # fmt: skip


# --- what is recorded ------------------------------------------------------------------------------------------


def records(world: World, run_id: str, steps: Sequence[Made]) -> Iterator[AnyRecord]:
    """What an SDK would send."""
    yield Run(run_id=run_id, version=1, pipeline=world.name, status="completed", started_at=1, input='{"ask": 1}')
    for number, step in enumerate(steps):
        step_id = f"s{step.place}"
        before = [f"s{one.place}" for one in (steps[max(0, number - 1) : number] if step.inferred else step.after)]
        ops = bytes(op for op, _, _, _ in step.rows)
        yield Step(
            run_id=run_id,
            step_id=step_id,
            version=1,
            name=step.name,
            type=step.type,
            position=step.place,
            after=before,
            after_inferred=step.inferred,
            attempt=step.attempt,
            started_at=10 * step.place + 10,
            ended_at=10 * step.place + 11,
            input_count=step.input_count,
            output_count=step.output_count,
            cutoff=step.cutoff,
            rules=step.rules,
            error='{"type": "Timeout", "message": "no answer"}' if step.failed else None,
            events=len(ops) + step.lost,
        )
        if ops:
            _, ids, a, b = (list(column) for column in zip(*step.rows, strict=True))
            yield Events(run_id=run_id, step_id=step_id, first=0, at=20, ops=ops, ids=ids, a=a, b=b, rules=step.rules,
                         p=LIMIT_OF_EVIDENCE if step.sampled else None)  # fmt: skip
        if step.chosen:
            yield Decision(run_id=run_id, step_id=step_id, number=0, decision="choose",
                           selected=[item for item, _ in step.chosen], reason="highest", at=21)  # fmt: skip
        if step.unplaced:
            yield Loss(run_id=run_id, cause="queue_full", n=step.unplaced)


def tell(api: TestClient, world: World, hole: Spoil | None, batch: int, normal: int = 4) -> list[tuple[str, str]]:
    """Record the runs of a world, the broken one last, and label it. Returns the truth."""
    chance = Chance(f"{world.name}.{batch}")
    rows: list[AnyRecord] = []
    chosen: list[str] = []
    truth = [world.truth]
    for number in range(0 if hole is not alone else normal, normal + 1):
        run = Execution(world, broken=number == normal)
        chosen = run.run()
        if hole is not None:
            hole(run.steps, chance if number == normal else Chance(batch))
        truth = truths(world, run.steps)
        rows += records(world, f"{world.name}-{number}", run.steps)
    usual = Execution(world, broken=False).run()
    _is_planted(world, usual, chosen)
    body = pack_batch("oracle", batch, "default", map(pack_record, rows))
    answer = api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).json()
    assert answer["rejected"] == [], answer
    said = api.post(f"/runs/{world.name}-{normal}/labels", json=world.label(usual, chosen))
    assert said.status_code in (201, 422), said.text
    return truth


def _is_planted(world: World, usual: Sequence[str], chosen: Sequence[str]) -> None:
    """The fault, and nothing else, makes the outcome wrong."""
    assert BAD not in usual, world
    assert world.right in usual, world
    if world.fault in OF_THE_RIGHT:
        assert world.right not in chosen, world
    else:
        assert BAD in chosen, world


# --- what blame says -------------------------------------------------------------------------------------------


def truths(world: World, steps: Sequence[Made]) -> list[tuple[str, str]]:
    """What is true of what is recorded: scores that only the choice has are the choice's."""
    unscored = world.ranked == "scores" and all(step.name != "rank" for step in steps)
    return [world.truth, *([("choose", "mis_ranked")] if unscored and FAULTS[world.fault] == "mis_ranked" else [])]


def asked(api: TestClient, world: World) -> tuple[str, str] | str | None:
    """The earliest step and the class that blame is sure of; None where it is not, else why nothing is said."""
    found = api.get("/blame", params={"pipeline": world.name}).json()
    if not found["complaints"]:
        return "the label was refused: the run does not name the item"
    assert found["complaints"] == 1, found
    sure = [(one["step_name"], one["class"]) for one in found["faults"] if one["earliest"]]
    if sure:
        return sure[0]
    if found["faults"]:
        one = found["faults"][0]
        assert one["unknown"]["detail"], found
        return f"{one['step_name']} {one['class']}? {one['unknown']['detail']}"
    assert found["undecided"] == 1, found
    assert found["unknown"][0]["detail"], found
    return f"{found['unknown'][0]['cause']}: {found['unknown'][0]['detail']}"


def compare(worlds: int, holes: Sequence[Spoil | None], wrong: list[str]) -> Counter[str]:
    """How often blame was right, unsure, or sure of what is not so."""
    seen: Counter[str] = Counter()
    batches = count(1)
    with tempfile.TemporaryDirectory() as folder, connect(Path(folder)) as api:
        for seed in range(worlds):
            hole = Chance(seed).choice(holes)
            world = made(seed)
            truth = tell(api, world, hole, next(batches))
            said = asked(api, world)
            verdict = "right" if said in truth else "wrong" if isinstance(said, tuple) else "unsure"
            seen[verdict] += 1
            if verdict == "wrong" or (verdict == "unsure" and hole is None):
                why = getattr(hole, "__qualname__", "whole")
                wrong.append(f"{world.name} {world.fault} {why}: said {said}, true {world.truth}")
    return seen


def figures(full: bool) -> list[Figure]:
    """1,000 pipelines with a whole record, and 1,000 without."""
    worlds, spoiled = (1_000, 1_000) if full else (28, 48)
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
