"""Saved views: filters with a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from dxray.wire.answers.base import Printed, Unknown
from dxray.wire.text import Line


class View(Printed):
    """A filter with a name.

    `expanded` is its filter without the names of other views, and `fits` how many runs or steps fit it; both are None
    in a list, and where `unknown` says why.
    """

    name: str = ""
    source: str = "runs"
    q: str = ""
    note: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    expanded: str | None = None
    fits: int | None = None
    unknown: Unknown | None = None
    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.views import view_lines

        return view_lines(self, width)


class Views(Printed):
    """The saved views, the one that was saved last first."""

    _nested: ClassVar[tuple[str, ...]] = ("views",)

    views: list[View] = []
    total: int | None = None
    sentence: str = ""

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)

    def __len__(self) -> int:
        return len(self.views)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.views import views_lines

        return views_lines(self, width)
