"""A TCP proxy that breaks what passes: it knows enough of HTTP/1.1 to tell where a request and an answer end."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

QUICK = (
    "drop_answer",  # committed, and the answer never comes
    "reset_answer",  # committed, then RST
    "half_answer",  # committed, and half of the answer before the end
    "half_close",  # the server's side ends once the request is in; committed
    "reset_request",  # RST in the middle of the request
    "half_request",  # the request's first half reaches the server, then nothing
    "busy",  # 503 with Retry-After, the server is not asked
    "busy_committed",  # the same, and it was committed
    "twice",  # the request is delivered twice; the second answer goes back
)
SLOW = (
    "stall_answer",  # committed, and silence until the client gives up
    "slow_answer",  # committed, and the answer at 1 B/s, until the client or the proxy gives up
)
FAULTS = QUICK * 3 + SLOW
CORRUPT = "corrupt"  # one bit of the request's body is another
SLOW_FOR = 2.5  # seconds
STALL_FOR = 3.0
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0.05\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Faults by turns, each on a request of its own; of `every` requests one is hit, so that what waits gets on."""

    def __init__(self, target: int, faults: tuple[str, ...] = FAULTS, seed: int = 1) -> None:
        self.target = target
        self.faults = faults
        self.port = 0
        self.done: Counter[str] = Counter()
        self.every = 2
        self.limit = 0  # faults, then everything passes
        self._random = random.Random(seed)
        self._turn = 0

    def _next_fault(self) -> str:
        self._turn += 1
        if self._turn % self.every != 1 or sum(self.done.values()) >= self.limit:
            return "pass"
        fault = self.faults[sum(self.done.values()) % len(self.faults)]
        self.done[fault] += 1
        return fault

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while (request := await read_message(reader)) is not None:
                if not await self._one(self._next_fault(), *request, reader, writer):
                    break
        writer.close()

    async def _one(
        self, fault: str, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request. Whether the connection goes on."""
        if fault == "reset_request":
            _reset(writer)
            return False
        if fault == "busy":
            return await _answer(writer, BUSY)
        if fault == "half_request":
            await self._ask(head + body[: len(body) // 2], whole=False)
            _reset(writer)
            return False
        if fault == CORRUPT:
            body = self._flipped(body)
        if fault == "twice":
            await self._ask(head + body)
        answer = await self._ask(head + body)
        committed = answer.startswith(b"HTTP/1.1 200")
        if not committed and fault not in ("pass", CORRUPT, "twice"):  # for another request, then
            self.done[fault] -= 1
            self._turn -= 1
        if not committed or fault in ("pass", CORRUPT, "twice"):
            writer.write(answer)
            await writer.drain()
            return bool(answer)
        return await _broken(fault, answer, writer)

    async def _ask(self, request: bytes, whole: bool = True) -> bytes:
        """The server's answer; empty when it is not there or the request is not whole."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return b""
        try:
            writer.write(request)
            await writer.drain()
            if not whole:
                return b""
            found = await read_message(reader)
            return found[0] + found[1] if found else b""
        finally:
            writer.close()

    def _flipped(self, body: bytes) -> bytes:
        at = self._random.randrange(len(body))
        return body[:at] + bytes([body[at] ^ (1 << self._random.randrange(8))]) + body[at + 1 :]


async def _answer(writer: asyncio.StreamWriter, answer: bytes) -> bool:
    writer.write(answer)
    await writer.drain()
    return False


async def _broken(fault: str, answer: bytes, writer: asyncio.StreamWriter) -> bool:
    """An answer that does not arrive, or not whole: what it was about is committed."""
    if fault == "busy_committed":
        return await _answer(writer, BUSY)
    if fault == "reset_answer":
        _reset(writer)
    elif fault == "half_answer":
        return await _answer(writer, answer[: len(answer) // 2])
    elif fault == "half_close":
        writer.write_eof()
        await asyncio.sleep(0.05)
    elif fault == "stall_answer":
        await asyncio.sleep(STALL_FOR)
    elif fault == "slow_answer":
        for at in range(int(SLOW_FOR)):
            writer.write(answer[at : at + 1])
            await writer.drain()
            await asyncio.sleep(1.0)
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Head and body of a request or an answer; None at the end of the stream."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return head, await reader.readexactly(length)


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy in a thread of its own."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(proxy.serve(ready, stop),), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the proxy does not listen")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
