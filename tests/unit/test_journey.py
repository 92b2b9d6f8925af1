"""Why, against brute force: small pipelines run, every item's true fate is known, and the ledger must tell it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dxray.server.reasoning.flow import Stage, flow_of
from dxray.server.reasoning.journey import Fate, Seen, fate_of, stops_of

KEPT = ("accepted", "selected")


@dataclass
class World:
    """A run in the making: what it records, and what is true."""

    stages: list[Stage] = field(default_factory=list)
    events: dict[str, list[tuple[str, Seen]]] = field(default_factory=dict)  # step_id -> (item, event)
    truth: dict[str, tuple[str, str]] = field(default_factory=dict)  # item -> verdict, step name
    status: str = "completed"

    def step(self, name: str, after: list[str], count: int, *, type: str = "filter", attempt: int = 1) -> str:
        step_id = f"s{len(self.stages)}"
        self.stages.append(Stage(step_id, name, type, len(self.stages), attempt, after=tuple(after), declared_in=count))
        self.events[step_id] = []
        return step_id

    def say(self, step_id: str, item: str, outcome: str | None, **more: object) -> None:
        rows = self.events[step_id]
        rows.append((item, Seen(step_id, len(rows), outcome, **more)))  # type: ignore[arg-type]

    def counted(self) -> list[Stage]:
        """The stages with their counts, as the store makes them from events."""
        out = []
        for stage in self.stages:
            rows = self.events[stage.step_id]
            last = {item: event.outcome for item, event in rows if event.outcome is not None}
            made = {item for item, event in rows if event.outcome == "produced"}
            tally = {name: sum(one == name for one in last.values()) for name in ("rejected", "consumed")}
            entered = len({item for item, _ in rows} - made)
            stage = replace(
                stage,
                entered=entered,
                produced=len(made),
                accepted=sum(one in ("accepted", "produced") for one in last.values()),
                outranked=sum(one == "outranked" for one in last.values()),
                decided="selected" in last.values(),
                **tally,
            )
            exact = stage.declared_in is None or stage.declared_in == entered
            out.append(replace(stage, complete=exact and not stage.lossy))
        return out

    def fate(self, item: str) -> Fate:
        flow = flow_of(self.counted())
        mine = [event for rows in self.events.values() for one, event in rows if one == item]
        peers = Peers(self)
        gone = [one for one in self.stages if one.step_id in {event.step_id for event in mine} & flow.superseded]
        return fate_of(self.status, flow, stops_of(flow, mine, peers), peers, item, gone[-1] if gone else None)


class Peers:
    def __init__(self, world: World) -> None:
        self.world = world

    def scores(self, step_id: str) -> Mapping[str, float]:
        return {item: event.score for item, event in self.world.events[step_id] if event.score is not None}

    def ids(self, step_id: str) -> Collection[str]:
        return {item for item, _ in self.world.events[step_id]}

    def produced(self, step_id: str) -> Collection[str]:
        return {item for item, event in self.world.events[step_id] if event.outcome == "produced"}

    def dropped(self, step_id: str) -> Collection[str]:
        last = {item: event.outcome for item, event in self.world.events[step_id] if event.outcome is not None}
        return {item for item, outcome in last.items() if outcome in ("rejected", "outranked")}


class Made:
    """Draws a pipeline and runs it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.world = draw, World()
        self.pool: list[str] = []
        self.gone: list[str] = []  # rejected so far, may be taken back
        self.last: list[str] = []
        self.from_: dict[str, str] = {}  # item -> the step that it left last

    def some(self, items: list[str]) -> list[str]:
        return [item for item in items if self.draw(st.booleans())]

    def retrieve(self) -> None:
        words = ["kw:a", "kw:b"]
        generate = self.world.step("generate", [], 0, type="generate")
        for word in words:
            self.world.say(generate, word, "produced")
        search = self.world.step("search", [generate], len(words), type="retrieve")
        for word in words:
            self.world.say(search, word, "consumed")
            self.world.truth[word] = ("consumed", "search")
        self.pool = [f"i{n}" for n in range(self.draw(st.integers(1, 5)))]
        for item in self.pool:
            self.world.say(search, item, "produced")
        self.last = [search]
        self.left("search")

    def left(self, name: str) -> None:
        for item in self.pool:
            self.from_[item] = name

    def losing(self) -> None:
        """Some items get lost before the next step."""
        if self.draw(st.integers(0, 3)) == 0:
            for item in self.some(self.pool):
                self.world.truth[item] = ("lost", self.from_[item])
                self.pool.remove(item)

    def filter(self, name: str) -> None:
        self.losing()
        retried = self.draw(st.integers(0, 3)) == 0
        for attempt in (1, 2) if retried else (1,):
            here = self.world.step(name, self.last, len(self.pool), attempt=attempt)
            bad = self.some(self.pool)
            for item in self.pool:
                self.world.say(here, item, "rejected" if item in bad else "accepted", reason="no")
            self.last = [here]
        self.drop(name, bad)

    def drop(self, name: str, bad: list[str]) -> None:
        for item in bad:
            self.world.truth[item] = ("rejected", name)
        self.pool = [item for item in self.pool if item not in bad]
        self.gone += bad
        self.left(name)

    def merge(self, name: str) -> None:
        self.losing()
        here = self.world.step(name, self.last, len(self.pool), type="merge")
        keep, same = self.pool[:1], self.some(self.pool[1:])
        for item in self.pool:
            if item in same:
                self.world.say(here, item, "merged", ref_item=keep[0])
                self.world.truth[item] = ("merged", name)
            else:
                self.world.say(here, item, "accepted")
        self.pool = [item for item in self.pool if item not in same]
        self.last = [here]
        self.left(name)

    def rewrite(self, name: str) -> None:
        here = self.world.step(name, self.last, len(self.pool), type="transform")
        new = []
        for item in self.pool:
            self.world.say(here, item, "consumed")
            self.world.say(here, f"{item}'", "produced")
            self.world.truth[item] = ("consumed", name)
            new.append(f"{item}'")
        self.pool, self.last = new, [here]
        self.left(name)

    def branch(self, name: str) -> None:
        kept: list[str] = []
        ends: list[str] = []
        for side in ("left", "right"):
            label = f"{name}_{side}"
            here = self.world.step(label, self.last, len(self.pool))
            bad = self.some(self.pool)
            for item in self.pool:
                self.world.say(here, item, "rejected" if item in bad else "accepted", reason="no")
                if item in bad:
                    self.world.truth[item] = ("rejected", label)
            kept += [item for item in self.pool if item not in bad and item not in kept]
            ends.append(here)
        join = self.world.step(f"{name}_join", ends, len(kept), type="merge")
        for item in kept:
            self.world.say(join, item, "accepted")
        self.gone += [item for item in self.pool if item not in kept]
        self.pool, self.last = kept, [join]
        self.left(f"{name}_join")

    def reinstate(self, name: str) -> None:
        back = [item for item in dict.fromkeys(self.gone) if self.draw(st.booleans())]
        here = self.world.step(name, self.last, len(self.pool) + len(back), type="approve")
        self.pool += [item for item in back if item not in self.pool]
        self.gone = [item for item in self.gone if item not in back]
        bad = self.some(self.pool)
        for item in self.pool:
            self.world.say(here, item, "rejected" if item in bad else "accepted", reason="no")
        self.last = [here]
        self.drop(name, bad)

    def top(self, name: str) -> None:
        self.losing()
        here = self.world.step(name, self.last, len(self.pool), type="rank")
        order = self.draw(st.permutations(self.pool))
        k = self.draw(st.integers(1, 3))
        self.world.stages[-1] = replace(self.world.stages[-1], cutoff=k)
        for item in self.pool:
            self.world.say(here, item, None, score=float(-order.index(item)))
        for item in order[k:]:
            self.world.truth[item] = ("outranked", name)
        self.pool, self.last = list(order[:k]), [here]
        self.left(name)

    def select(self, name: str) -> None:
        self.losing()
        here = self.world.step(name, self.last, len(self.pool), type="select")
        order = self.draw(st.permutations(self.pool))
        k = self.draw(st.integers(1, 2))
        for item in self.pool:
            self.world.say(here, item, None, score=float(-order.index(item)))
        named = self.some(list(order[k:]))
        for item in [*named, *order[:k]]:
            self.world.say(here, item, "outranked" if item in named else "selected")
        for item in self.pool:
            self.world.truth[item] = ("selected" if item in order[:k] else "outranked", name)
        self.pool, self.last = [], [here]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = Made(draw)
    made.retrieve()
    kinds = ["filter", "merge", "rewrite", "branch", "reinstate", "top"]
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=4))):
        getattr(made, kind)(f"{kind}{number}")
    if made.pool and draw(st.booleans()):
        made.select("select")
    for item in made.pool:
        made.world.truth[item] = ("survived", made.from_[item])
    return made.world


def told(fate: Fate) -> tuple[str, str | None]:
    stage = fate.stop.stage if fate.stop is not None else fate.at
    return fate.verdict, stage.name if stage is not None else None


_SETTINGS = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_SETTINGS
@given(worlds())
def test_the_full_ledger_tells_every_fate(world: World) -> None:
    for item, truth in world.truth.items():
        assert told(world.fate(item)) == truth, item
    assert world.fate("ghost").verdict == "never_retrieved"


@_SETTINGS
@given(worlds(), st.data())
def test_lost_events_leave_the_truth_or_unknown(world: World, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(world.stages) - 1))
    stage = world.stages[number]
    rows = world.events[stage.step_id]
    world.events[stage.step_id] = [row for row in rows if data.draw(st.booleans())]
    world.stages[number] = replace(stage, lossy=True)
    for item, truth in world.truth.items():
        fate = world.fate(item)
        assert fate.verdict == "unknown" or told(fate) == truth, item
        assert fate.verdict != "unknown" or fate.unknown is not None
    assert world.fate("ghost").verdict == "unknown"


@_SETTINGS
@given(worlds(), st.data())
def test_events_lost_nobody_knows_where_leave_nothing_certain(world: World, data: st.DataObject) -> None:
    for step_id, rows in world.events.items():
        world.events[step_id] = [row for row in rows if data.draw(st.booleans())]
    world.stages = [replace(stage, lossy=True, unplaced=True) for stage in world.stages]
    for item in (*world.truth, "ghost"):
        fate = world.fate(item)
        assert fate.verdict == "unknown", item
        assert fate.unknown is not None
        assert fate.unknown.cause in ("dropped", "ambiguous")


@pytest.mark.parametrize("status", ["completed", "running", "failed"])
def test_a_run_without_steps_that_lost_events_is_not_said_to_be_without_an_item(status: str) -> None:
    lost = fate_of(status, flow_of([], unplaced=True), [], Peers(World()), "ghost")
    assert lost.unknown is not None
    assert lost.unknown.cause == "dropped"
    nothing = fate_of(status, flow_of([]), [], Peers(World()), "ghost")
    assert nothing.verdict == ("unknown" if status == "completed" else "interrupted")


def spoil(world: World, data: st.DataObject) -> None:
    """Instrument badly: no produce, no counts or wrong ones, silent steps, no scores."""
    for number, stage in enumerate(world.stages):
        how = data.draw(st.sampled_from(["well", "well", "no_count", "wrong_count", "silent", "no_produce", "no_keep"]))
        rows = world.events[stage.step_id]
        if how == "no_count":
            world.stages[number] = replace(stage, declared_in=None)
        elif how == "wrong_count":
            world.stages[number] = replace(stage, declared_in=(stage.declared_in or 0) + data.draw(st.integers(1, 3)))
        elif how == "silent":
            world.stages[number] = replace(stage, declared_in=None)
            rows = []
        elif how == "no_produce":
            world.stages[number] = replace(stage, declared_in=None)
            rows = [row for row in rows if row[1].outcome != "produced"]
        elif how == "no_keep":
            world.stages[number] = replace(stage, declared_in=None)
            rows = [row for row in rows if row[1].outcome not in KEPT]
        world.events[stage.step_id] = rows


TOLD = {"unknown": 0, "all": 0}


@_SETTINGS
@given(worlds(), st.data())
def test_a_badly_instrumented_pipeline_is_never_told_wrong(world: World, data: st.DataObject) -> None:
    spoil(world, data)
    for item, truth in world.truth.items():
        fate = world.fate(item)
        TOLD["all"] += 1
        TOLD["unknown"] += fate.verdict == "unknown"
        assert fate.verdict == "unknown" or told(fate) == truth, item


def test_places_in_a_list_are_no_ids() -> None:
    world = World()
    first = world.step("keep", [], 4)
    for place in range(4):
        world.say(first, str(place), "rejected" if place == 1 else "accepted")
    second = world.step("rank", [first], 3)
    for place in range(3):  # what was 0, 2 and 3
        world.say(second, str(place), "rejected" if place == 2 else "accepted")
    assert [world.fate(str(place)).verdict for place in range(3)] == ["unknown"] * 3
    fate = world.fate("1")
    assert fate.unknown is not None
    assert fate.unknown.cause == "ambiguous"


def test_one_id_for_a_keyword_and_a_product_is_no_id() -> None:
    world = World()
    words = world.step("generate", [], 0, type="generate")
    world.say(words, "1", "produced", name="stand")
    search = world.step("search", [words], 1, type="retrieve")
    world.say(search, "1", "consumed")
    world.say(search, "1", "produced", name="Laptop Stand")
    fate = world.fate("1")
    assert fate.unknown is not None
    assert fate.unknown.cause == "ambiguous"


def test_the_turns_of_a_loop_of_searches_take_nothing_of_each_other() -> None:
    world = World()
    words = world.step("generate", [], 0, type="generate")
    last = words
    for turn in range(3):
        world.say(words, f"kw{turn}", "produced")
        last = world.step("search", [last], 1, type="retrieve")
        world.stages[-1] = replace(world.stages[-1], after_inferred=True)
        world.say(last, f"kw{turn}", "consumed")
        for item in range(2):
            world.say(last, f"i{turn}{item}", "produced")
    keep = world.step("keep", [last], 3)
    for turn in range(3):
        world.say(keep, f"i{turn}0", "rejected" if turn else "accepted")
    assert told(world.fate("i00")) == ("survived", "keep")
    assert told(world.fate("i10")) == ("rejected", "keep")
    assert told(world.fate("i01")) == ("lost", "search")
    assert told(world.fate("kw0")) == ("consumed", "search")


def test_steps_inside_a_step_are_part_of_the_flow() -> None:
    world = World()
    search = world.step("search", [], 0, type="retrieve")
    for item in ("a", "b", "c"):
        world.say(search, item, "produced")
    group = world.step("narrow", [search], 0)
    world.stages[-1] = replace(world.stages[-1], declared_in=None)
    price = world.step("price", [], 3)
    world.stages[-1] = replace(world.stages[-1], parent=group)
    for item in ("a", "b", "c"):
        world.say(price, item, "rejected" if item == "a" else "accepted")
    size = world.step("size", [price], 2)
    world.stages[-1] = replace(world.stages[-1], parent=group)
    for item in ("b", "c"):
        world.say(size, item, "rejected" if item == "b" else "accepted")
    best = world.step("best", [group], 1, type="select")
    world.say(best, "c", "selected")
    assert told(world.fate("a")) == ("rejected", "price")
    assert told(world.fate("b")) == ("rejected", "size")
    assert told(world.fate("c")) == ("selected", "best")
    assert told(world.fate("z")) == ("never_retrieved", "search")


NOW = 1_790_000_000


def at(step_id: str, position: int) -> Stage:
    return Stage(step_id, "x", position=position)


@pytest.mark.parametrize(
    ("steps", "holes"),
    [
        ([("s1", 0), ("s2", 1), ("rabc123.1790000001", NOW)], {}),
        ([("s1", 0), ("jabc123.1790000001", NOW), ("jabc124.1790000006", NOW + 5)], {}),
        ([("s1", 0), ("s3", 2), ("fabc123.3", 2), ("s2", 1), ("fabc123.1", 0), ("fabc123.1790000001", NOW)], {}),
        ([("xabc123.1790000001", NOW), ("xabc123.1790000002", NOW + 1)], {}),
        ([("search", 0), ("s2", 1), ("rank7", 2)], {}),
        ([("s2", 1)], {"s": 0}),
        ([("s1", 0), ("s6", 5), ("rabc123.1790000001", NOW)], {"s": 4}),
        ([("s1", 0), ("rabc123.1790000001", NOW), ("rabc123.1790000003", NOW + 2)], {"rabc123.": NOW + 1}),
    ],
)
def test_what_is_missing_is_counted_in_each_process_by_itself(steps: list[tuple[str, int]], holes: object) -> None:
    assert flow_of([at(*one) for one in steps]).holes == holes


def test_a_step_missing_beside_or_after_leaves_nothing_certain() -> None:
    flow = flow_of([at("s1", 0), at("s3", 2), at("rabc123.1790000001", NOW), at("jabc123.1790000001", NOW)])
    assert flow.missing_after([flow.stage("s1")])
    assert not flow.missing_after([flow.stage("s3")])
    assert not flow.missing_after([flow.stage("rabc123.1790000001")])
    assert flow.missing_after([flow.stage("jabc123.1790000001")])


def tried(*attempts: tuple[int, bool]) -> list[int]:
    """The places of the superseded; each attempt with whether it failed."""
    stages = [Stage(f"s{n + 1}", "search", None, n, number, failed=bad) for n, (number, bad) in enumerate(attempts)]
    return [int(one[1:]) - 1 for one in sorted(flow_of(stages).superseded)]


def test_only_what_was_tried_again_is_superseded() -> None:
    assert tried((1, True), (2, False)) == [0]
    assert tried((1, True), (2, True), (3, False)) == [0, 1]
    assert tried((1, True), (2, False), (1, False)) == [0]  # each turn of a loop its own call
    assert tried((1, False), (1, True), (2, False), (1, False)) == [1]
    assert tried((1, True), (1, False)) == []
    assert tried((2, False), (1, False)) == []
    assert tried((1, False), (2, False), (3, False)) == [0, 1]  # by the user's own numbers
    assert tried((1, False), (2, True)) == []
    assert tried((1, False), (2, True), (3, False)) == [0, 1]


def test_attempts_at_the_same_time_are_of_different_calls() -> None:
    first = Stage("s1", "search", None, 0, 1, started_at=0, ended_at=9)
    other = Stage("s2", "search", None, 1, 2, started_at=5, ended_at=8)
    assert flow_of([first, other]).superseded == frozenset()
    assert flow_of([first, replace(other, started_at=9)]).superseded == {"s1"}


def test_a_failed_search_in_a_loop_takes_nothing_of_the_others_away() -> None:
    world = World()
    last: list[str] = []
    for turn, (word, attempt) in enumerate((("A", 1), ("B", 2), ("C", 1))):
        here = world.step("search", last, 0, type="retrieve", attempt=attempt)
        world.stages[-1] = replace(world.stages[-1], after_inferred=turn > 0, failed=turn == 0)
        world.say(here, f"item{word}", "produced")
        last = [here]
    assert told(world.fate("itemC")) == ("survived", "search")
    assert told(world.fate("itemB")) == ("survived", "search")
    only_failed = world.fate("itemA")
    assert only_failed.verdict == "unknown"
    assert only_failed.unknown is not None
    assert only_failed.unknown.detail == "attempt 1 of search had the item and failed, and no event after that names it"
    assert world.fate("ghost").verdict == "never_retrieved"


def test_what_a_failed_step_without_events_had_decided_is_known_only_of_a_careful_record() -> None:
    for counted, verdict in ((1, "interrupted"), (2, "unknown")):
        world = World(status="failed")
        search = world.step("search", [], 0, type="retrieve")
        kept = world.step("cheap", [search], counted)
        world.step("model", [kept], 1)
        world.stages[-1] = replace(world.stages[-1], failed=True)
        world.stages[0] = replace(world.stages[0], declared_out=1)
        world.say(search, "a", "produced")
        world.say(kept, "a", "accepted")
        fate = world.fate("a")
        assert fate.verdict == verdict
    assert fate.unknown is not None
    assert fate.unknown.detail == "model failed and recorded no items; what it had decided by then is not known"
