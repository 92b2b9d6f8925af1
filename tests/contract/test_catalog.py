"""The catalog: what was saved stays, one writer at a time, and what cannot be opened is told in one line.

On SQLite, and on PostgreSQL where its programs and psycopg are installed.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from dxray.server.catalog import views as catalog_views
from dxray.server.catalog.base import Catalog
from dxray.server.catalog.views import View
from dxray.server.errors import CannotStart, Conflict, Invalid, StoreError
from dxray.server.migrate import migrate, statements

Where = Path | str
FAILED = View("failed", "runs", "status:failed", "look at these first")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A PostgreSQL of one's own, as a user who is not root, in a folder that such a user may enter."""
    found = [shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))]
    programs = next((Path(one).parent for one in reversed(found) if one), None)
    if programs is None or importlib.util.find_spec("psycopg") is None:
        pytest.skip("PostgreSQL or psycopg is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="dxray-pg-")
    other = "nobody" if os.geteuid() == 0 else None
    if other:
        shutil.chown(folder, other)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(programs / program), *arguments], check=True, cwd=folder, user=other, stdout=subprocess.DEVNULL
        )

    data, log = f"{folder}/data", f"{folder}/log"
    run("initdb", "-D", data, "-A", "trust", "-U", "dxray", "--no-sync")
    run("pg_ctl", "-D", data, "-l", log, "-w", "-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1", "start")
    try:
        yield f"postgresql+psycopg://dxray@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    if request.param == "sqlite":
        return tmp_path / "catalog.sqlite"
    address: str = request.getfixturevalue("cluster")
    name = f"c{uuid.uuid4().hex}"
    engine = create_engine(f"{address}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{address}/{name}"


@pytest.fixture
def catalog(where: Where) -> Iterator[Catalog]:
    opened = Catalog(where)
    yield opened
    opened.close()


def test_what_was_saved_stays(where: Where) -> None:
    catalog = Catalog(where)
    assert catalog.views("p").put(FAILED)
    before = catalog.views("p").list()
    catalog.close()
    catalog.close()
    again = Catalog(where)
    assert again.views("p").list() == before
    assert before[0].says_the_same(FAILED)
    again.close()


def test_a_name_is_one_of_its_project_and_of_its_letters(catalog: Catalog) -> None:
    mine, yours = catalog.views("mine"), catalog.views("yours")
    assert mine.put(FAILED) and yours.put(View("failed", "steps", "step:rank"))
    assert mine.put(View("Failed", "runs", "x")) and mine.put(View("fällig", "runs", "x"))
    assert {view.name for view in mine.list()} == {"failed", "Failed", "fällig"}
    assert mine.delete("failed") and not mine.delete("failed")
    assert mine.get("failed") is None
    assert [view.source for view in yours.list()] == ["steps"]


def test_the_same_again_changes_nothing_and_another_only_replaces_when_it_may(catalog: Catalog) -> None:
    views = catalog.views("p")
    views.put(FAILED)
    views.put(View("later", "runs", "x"))
    first = views.get("failed")
    assert not views.put(FAILED) and not views.put(FAILED, replace=False)
    assert views.get("failed") == first and first is not None
    with pytest.raises(Conflict, match="something else"):
        views.put(View("failed", "runs", "status:abandoned"), replace=False)
    assert views.get("failed") == first
    assert not views.put(View("failed", "runs", "status:abandoned"))
    now = views.get("failed")
    assert now is not None and (now.q, now.note, now.created_at) == ("status:abandoned", None, first.created_at)
    assert now.updated_at > first.updated_at
    assert [view.name for view in views.list()] == ["failed", "later"]


def test_there_are_never_too_many(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_views, "AT_MOST", 8)

    def save(n: int) -> bool | str:
        try:
            return catalog.views("p").put(View(f"v{n}", "runs", "x"))
        except Invalid as error:
            return error.detail

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(save, range(24)))
    assert (said.count(True), said.count("there are 8 views, and no more are kept")) == (8, 16)
    assert len(catalog.views("p").list()) == 8
    assert catalog.views("q").put(FAILED)


def test_many_writers_and_one_name(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: catalog.views("p").put(View("one", "runs", f"word{n}")), range(32)))
    assert made.count(True) == 1
    assert len(catalog.views("p").list()) == 1


def test_several_may_open_a_new_one_at_once(where: Where) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Catalog(where), range(4)))
    assert [catalog.views("p").list() for catalog in opened] == [[]] * 4
    for catalog in opened:
        catalog.close()


def test_an_undone_transaction_leaves_nothing(catalog: Catalog) -> None:
    def fail() -> None:
        with catalog.writing() as connection:
            connection.exec_driver_sql("DELETE FROM migrations")
            connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(StoreError, match="did not do it"):
        fail()
    with catalog.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM migrations").scalar() == 1


# --- opening --------------------------------------------------------------------------------------------------


def refused(where: Where) -> str:
    with pytest.raises(CannotStart) as caught:
        Catalog(where)
    line = caught.value.line()
    assert "\n" not in line and caught.value.field == "catalog"
    return line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE migrations SET checksum = 'other'", "another migration 0001_views"),
        ("INSERT INTO migrations VALUES (999, '0999_later', 'x')", "newer version of dxray"),
    ],
)
def test_a_newer_or_another_schema_is_refused(where: Where, change: str, said: str) -> None:
    catalog = Catalog(where)
    with catalog.writing() as connection:
        connection.exec_driver_sql(change)
    catalog.close()
    assert said in refused(where)


def test_what_is_no_catalog_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"no database at all, but long enough to be taken for one " * 100)
    before = path.read_bytes()
    line = refused(path)
    assert str(path) in line and "not a database" in line and "move it away" in line
    assert path.read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = Catalog(path)
    for n in range(200):
        catalog.views("p").put(View(f"v{n}", "runs", "word " * 100))
    catalog.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(content)
    assert "move it away" in refused(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "unable to open" in refused(tmp_path / "no" / "catalog.sqlite")


def test_sqlite_keeps_a_rollback_journal_and_foreign_keys(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA journal_mode = WAL")
    plain.close()
    catalog = Catalog(path)
    with catalog.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    catalog.close()
    assert [one.name for one in tmp_path.iterdir()] == ["catalog.sqlite"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "cannot be read"),
        ("mysql://me:secret@host/db", "is not known here"),
        ("postgresql+nodriver://me:secret@host/db", "is not known here"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, said: str) -> None:
    line = refused(address)
    assert said in line and "postgresql+psycopg://" in line and "secret" not in line


def test_postgresql_without_its_driver_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from dxray.server.catalog.base import Catalog\n"
        "from dxray.server.errors import CannotStart\n"
        "try: Catalog('postgresql+psycopg://me@127.0.0.1/x')\n"
        "except CannotStart as error: print(error.line())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "psycopg" in said and "pip install 'psycopg[binary]'" in said


def test_a_server_imports_no_sqlalchemy_before_it_opens() -> None:
    code = "import dxray.server.app, sys; print('sqlalchemy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.strip() == "False"


# --- the migration runner -------------------------------------------------------------------------------------


def test_a_file_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (n INTEGER);\n")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE b (n INTEGER);\nINSERT INTO nowhere VALUES (1);\n")
    connection = sqlite3.connect(":memory:", isolation_level=None)

    def execute(sql: str) -> None:
        for one in statements(sql):
            connection.execute(one)

    def run() -> int:
        return migrate(
            tmp_path,
            execute,
            lambda: connection.execute("SELECT number, name, checksum FROM migrations ORDER BY number").fetchall(),
            lambda *row: connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", row),
        )

    def tables() -> set[str]:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    with pytest.raises(sqlite3.OperationalError):
        run()
    assert tables() == {"migrations", "a"}
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE b (n INTEGER)")
    assert (run(), run()) == (1, 0)
    assert tables() == {"migrations", "a", "b"}
    connection.close()


def test_statements_end_with_their_lines() -> None:
    assert statements("-- a; b\nCREATE TABLE a (\n  n INTEGER -- c; d\n);\n\nSELECT ';', 1;  \nSELECT 2") == [
        "-- a; b\nCREATE TABLE a (\n  n INTEGER -- c; d\n)",
        "SELECT ';', 1",
        "SELECT 2",
    ]
