"""Somebody presses Ctrl-C while a batch is made and written: nothing is lost, nothing arrives or counts twice."""

from __future__ import annotations

import dis
import random
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
from dxray.sdk import ledger, outbox, spool, wide
from dxray.sdk.channel import Channel
from dxray.sdk.disk import Disk
from dxray.sdk.memory import Memory
from dxray.sdk.outbox import Outbox
from dxray.sdk.shipper import Shipper
from dxray.sdk.spool import Frame, Spool
from dxray.testing import Capture
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Events, Loss, Op, Step

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

    def interrupted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        found = original(*given, **named) if after or len(calls) != at else None
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
    """Collect what was recorded, with an interrupt."""
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
        xray = XRay("shop", capture="full", offline_mode=mode)
        recorded(xray)
        collect_with(xray, through)
    reached = {place.partition(":")[0] for place in through.places}
    assert reached == FILES - (set() if mode == "buffer" else {"spool.py", "segment.py", "disk.py"})
    for at in sorted({through.places.index(place) + 1 for place in through.places}):
        with dxray.testing.capture() as captured:
            xray = XRay("shop", capture="full", offline_mode=mode)
            recorded(xray)
            collect_with(xray, Interrupt(at))
            xray.flush(5)
            try:
                is_whole(captured, channel_of(xray))
            except AssertionError as error:
                raise AssertionError(f"an interrupt at {through.places[at - 1]}") from error


# --- room is made -----------------------------------------------------------------------------------------


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes a batch, and a segment holds few."""
    monkeypatch.setattr(Shipper, "_spawn", lambda _: None)
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 8_000)


def one_run(xray: XRay, chance: random.Random) -> None:
    with xray.run() as run, run.step("f") as step:
        for item in range(10):
            step.reject(item, "r", {"text": chance.randbytes(100).hex()})


def full(left: bool) -> tuple[XRay, int]:
    """Of the spool, and a batch that makes something give way: what a dead process left, or one of our own."""
    xray, chance = XRay("shop", capture="full"), random.Random(7)
    there = channel_of(xray)._outbox._spool
    assert there is not None
    there._cap = 16_000
    made = 0
    if left:
        made = leave(channel_of(xray), chance)
    while there.held_bytes() < 14_500:
        one_run(xray, chance)
        channel_of(xray).collect()
        made += 10
        assert not channel_of(xray).losses
    one_run(xray, chance)
    return xray, made + 10


def leave(channel: Channel, chance: random.Random) -> int:
    """What a process that died left: three batches of ten events, one of them damaged."""
    assert channel._outbox._spool is not None
    dead = Spool(channel._outbox._spool.folder, "d" * 32, cap=100_000)
    for seq in range(1, 4):
        texts = [chance.randbytes(100).hex() for _ in range(10)]
        event = Events(
            run_id="r", step_id="s", first=0, at=1, ops=bytes((Op.REJECTED,)) * 10, ids=[*range(10)], a="r",
            wide={"text": texts},
        )  # fmt: skip
        data = pack_batch("d" * 32, seq, "shop", [pack_record(event)])
        dead.append(Frame(seq, len(data)), data)
    assert dead._open is not None
    path = dead._open.path
    dead.abandon()
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    return 20


def is_accounted_for(channel: Channel, events: int, left: bool) -> None:
    """Each event waits or counts as lost, and what is lost is told; a dead process's may also be there for others."""
    there = channel._outbox._spool
    assert there is not None
    files = list(there.folder.glob("*.seg"))
    own = [path for path in files if not path.name.startswith("ddd")]
    untouched = len(own) < len(files)
    waiting = channel._shipper.outstanding()
    held = sum(n for frame in waiting for _, _, n in frame.held or ())
    assert channel.losses["spool_full"] > 0
    found = (held + channel.losses["spool_full"], channel.losses["damaged"])
    assert found == ((events - 20, 0) if untouched else (events, int(left)))
    told = [loss.n for frame in waiting for loss in frame.losses]
    assert sum(told) + sum(loss.n for loss in channel._lost.untold()) == sum(channel.losses.values())
    assert channel._outbox._held_bytes == sum(len(frame.data or b"") for frame in waiting)
    assert sum(path.stat().st_size for path in own) == there.held_bytes() - there._left_bytes, "what gave way is gone"
    assert channel._outbox.mark is None


@pytest.mark.parametrize("left", [False, True])
def test_what_gives_way_counts_once_wherever_an_interrupt_comes(no_server: None, left: bool) -> None:
    through = Interrupt()
    with dxray.testing.capture():
        xray, events = full(left)
        collect_with(xray, through)
        is_accounted_for(channel_of(xray), events, left)
    for at in sorted({through.places.index(place) + 1 for place in through.places}):
        with dxray.testing.capture():
            xray, events = full(left)
            collect_with(xray, Interrupt(at))
            channel_of(xray).collect()
            try:
                is_accounted_for(channel_of(xray), events, left)
            except AssertionError as error:
                raise AssertionError(f"an interrupt at {through.places[at - 1]}") from error


def test_what_gives_way_counts_at_exit_too(no_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with dxray.testing.capture():
        xray, _ = full(left=False)
        box = channel_of(xray)._outbox
        monkeypatch.setattr(box, "_lose_frame", once(box._lose_frame, after=False, at=2))
        with pytest.raises(KeyboardInterrupt):
            channel_of(xray).collect()
        before = channel_of(xray).losses["spool_full"]
        box.close([])
        assert (before, channel_of(xray).losses["spool_full"] > before) == (10, True)


# --- many items in one call -------------------------------------------------------------------------------

MANY = 40_000
BULK: dict[str, Callable[[Any], Any]] = {
    "accept_many": lambda step: step.accept_many([f"i{n}" for n in range(MANY)]),
    "reject_many": lambda step: step.reject_many([f"i{n}" for n in range(MANY)], ["r"] * MANY, {"x": [1] * MANY}),
    "filtered": lambda step: step.filtered(range(MANY), range(0, MANY, 2), "r"),
    "mask": lambda step: step.mask([*range(MANY)], [n % 2 for n in range(MANY)], "r"),
    "produce_many": lambda step: step.produce_many(range(MANY)),
}


@pytest.mark.parametrize("call", BULK)
@pytest.mark.parametrize("owner_and_name", [(wide, "_put"), (wide, "_taken"), (Memory, "put")])
@pytest.mark.parametrize("at", [1, 2])
def test_what_an_interrupt_leaves_out_of_a_bulk_call_counts(
    captured: Capture, monkeypatch: pytest.MonkeyPatch, call: str, owner_and_name: tuple[Any, str], at: int
) -> None:
    xray = XRay("shop", capture="full")
    owner, name = owner_and_name
    original = getattr(owner, name)
    with xray.run() as run, run.step("f") as step:
        monkeypatch.setattr(owner, name, once(original, after=False, at=at))
        interrupted = name != "_taken" or at == 1 or call in ("filtered", "mask")
        try:
            BULK[call](step)
            assert not interrupted
        except KeyboardInterrupt:
            assert interrupted
        monkeypatch.setattr(owner, name, original)
    arrived = sum(len(one.ops) for one in captured.records if isinstance(one, Events))
    assert arrived + channel_of(xray).losses["not_recorded"] == MANY
    assert bool(channel_of(xray).losses) == interrupted
    assert told(captured) == channel_of(xray).losses


@pytest.mark.parametrize("name", ["merge", "refer"])
def test_an_interrupt_before_a_row_is_there_counts(
    captured: Capture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    xray = XRay("shop", capture="full")
    with xray.run() as run, run.step("f") as step, monkeypatch.context() as patch:
        patch.setattr(type(step), "_add", once(lambda *_: None, after=False))
        with pytest.raises(KeyboardInterrupt):
            getattr(step, name)("a", "b")
    assert told(captured) == {"not_recorded": 1}


def test_items_with_parents_that_an_interrupt_leaves_out_count(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("shop", capture="full")
    with xray.run() as run, run.step("f") as step, monkeypatch.context() as patch:
        patch.setattr(type(step), "produce", once(type(step).produce, after=False, at=31))
        with pytest.raises(KeyboardInterrupt):
            step.produce_many(range(100), parents=["p"])
    assert list(captured.outcomes("f").values()).count("produced") == 30
    assert told(captured) == {"not_recorded": 70}


def test_a_choice_of_many_that_is_interrupted_counts_who_is_left_out(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("shop", capture="full")
    with xray.run() as run, run.step("f") as step, monkeypatch.context() as patch:
        patch.setattr(type(step), "_spill", once(type(step)._spill, after=True, at=2))
        with pytest.raises(KeyboardInterrupt):
            step._add_all(Op.SELECTED, range(2_000), ["r"] * 2_000, [None] * 2_000)
    assert len(captured.outcomes("f")) == 1_024
    assert told(captured) == {"not_recorded": 976}


def test_rows_that_are_interrupted_on_their_way_to_the_channel_count(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    xray = XRay("shop", capture="full")
    with xray.run() as run, run.step("f") as step:
        with monkeypatch.context() as patch:
            patch.setattr(Memory, "put", once(Memory.put, after=False))
            for number in range(511):
                step.reject(number, "r")
            with pytest.raises(KeyboardInterrupt):
                step.reject(511, "r")
        step.reject(600, "r")
    assert captured.outcomes("f") == {"600": "rejected"}
    assert told(captured) == {"not_encoded": 512}
    assert [one.events for one in captured.records if isinstance(one, Step)][-1] == 513
