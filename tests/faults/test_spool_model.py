"""The spool against a model of a disk: random lives of up to three processes, and every cut and every flipped bit.

`FAULTS_LONG=1` runs 10,000 lives instead of some, and prints one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dxray.sdk import spool as spools
from dxray.sdk.segment import MAGIC, Segment, framed, scan
from dxray.sdk.spool import Frame, Spool, SpoolFull
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Loss
from tests.faults.model_disk import PLENTY, Inode, Killed, ModelDisk, Platter

LONG = bool(os.environ.get("FAULTS_LONG"))
SEQUENCES, LONG_SEQUENCES = 100, 10_000
FOLDER = Path("/spool/server")
CAP = 16_000
SMALL_SEGMENT = 1_500
LATER_S = 10.0

SLOT = st.integers(0, 2)
PICK = st.integers(0, 2**32 - 1)
PICKS = st.lists(PICK, min_size=1, max_size=6)
AFTER = st.sampled_from(("", "sync", "acknowledge"))
SIZES = st.lists(st.sampled_from((0, 1, 30, 500, 700)), min_size=1, max_size=4)


@dataclass(eq=False)
class Process:
    """A process with its spool, and the batches that it knows of."""

    producer: str
    disk: ModelDisk
    spool: Spool
    seq: int = 0
    frames: list[tuple[Frame, bytes]] = field(default_factory=list)
    own: list[bytes] = field(default_factory=list)  # all that it appended

    @property
    def segments(self) -> list[Segment]:
        opened = self.spool._open
        return [*self.spool._closed, *([opened] if opened is not None else [])]


class SpoolMachine(RuleBasedStateMachine):
    """What every life of a spool must leave true."""

    sequences = 0

    def __init__(self) -> None:
        super().__init__()
        SpoolMachine.sequences += 1
        self.platter = Platter()
        self.processes: list[Process] = []
        self.started = 0
        self.frames: dict[bytes, bytes] = {}  # every batch that was ever given to a spool, and its frame
        self.acknowledged: set[bytes] = set()
        self.excused: set[bytes] = set()  # refused, dropped, cut, flipped, or not synced before a crash
        self.synced: set[bytes] = set()

    def start(self) -> Process:
        self.started += 1
        producer = f"{self.started:04}"
        disk = ModelDisk(self.platter, self.started)
        process = Process(producer, disk, Spool(FOLDER, producer, cap=CAP, disk=disk))
        self.processes.append(process)
        return process

    def process(self, slot: int) -> Process:
        return self.processes[slot % len(self.processes)] if self.processes else self.start()

    def do(self, process: Process, action: Callable[[], object]) -> str:
        """Let a process do something: `done`, `refused`, or `died` in the middle of it."""
        try:
            action()
        except (SpoolFull, OSError):
            return "refused"
        except Killed:
            self.end(process)
            return "died"
        return "done"

    def end(self, process: Process) -> None:
        self.platter.kill(process.disk.process)
        self.processes.remove(process)

    @precondition(lambda self: len(self.processes) < 3)
    @rule()
    def another_process(self) -> None:
        self.start()

    @rule(slot=SLOT, operations=st.integers(0, 12))
    def will_die(self, slot: int, operations: int) -> None:
        self.process(slot).disk.dies_after = operations

    @rule(slot=SLOT)
    def kill(self, slot: int) -> None:
        self.end(self.process(slot))

    @rule(slot=SLOT)
    def close(self, slot: int) -> None:
        process = self.process(slot)
        idle = [segment.path for segment in process.segments if not segment.waiting]
        if self.do(process, process.spool.close) == "done":
            assert not any(path in self.platter.names for path in idle), "nothing waits in it, and it is still there"
            self.end(process)

    @rule(seed=PICK)
    def crash(self, seed: int) -> None:
        self.excused |= set(self.frames) - self.synced
        self.platter.crash(Random(seed))
        self.processes.clear()

    @rule(slot=SLOT, rounds=st.lists(st.tuples(SIZES, AFTER), min_size=1, max_size=3), seed=PICK, picks=PICKS)
    def append(self, slot: int, rounds: list[tuple[list[int], str]], seed: int, picks: list[int]) -> None:
        for number, (sizes, after) in enumerate(rounds):
            self.append_some(slot, sizes, seed + 10 * number)
            if after == "sync":
                self.sync(slot)
            elif after == "acknowledge":
                self.acknowledge(slot, picks)

    @rule(slot=SLOT, size=st.integers(0, 700), seed=PICK, share=st.integers(0, 9))
    def append_on_a_full_disk(self, slot: int, size: int, seed: int, share: int) -> None:
        self.platter.space = size * share // 10
        self.append_some(slot, [size], seed)
        self.platter.space = PLENTY

    def append_some(self, slot: int, sizes: list[int], seed: int) -> None:
        process = self.process(slot)
        for number, size in enumerate(sizes):
            process.seq += 1
            data = f"{process.producer}:{process.seq}:".encode() + noise(size, seed + number)
            frame = Frame(seq=process.seq, length=len(data))
            self.frames[data] = framed(process.seq, data)
            ended = self.do(process, partial(process.spool.append, frame, data))
            if ended == "done":
                process.frames.append((frame, data))
                process.own.append(data)
                continue
            self.excused.add(data)
            if ended == "died":
                return
            assert all(data not in self.located(inode) for inode in self.files().values()), "refused, and there"

    @rule(slot=SLOT, picks=PICKS)
    def acknowledge(self, slot: int, picks: list[int]) -> None:
        process = self.process(slot)
        for pick in picks:
            if not process.frames:
                return
            frame, data = process.frames.pop(pick % len(process.frames))
            self.acknowledged.add(data)
            if self.do(process, partial(process.spool.acknowledge, frame)) == "died":
                return

    @rule(slot=SLOT)
    def sync(self, slot: int) -> None:
        process = self.process(slot)
        if self.do(process, lambda: process.spool.sync(monotonic() + LATER_S)) == "done":
            self.synced |= set(process.own)

    @rule(slot=SLOT, picks=PICKS)
    def adopt(self, slot: int, picks: list[int]) -> None:
        process = self.process(slot)
        if self.do(process, lambda: self._adopt(process)) == "done":
            self.acknowledge(slot, picks[1:])

    def _adopt(self, process: Process) -> None:
        process.spool.look()
        segment = process.spool.adopt()
        if segment is None:
            left = [path for path, inode in self.files().items() if inode.content and not self.platter.is_held(inode)]
            assert not left, "a segment that nobody holds was not found"
            return
        frames, damaged = self._read(process, segment)
        for data in damaged:
            process.spool.quarantine(data, "damaged", f"{process.producer}-{len(self.platter.names)}")
        if frames:
            process.frames += frames
        else:
            process.spool.drop(segment)

    def _read(self, process: Process, segment: Segment) -> tuple[list[tuple[Frame, bytes]], list[bytes]]:
        """A segment's batches, once it is clear that they are what was appended, and the rest is called damaged."""
        inode = self.platter.names[segment.path]
        found, damaged = process.spool.frames_of(segment)
        frames = [(frame, frame.read()) for frame in found]
        assert all(self.frames.get(data) == framed(frame.seq, data) for frame, data in frames), "never appended"
        owed = set(self.located(inode)) - self.acknowledged - self.excused
        assert {data for _, data in frames} >= owed, "a sound batch was not found"
        size = sum(len(self.frames[data]) for _, data in frames) + sum(map(len, damaged))
        assert size == len(inode.content), "bytes that are neither a batch nor damaged"
        return frames, damaged

    @rule(slot=SLOT)
    def drop_oldest(self, slot: int) -> None:
        process = self.process(slot)
        self.do(process, lambda: self._drop_oldest(process))

    def _drop_oldest(self, process: Process) -> None:
        segment = process.spool.oldest()
        if segment is None:
            return
        if segment.waiting:
            lost = {data for frame, data in process.frames if frame.segment is segment}
        else:
            lost = {data for _, data in self._read(process, segment)[0]}
        self.excused |= lost
        process.spool.drop(segment)  # those that are on their way are acknowledged later

    @rule(slot=SLOT)
    def count_bytes(self, slot: int) -> None:
        process = self.process(slot)
        if self.do(process, process.spool.look) == "done":
            assert process.spool.held_bytes() == sum(len(inode.content) for inode in self.files().values())

    @rule(seed=PICK)
    def a_while(self, seed: int) -> None:
        """Eight things at once, so that short lives go far too."""
        random = Random(seed)

        def picks() -> list[int]:
            return [random.getrandbits(20) for _ in range(random.randint(1, 6))]

        for _ in range(8):
            slot, pick, at = random.randrange(3), random.getrandbits(20), random.getrandbits(20)
            rounds = [(random.choices((0, 1, 30, 500, 700), k=random.randint(1, 4)), random.choice(("", "sync")))]
            match random.randrange(14):
                case 0:
                    self.crash(pick)
                case 1:
                    self.kill(slot)
                case 2:
                    self.adopt(slot, picks())
                case 3:
                    self.sync(slot)
                case 4:
                    self.flip(pick, at)
                case 5 if pick % 4 == 0:
                    self.cut(pick, at)
                case 6 if pick % 4 == 0:
                    self.drop_oldest(slot)
                case 7 if len(self.processes) < 3:
                    self.start()
                case 8 | 9:
                    self.acknowledge(slot, picks())
                case _:
                    self.append(slot, rounds, pick, picks())
            self.nothing_is_lost()
            self.what_is_held_can_be_read()

    @rule(pick=PICK, at=PICK)
    def cut(self, pick: int, at: int) -> None:
        inode = self.left_file(pick)
        if inode is None:
            return
        at %= len(inode.content)
        before = self.located(inode)
        sound = {one.data for one in scan(bytes(inode.content)) if one.seq is not None}
        hit = {data for data, (_, end) in before.items() if end > at}
        del inode.content[at:]
        self._damaged(inode, sound, hit)

    @rule(pick=PICK, at=PICK)
    def flip(self, pick: int, at: int) -> None:
        inode = self.left_file(pick)
        if inode is None:
            return
        at %= len(inode.content) * 8
        before = self.located(inode)
        sound = {one.data for one in scan(bytes(inode.content)) if one.seq is not None}
        hit = {data for data, (start, end) in before.items() if start <= at // 8 < end}
        assert len(hit) <= 1
        inode.content[at // 8] ^= 1 << at % 8
        self._damaged(inode, sound, hit)

    def _damaged(self, inode: Inode, sound: set[bytes], hit: set[bytes]) -> None:
        """A file that was changed from outside: of what was sound before, `hit` is lost."""
        inode.durable, inode.unwritten = bytes(inode.content), []
        self.excused |= hit
        found = list(scan(bytes(inode.content)))
        assert {one.data for one in found if one.seq is not None} >= sound - hit, "it cost another batch"
        size = sum(len(framed(one.seq, one.data)) for one in found if one.seq is not None)
        called = sum(len(one.data) for one in found if one.seq is None)
        assert size + called == len(inode.content), "bytes that are neither a batch nor called damaged"

    def files(self) -> dict[Path, Inode]:
        return {path: inode for path, inode in self.platter.names.items() if path.parent == FOLDER}

    def left_file(self, pick: int) -> Inode | None:
        """A segment that no living process holds."""
        left = [inode for inode in self.files().values() if inode.content and not self.platter.is_held(inode)]
        return left[pick % len(left)] if left else None

    def located(self, inode: Inode) -> dict[bytes, tuple[int, int]]:
        """Which batches lie whole in a file, and where; found by their bytes."""
        places = {data: inode.content.find(frame) for data, frame in self.frames.items()}
        return {data: (at, at + len(self.frames[data])) for data, at in places.items() if at >= 0}

    @invariant()
    def nothing_is_lost(self) -> None:
        contents = [bytes(inode.content) for inode in self.files().values()]
        for data in set(self.frames) - self.acknowledged - self.excused:
            assert any(self.frames[data] in content for content in contents), f"lost: {data[:12]!r}"

    @invariant()
    def what_is_held_can_be_read(self) -> None:
        for process in self.processes:
            armed, process.disk.dies_after = process.disk.dies_after, None
            for frame, data in process.frames:
                assert data in self.excused or frame.read() == data
            process.disk.dies_after = armed

    @invariant()
    def a_segment_has_one_holder_and_its_size(self) -> None:
        held = [id(inode) for _, inode in self.platter.holders()]
        assert len(held) == len(set(held))
        for process in self.processes:
            sizes = [len(self.platter.names[segment.path].content) for segment in process.segments]
            assert process.spool.held_bytes() - process.spool._left_bytes == sum(sizes)

    def teardown(self) -> None:
        """All die, and one comes that takes everything over."""
        for process in list(self.processes):
            self.end(process)
        heir = self.start()
        left = len(self.files())
        for _ in range(left):
            self._adopt(heir)
        got = {data for _, data in heir.frames}
        assert got >= set(self.frames) - self.acknowledged - self.excused
        for frame, _ in heir.frames:
            heir.spool.acknowledge(frame)
        heir.spool.close()
        assert not self.files(), "all is acknowledged, and something is left"


def noise(size: int, seed: int) -> bytes:
    """Bytes of a batch; some look like the beginning of another."""
    random = Random(seed)
    data = bytearray(random.randbytes(size))
    if size > 100 and seed % 3 == 0:
        data[40:44] = MAGIC
        data[60:84] = framed(seed % 7, b"not whole")[:23] + b"?"
    return bytes(data)


def run_sequences(count: int) -> int:
    """So many lives; how many there were. Raises AssertionError at a violation."""
    SpoolMachine.sequences = 0
    chosen = settings(
        max_examples=count,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=not LONG,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "SEGMENT_BYTES", SMALL_SEGMENT)
        run_state_machine_as_test(SpoolMachine, settings=chosen)
    return SpoolMachine.sequences


def measure(long: bool) -> dict[str, Any]:
    """The row of the table."""
    violations, said = 0, ""
    try:
        run_sequences(LONG_SEQUENCES if long else SEQUENCES)
        every_cut(five_batches())
        every_flip(five_batches())
    except AssertionError as error:
        violations, said = 1, f": {error}".splitlines()[0]
    reached = f"{SpoolMachine.sequences} sequences, {violations} violations{said}"
    return {"row": "A3", "reached": reached, "ok": not violations}


@pytest.mark.timeout(3600 if LONG else 120)
def test_whatever_happens_to_it_a_spool_keeps_what_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    count = run_sequences(LONG_SEQUENCES if LONG else SEQUENCES)
    if LONG:
        with capsys.disabled():
            print(f"\nA3: {count} sequences, 0 violations")


def five_batches() -> list[bytes]:
    """Batches as they travel."""
    return [
        pack_batch("0123456789abcdef", seq, "shop", [pack_record(Loss(run_id=f"r{seq}", cause="queue_full", n=seq))])
        for seq in range(1, 6)
    ]


def adopted(content: bytes) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """What a new process makes of a file that a dead one left: batches with their numbers, and what is damaged."""
    platter = Platter()
    platter.folders.add(FOLDER)
    platter.names[FOLDER / "dead-1.seg"] = Inode(bytearray(content), content)
    spool = Spool(FOLDER, "heir", cap=CAP, disk=ModelDisk(platter, 1))
    segment = spool.adopt()
    if segment is None:
        return [], []
    frames, damaged = spool.frames_of(segment)
    return [(frame.seq, frame.read()) for frame in frames], damaged


def ends_of(batches: list[bytes]) -> list[int]:
    ends, at = [], 0
    for seq, data in enumerate(batches, 1):
        at += len(framed(seq, data))
        ends.append(at)
    return ends


def every_cut(batches: list[bytes]) -> int:
    content = b"".join(framed(seq, data) for seq, data in enumerate(batches, 1))
    ends = ends_of(batches)
    for at in range(len(content) + 1):
        frames, damaged = adopted(content[:at])
        whole = sum(end <= at for end in ends)
        assert frames == list(enumerate(batches[:whole], 1)), f"cut at {at}"
        rest = content[([0, *ends])[whole] : at]
        assert damaged == ([rest] if rest else []), f"cut at {at}: {len(damaged)} damaged"
    return len(content) + 1


def every_flip(batches: list[bytes]) -> int:
    content = bytearray(b"".join(framed(seq, data) for seq, data in enumerate(batches, 1)))
    ends = ends_of(batches)
    for bit in range(len(content) * 8):
        content[bit // 8] ^= 1 << bit % 8
        hit = sum(end <= bit // 8 for end in ends)
        frames, damaged = adopted(bytes(content))
        assert frames == [one for one in enumerate(batches, 1) if one[0] != hit + 1], f"bit {bit}"
        assert len(damaged) == 1 and len(damaged[0]) == len(framed(hit + 1, batches[hit])), f"bit {bit}"
        content[bit // 8] ^= 1 << bit % 8
    return len(content) * 8


def test_a_cut_at_any_byte_costs_what_it_cuts() -> None:
    assert every_cut(five_batches()) > 500


def test_any_flipped_bit_costs_its_batch_only() -> None:
    assert every_flip(five_batches()) > 4_000


def test_a_batch_that_the_disk_changed_is_not_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "own", cap=CAP)
    data = noise(300, 1)
    frame = Frame(seq=1, length=len(data))
    spool.append(frame, data)
    (path,) = tmp_path.glob("*.seg")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with suppress(OSError):
        assert frame.read() == data


def test_each_segment_on_a_real_disk_is_adopted_by_one(tmp_path: Path) -> None:
    count = 60
    for number in range(count):
        (tmp_path / f"dead-{number}.seg").write_bytes(framed(number, b"x" * 100))

    def adopt_all(worker: int) -> list[int]:
        spool = Spool(tmp_path, f"heir{worker}", cap=1 << 20)
        found: list[int] = []
        while (segment := spool.adopt()) is not None:
            frames, _ = spool.frames_of(segment)
            found += [frame.seq for frame in frames]
            for frame in frames:
                spool.acknowledge(frame)
        return found

    with ThreadPoolExecutor(8) as pool:
        found = [seq for part in pool.map(adopt_all, range(8)) for seq in part]
    assert sorted(found) == list(range(count))
    assert list(tmp_path.glob("*")) == []
