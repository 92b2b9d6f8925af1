"""What all adapters have in common: a handle that takes them off again, and what is done about versions and errors.

An adapter changes a framework only between `instrument_x()` and `handle.off()`. Around each call of the framework it
holds `guard` of the SDK: what goes wrong in an adapter is counted there, and the framework's own result or exception
is what the user's code sees.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dxray.sdk.null import NullStep
    from dxray.sdk.step import Step

logger = logging.getLogger("dxray")

_warned: set[str] = set()


class Handle:
    """What `instrument_x()` returns: `off()`, or the end of a `with`, takes the adapter off again. Idempotent."""

    def __init__(self, *undo: Callable[[], None]) -> None:
        self._undo = list(undo)

    @property
    def on(self) -> bool:
        """Whether the adapter is in place: not once it is off, nor where the framework's version is not known."""
        return bool(self._undo)

    def off(self) -> None:
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.off()


def needed(module: str, extra: str) -> ModuleType:
    """A framework's module. Raises `ImportError`, which names the extra to install, where it is not there."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise ImportError(f"{module} is not installed: pip install 'dxray[{extra}]'", name=error.name) from None


def known(package: str, first: tuple[int, ...], before: tuple[int, ...]) -> bool:
    """Whether an installed package is of a version `first <= version < before`.

    Of another one this warns once; the adapter then stays out of the way.
    """
    try:
        found = version(package)
    except PackageNotFoundError:
        return False
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdecimal())
    if first <= numbers < before:
        return True
    if package not in _warned:
        _warned.add(package)
        low, high = (".".join(map(str, bound)) for bound in (first, before))
        logger.warning(
            "dxray knows %s from %s to before %s, not %s: it records nothing of it", package, low, high, found
        )
    return False


def inferred(words: str) -> str:
    """The reason of what a stage did not let through, where it gave none: `words` say what was seen of the stage."""
    return f"inferred: {words}"


def survivors(step: Step | NullStep, before: Iterable[Any], after: Iterable[Any], words: str) -> None:
    """Record a stage that reports only what came out of it, by ids: kept, gone (reason inferred), and new."""
    came, left = dict.fromkeys(before), dict.fromkeys(after)
    step.accept_many([one for one in left if one in came])
    step.reject_many([one for one in came if one not in left], inferred(words))
    step.produce_many([one for one in left if one not in came])
    step.set_input_count(len(came))
