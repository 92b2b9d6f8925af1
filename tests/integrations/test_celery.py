"""Runs that go through Celery: a real worker in a thread, and a broker in memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

import dxray
from dxray import XRay, current_run, current_step
from dxray.integrations import adapter
from dxray.testing import Capture, capture

tried: list[int] = []


def tasks() -> Celery:
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.update(worker_hijack_root_logger=False, worker_log_color=False)

    @app.task(shared=False, name="rank")
    def rank(item: str) -> str:
        current_step().accept(item)
        return current_run().run_id or "None"

    @app.task(shared=False, name="flaky", bind=True, max_retries=2, default_retry_delay=0)
    def flaky(self: Any, item: str) -> int:
        tried.append(self.request.retries)
        if self.request.retries < 2:
            raise self.retry(exc=OSError("not yet"), countdown=0)
        current_step().accept(item)
        return int(self.request.retries)

    @app.task(shared=False, name="fails")
    def fails() -> None:
        raise LookupError("the user's own")

    @app.task(shared=False, name="chain")
    def chain(item: str) -> None:
        rank.delay(item)

    return app


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture() as captured:
        yield captured


@pytest.fixture
def app() -> Iterator[Celery]:
    app = tasks()
    with dxray.instrument_celery(app):
        yield app


@pytest.fixture
def worker(app: Celery) -> Iterator[Celery]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30, loglevel=logging.ERROR):
        yield app
    root.setLevel(level)  # a worker takes over its process's logging
    root.handlers[:] = handlers


def send(app: Celery, name: str, *args: Any) -> Any:
    return app.tasks[name].delay(*args).get(timeout=30, propagate=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tasks_are_steps_of_the_run_that_sent_them(captured: Capture, worker: Celery) -> None:
    tried.clear()
    xray = XRay("shop")
    with xray.run() as run, run.step("fan_out", "route") as step:
        assert send(worker, "rank", "a") == run.run_id
        assert send(worker, "flaky", "b") == 2
        assert isinstance(send(worker, "fails"), LookupError)
        send(worker, "chain", "c")
        for _ in range(300):
            if sum(one.name == "rank" and one.ended_at is not None for one in captured.steps) == 2:
                break
            time.sleep(0.05)
    assert send(worker, "rank", "outside") == "None"
    assert tried == [0, 1, 2]

    steps = [one for one in captured.steps if one.run_id == run.run_id]
    found = {(one.name, one.attempt): one for one in steps}
    assert sorted(found) == [
        ("chain", 1),
        ("fails", 1),
        ("fan_out", 1),
        *(("flaky", n) for n in (1, 2, 3)),
        ("rank", 1),
    ]
    assert {one.parent_step_id for one in steps if one.name in ("flaky", "fails", "chain")} == {step.step_id}
    assert {one.parent_step_id for one in steps if one.name == "rank"} == {step.step_id, found["chain", 1].step_id}
    assert "the user's own" in str(found["fails", 1].error)
    assert [bool(found["flaky", n].error) for n in (1, 2, 3)] == [True, True, False]
    assert "not yet" in str(found["flaky", 1].error)
    assert {(event.step_name, event.item_id) for event in captured.events} == {
        ("rank", "a"),
        ("flaky", "b"),
        ("rank", "c"),
    }
    assert len(captured.runs) == 1


def test_a_task_that_is_run_at_once_is_a_step_too(captured: Capture, app: Celery) -> None:
    app.conf.task_always_eager = True
    with XRay("shop").run() as run:
        assert app.tasks["rank"].delay("a").get() == run.run_id
        with pytest.raises(LookupError):
            app.tasks["fails"].apply(throw=True)
    assert not current_run()
    assert [(one.name, one.type, bool(one.error)) for one in captured.steps] == [
        ("rank", "tool", False),
        ("fails", "tool", True),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_asked_to_each_attempt_that_no_run_brought_is_a_run(captured: Capture) -> None:
    app = tasks()
    app.conf.task_always_eager = True
    with dxray.instrument_celery(app, XRay("worker"), new_runs=True):
        app.tasks["rank"].delay("a")
        assert not current_run()
        assert isinstance(send(app, "fails"), LookupError)
        with XRay("shop").run():
            app.tasks["rank"].delay("b")
    runs = [(one.pipeline, one.input, one.status) for one in captured.runs]
    assert runs == [
        ("worker", '{"task":"rank","attempt":1}', "completed"),
        ("worker", '{"task":"fails","attempt":1}', "failed"),
        ("shop", None, "completed"),
    ]
    assert [(one.item_id, one.run_id == captured.runs[2].run_id) for one in captured.events] == [
        ("a", False),
        ("b", True),
    ]


def test_off_again_nothing_is_carried_and_twice_is_once(captured: Capture) -> None:
    app = tasks()
    app.conf.task_always_eager = True
    handle = dxray.instrument_celery(app)
    assert dxray.instrument_celery(app) is handle and handle.on
    with XRay("shop").run():
        app.tasks["rank"].delay("a")
        handle.off()
        app.tasks["rank"].delay("b")
    assert len(captured.steps) == 1
    again = dxray.instrument_celery(app)
    assert again.on
    again.off()


def test_an_unknown_version_is_warned_of_once_and_left_alone(
    captured: Capture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(adapter, "version", lambda _: "9.0.1")
    monkeypatch.setattr(adapter, "_warned", set())
    app = tasks()
    app.conf.task_always_eager = True
    assert not dxray.instrument_celery(app).on
    assert not dxray.instrument_celery(app).on
    with XRay("shop").run():
        app.tasks["rank"].delay("a")
    assert captured.steps == []
    assert [record.getMessage() for record in caplog.records if "celery" in record.getMessage()] == [
        "dxray knows celery from 5.4 to before 6, not 9.0.1: it records nothing of it"
    ]
