"""The catalog's tables, as the migrations left them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

_ALL = MetaData()

MIGRATIONS = Table(
    "migrations",
    _ALL,
    Column("number", Integer),
    Column("name", String),
    Column("checksum", String),
)

VIEWS = Table(
    "views",
    _ALL,
    Column("project", String(128), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("source", String(16)),
    Column("q", Text),
    Column("note", Text),
    Column("created_at", BigInteger),
    Column("updated_at", BigInteger),
)
