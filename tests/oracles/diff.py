"""Where two runs parted, against planted mutations: a pipeline is run twice, the second time with one change.

What must be found is known from the change alone: the step that was changed, its label, and, from running both, every
item that met another outcome. Half of the runs are posted as JSON, half are recorded with the SDK.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from starlette.testclient import TestClient

import dxray.testing
from dxray import XRay
from dxray.server.app import create_app
from dxray.server.settings import Settings
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import AnyRecord, Events, Loss
from tests.oracles.figures import Figure

SECTION = "2 diff"
FULL, SHORT = 500, 50  # planted mutations
WORDS = ("stand", "case", "cover", "clear", "leather", "slim", "magnet")
FIELDS = ("price", "weight", "age")


@dataclass(frozen=True)
class Filter:
    """A filter: a rule a field, or a model that says no to some."""

    name: str
    limits: dict[str, int] = field(default_factory=dict)  # field <= limit
    no_to: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pipeline:
    """How one run goes. The same pipeline gives the same run, but for its ids and times."""

    seed: int
    asked: str
    prompt: str
    words: tuple[str, ...]
    sources: dict[str, tuple[str, ...]]  # the items of each search, in its order
    filters: tuple[Filter, ...]
    rank_config: bool
    jitter: dict[str, float] = field(default_factory=dict)
    inserted: int | None = None  # before this filter
    retried: str | None = None

    def value(self, item: str, name: str) -> int:
        return Random(f"{self.seed}.{item}.{name}").randrange(100)

    def score(self, item: str) -> float:
        return round(Random(f"{self.seed}.{item}.score").random() + self.jitter.get(item, 0.0), 6)


def a_pipeline(seed: int) -> Pipeline:
    chance = Random(seed)
    items = [f"i{n}" for n in range(chance.randint(6, 30))]
    sources = {
        f"search_{n}": tuple(chance.sample(items, chance.randint(4, len(items)))) for n in range(chance.randint(1, 3))
    }
    filters = []
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(("screen", "check"))  # two of one name tell occurrences apart
        if chance.random() < 0.6:
            some = chance.sample(FIELDS, chance.randint(1, 2))
            filters.append(Filter(name, {one: chance.randint(55, 95) for one in some}))
        else:
            filters.append(Filter(name, no_to=frozenset(chance.sample(items, len(items) // 5))))
    words = tuple(chance.sample(WORDS, 3))
    return Pipeline(seed, "iphone", "find words", words, sources, tuple(filters), chance.random() < 0.7)


Mutated = tuple[Pipeline, str | None, str | None]  # the pipeline after it, the step it shows at, the label


def _threshold(one: Pipeline, chance: Random) -> Mutated | None:
    ruled = [n for n, some in enumerate(one.filters) if some.limits]
    if not ruled:
        return None
    n = chance.choice(ruled)
    limits = dict(one.filters[n].limits)
    limits[chance.choice(list(limits))] -= chance.randint(1, 50)
    filters = list(one.filters)
    filters[n] = replace(filters[n], limits=limits)
    return replace(one, filters=tuple(filters)), _name(one, n), "config_changed"


def _prompt(one: Pipeline, chance: Random) -> Mutated:
    words = tuple(chance.sample(WORDS, 3))
    return replace(one, prompt="find better words", words=words), "generate", "config_changed"


def _other_words(one: Pipeline, chance: Random) -> Mutated:
    new = chance.choice([word for word in WORDS if word not in one.words])
    return replace(one, words=(*one.words[:2], new)), "generate", "nondeterministic_here"


def _other_input(one: Pipeline, chance: Random) -> Mutated:
    return replace(one, asked="pixel", words=tuple(chance.sample(WORDS, 3))), "generate", "inherited"


def _dropped_source(one: Pipeline, chance: Random) -> Mutated | None:
    if len(one.sources) < 2:
        return None
    gone = chance.choice(list(one.sources))
    return replace(one, sources={k: v for k, v in one.sources.items() if k != gone}), gone, "structural"


def _inserted(one: Pipeline, chance: Random) -> Mutated:
    return replace(one, inserted=chance.randint(0, len(one.filters))), "extra", "structural"


def _retried(one: Pipeline, chance: Random) -> Mutated:
    return replace(one, retried=chance.choice([*one.sources, "rank"])), None, None


def _jitter(one: Pipeline, chance: Random) -> Mutated | None:
    left = outcomes(one)["rank"]
    if not left:
        return None
    some = chance.sample(sorted(left), min(len(left), 2))
    label = "nondeterministic_here" if one.rank_config else "unknown_cause"
    return replace(one, jitter={item: chance.choice((-0.4, -1e-4, 1e-4, 0.4)) for item in some}), "rank", label


def _reorder(one: Pipeline, chance: Random) -> Mutated:
    source = chance.choice(list(one.sources))
    items = list(one.sources[source])
    items = items[::-1] if chance.random() < 0.5 else [*items[1:], items[0]]
    return replace(one, sources={**one.sources, source: tuple(items)}), source, "nondeterministic_here"


def _other_verdict(one: Pipeline, chance: Random) -> Mutated | None:
    judged = [n for n, some in enumerate(one.filters) if some.no_to]
    seen = [(n, item) for n in judged for item in sorted(outcomes(one)[_name(one, n)])]
    if not seen:
        return None
    n, item = chance.choice(seen)
    filters = list(one.filters)
    filters[n] = replace(filters[n], no_to=filters[n].no_to ^ {item})
    return replace(one, filters=tuple(filters)), _name(one, n), "nondeterministic_here"


MUTATIONS: dict[str, Callable[[Pipeline, Random], Mutated | None]] = {
    "threshold": _threshold,
    "prompt": _prompt,
    "other words": _other_words,
    "other input": _other_input,
    "dropped source": _dropped_source,
    "inserted step": _inserted,
    "retried step": _retried,
    "score jitter": _jitter,
    "reorder": _reorder,
    "other verdict": _other_verdict,
}


# --- running a pipeline: steps as they would be posted -----------------------------------------------------------


def _name(one: Pipeline, n: int) -> str:
    """A filter's name, and which of that name it is: the key that the truth goes by."""
    name = one.filters[n].name
    return f"{name}#{sum(some.name == name for some in one.filters[: n + 1])}"


def outcomes(one: Pipeline) -> dict[str, dict[str, str]]:
    """The truth: what became of each item at each step. The chosen are `selected`, the others `outranked`."""
    out: dict[str, dict[str, str]] = {"generate": dict.fromkeys((f"kw:{word}" for word in one.words), "accepted")}
    for name, items in one.sources.items():
        out[name] = dict.fromkeys(items, "accepted")
    left = list(dict.fromkeys(item for items in one.sources.values() for item in items))
    out["collect"] = dict.fromkeys(left, "accepted")
    for n in range(len(one.filters)):
        if one.inserted == n:
            out["extra"] = dict.fromkeys(left, "accepted")
        some = one.filters[n]
        here = {}
        for item in left:
            no = item in some.no_to or any(one.value(item, name) > limit for name, limit in some.limits.items())
            here[item] = "rejected" if no else "accepted"
        left = [item for item in left if here[item] == "accepted"]
        out[_name(one, n)] = here
    if one.inserted == len(one.filters):
        out["extra"] = dict.fromkeys(left, "accepted")
    out["rank"] = dict.fromkeys(left, "accepted")
    best = sorted(left, key=lambda item: -one.score(item))[:1]
    out["select"] = {item: "selected" if item in best else "outranked" for item in left}
    return out


def posted(one: Pipeline, run_id: str) -> dict[str, Any]:
    """The run of a pipeline, written by hand."""
    truth = outcomes(one)
    steps: list[dict[str, Any]] = [
        {
            "name": "generate",
            "step_type": "generate",
            "config": {"model": "m", "prompt": one.prompt},
            "events": [{"item_id": f"kw:{word}", "outcome": "produced", "name": word} for word in one.words],
            "output": {"words": list(one.words)},
        }
    ]
    for name, items in one.sources.items():
        search = {
            "name": name,
            "step_type": "retrieve",
            "after": ["generate"],
            "input": {"source": name},
            "config": {"limit": 50},
            "events": [{"item_id": item, "outcome": "produced"} for item in items],
        }
        steps += _attempts(search, one.retried == name)
    collect = {"name": "collect", "step_type": "merge", "after": list(one.sources), **_passed(list(truth["collect"]))}
    steps.append(collect)
    for n, some in enumerate(one.filters):
        if one.inserted == n:
            steps.append(_extra(truth))
        steps.append(_filter(one, some, truth[_name(one, n)]))
    if one.inserted == len(one.filters):
        steps.append(_extra(truth))
    left = list(truth["rank"])
    scores = [{"item_id": item, "outcome": "accepted", "score": one.score(item)} for item in left]
    rank = {"name": "rank", "step_type": "rank", "input_count": len(left), "events": scores}
    steps += _attempts(rank | ({"config": {"by": "score"}} if one.rank_config else {}), one.retried == "rank")
    best = [item for item, outcome in truth["select"].items() if outcome == "selected"]
    select = {
        "decision": "best",
        "selected": best,
        "alternatives": [item for item in left if item not in best],
    }
    steps.append({"name": "select", "step_type": "select", "input_count": len(left), "decisions": [select]})
    return {"run_id": run_id, "pipeline": "p", "input": {"asked": one.asked}, "steps": steps}


def _attempts(step: dict[str, Any], retried: bool) -> Iterator[dict[str, Any]]:
    if retried:
        yield step | {"events": step["events"][:2], "error": "timed out"}
    yield step | {"attempt": 2 if retried else 1}


def _passed(items: list[str]) -> dict[str, Any]:
    return {"input_count": len(items), "events": [{"item_id": item, "outcome": "accepted"} for item in items]}


def _extra(truth: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {"name": "extra", "step_type": "transform", **_passed(list(truth["extra"]))}


def _filter(one: Pipeline, some: Filter, here: dict[str, str]) -> dict[str, Any]:
    rules = [{"field": n, "op": "<=", "threshold": v, "reason": f"{n}_too_high"} for n, v in some.limits.items()]
    events = []
    for item, outcome in here.items():
        values = {name: one.value(item, name) for name in some.limits}
        failed = [name for name, value in values.items() if value > some.limits[name]]
        reason = None if outcome == "accepted" else f"{failed[0]}_too_high" if failed else "unfit"
        event = {"item_id": item, "outcome": outcome, "reason": reason, "evidence": values or None}
        events.append({key: value for key, value in event.items() if value is not None})
    found = {"name": some.name, "step_type": "filter", "input_count": len(here), "events": events}
    return found | ({"rules": rules} if rules else {"config": {"judge": "m", "prompt": "does it fit?"}})


# --- recording it with the SDK ---------------------------------------------------------------------------------


def played(run: dict[str, Any], xray: XRay) -> str:
    """Record a posted run by calling the SDK as a pipeline would."""
    with xray.run(input=run["input"]) as live:
        steps: dict[str, Any] = {}
        for said in run["steps"]:
            after = [steps[name] for name in said["after"]] if "after" in said else None
            with ExitStack() as stack:
                stack.enter_context(_ignored())
                step = stack.enter_context(live.step(said["name"], said["step_type"], after=after))
                steps[said["name"]] = step
                _play(said, step)
                if "error" in said:
                    raise TimeoutError(said["error"])
        return live.run_id


@contextmanager
def _ignored() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        return


def _play(said: dict[str, Any], step: Any) -> None:
    if "config" in said:
        step.set_config(**said["config"])
    for name in ("input", "output"):
        if name in said:
            getattr(step, f"set_{name}")(said[name])
    if "input_count" in said:
        step.set_input_count(said["input_count"])
    rules = [
        (rule["field"], step.require(rule["field"], rule["op"], rule["threshold"], reason=rule["reason"]))
        for rule in said.get("rules", ())
    ]
    for event in said.get("events", ()):
        item, evidence = event["item_id"], event.get("evidence")
        if "score" in event:
            step.score(item, event["score"])
        if event["outcome"] == "produced":
            step.produce(item, name=event.get("name"))
        elif rules and evidence is not None:
            if all(rule.passes(item, evidence[name]) for name, rule in rules):
                step.accept(item)
        elif event["outcome"] == "rejected":
            step.reject(item, event["reason"], evidence=evidence)
        else:
            step.accept(item)
    for decision in said.get("decisions", ()):
        others = [{"id": item} for item in decision["alternatives"]]
        step.decide(decision["decision"], selected=decision["selected"], alternatives=others)


class Server:
    """A server in this process, which takes runs in both ways."""

    def __init__(self, client: TestClient) -> None:
        self.client, self._batches = client, 0
        self._waiting: list[AnyRecord] = []

    def take(self, one: Pipeline, run_id: str, by_sdk: bool) -> str:
        """Record a pipeline's run; its id."""
        run = posted(one, run_id)
        if not by_sdk:
            answer = self.client.post("/runs", json=run)
            assert answer.status_code == 201, answer.text
            return run_id
        run_id, records = recorded(run)
        self.send(records)
        return run_id

    def send(self, records: list[AnyRecord]) -> None:
        """Records to be committed with the next `commit`: one for many runs takes a tenth of the time."""
        self._waiting += records

    def commit(self) -> None:
        """Commit what was sent."""
        if not self._waiting:
            return
        self._batches += 1
        body = pack_batch(f"oracle{self._batches}", 1, "default", map(pack_record, self._waiting))
        self._waiting.clear()
        answer = self.client.post("/ingest", content=body, headers={"content-encoding": "zstd"})
        assert answer.status_code == 200 and not answer.json()["rejected"], answer.text

    def diff(self, a: str, b: str) -> dict[str, Any]:
        answer = self.client.get("/diff", params={"a": a, "b": b})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def recorded(run: dict[str, Any]) -> tuple[str, list[AnyRecord]]:
    """A run's id and its records, as the SDK sends them."""
    with dxray.testing.capture() as captured:
        run_id = played(run, XRay("p", disabled=False))
        return run_id, list(captured.records)


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="dxray-oracle-") as folder:
        app = create_app(Settings(data=Path(folder)))
        with TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000)) as client:
            yield Server(client)


# --- the figures -----------------------------------------------------------------------------------------------


def key_of(step: dict[str, Any]) -> str:
    """A step by the name that the truth goes by."""
    name = step["step_name"]
    return f"{name}#{step['occurrence']}" if name in ("screen", "check") else name


def true_flips(a: Pipeline, b: Pipeline) -> set[tuple[str, str, str, str]]:
    """Each item that both runs had at a step, with another outcome."""
    one, other = outcomes(a), outcomes(b)
    return {
        (step, item, here[item], other[step][item])
        for step, here in one.items()
        if step in other
        for item in here.keys() & other[step].keys()
        if here[item] != other[step][item]
    }


def wrong(found: dict[str, Any], a: Pipeline, b: Pipeline, step: str | None, label: str | None) -> str | None:
    """What is wrong with a diff; None for nothing."""
    labels = {key_of(one): one["label"] for one in found["steps"]}
    first = found["first_divergence"]
    keys = {tuple(one["step_id"].items()): key_of(one) for one in found["steps"]}
    seen = None if first is None else (keys[tuple(first["step_id"].items())], first["label"])
    if seen != (None if step is None else (step, label)):
        return f"first divergence {seen}, planted {step, label}"
    if step is None and (set(labels.values()) != {"same"} or found["config_changes"]):
        return f"a difference where there is none: {labels}"
    others = {name: one for name, one in labels.items() if name != step and one not in ("same", "inherited")}
    if others:
        return f"steps that only follow from {step} were labelled {others}"
    flips = {
        (keys[tuple(one["step_id"].items())], one["item_id"], one["a"]["outcome"], one["b"]["outcome"])
        for one in found["flips"]
    }
    if flips != true_flips(a, b) or found["totals"]["flips"] != len(flips):
        return f"flips {sorted(flips ^ true_flips(a, b))}"
    return None


Asked = tuple[
    str, str, str, Pipeline, Pipeline, str | None, str | None
]  # what, two ids, pipelines, what is to be found


def planted(here: Server, n: int) -> Iterator[str | None]:
    """What is wrong with the answer to each mutation."""
    names = list(MUTATIONS)
    asked: list[Asked] = []
    seed = 0
    while len(asked) < n:
        seed += 1
        name = names[len(asked) % len(names)]
        one = a_pipeline(seed)
        mutated = MUTATIONS[name](one, Random(f"{seed}.{name}"))
        if mutated is None:
            continue  # this pipeline has nothing of the kind
        other, step, label = mutated
        by_sdk = (len(asked) // len(names) + len(asked)) % 2 == 0  # each kind in both ways
        ids = here.take(one, f"a{seed}", by_sdk), here.take(other, f"b{seed}", by_sdk)
        asked.append((f"{name}, pipeline {seed}, by {'SDK' if by_sdk else 'hand'}", *ids, one, other, step, label))
    yield from _answered(here, asked)


def identical(here: Server, n: int) -> Iterator[str | None]:
    """What is wrong with the answers to runs of one and the same pipeline, recorded twice."""
    asked: list[Asked] = []
    for seed in range(10_000, 10_000 + n):
        one = a_pipeline(seed)
        a, b = (here.take(one, f"{side}{seed}", by_sdk=seed % 2 == 0) for side in "ab")
        asked.append((f"pipeline {seed} twice", a, b, one, one, None, None))
    yield from _answered(here, asked)


def _answered(here: Server, asked: list[Asked]) -> Iterator[str | None]:
    here.commit()
    for what, a, b, *planted_there in asked:
        said = wrong(here.diff(a, b), *planted_there)
        yield said if said is None else f"{what}: {said}"


def lossy(here: Server, n: int) -> Iterator[str | None]:
    """Equal runs of which one lost the events of a step: that they differ must not be said, only that it is unknown."""
    asked = []
    for seed in range(20_000, 20_000 + n):
        run = posted(a_pipeline(seed), "")
        a, whole = recorded(run)
        b, records = recorded(run)
        gone = Random(seed).choice([record for record in records if isinstance(record, Events)])
        loss = Loss(run_id=b, step_id=gone.step_id, cause="queue_full", n=len(gone.ops))
        here.send([*whole, *(record for record in records if record is not gone), loss])
        asked.append((seed, a, b))
    here.commit()
    for seed, a, b in asked:
        found = here.diff(a, b)
        right = found["first_divergence"] is None and not found["flips"] and found["unknown"] is not None
        yield None if right else f"pipeline {seed}: {found['sentence']}"


def figures(full: bool) -> list[Figure]:
    """The rows of this section."""
    n, few = (FULL, 100) if full else (SHORT, 8)
    with server() as here:
        return [
            _row(f"planted mutations of {len(MUTATIONS)} kinds: first divergence, labels and flips", planted(here, n)),
            _row("the same run recorded twice: no difference", identical(here, few)),
            _row("one of two equal runs lost events: no difference claimed", lossy(here, few)),
        ]


def _row(test: str, answers: Iterator[str | None]) -> Figure:
    found = list(answers)
    missed = [one for one in found if one is not None]
    reached = f"{len(found) - len(missed)} of {len(found)}" + (f"; {missed[0]}" if missed else "")
    return Figure(SECTION, f"{len(found)} x {test}", "100 %", reached, not missed)
