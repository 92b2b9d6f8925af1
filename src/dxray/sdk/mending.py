"""A copy of any value, made of what JSON knows: it never raises, has a bound, and marks what it changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

DEPTH_LIMIT = 64
LENGTH_LIMIT = 10_000  # elements of one collection
TOTAL_LIMIT = 20_000  # of all together
TEXT_LIMIT = 65_536  # characters


class Mender:
    """Mends one value. `marks` says what was changed; `plain` is asked for what a value of an unknown type may be."""

    def __init__(self, marks: list[str], plain: Callable[[Any], Any]) -> None:
        self._marks = marks
        self._plain = plain
        self._left = TOTAL_LIMIT

    def mend(self, value: Any, depth: int = 0, above: tuple[int, ...] = ()) -> Any:
        """The value's copy."""
        try:
            return self._mended(value, depth, above)
        except Exception as error:  # a value's own methods may do anything
            kind = type(value).__name__
            self._mark(f"{kind}: not readable ({type(error).__name__})")
            return f"<{kind}>"

    def _mended(self, value: Any, depth: int, above: tuple[int, ...]) -> Any:
        kind = type(value)  # never `isinstance`, which asks the value
        if value is None or kind is bool:
            return value
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if issubclass(kind, int):
            return self._int(int.__index__(value))
        if issubclass(kind, float):
            return self._float(float.__float__(value))
        if depth >= DEPTH_LIMIT:
            self._mark(f"cut at depth {DEPTH_LIMIT}")
            return f"<{kind.__name__}>"
        if id(value) in above:
            self._mark("cycle cut")
            return "<cycle>"
        above = (*above, id(value))
        if issubclass(kind, dict):
            return self._dict(value, depth + 1, above)
        if issubclass(kind, list | tuple):
            return [self.mend(one, depth + 1, above) for one in self._some(value, len(value), "elements")]
        simpler = self._plain(value)
        if type(simpler) is str:
            self._mark(f"{kind.__name__}: kept as text")
        return self._mended(simpler, depth + 1, above)

    def _dict(self, value: dict[Any, Any], depth: int, above: tuple[int, ...]) -> dict[str, Any]:
        return {
            self.key(key): self.mend(one, depth, above) for key, one in self._some(value.items(), len(value), "keys")
        }

    def key(self, key: Any) -> str:
        """A key as text."""
        mended = self.mend(key, DEPTH_LIMIT - 1)
        return mended if type(mended) is str else str(mended)

    def _some(self, values: Iterable[Any], n: int, what: str) -> list[Any]:
        limit = min(LENGTH_LIMIT, max(self._left, 0))
        if n > limit:
            self._mark(f"cut at {limit} {what}")
        self._left -= min(n, limit)
        return list(islice(values, limit))

    def _text(self, value: str) -> str:
        if len(value) > TEXT_LIMIT:
            self._mark(f"cut at {TEXT_LIMIT} characters")
            value = value[:TEXT_LIMIT]
        if "\x00" in value:
            self._mark("NUL replaced")
            value = value.replace("\x00", "\ufffd")
        try:
            value.encode()
        except UnicodeEncodeError:
            self._mark("lone surrogate replaced")
            return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return value

    def _int(self, value: int) -> int | str:
        if -(2**63) <= value < 2**63:
            return value
        self._mark("integer past 64 bits: kept as text")
        try:
            return str(value)
        except ValueError:  # longer than Python's own limit of digits
            return hex(value)[:TEXT_LIMIT]

    def _float(self, value: float) -> float | str:
        if math.isfinite(value):
            return value
        self._mark("not a finite number: kept as text")
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    def _mark(self, mark: str) -> None:
        if len(self._marks) < 16:
            self._marks.append(mark)
