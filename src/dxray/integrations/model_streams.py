"""A stream of a model's client, watched: the same object, with another iterator inside."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Protocol


class Listener(Protocol):
    """What is told of a stream."""

    def part(self, chunk: Any) -> None: ...

    def end(self, error: BaseException | None, early: bool = False) -> None: ...


class Watched:
    """The iterator of a stream, which tells of each chunk, and of the end however it comes."""

    def __init__(self, inner: Any, call: Listener) -> None:
        self._inner = inner
        self._call = call

    def __iter__(self) -> Watched:
        return self

    def __aiter__(self) -> Watched:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._inner)
        except BaseException as error:
            self._call.end(None if isinstance(error, StopIteration) else error)
            raise
        self._call.part(chunk)
        return chunk

    async def __anext__(self) -> Any:
        try:
            chunk = await self._inner.__anext__()
        except BaseException as error:
            self._call.end(None if isinstance(error, StopAsyncIteration) else error)
            raise
        self._call.part(chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self._call.end(None, early=True)


def watch(stream: Any, call: Listener) -> bool:
    """Watch a stream from here on. False where it is not one that can be."""
    inner = stream._iterator
    if not (hasattr(inner, "__next__") or hasattr(inner, "__anext__")):
        return False
    stream._iterator = Watched(inner, call)
    stream.close = _closing(stream, call, hasattr(inner, "__anext__"))
    return True


def _closing(stream: Any, call: Listener, is_async: bool) -> Callable[[], Any]:
    """A stream that is closed has ended. It does not hold the stream: one that is dropped goes at once."""
    held = weakref.ref(stream)

    def close() -> None:
        call.end(None, early=True)
        whole = held()
        if whole is not None:
            type(whole).close(whole)

    async def aclose() -> None:
        call.end(None, early=True)
        whole = held()
        if whole is not None:
            await type(whole).close(whole)

    return aclose if is_async else close
