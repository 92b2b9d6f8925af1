"""Numbered SQL files -> a schema: each is run once, in order, and remembered with its checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dxray.server.errors import StoreError

_NAME = re.compile(r"(\d{4})_\w+\.sql")
_ENDS = re.compile(r";\s*$", re.MULTILINE)

HISTORY = """
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    checksum VARCHAR NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]


def migrations(folder: Path) -> list[Migration]:
    """The migrations of a folder, by number; other files there are left alone."""
    found = [
        Migration(int(match[1]), path.stem, path.read_text("utf-8"))
        for path in sorted(folder.iterdir())
        if (match := _NAME.fullmatch(path.name))
    ]
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise StoreError(f"the migrations in {folder.name} are not numbered 1, 2, 3 ...")
    return found


def statements(sql: str) -> list[str]:
    """The statements of a file, for engines that take one at a time: each ends with a `;` at the end of a line."""
    return [text for text in map(str.strip, _ENDS.split(sql)) if text]


def pending(known: Sequence[Migration], applied: Sequence[tuple[int, str, str]]) -> list[Migration]:
    """What has still to be run, given the rows (number, name, checksum) of what was.

    Raises `StoreError` for a schema that is newer than this version, or another one.
    """
    by_number = {m.number: m for m in known}
    for number, name, checksum in applied:
        migration = by_number.get(number)
        if migration is None:
            raise StoreError(
                f"the data was written by a newer version of dxray: it has the migration {name}",
                fix="upgrade dxray, or choose another data folder",
            )
        if migration.checksum != checksum:
            raise StoreError(
                f"the data has another migration {name} than this version of dxray",
                fix="choose another data folder, or the version of dxray that wrote this one",
            )
    done = {number for number, _, _ in applied}
    return [m for m in known if m.number not in done]


def migrate(
    folder: Path,
    execute: Callable[[str], object],
    applied: Callable[[], Sequence[tuple[int, str, str]]],
    remember: Callable[[int, str, str], object],
    begin: str = "BEGIN",
) -> int:
    """Run what is pending, each file with its row of history in one transaction. Returns how many were run.

    What is pending is asked inside the transaction. Where `begin` lets one writer in at a time, two processes
    may migrate at once.
    """
    known = migrations(folder)
    run = 0
    while True:
        execute(begin)
        try:
            execute(HISTORY)
            todo = pending(known, applied())
            for migration in todo[:1]:
                execute(migration.sql)
                remember(migration.number, migration.name, migration.checksum)
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")
        if not todo:
            return run
        run += 1
