"""Opens the catalog: a SQLite file in the data folder, or a PostgreSQL database; and its two kinds of transaction.

SQLite keeps a rollback journal, not a write-ahead log: the log's reset can corrupt a database before SQLite 3.51.3
(sqlite.org/wal.html, "the WAL-reset bug"), Python brings older ones, and a few hundred rows gain nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, make_url, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from dxray.server.catalog.tables import MIGRATIONS
from dxray.server.catalog.views import Views
from dxray.server.errors import CannotStart, StoreError
from dxray.server.migrate import migrate, statements

_FOLDER = Path(__file__).parent / "sql"
_WAIT_S = 5  # for another's transaction
_OUR_LOCK = 0x64787261  # "dxra"
# How a transaction begins. There is one writer at a time, so that what it has read still holds when it writes.
_READING = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION READ ONLY"}
_WRITING = {"sqlite": "BEGIN IMMEDIATE", "postgresql": f"SELECT pg_advisory_xact_lock({_OUR_LOCK})"}
_MIGRATING = {"sqlite": "BEGIN IMMEDIATE", "postgresql": f"BEGIN;\nSELECT pg_advisory_xact_lock({_OUR_LOCK});"}
_HOW = "write postgresql+psycopg://user@host/database, or leave it out for a file in the data folder"


class Catalog:
    """An opened catalog, of this version. `where` is the path of a SQLite file, or PostgreSQL's address.

    Raises `CannotStart` when it cannot be opened, is damaged, or was written by a newer version.
    """

    def __init__(self, where: Path | str) -> None:
        url = URL.create("sqlite", database=str(where)) if isinstance(where, Path) else _address(where)
        self._shown = str(where) if isinstance(where, Path) else url.render_as_string(hide_password=True)
        self._engine = _engine(url)
        self._dialect = self._engine.dialect.name
        try:
            with self._as_start_error():
                self._check()
                self._migrate()
        except BaseException:
            self.close()
            raise

    def views(self, project: str) -> Views:
        """The saved views of one project."""
        return Views(self, project)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that changes nothing."""
        with _errors(), self._engine.execution_options(first=_READING[self._dialect]).begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is the only one to write; committed at the end, or undone by an exception."""
        with _errors(), self._engine.execution_options(first=_WRITING[self._dialect]).begin() as connection:
            yield connection

    def close(self) -> None:
        """Let go of the connections. Idempotent."""
        self._engine.dispose()

    def _check(self) -> None:
        if self._dialect != "sqlite":
            return
        with self._engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise StoreError(f"the file is damaged ({' '.join(str(found).split())})")
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            if journal != "delete":
                raise StoreError(f"its journal is {journal!r}, and has to be 'delete'")

    def _migrate(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

            def execute(sql: str) -> None:
                for one in statements(sql):
                    connection.exec_driver_sql(one)

            def applied() -> Sequence[tuple[int, str, str]]:
                found = connection.execute(select(MIGRATIONS).order_by(MIGRATIONS.c.number))
                return [(row.number, row.name, row.checksum) for row in found]

            def remember(number: int, name: str, checksum: str) -> None:
                connection.execute(insert(MIGRATIONS).values(number=number, name=name, checksum=checksum))

            migrate(_FOLDER, execute, applied, remember, _MIGRATING[self._dialect])

    @contextmanager
    def _as_start_error(self) -> Iterator[None]:
        driver: Any = self._engine.dialect.dbapi
        fix = "put a backup in its place, or move it away: saved views are in it, recorded runs are not"
        if self._dialect != "sqlite":
            fix = "is it running, and does the address in DXRAY_CATALOG name it?"
        try:
            yield
        except StoreError as error:
            raise CannotStart(
                f"the catalog {self._shown} cannot be opened: {error.detail}", field="catalog", fix=error.fix or fix
            ) from error
        except (SQLAlchemyError, driver.Error) as error:
            said = _said(error)
            raise CannotStart(
                f"the catalog {self._shown} cannot be opened: {said}", field="catalog", fix=fix
            ) from error


def _address(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise CannotStart("the catalog's address cannot be read", field="catalog", fix=_HOW) from None
    if url.get_backend_name() != "postgresql":
        shown = url.render_as_string(hide_password=True)
        raise CannotStart(f"catalog {shown!r} is not known here", field="catalog", fix=_HOW)
    return url


def _engine(url: URL) -> Engine:
    is_sqlite = url.get_backend_name() == "sqlite"
    wait: dict[str, Any] = {"timeout": _WAIT_S} if is_sqlite else {"connect_timeout": _WAIT_S}
    try:
        # PostgreSQL may have been started again since a connection was last used.
        engine = create_engine(url, pool_pre_ping=not is_sqlite, connect_args=wait)
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"a catalog in PostgreSQL needs {error.name}, which is not installed",
            field="catalog",
            fix="pip install 'psycopg[binary]', and write postgresql+psycopg://…",
        ) from error
    except NoSuchModuleError as error:
        raise CannotStart(f"catalog {url.drivername!r} is not known here", field="catalog", fix=_HOW) from error
    if is_sqlite:
        event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # Python begins no transaction by itself: `_begin` does
    for pragma in ("journal_mode = DELETE", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    first = connection.get_execution_options().get("first")
    if first is not None:
        connection.exec_driver_sql(first)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"the catalog did not do it: {_said(error)}") from error


def _said(error: Exception) -> str:
    """What the engine said, on one line, without the statement and its values."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
