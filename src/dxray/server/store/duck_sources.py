"""How DuckDB reads the sources: an expression for each column, and the joins that the expressions need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dxray.server.store.queries import SQL, read_queries
from dxray.server.store.sources import SOURCES

_TEXTS = read_queries(SQL / "duckdb" / "sources.sql")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_ALIAS = re.compile(r"\b([a-z])\.")


@dataclass(frozen=True, slots=True)
class DuckSource:
    """A source as SQL."""

    alias: str  # of its table
    expressions: Mapping[str, str]  # by column
    joins: Mapping[str, str]  # by alias, each after those it needs
    table: str

    def tables(self, texts: Iterable[str]) -> str:
        """FROM and those joins that the texts name, with the joins that these need."""
        named = {alias for text in texts for alias in _ALIAS.findall(text)}
        for alias, join in reversed(list(self.joins.items())):
            if alias in named:
                named.update(_ALIAS.findall(join))
        return " ".join([self.table, *(join for alias, join in self.joins.items() if alias in named)])


STEP_COUNTS = _TEXTS["step_counts"]


def _text(name: str) -> str:
    return _COMMENT.sub("", _TEXTS[name])


def _source(name: str, alias: str, others: Mapping[str, Iterable[str]], made: Mapping[str, str]) -> DuckSource:
    """`others` are the columns that come from joins, by alias; `made` those that are computed."""
    expressions = {column: f'{alias}."{column}"' for column in SOURCES[name]}
    for other, columns in others.items():
        expressions.update({column: f'{other}."{column}"' for column in columns})
    expressions.update(made)
    joins = {key[-1]: _text(key) for key in _TEXTS if key[:-1] == f"{name}_"}
    return DuckSource(alias, expressions, joins, _text(name))


_SEEN_AT = "coalesce(m.seen_at, r.received_at)"
_TALLIES = (
    "recorded_events", "entered", "produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed",
    "undecided", "decided", "reasons", "reason_counts", "input_count", "output_count", "rejection_rate",
    "rejection_counts", "accepted_by_count", "unaccounted", "missing_events", "contradiction",
)  # fmt: skip
_WORDS = ("decided_by", "kind", "ref_item", "ref_kind", "evidence_text", "evidence_state", "kept_because")

DUCK_SOURCES: dict[str, DuckSource] = {
    "runs": _source("runs", "r", {}, {"status": _text("status"), "seen_at": _SEEN_AT, "step_count": "NULL"}),
    "steps": _source(
        "steps",
        "s",
        {"t": _TALLIES, "r": ("pipeline", "environment", "code_version")},
        {"run_started_at": "r.started_at", "run_status": _text("status")},
    ),
    "events": _source(
        "events",
        "e",
        {"s": ("step_name", "step_type")},
        {
            **{word: f"json_extract_string(e.extra, '$.{word}')" for word in _WORDS},
            "p": "CAST(json_extract_string(e.extra, '$.p') AS REAL)",
            "marks": "CAST(json_extract(e.extra, '$.marks') AS VARCHAR)",
            "item_key": "hash(e.run_id, e.step_id, e.item_id)",
        },
    ),
    **{name: _source(name, "x", {}, {}) for name in ("shapes", "lineage", "decisions", "rules", "losses", "labels")},
}
