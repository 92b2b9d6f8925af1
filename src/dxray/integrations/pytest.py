"""A pytest plugin: `xray` and `assert_decision` for tests of pipelines, and `--xray`, which records the tests.

pytest loads it wherever dxray is installed, in projects that never heard of it. So it loads nothing beyond what
`import dxray` does until a test asks for something, and adds no hook that runs for each test without `--xray`.
"""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dxray.sdk.null import NullRun
    from dxray.sdk.run import Run
    from dxray.sdk.testing import Capture
    from dxray.sdk.transport import Transport
    from dxray.sdk.xray import XRay
    from dxray.wire.answers import Why

PIPELINE = "pytest"
DELIVERED_WITHIN = 10.0
_BATCH_BYTES = 4 * 1024 * 1024

Items = Any  # an item's id, several of them, or `{id: reason}`


# -- tests of pipelines --------------------------------------------------------------------------


@pytest.fixture
def xray(request: pytest.FixtureRequest) -> Iterator[XRay]:
    """An `XRay` named as the test. What is recorded in the test, by whichever `XRay`, stays in its memory.

    No server is needed. `xray.captured` holds what was recorded: runs, steps, events, outcomes.
    """
    from dxray.sdk.testing import capture
    from dxray.sdk.transport import Transport
    from dxray.sdk.xray import XRay

    class CapturedXRay(XRay):
        captured: Capture

    with capture() as captured:
        mine = CapturedXRay(request.node.name)
        mine.captured = captured
        _held.append(_Held(captured, Transport))
        try:
            yield mine
        finally:
            _held.pop()


def assert_decision(
    run: Run | NullRun | str,
    *,
    selected: Items = (),
    not_selected: Items = (),
    rejected: Items = (),
    outranked: Items = (),
    survived: Items = (),
    absent: Items = (),
) -> None:
    """Fail unless a run decided so, and say why it did not: step, rule, what was observed, by how much it missed.

    Each takes an item's id or several; `rejected` also `{id: reason}`. `run` is a run or its id. What the record does
    not say is no decision: the verdict `unknown` fails whatever is asserted.

    Runs of the fixture `xray` are judged by a server of the test's own, which is started once, when first needed (the
    extra `server`); other runs by the server that they were recorded to. Raises `AssertionError`, and what
    `dxray.Client` raises.
    """
    __tracebackhide__ = True
    asserted = {
        "selected": selected,
        "not selected": not_selected,
        "rejected": rejected,
        "outranked": outranked,
        "survived": survived,
        "never_retrieved": absent,
    }
    expected = [(item, words, reason) for words, items in asserted.items() for item, reason in _named(items)]
    if not expected:
        raise ValueError("assert_decision was told nothing to look for: name items, as in selected='p1'")
    ask = _asker(run)
    wrong = [said for item, words, reason in expected if (said := _wrong(ask(item), words, reason))]
    if wrong:
        raise AssertionError("\n\n".join(wrong))


def _named(items: Items) -> Iterator[tuple[str, str | None]]:
    if isinstance(items, Mapping):
        yield from ((str(item), reason) for item, reason in items.items())
    elif isinstance(items, Iterable) and not isinstance(items, str):
        yield from ((str(item), None) for item in items)
    else:
        yield str(items), None


def _wrong(answer: Why, expected: str, reason: str | None) -> str:
    """What to say where the answer is not the expected one; empty where it is."""
    verdict = answer.verdict
    fits = verdict not in ("selected", "unknown") if expected == "not selected" else verdict == expected
    if fits and (reason is None or answer.reason == reason):
        return ""
    wanted = expected.replace("_", " ") + (f" for {reason}" if reason is not None else "")
    got = verdict.replace("_", " ") + (f" for {answer.reason}" if fits else "")
    shown = "\n".join(f"  {line}".rstrip() for line in str(answer).splitlines())
    return f"{answer.item_id} was expected to be {wanted}; it is {got}\n{shown}"


def _asker(run: Any) -> Any:
    """A function from an item to the answer of the server that knows the run."""
    run_id = run if isinstance(run, str) else run.run_id
    held = next((one for one in reversed(_held) if one.has(run_id)), None)
    if held is not None:
        client = _server()
        held.send(client.api_url)
        return lambda item: client.why(run_id, item)
    if not isinstance(run, str):
        return run.why
    from dxray.client import Client

    return lambda item: Client().why(run_id, item)


@dataclass
class _Held:
    """What a test has captured, and how much of it the tests' server knows."""

    captured: Capture
    transport: type[Transport]  # the real one: while a test captures, another stands in its place
    sent: int = 0

    def has(self, run_id: str) -> bool:
        return any(run.run_id == run_id for run in self.captured.runs)

    def send(self, api_url: str) -> None:
        from dxray.sdk.transport import Fate
        from dxray.wire.codec import pack_batch, pack_record
        from dxray.wire.ids import uuid7_hex

        records = [pack_record(record) for record in self.captured.records[self.sent :]]
        self.sent += len(records)
        producer, transport = uuid7_hex(), self.transport(api_url, None)
        for number, batch in enumerate(_batches(records), 1):
            answer = transport.post(pack_batch(producer, number, "default", batch))
            if answer.fate is not Fate.COMMITTED or answer.rejected:
                raise RuntimeError(f"the tests' server did not take what was recorded: {answer}")
        transport.close()


def _batches(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for record in records:
        if batch and size + len(record) > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


_held: list[_Held] = []
_servers: list[Any] = []


def _server() -> Any:
    """The server that judges captured runs; one a process, started when it is first needed."""
    if not _servers:
        from dxray.own_server import local

        _servers.append(local())
    return _servers[0]


# -- the tests themselves, recorded --------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "Record each test as a run of the pipeline 'pytest', at the server that DXRAY_API_URL names."
    with suppress(ValueError, ArgumentError):  # another plugin has the option: it came first
        parser.getgroup("dxray", "X-Ray").addoption("--xray", action="store_true", dest="dxray_tests", help=words)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("dxray_tests", False):
        config.pluginmanager.register(RecordedTests(), "dxray-tests")


def pytest_unconfigure() -> None:
    while _servers:
        _servers.pop().close()


class RecordedTests:
    """Each test is a run, and so the parent of the runs recorded in it; a test that fails is a failed run."""

    def __init__(self) -> None:
        from dxray.sdk.xray import XRay

        self._xray = XRay(PIPELINE, offline_mode="buffer")
        self._run: Any = None
        self._error: BaseException | None = None
        self._outcomes: dict[str, str] = {}
        self._recorded = 0
        self._delivered = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        marks = sorted({mark.name for mark in item.iter_markers()})
        self._run = self._xray.run(input={"test": item.nodeid}, metadata={"file": item.location[0], "markers": marks})
        self._error, self._outcomes = None, {}
        self._run.__enter__()
        try:
            return (yield)
        finally:
            self._end()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, Any]:
        report = yield
        if call.when == "setup":  # also of another attempt, where a plugin tries a test again
            self._error, self._outcomes = None, {}
        self._outcomes[call.when] = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
        if report.failed and self._error is None:
            self._error = call.excinfo.value if call.excinfo is not None else AssertionError(report.longreprtext)
        return report

    def _end(self) -> None:
        outcome = next((one for one in self._outcomes.values() if one != "passed"), "passed")
        self._run.set_output({"outcome": outcome})
        self._run.__exit__(None if self._error is None else type(self._error), self._error, None)
        self._run = self._error = None
        self._recorded += 1

    def pytest_sessionfinish(self) -> None:
        self._delivered = self._xray.flush(DELIVERED_WITHIN) if self._recorded else True

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._recorded:
            where = f"at {self._xray.api_url}/ui/" if self._delivered else "and wait here for a server: dxray sync"
            terminalreporter.write_line(f"dxray: {self._recorded} tests are recorded {where}")
