"""Values that no pipeline should record, given to every argument of every verb, among 99 ordinary events.

They are recorded in processes of their own, with a bound on memory: what a value does to the interpreter is no test's
concern. `FAULTS_LONG=1` gives every value to every argument; else some values go to every argument, and all to some.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import io
import itertools
import json
import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dxray
import dxray.testing
from dxray import XRay
from dxray.sdk.guard import guard
from dxray.wire.records import AnyRecord, Events, Loss, Run, Step

pytestmark = pytest.mark.faults

LONG = bool(os.environ.get("FAULTS_LONG"))
CASE_S = 2.0
CASE_MB = 512  # a text of 50 MB is encoded, mended and compressed
CHILD_BYTES = 3 << 30
ORDINARY = 99
STARTS_S = 3.0
GIVEN_UP_S = 5.0
ROOT = Path(__file__).resolve().parents[2]

unlogged: list[str] = []  # what could not be logged


# -- the values ------------------------------------------------------------------------------------


def raising(*names: str) -> type:
    """A type whose methods of these names raise."""

    return type("Raising", (), dict.fromkeys(names, _refuse))


def _refuse(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no")


RaisingClass = type("RaisingClass", (), {"__class__": property(_refuse)})
RaisingGetattr = type("RaisingGetattr", (), {"__getattribute__": _refuse})
_TEXT = ("__len__", "__str__", "__repr__", "__eq__", "__hash__", "__contains__", "encode", "replace", "isascii")
_DICT = ("items", "keys", "values", "get", "copy", "__len__", "__iter__", "__getitem__", "__contains__", "__eq__")
_LIST = ("__len__", "__iter__", "__getitem__", "__contains__", "__eq__", "__repr__")
RaisingText = type("RaisingText", (str,), dict.fromkeys(_TEXT, _refuse))
RaisingDict = type("RaisingDict", (dict,), dict.fromkeys(_DICT, _refuse))
RaisingList = type("RaisingList", (list,), dict.fromkeys(_LIST, _refuse))
RaisingInt = type("RaisingInt", (int,), dict.fromkeys(("__le__", "__lt__", "__ge__", "__int__", "__str__"), _refuse))


def cycle() -> Any:
    one: dict[str, Any] = {"n": 1}
    one["self"] = [one]
    return one


def deep() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


def laughs() -> Any:
    value: Any = [1] * 10
    for _ in range(8):
        value = [value] * 10
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "nan": lambda: math.nan, "infinity": lambda: math.inf, "lone surrogate": lambda: "a\ud800",
    "nul": lambda: "a\x00b", "5000 digits": lambda: 10**5000, "past 64 bits": lambda: 2**80, "cycle": cycle,
    "depth 100,000": deep, "raising repr": raising("__repr__"), "raising str": raising("__str__"),
    "raising eq": raising("__eq__", "__ne__", "__hash__"), "raising hash": raising("__hash__"),
    "raising bool": raising("__bool__"), "raising len": raising("__len__"), "raising iter": raising("__iter__"),
    "raising __class__": RaisingClass, "raising getattr": RaisingGetattr,
    "raising text": lambda: RaisingText("abc"), "raising dict": lambda: RaisingDict(a=1),
    "raising list": lambda: RaisingList([1]), "raising int": lambda: RaisingInt(7),
    "50 MB text": lambda: "x" * 50_000_000, "50 MB bytes": lambda: b"x" * 50_000_000,
    "2,000,000 elements": lambda: [1] * 2_000_000, "billion laughs": laughs,
    "numpy float64": lambda: np.float64("nan"), "numpy float16": lambda: np.float16(1.5),
    "numpy int64": lambda: np.int64(7), "numpy bool": lambda: np.bool_(True),
    "numpy text": lambda: np.str_("a\ud800"), "numpy datetime": lambda: np.datetime64("NaT"),
    "numpy complex": lambda: np.complex128(1j), "numpy array": lambda: np.array([1.0, math.nan]),
    "numpy objects": lambda: np.array([object(), None, 10**30], dtype=object),
    "numpy record": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "U3")]),
    "datetime min": lambda: dt.datetime.min,  # noqa: DTZ901
    "datetime max": lambda: dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-23))),
    "timedelta max": lambda: dt.timedelta.max, "decimal nan": lambda: decimal.Decimal("NaN"),
    "decimal snan": lambda: decimal.Decimal("sNaN"), "generator": lambda: (n for n in range(3)),
    "lock": threading.Lock, "open file": lambda: io.BufferedReader(io.FileIO(os.devnull)),
    "odd keys": lambda: {1: 1, None: 2, (1, 2): 3, "\ud800": 4, b"x": 5},
    "exception": lambda: ValueError("a\ud800"), "a type": lambda: RaisingClass,
}  # fmt: skip
# What takes long or much.
HEAVY: tuple[str, ...] = ("depth 100,000", "50 MB text", "50 MB bytes", "2,000,000 elements", "billion laughs")

# In the short run these go to every argument, the others to some.
EVERYWHERE = ("lone surrogate", "5000 digits", "raising __class__", "raising getattr", "raising text", "raising dict")


# -- where they are given --------------------------------------------------------------------------

# Calls of a step with the value `v`; "h" is the item that has it.
STEP_CALLS = """
accept(v) | accept("h", v) | accept("h", "r", v) | accept("h", "r", {"v": v, "n": 1}) | accept("h", by=v)
reject(v, "r", {"n": 1}) | reject("h", v, {"n": 1}) | reject("h", "r", v) | reject("h", "r", {"v": v, "n": 1})
reject("h", "r", {"v": [{"w": (v, 1)}]}) | reject("h", "r", by=v) | merge(v, "i1") | merge("h", v) | merge("h", "i1", v)
produce(v) | produce("h", v) | produce("h", parents=v) | produce("h", parents=["p", v]) | produce("h", kind=v)
produce("h", evidence=v) | score(v, 1.0) | score("h", v) | score("h", 1.0, v) | score("h", 1.0, {"p": v})
refer(v, "i1") | refer("h", v) | refer("h", "i1", v) | cutoff(v) | decide(v, "h") | decide("d", v)
decide("d", ["h", v]) | decide("d", "h", v)
decide("d", "h", score=v) | decide("d", "h", alternatives=v) | decide("d", alternatives=["b", v])
decide("d", "h", alternatives=[{"id": v, "score": v}]) | decide("d", "h", alternatives=[{"id": "b", "reason": v}])
require(v, "<=", 1, "r").passes("h", 1) | require("f", v, 1, "r").passes("h", 1) | require("f", "<=", v).passes("h", 1)
require("f", "in", v).passes("h", 1) | require("f", "<=", 1, v).passes("h", 2) | require("f", "<=", 1).passes(v, 2)
require("f", "<=", 1).passes("h", v) | require("f", "==", v).passes("h", v) | require_all(v).passes("h", {"f": 1})
require_all([("f", "<=", 1), v]).passes("h", {"f": 1}) | require_all([("f", "<=", 1)]).passes("h", v)
require_all([("f", "<=", 1)]).passes("h", {"f": v}) | produce_many(v) | produce_many(["m", v])
produce_many(["m", "n"], v) | produce_many(["m", "n"], ["M", v]) | produce_many(["m", "n"], parents=v)
accept_many(v) | accept_many(["m", v]) | accept_many(["m"], v) | accept_many(["m"], "r", v)
accept_many(["m"], "r", {"k": [1], str: [v]}) | reject_many(v, "r") | reject_many(["m"], v)
reject_many(["m", "n"], ["r", v]) | reject_many(["m"], "r", {"k": v}) | reject_many(["m", "n"], "r", {"k": [1, v]})
score_many(v, [1.0]) | score_many(["m"], v) | score_many(["m", "n"], [1.0, v]) | score_many(["m"], [1.0], v)
filtered(["m", v], ["m"], "r") | filtered(["m", "n"], ["m"], v) | filtered(["m", "n"], ["m"], "r", key=v)
mask(["m", v], [True, False], "r") | mask(["m", "n"], [True, False], v) | mask(["m", "n"], [True, False], "r", v)
set_input(v) | set_output([v]) | set_metadata(v, 1) | set_metadata("k", v) | set_config(model="m", v=v)
set_usage(cost=v) | set_input_count(v) | set_output_count(v)
"""
OTHER_CALLS = """
run.set_input(v) | run.set_output({"v": v}) | run.set_metadata(v, 1) | run.set_metadata("k", v)
a_step(run, v) | a_step(run, "s", v) | a_step(run, "s", after=v) | a_step(run, "s", after=[v])
a_step(run, "s", attempt=v) | a_step(run, "s", capture=v) | sampled(run).reject(v, "r", {"n": 1})
sampled(run).reject("h", v, {"n": 1}) | sampled(run).reject("h", "r", {"n": 1}, by=v) | sampled(run).reject("h", "r", v)
xray.inject(v) | extract(xray, v) | extract(xray, {"dxray-run-id": v})
extract(xray, {"dxray-run-id": run.run_id, "dxray-step-id": v})
extract(xray, {"dxray-run-id": run.run_id, "dxray-pipeline": v}) | xray.observe(lambda given: 1)(v)
xray.observe(lambda: hostile)() | awaited(xray, v) | list(xray.observe(generator)(v))
xray.step(same)(v) | xray.step("n" if callable(v) else v)(same)(1) | xray.step("n", v)(same)(1)
xray.resume(v).__exit__(None, None, None) | raised(run, v)
"""
CALLS = {
    **{text: f"step.{text}" for line in STEP_CALLS.strip().splitlines() for text in line.split(" | ")},
    **{text: text for line in OTHER_CALLS.strip().splitlines() for text in line.split(" | ")},
}
# Given before the run begins: the ordinary events are recorded in the very run that has it.
RUN_ARGUMENTS = ("input", "run_id", "metadata", "variant", "code_version", "environment", "parent_run_id", "trace_id")
XRAY_ARGUMENTS = (
    "pipeline", "api_url", "api_key", "project", "offline_mode", "capture", "environment", "code_version",
    "spool_dir", "strict_timeout", "disabled",
)  # fmt: skip
SHORT_CALLS = (
    "accept(v)", 'reject("h", v, {"n": 1})', 'reject("h", "r", v)', 'reject("h", "r", {"v": v, "n": 1})',
    'set_config(model="m", v=v)', 'require("f", "<=", 1).passes("h", v)', 'produce("h", parents=["p", v])',
    'reject_many(["m", "n"], "r", {"k": [1, v]})', 'run.set_output({"v": v})', "xray.observe(lambda given: 1)(v)",
)  # fmt: skip
# Whoever swallows something here has to say so; a thing of the wrong kind for a whole list is a mistake, and logged.
EVENTS = ("accept(", "reject(", "produce(", "merge(", "decide(", "sampled(", "filtered(", "set_con")
MISTAKES = ("parents=v", "alternatives=v", "score=v")


def a_step(run: Any, *args: Any, **options: Any) -> None:
    with run.step(*args, **options) as step:
        step.accept("h", evidence={"n": 1})


def sampled(run: Any) -> Any:
    return run.step("sampled", capture="sample")


def extract(xray: XRay, carrier: Any) -> None:
    with xray.extract(carrier) as run, run.step("remote") as step:
        step.accept("h")


def same(given: Any) -> Any:
    return given


def awaited(xray: XRay, value: Any) -> None:
    @xray.observe
    async def coroutine(given: Any) -> Any:
        return given

    asyncio.run(coroutine(value))


def generator(given: Any) -> Iterator[Any]:
    yield given


def raised(run: Any, value: Any) -> None:
    with suppress(ValueError), run.step("raising"):
        raise ValueError(value)


# -- one case, and all cases of a value ------------------------------------------------------------


def all_cases() -> list[str]:
    runs = (f"run({name})" for name in (*RUN_ARGUMENTS, "metadata value"))
    return [*CALLS, *runs, *(f"XRay({name})" for name in XRAY_ARGUMENTS)]


def _began(name: str, value: Any) -> tuple[XRay, Any]:
    """The recorder and the run of a case."""
    kind, _, argument = name.rstrip(")").partition("(")
    given: dict[str, Any] = {argument: value} if kind == "XRay" and argument != "pipeline" else {}
    xray = XRay(value if name == "XRay(pipeline)" else "shop", **given)
    options: dict[str, Any] = {}
    if kind == "run":
        options = {"metadata": {"v": value}} if argument == "metadata value" else {argument: value}
    return xray, xray.run(**options)


def play(name: str, value: Any) -> None:
    """A pipeline of 99 ordinary events with a hostile value among them."""
    xray, run = _began(name, value)
    with run, run.step("ordinary") as step:
        for number in range(ORDINARY):
            if number == ORDINARY // 2 and name in CALLS:
                eval(CALLS[name], {**globals(), "xray": xray, "run": run, "step": step, "v": value, "hostile": value})
            step.accept(f"i{number}", evidence={"n": number})
    xray.flush(10)


def verdict(name: str, records: list[AnyRecord]) -> str | None:
    """What is wrong with what arrived."""
    if name == "XRay(disabled)":
        return None
    ids = [str(i) for r in records if isinstance(r, Events) for i in (r.ids if isinstance(r.ids, list) else [])]
    arrived = len({f"i{number}" for number in range(ORDINARY)} & set(ids))
    if arrived < ORDINARY:
        return f"{arrived} of {ORDINARY} ordinary events arrived"
    steps = {r.name for r in records if isinstance(r, Step) and r.events is not None}
    if "ordinary" not in steps:
        return "the step's end did not arrive"
    ended = any(isinstance(r, Run) and r.status == "completed" for r in records)
    return None if ended else "the run's end did not arrive"


def _told(records: list[AnyRecord]) -> bool:
    """Whether anything says that something was changed or lost."""
    return any(isinstance(r, Loss) or (isinstance(r, Run | Step | Events) and r.marks) for r in records)


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def one_case(name: str, value: Any, capture: dxray.testing.Capture) -> tuple[str | None, float, float]:
    """What went wrong, the seconds and the megabytes."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is this case's own
    caught = guard.counts.total()
    before, start = _peak_mb(), time.monotonic()
    wrong: str | None = None
    try:
        play(name, value)
    except Exception as error:  # noqa: BLE001 - whatever it is, it should not have come
        frames = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        wrong = f"{type(error).__name__} in user code at {frames[-1]}"
    seconds, used = time.monotonic() - start, _peak_mb() - before
    wrong = wrong or verdict(name, capture.records)
    if wrong is None and unlogged:
        wrong = f"a stack trace on stderr, from the log of {unlogged[0]!r}"
    unlogged.clear()
    owed = name.startswith(EVENTS) and not any(mistake in name for mistake in MISTAKES)
    if wrong is None and owed and guard.counts.total() > caught and not _told(capture.records):
        wrong = "a loss that is told to nobody"
    if wrong is None and seconds > CASE_S:
        wrong = f"{seconds:.1f} s"
    if wrong is None and used > CASE_MB:
        wrong = f"{used:.0f} MB"
    return wrong, seconds, used


def child() -> None:
    """The cases that stdin names, each said before it begins: the process may not survive it."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    guard.loud = False
    setattr(logging.Handler, "handleError", lambda _, record: unlogged.append(record.msg))  # noqa: B010
    for kind, name in json.load(sys.stdin):
        with dxray.testing.capture() as capture:
            wrong, seconds, used = one_case(name, VALUES[kind](), capture)
        print(json.dumps([kind, name, wrong, round(seconds, 2), round(used)]), flush=True)


@dataclass(slots=True)
class Found:
    """What came of many cases."""

    count: int = 0
    longest: float = 0.0
    largest: float = 0.0
    wrong: dict[str, list[str]] = field(default_factory=dict)  # by kind of value

    def add(self, kind: str, said: str) -> None:
        self.wrong.setdefault(kind, []).append(said)


def run_pairs(pairs: list[tuple[str, str]], found: Found) -> None:
    """Each value in its place. A case that kills its process, or never ends, is noted and gone past."""
    while pairs:
        lines, ended = _spawn(pairs)
        for kind, name, wrong, seconds, used in lines:
            found.count += 1
            found.longest, found.largest = max(found.longest, seconds), max(found.largest, used)
            if wrong:
                found.add(kind, f"{name}: {wrong}")
        pairs = pairs[len(lines) :]
        if pairs:
            kind, name = pairs.pop(0)
            found.count += 1
            found.add(kind, f"{name}: " + ("its process died" if ended else f"no end after {GIVEN_UP_S:g} s"))


def _spawn(pairs: list[tuple[str, str]]) -> tuple[list[list[Any]], bool]:
    """What a child said, and whether it came to an end by itself."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DXRAY_SPOOL_DIR": folder, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
        environment.pop("DXRAY_LOUD", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.test_hostile_values"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder,
            env=environment,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        json.dump(pairs, process.stdin)
        process.stdin.close()
        heard = [time.monotonic() + STARTS_S]
        lines: list[list[Any]] = []
        out = process.stdout
        reader = threading.Thread(target=lambda: lines.extend(_heard(out, heard)))
        reader.start()
        while process.poll() is None and time.monotonic() - heard[0] < GIVEN_UP_S:
            time.sleep(0.02)
        ended = process.poll() is not None
        process.kill()
        process.wait()
        reader.join()
        out.close()
        return lines, ended


def _heard(stream: Any, heard: list[float]) -> Iterator[list[Any]]:
    for line in stream:
        heard[0] = time.monotonic()
        yield json.loads(line)


def run_all(long: bool) -> Found:
    """The light values in one process, each heavy one in its own."""
    found = Found()
    run_pairs([(kind, name) for kind in VALUES if kind not in HEAVY for name in cases_of(kind, long)], found)
    for kind in HEAVY:
        run_pairs([(kind, name) for name in cases_of(kind, long)], found)
    return found


def cases_of(kind: str, long: bool) -> list[str]:
    if long or kind in EVERYWHERE:
        return all_cases()
    return list(SHORT_CALLS[3:5] if kind in HEAVY else SHORT_CALLS)


def measure(long: bool) -> dict[str, Any]:
    """The row of the table."""
    found = run_all(long)
    wrong = [f"{kind} -> {said}" for kind, all_said in found.wrong.items() for said in all_said]
    reached = (
        f"{found.count} cases, {len(wrong)} violations; "
        f"the longest {found.longest:.1f} s, the largest {found.largest:.0f} MB"
    )
    return {"row": "A9", "reached": reached, "ok": not wrong, "details": wrong}


@pytest.fixture(scope="module")
def found() -> Found:
    return run_all(LONG)


@pytest.mark.timeout(3600 if LONG else 240)
@pytest.mark.parametrize("kind", VALUES)
def test_a_hostile_value_costs_nobody_else_anything(found: Found, kind: str) -> None:
    assert found.wrong.get(kind, []) == []


# -- what is no single value -------------------------------------------------------------------------


def test_what_is_changed_after_the_call_was_recorded_as_it_was() -> None:
    with dxray.testing.capture() as capture:
        with XRay("shop", capture="full").run(input=(given := {"n": 1})) as run, run.step("f") as step:
            facts, config = {"n": 1}, {"m": [1]}
            step.reject("a", "r", facts)
            step.set_config(v=config)
            run.set_metadata("k", config)
            for one in (facts, given, config):
                one.clear()
        assert capture.events[0].evidence == {"n": 1}
        assert capture.runs[0].input == '{"n":1}' and capture.runs[0].metadata == '{"k":{"m":[1]}}'
        assert capture.steps[0].config == '{"v":{"m":[1]}}'


def test_a_dict_that_another_thread_changes_costs_nobody_else_anything() -> None:
    facts: dict[str, Any] = {"n": 0}
    nested = {"facts": facts}
    over = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            facts[f"k{number % 500}"] = [number]
            facts.pop(f"k{(number + 250) % 500}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with dxray.testing.capture() as capture:
            with XRay("shop", capture="full").run() as run, run.step("f") as step:
                for number in range(2_000):
                    step.reject(number, "r", facts if number % 2 else nested)
                    if number % 100 == 0:
                        step.set_config(facts=nested)
            assert len(capture.outcomes("f")) == 2_000
            assert capture.runs[0].status == "completed"
    finally:
        over.set()
        thread.join()


def test_one_odd_item_costs_no_other_of_a_large_column() -> None:
    ids = [f"i{number}" for number in range(20_000)]
    ids[7] = "a\ud800"
    with dxray.testing.capture() as capture:
        with XRay("shop", capture="full").run() as run, run.step("f") as step:
            step.reject_many(ids, "r", {"n": list(range(20_000))})
        assert len(capture.outcomes("f")) == 20_000
        assert [event.evidence for event in capture.events] == [{"n": number} for number in range(20_000)]


@pytest.mark.timeout(120)
def test_a_server_keeps_the_ordinary_events() -> None:
    kinds = [kind for kind in VALUES if kind not in HEAVY]
    with tempfile.TemporaryDirectory() as spool, dxray.local() as client:
        xray = XRay("shop", client.api_url, capture="full", spool_dir=spool)
        with xray.run() as run, run.step("ordinary") as step:
            for number in range(ORDINARY):
                step.accept(f"i{number}", evidence={"n": number})
                for kind in kinds[number::ORDINARY]:
                    value = VALUES[kind]()
                    step.reject(f"h {kind}", "r", {"v": value, "deep": [value]})
                    step.reject(value, value)
                    step.reject_many([f"m {kind}", f"n {kind}"], "r", {"v": [1, value]})
                    step.set_metadata(kind, value)
        xray.flush(20)  # False: what could not be recorded was counted
        items = {event.item_id for event in client.events(run.run_id)}
        assert {f"i{number}" for number in range(ORDINARY)} <= items
        missing = {f"h {kind}" for kind in kinds} - items
        assert not missing
        assert client.run(run.run_id).status == "completed"


if __name__ == "__main__":
    child()
