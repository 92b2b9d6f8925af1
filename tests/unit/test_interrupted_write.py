"""Somebody presses Ctrl-C while a batch is made and written: nothing is lost, nothing arrives or counts twice."""

from __future__ import annotations

import dis
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk import channel as channels
from dxray.sdk import ledger, outbox
from dxray.sdk.channel import Channel
from dxray.sdk.disk import Disk
from dxray.sdk.outbox import Outbox
from dxray.sdk.shipper import Shipper
from dxray.testing import Capture
from dxray.wire.records import Events, Loss

ITEMS = 1_100  # two chunks and some


@pytest.fixture(autouse=True)
def no_flusher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is asked for is collected."""
    monkeypatch.setattr(Channel, "_start", lambda _: None)


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


def once(original: Callable[..., Any], after: bool, at: int = 1) -> Callable[..., Any]:
    """The function, interrupted once: before its work or after it, at a call of that number."""
    calls: list[int] = []

    def interrupted(*given: Any) -> Any:
        calls.append(1)
        found = original(*given) if after or len(calls) != at else None
        if len(calls) == at:
            raise KeyboardInterrupt
        return found

    return interrupted


def recorded(xray: XRay) -> None:
    """Verdicts, one of them with a text that is cut, and one that cannot be recorded."""
    with xray.run() as run, run.step("f") as step:
        for number in range(ITEMS):
            step.reject(number, "r", {"text": "x" * (70_000 if number == 7 else 100)})
        step._lost("not_recorded", 1)  # type: ignore[union-attr]


def channel_of(xray: XRay) -> Channel:
    assert xray._channel is not None
    return xray._channel


def told(captured: Capture) -> Counter[str]:
    """What the server was told of losses."""
    found: Counter[str] = Counter()
    for loss in captured.records:
        if isinstance(loss, Loss):
            found[loss.cause] += loss.n
    return found


def is_whole(captured: Capture, channel: Channel) -> None:
    chunks = sorted((one for one in captured.records if isinstance(one, Events)), key=lambda one: one.first)
    assert [item for one in chunks for item in one.ids] == list(range(ITEMS))
    assert told(captured) == channel.losses == {"truncated": 1, "not_recorded": 1}
    assert (channel._pending.bytes, len(channel._pending)) == (0, 0)
    assert channel._outbox._memory_bytes == channel._outbox._held_bytes == 0
    assert channel._shipper.outstanding() == []
    spool = channel._outbox._spool
    assert spool is None or spool.held_bytes() == 0, "it was written once, and is done with"


INSIDE: list[tuple[Any, str, int]] = [
    (channels, "pack_batch", 1), (channels, "pack_batch", 3), (channels, "gather", 2), (Outbox, "keep", 1),
    (Outbox, "keep", 3), (Shipper, "submit", 2),
]  # fmt: skip


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("owner", "name", "at", "mode"),
    [(Disk, "write", 1, "buffer"), *((*where, mode) for where in INSIDE for mode in ("buffer", "drop"))],
)
def test_a_batch_that_is_interrupted_is_finished_once(
    captured: Capture, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int, mode: str, after: bool
) -> None:
    monkeypatch.setattr(channels, "BATCH_BYTES", 50_000)  # several batches, of one chunk or a part of one
    xray = XRay("shop", capture="full", offline_mode=mode)
    recorded(xray)
    monkeypatch.setattr(owner, name, once(getattr(owner, name), after, at))
    with pytest.raises(KeyboardInterrupt):
        xray.flush(5)
    xray.flush(5)
    is_whole(captured, channel_of(xray))


def test_a_batch_that_memory_has_no_room_for_counts_once(captured: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MEMORY_BYTES", 10)
    xray = XRay("shop", capture="full", offline_mode="drop")
    recorded(xray)
    monkeypatch.setattr(Outbox, "keep", once(Outbox.keep, after=True))
    with pytest.raises(KeyboardInterrupt):
        xray.flush(5)
    assert not xray.flush(5)
    assert channel_of(xray).losses == {"truncated": 1, "not_recorded": 1, "memory_full": ITEMS}
    monkeypatch.setattr(outbox, "MEMORY_BYTES", 10_000_000)
    xray.flush(5)
    assert told(captured) == channel_of(xray).losses


def test_of_a_batch_of_many_steps_that_memory_has_no_room_for_every_event_counts(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MEMORY_BYTES", 10)
    xray = XRay("shop", capture="full", offline_mode="drop")
    with xray.run() as run:
        for number in range(2 * channels.FEW):
            with run.step(f"s{number}") as step:
                step.accept_many(range(3))
    assert not xray.flush(5)
    assert channel_of(xray).losses == {"memory_full": 6 * channels.FEW}
    assert channel_of(xray)._outbox._memory_bytes == 0


def test_rows_that_are_interrupted_before_they_are_handed_over_are_counted(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("shop", capture="full")
    monkeypatch.setattr(ledger, "columns_of", once(ledger.columns_of, after=False))
    with xray.run() as run, run.step("f") as step:
        for number in range(511):
            step.reject(number, "r")
        with pytest.raises(KeyboardInterrupt):
            step.reject(511, "r")
        step.reject(512, "r")
    assert captured.outcomes("f") == {"512": "rejected"}
    assert told(captured) == channel_of(xray).losses == {"not_encoded": 512}


# --- wherever it comes ------------------------------------------------------------------------------------

WITHIN = ("_pack_one", "_beat", "_place")
FILES = {  # all but those that look into values
    *("channel.py", "packing.py", "memory.py", "losses.py", "outbox.py", "spool.py", "segment.py", "disk.py"),
    *("shipper.py", "codec.py"),
}


class Interrupt:
    """Raises at the place of that number, of those where the interpreter lets an interrupt through.

    That is after a call, at the beginning of a function and where a loop turns back.
    """

    def __init__(self, at: int | None = None) -> None:
        self.places: list[str] = []
        self._at = at
        self._before: dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        begins = code.co_name in WITHIN and code.co_filename == channels.__file__
        if not begins and (frame.f_back not in self._before or Path(code.co_filename).name not in FILES):
            return None
        frame.f_trace_opcodes = True
        self._before[frame] = ""
        return self._inside

    def _inside(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}, {frame.f_lasti}"
            before, self._before[frame] = self._before[frame], dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before.startswith("CALL") or before in ("RESUME", "JUMP_BACKWARD"):
                self.places.append(place)
                if len(self.places) == self._at:
                    raise KeyboardInterrupt(place)
        return self._inside


def collect_with(xray: XRay, interrupt: Interrupt) -> None:
    recorded(xray)
    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        channel_of(xray).collect(all_losses=True)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("mode", ["buffer", "drop"])
def test_no_place_is_a_wrong_one_for_an_interrupt(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(channels, "BATCH_BYTES", 60_000)
    through = Interrupt()
    with dxray.testing.capture():
        collect_with(XRay("shop", capture="full", offline_mode=mode), through)
    reached = {place.partition(":")[0] for place in through.places}
    assert reached == FILES - (set() if mode == "buffer" else {"spool.py", "segment.py", "disk.py"})
    for at in sorted({through.places.index(place) + 1 for place in through.places}):
        with dxray.testing.capture() as captured:
            xray = XRay("shop", capture="full", offline_mode=mode)
            collect_with(xray, Interrupt(at))
            xray.flush(5)
            try:
                is_whole(captured, channel_of(xray))
            except AssertionError as error:
                raise AssertionError(f"an interrupt at {through.places[at - 1]}") from error
