"""Runs, steps and how they hang together: order, nesting, retries, threads, tasks, processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import dxray
import dxray.testing
from dxray import XRay
from dxray.testing import Capture


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


@pytest.fixture
def xray(captured: Capture) -> XRay:
    return XRay("shop")


def steps_of(captured: Capture) -> dict[str, dict[str, object]]:
    names = {step.step_id: step.name for step in captured.steps}
    return {
        step.name: {
            "after": [names[i] for i in step.after or ()],
            "inferred": step.after_inferred,
            "parent": names.get(step.parent_step_id or ""),
            "attempt": step.attempt,
        }
        for step in captured.steps
    }


def test_a_step_takes_the_items_of_the_one_before(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        with run.step("a"):
            pass
        with run.step("b"), run.step("inner"):
            pass
        with run.step("c"):
            pass
    found = steps_of(captured)
    assert found["a"] == {"after": [], "inferred": False, "parent": None, "attempt": 1}
    assert found["inner"]["parent"] == "b" and found["inner"]["after"] == []
    assert found["c"]["after"] == ["b"] and found["c"]["inferred"] is True


def test_branches_are_named_with_after(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        with run.step("left") as left:
            pass
        with run.step("right", after=()) as right:
            pass
        with run.step("merge", "merge", after=[left, right]):
            pass
    assert steps_of(captured)["merge"] == {
        "after": ["left", "right"], "inferred": False, "parent": None, "attempt": 1
    }  # fmt: skip


def test_a_step_again_after_it_failed_is_a_new_attempt(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        for number in range(3):
            try:
                with run.step("flaky"):
                    if number < 2:
                        raise TimeoutError
            except TimeoutError:
                pass
        with run.step("flaky"):
            pass
    assert [step.attempt for step in captured.steps] == [1, 2, 3, 1]


def test_a_loop_of_steps_is_no_retry(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        for keyword in "ABC":
            with run.step("search") as step:
                step.produce(keyword)
        with run.step("search", attempt=7):
            pass
    assert [step.attempt for step in captured.steps] == [1, 1, 1, 7]


def test_what_is_said_after_a_steps_end_is_not_lost(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        with run.step("f") as step:
            step.reject("a", "early")
        xray.flush()
        step.reject("b", "late")
    assert captured.outcomes("f") == {"a": "rejected", "b": "rejected"}
    assert captured.steps[0].events == 2


def test_a_run_id_used_twice_keeps_both_apart(captured: Capture, xray: XRay) -> None:
    for _ in range(2):
        with xray.run(run_id="job:1") as run, run.step("f") as step:
            step.accept("a")
    assert len({step.step_id for step in captured.steps}) == 2


class Raising:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__
    __len__ = __str__  # type: ignore[assignment]


def test_odd_names_and_numbers_cost_no_record(captured: Capture, xray: XRay) -> None:
    with xray.run(variant=2, trace_id="\ud800", code_version=Raising(), run_id=Raising()) as run:  # type: ignore[arg-type]
        for name in (None, 7, "\ud800", Raising(), "é" * 5000):
            with run.step(name, step_type=3, attempt="x") as step:  # type: ignore[arg-type]
                step.set_output_count(2**70)
                step.set_input_count("many")  # type: ignore[arg-type]
                step.merge("a", "b", evidence=Raising())
                step.score("a", 1, parts=Raising())  # type: ignore[arg-type]
                step.refer("a", Raising())
                step.accept("a")
    with xray.extract({"dxray-run-id": Raising()}), xray.resume(Raising()):  # type: ignore[dict-item,arg-type]
        pass
    assert captured.runs[0].variant == "2" and captured.runs[0].status == "completed"
    assert [step.name[:4] for step in captured.steps][:2] == ["None", "7"] and len(captured.steps) == 5
    assert captured.outcomes("7") == {"a": "accepted"}
    assert all(step.events == 4 for step in captured.steps)


def test_metadata_and_config_are_as_they_were_when_set(captured: Capture, xray: XRay) -> None:
    messages = [1]
    with xray.run() as run, run.step("f") as step:
        run.set_metadata("m", messages)
        step.set_config(m=messages)
        messages.append(2)
    assert captured.runs[0].metadata == '{"m":[1]}' and captured.steps[0].config == '{"m":[1]}'


def test_threads_pools_and_tasks_stay_in_their_run(captured: Capture, xray: XRay) -> None:
    seen: dict[str, str] = {}

    def note(name: str) -> None:
        seen[name] = dxray.current_run().run_id

    async def tasks() -> None:
        with xray.run() as run:
            await asyncio.gather(*(asyncio.to_thread(note, f"task{number}") for number in range(3)))
            seen["async"] = run.run_id

    with ThreadPoolExecutor(2) as pool:
        with xray.run() as first:
            thread = threading.Thread(target=note, args=("thread",))
            thread.start()
            thread.join()
            pool.submit(note, "pool").result()
        with xray.run() as second:
            pool.submit(note, "pool again").result()
        pool.submit(note, "outside").result()
    assert seen == {"thread": first.run_id, "pool": first.run_id, "pool again": second.run_id, "outside": ""}
    asyncio.run(tasks())
    assert {seen[f"task{number}"] for number in range(3)} == {seen["async"]}
    assert not dxray.current_run() and not dxray.current_step()


def test_observe_and_step_decorate_every_kind_of_function(captured: Capture, xray: XRay) -> None:
    @xray.step("double", step_type="transform")
    def double(x: int) -> int:
        dxray.current_step().accept(x)
        return x * 2

    @xray.observe
    def plain(x: int) -> int:
        return double(x)

    @xray.observe()
    async def coroutine(x: int) -> int:
        return double(x)

    @xray.observe
    def generator(n: int) -> Iterator[int]:
        for number in range(n):
            yield double(number)

    @xray.observe
    async def async_generator(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield double(number)

    async def consume() -> list[int]:
        return [value async for value in async_generator(2)]

    assert plain(1) == 2 and asyncio.run(coroutine(2)) == 4
    values = generator(2)
    assert next(values) == 0
    assert not dxray.current_run(), "the consumer of a generator is outside its run"
    assert list(values) == [2] and asyncio.run(consume()) == [0, 2]
    assert [run.input for run in captured.runs] == ['{"x":1}', '{"x":2}', '{"n":2}', '{"n":2}']
    assert [run.output for run in captured.runs][:2] == ["2", "4"]
    assert len(captured.steps) == 6 and {step.name for step in captured.steps} == {"double"}
    assert double(5) == 10, "outside a run a step records nothing"
    assert len(captured.steps) == 6


def test_a_generator_takes_what_is_sent_and_thrown_in(captured: Capture, xray: XRay) -> None:
    @xray.observe
    def echo() -> Iterator[object]:
        got = yield "ready"
        try:
            yield got
        except KeyError:
            yield "caught"

    source = echo()
    assert next(source) == "ready"
    assert source.send("x") == "x"  # type: ignore[attr-defined]
    assert source.throw(KeyError()) == "caught"  # type: ignore[attr-defined]
    source.close()  # type: ignore[attr-defined]
    assert len(captured.runs) == 1


def test_another_process_goes_on_in_the_run(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("call") as call:
        headers = xray.inject({})
        with XRay("worker").extract(headers) as joined:
            assert joined.run_id == run.run_id
            with joined.step("remote") as remote:
                remote.accept("a")
    assert len(captured.runs) == 1 and captured.runs[0].pipeline == "shop"
    by_name = {step.name: step for step in captured.steps}
    assert by_name["remote"].parent_step_id == call.step_id
    assert by_name["remote"].step_id != call.step_id


@pytest.mark.parametrize("name", ["my shop", "100%25 off", "größe 🛒", "a\r\nset-cookie: b", "ж" * 1_024])
def test_a_pipeline_of_any_name_is_carried_in_headers(captured: Capture, name: str) -> None:
    with XRay(name).run() as run:
        headers = XRay(name).inject({})
        with XRay("worker").extract(headers) as joined, joined.step("remote"):
            pass
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert joined._pipeline == run._pipeline == name


def test_nothing_to_extract_records_nothing(captured: Capture, xray: XRay) -> None:
    with xray.extract({}) as run:
        assert not run
    assert captured.runs == []


def test_a_waiting_run_is_resumed(captured: Capture, xray: XRay) -> None:
    with xray.run(input=1) as run:
        with run.step("before"):
            pass
        run.wait()
    assert captured.runs[0].status == "waiting" and captured.runs[0].ended_at is None
    with XRay("shop").resume(run.run_id) as resumed, resumed.step("after"):
        pass
    assert [r.status for r in captured.runs] == ["completed"]
    assert captured.runs[0].started_at is None, "what this process does not know, it leaves as it was"
    assert [step.name for step in sorted(captured.steps, key=lambda step: step.position)] == ["before", "after"]
    assert len({step.step_id for step in captured.steps}) == 2


def test_a_bad_run_id_is_replaced(captured: Capture, xray: XRay) -> None:
    with xray.run(run_id="../etc") as run:
        pass
    with xray.run(run_id="mine:1") as mine:
        pass
    assert run.run_id.startswith("run_") and mine.run_id == "mine:1"


def test_a_run_inside_a_run_knows_its_parent(captured: Capture, xray: XRay) -> None:
    with xray.run() as outer, XRay("inner").run():
        pass
    assert [run.parent_run_id for run in captured.runs] == [outer.run_id, None] or captured.runs[1].parent_run_id


def test_disabled_records_nothing_and_decides_as_before(captured: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXRAY_DISABLED", "1")
    xray = XRay("shop")
    with xray.run(input=1) as run, run.step("f") as step:
        assert step.require("price", "<=", 100).passes("a", 5)
        assert not step.require_all([("price", "<=", 100, "dear")]).passes("a", {"price": 500})
        step.reject("a", "b", {"c": 1})
        step.decide("d", selected="a")
        assert step.filtered([1, 2], [2], reason="x") == [2]
        assert step.mask([1, 2], [True, False], reason="x") == [1]
    assert captured.records == [] and xray.flush() and xray.sync_offline() == {"synced": 0, "failed": 0}


def test_disabled_does_not_raise_for_a_rule_that_cannot_be_made() -> None:
    with XRay("shop", disabled=True).run() as run, run.step("f") as step:
        assert not step.require("price", "=<", 3).passes("a", 1)
        assert not step.require_all([("price", "<")]).passes("a", {"price": 1})


def test_capture_takes_what_an_earlier_xray_records() -> None:
    xray = XRay("made at import")
    with dxray.testing.capture() as captured, xray.run():
        pass
    assert [run.pipeline for run in captured.runs] == ["made at import"]


def test_the_null_step_has_every_method_of_a_step() -> None:
    from dxray.sdk.null import NullRun, NullStep
    from dxray.sdk.run import Run
    from dxray.sdk.step import Step

    for real, null in ((Step, NullStep), (Run, NullRun)):
        missing = {name for name in dir(real) if not name.startswith("_")} - set(dir(null))
        assert missing == set()


def test_settings_come_from_arguments_then_configure_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from dxray.sdk import settings

    monkeypatch.setenv("DXRAY_API_URL", "http://env:1/")
    monkeypatch.setattr(settings, "_configured", {})
    assert settings.resolve().api_url == "http://env:1"
    dxray.configure(api_url="http://configured:1", nonsense=1)
    assert settings.resolve().api_url == "http://configured:1"
    assert settings.resolve(api_url="http://argument:1").api_url == "http://argument:1"
    assert settings.resolve(capture="everything").capture == "auto"


def test_a_run_that_is_not_entered_is_warned_of_once(
    captured: Capture, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dxray.sdk.run._warned", False)
    run = XRay("p").run()
    for _ in range(3):
        with run.step("f") as step:
            step.accept("a")
    assert [one.getMessage() for one in caplog.records if "not entered" in one.getMessage()] == [
        "dxray: a step was made of a run that was not entered; write `with xray.run() as run:`"
    ]
