"""What all answers share: they are read from JSON, keep it, and print well.

The names are those of the JSON. Fields that a server does not send are None or empty; fields not known here are kept.
`to_dict()` gives the JSON as it came, so that nothing is lost between versions; `str()` gives what a person wants to
read, and a notebook shows it in colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import msgspec

from dxray.wire.text import WIDTH, Line, plain, to_html


class Answer(msgspec.Struct, kw_only=True, dict=True, repr_omit_defaults=True):
    """Base of all answers."""

    # Fields that hold answers: their own JSON is kept with them too.
    _nested: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """The answer in decoded JSON. Raises `msgspec.ValidationError` where a field has another type than it must."""
        # A null says no more than an absent field, and lets every field be optional.
        answer = msgspec.convert({name: value for name, value in raw.items() if value is not None}, cls)
        answer._keep(raw)
        return answer

    def _keep(self, raw: Mapping[str, Any]) -> None:
        self.__dict__["_raw"] = raw
        for name in self._nested:
            for child, child_raw in zip(getattr(self, name), raw.get(name) or (), strict=False):
                child._keep(child_raw)

    def to_dict(self) -> dict[str, Any]:
        """The JSON as the server sent it; for an answer made by hand, its fields."""
        raw = self.__dict__.get("_raw")
        return dict(raw) if raw is not None else cast("dict[str, Any]", msgspec.to_builtins(self))


class Printed(Answer):
    """An answer that prints well."""

    def _lines(self, width: int) -> list[Line]:
        raise NotImplementedError

    def __str__(self) -> str:
        return plain(self._lines(WIDTH))

    def _repr_html_(self) -> str:
        return to_html(self._lines(WIDTH))


class Page(Answer):
    """A part of a list that may be long."""

    total: int | None = None
    limit: int | None = None
    offset: int | None = None


class Unknown(Answer):
    """Why something cannot be said."""

    cause: str | None = None
    detail: str | None = None
