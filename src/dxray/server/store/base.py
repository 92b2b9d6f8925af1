"""The seam: what an engine must do, and no question.

Reads are by *source*, a table or view with an allow-listed set of columns (`SOURCES`); values are
bound, names come from the list. What is read is handed out by a handle bound to one project, so that
a query cannot forget it. Tables in and out are Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import pyarrow as pa

from dxray.server.filters import Clause
from dxray.server.store.cancel import Cancel


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one producer: the sequence numbers committed, as closed ranges, and when it spoke last."""

    project: str
    producer: str
    ranges: tuple[tuple[int, int], ...]
    seen_at: int  # microseconds since 1970, the server's clock


@dataclass(slots=True)
class Commit:
    """All that becomes visible together: rows by table, and the marks that make them count once.

    `tables` maps a table's name (`runs`, `steps`, `events`, `lineage`, `decisions`, `rules`, `shapes`,
    `losses`, `labels`) to an Arrow table with exactly that table's columns.
    """

    tables: Mapping[str, pa.Table]
    marks: Sequence[Mark] = field(default=())


@dataclass(frozen=True, slots=True)
class Value:
    """A value inside a row, read as a column: `evidence.KEY` of events, or `input.KEY`, `metadata.KEY`, ... of a JSON
    text (dots descend).

    `number` is a DOUBLE, null for what is no number. `text` is a VARCHAR: of evidence null for a number, and
    `true` or `false` for a boolean; of a JSON text the value as text, whatever it is. With `edges`, ascending, a number
    becomes its bin: how many of the edges are at most the number.
    """

    field: str
    kind: Literal["number", "text"]
    edges: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Of the column: `number:evidence.price`."""
        return f"{self.kind}:{self.field}"


class Reader(Protocol):
    """Reads of one project.

    `beside` is a table with `run_id`, `step_id` or both: rows are joined with it by these, those without a partner are
    left out, and its other columns can be read like the source's own.
    """

    def select(
        self,
        source: str,
        columns: Sequence[str | Value] = (),
        where: Sequence[Clause] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        beside: pa.Table | None = None,
    ) -> pa.Table:
        """Rows of a source. No `columns` means all; `order` names columns, `-name` descending, nulls last."""

    def count_by(
        self,
        source: str,
        by: Sequence[str | Value],
        where: Sequence[Clause] = (),
        beside: pa.Table | None = None,
    ) -> pa.Table:
        """The columns `by` and `n`, the number of rows, the most first; with no `by`, one row.

        With `beside` they come in no order: there may be a million, and they are read as a whole.
        """


class Store(Protocol):
    """An engine. All methods may be called from any thread; they raise `StoreError`."""

    def migrate(self) -> None:
        """Bring the schema to this version. Refuses a newer one."""

    def insert(self, commit: Commit) -> None:
        """Commit everything or nothing, counts of the steps it touched included. Returns after the commit."""

    def marks(self) -> list[Mark]:
        """Every producer's mark."""

    def shapes(self) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """Every shape as (project, pipeline that brought it, id, sorted keys)."""

    @property
    def version(self) -> int:
        """A number that grows with every change of what can be read, once the change can be read."""

    def project(self, name: str, cancel: Cancel | None = None) -> Reader:
        """A handle that sees one project's rows and no others. Its reads raise `Cancelled` once `cancel` is set."""

    def delete(self, project: str, run_ids: Sequence[str]) -> int:
        """Remove runs with all that belongs to them. Returns how many runs there were."""

    def stats(self) -> dict[str, int]:
        """Rows by table, and bytes held."""

    def lost(self) -> dict[str, int]:
        """What did not arrive, of all projects, by cause; the cause heard of first comes first."""

    def close(self) -> None:
        """Let go of the file or the connections. Idempotent."""
