"""`create_app`: the one place that wires the parts."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from dxray.server.api import (
    blame,
    diff,
    events,
    explain,
    fields,
    flip,
    funnel,
    health,
    ingest,
    items,
    labels,
    lineage,
    metrics,
    page,
    pipelines,
    problems,
    rules,
    run_times,
    runs,
    stability,
    steps,
    traces,
    views,
    whatif,
    why,
    why_rank,
)
from dxray.server.api.documents import describe
from dxray.server.api.guard import Guard
from dxray.server.api.long import LongQuestions
from dxray.server.api.parts import Parts
from dxray.server.errors import CannotStart, DxrayError
from dxray.server.ingest import Ingest
from dxray.server.settings import VERSION, Settings, load
from dxray.server.store.duckdb import DuckStore

__all__ = ["create_app", "prepare"]

_QUESTIONS = (why, why_rank, funnel, lineage, items, diff, blame, explain, whatif, flip, stability, rules)
_LISTS = (runs, run_times, fields, events)
_RESOURCES = (*_LISTS, *_QUESTIONS, labels, views, ingest, traces, steps, pipelines, health, metrics, page)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. It touches nothing until it starts: the store is opened then, after any fork.

    Raises `CannotStart` for settings that cannot be.
    """
    settings = load() if settings is None else settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            parts = await run_in_threadpool(_open, settings)
        except DxrayError as error:
            app.state.start_error = error
            raise
        app.state.parts = parts
        try:
            yield
        finally:
            app.state.parts = None
            await run_in_threadpool(_close, parts)

    app = FastAPI(
        title="X-Ray",
        version=VERSION,
        summary="Why did the pipeline make this decision?",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere, which no page here may
        redoc_url=None,
        redirect_slashes=False,
    )
    for resource in _RESOURCES:
        app.include_router(resource.router)
    problems.install(app)
    describe(app)
    app.add_middleware(Guard, allowed_hosts=settings.allowed_hosts)
    return app


def prepare(settings: Settings) -> None:
    """Make the data folder, and be sure that it can be written. Raises `CannotStart`, in one line."""
    _one_process_only()
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        probe = settings.data / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"the data folder {settings.data} cannot be written: {error.strerror}",
            field="data",
            fix="choose another with --data DIR or DXRAY_DATA",
        ) from error


def _one_process_only() -> None:
    """One process owns the store; under `uvicorn --workers N` each worker has its parent's arguments."""
    asked = os.environ.get("WEB_CONCURRENCY", "")
    for name, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if name == "--workers":
            asked = value
        elif name.startswith("--workers="):
            asked = name.partition("=")[2]
    if asked.isdigit() and int(asked) > 1:
        raise CannotStart(
            f"{asked} workers were asked for, but one process owns the data",
            fix="start with --workers 1; it uses more than one core by itself",
        )


def _open(settings: Settings) -> Parts:
    prepare(settings)
    store = DuckStore(_path(settings), wait=settings.owner_wait, abandoned_after=settings.abandoned_after)
    try:
        from dxray.server.catalog.base import Catalog  # SQLAlchemy: for those who open one

        catalog = Catalog(settings.catalog or settings.data / "catalog.sqlite")
    except BaseException:
        store.close()
        raise
    return Parts(settings, store, Ingest(store, max_body=settings.max_body), catalog, LongQuestions(store))


def _path(settings: Settings) -> Path:
    if settings.store is None:
        return settings.data / "dxray.duckdb"
    scheme, _, path = settings.store.partition("://")
    if scheme != "duckdb" or not path:
        raise CannotStart(
            f"store {settings.store!r} is not known here", field="store", fix="write duckdb:///path/to/file"
        )
    return Path(path)


def _close(parts: Parts) -> None:
    parts.long.close()
    parts.ingest.close()
    parts.store.close()
    parts.catalog.close()
