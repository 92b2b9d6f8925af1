"""Saved views: filters with a name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from dxray.server.catalog.tables import VIEWS
from dxray.server.errors import Conflict, Invalid

if TYPE_CHECKING:
    from dxray.server.catalog.base import Catalog

AT_MOST = 1_000  # in a project


@dataclass(frozen=True, slots=True)
class View:
    """A filter on `source`, `runs` or `steps`. Times are microseconds since 1970."""

    name: str
    source: str
    q: str
    note: str | None = None
    created_at: int = 0
    updated_at: int = 0

    def says_the_same(self, other: View) -> bool:
        return (self.source, self.q, self.note) == (other.source, other.q, other.note)


class Views:
    """The views of one project."""

    def __init__(self, catalog: Catalog, project: str) -> None:
        self._catalog = catalog
        self._project = project

    def list(self) -> list[View]:
        """All, the one that was saved last first."""
        with self._catalog.reading() as connection:
            found = connection.execute(select(VIEWS).where(VIEWS.c.project == self._project)).all()
        return sorted(map(_view, found), key=lambda view: (-view.updated_at, view.name))

    def get(self, name: str) -> View | None:
        with self._catalog.reading() as connection:
            return self._find(connection, name)

    def put(self, view: View, *, replace: bool = True) -> bool:
        """Save a view at the present time; whether it is new. The same again changes nothing.

        Raises `Conflict` where another of that name is not to be replaced, and `Invalid` where there are too many.
        """
        with self._catalog.writing() as connection:
            before = self._find(connection, view.name)
            if before is None:
                self._refuse_more(connection)
                now = _now()
                said = {"source": view.source, "q": view.q, "note": view.note, "created_at": now, "updated_at": now}
                connection.execute(insert(VIEWS).values(project=self._project, name=view.name, **said))
            elif not before.says_the_same(view):
                if not replace:
                    raise Conflict(
                        f"there is a view {view.name!r} already, and it says something else",
                        field="name",
                        fix="choose another name, or replace it with PUT",
                    )
                said = {"source": view.source, "q": view.q, "note": view.note}
                later = max(_now(), before.updated_at + 1)
                connection.execute(update(VIEWS).where(self._is(view.name)).values(**said, updated_at=later))
        return before is None

    def delete(self, name: str) -> bool:
        """Whether there was one."""
        with self._catalog.writing() as connection:
            return connection.execute(delete(VIEWS).where(self._is(name))).rowcount > 0

    def _find(self, connection: Connection, name: str) -> View | None:
        row = connection.execute(select(VIEWS).where(self._is(name))).one_or_none()
        return None if row is None else _view(row)

    def _is(self, name: str) -> ColumnElement[bool]:
        return and_(VIEWS.c.project == self._project, VIEWS.c.name == name)

    def _refuse_more(self, connection: Connection) -> None:
        mine = select(func.count()).select_from(VIEWS).where(VIEWS.c.project == self._project)
        if connection.execute(mine).scalar_one() >= AT_MOST:
            raise Invalid(f"there are {AT_MOST} views, and no more are kept", field="name", fix="remove one first")


def _view(row: Row[tuple[object, ...]]) -> View:
    return View(row.name, row.source, row.q, row.note, row.created_at, row.updated_at)


def _now() -> int:
    return time.time_ns() // 1000
