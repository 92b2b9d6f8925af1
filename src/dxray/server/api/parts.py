"""What the routes stand on: the opened store and ingest of this process, and strict parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from dxray.server.errors import Busy, TooLarge, nearest
from dxray.server.ingest import Ingest
from dxray.server.reasoning.shown import to_json
from dxray.server.settings import Settings
from dxray.server.store.base import Reader, Store
from dxray.server.views import Source, expand

if TYPE_CHECKING:
    from dxray.server.api.long import LongQuestions
    from dxray.server.catalog.base import Catalog  # SQLAlchemy, which is imported when a catalog is opened

PROJECT = "default"  # of everything that is stored and read, whatever a batch says: there are no keys yet


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process opened, from start to shutdown."""

    settings: Settings
    store: Store
    ingest: Ingest
    catalog: Catalog
    long: LongQuestions


async def parts_of(request: Request) -> Parts:
    """The opened parts. Raises `Busy` before they are open and after they were closed."""
    # The dependencies are coroutines: a plain function would cost a request two trips to the thread pool.
    parts = getattr(request.app.state, "parts", None)
    if not isinstance(parts, Parts):
        raise Busy("the server is not open yet, or is closing")
    return parts


PartsHere = Annotated[Parts, Depends(parts_of)]


async def reader_of(parts: PartsHere) -> Reader:
    """What is read by this request."""
    return parts.store.project(PROJECT)


ReaderHere = Annotated[Reader, Depends(reader_of)]


class Parameters(BaseModel):
    """Base of query parameters: one that is not known is refused, with the nearest that is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            for name in given:
                if name not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_parameter",
                        "there is no parameter '{name}' here",
                        {"name": name, "fix": nearest(name, cls.model_fields)},
                    )
        return given


class NoParameters(Parameters):
    """For calls that take none."""


def filled(parts: Parts, q: str | None, source: Source = "runs") -> str | None:
    """A filter on `source` with the words of the saved views that it names. Raises `FilterError`.

    Every filter passes through here before a question sees it: questions know no catalog.
    """
    return None if q is None else expand(parts.catalog.views(PROJECT), q, source)


def asked(parts: Parts, query: Parameters, source: Source = "runs") -> dict[str, Any]:
    """What a question is asked with: the parameters by name, the filter `q` on `source` filled in."""
    found = query.model_dump()
    return {**found, "q": filled(parts, found["q"], source)} if "q" in found else found


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer as JSON, encoded here and once: big lists do not pass through models."""
    return Response(to_json(content), status, dict(headers or {}), media_type="application/json")


def base_url(request: Request) -> str:
    """Where the caller found this server, without a slash at the end."""
    return str(request.base_url).rstrip("/")


async def body_of(request: Request, limit: int) -> bytes:
    """The raw body. Raises `TooLarge` as soon as more than `limit` bytes have come."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body has more than {limit} bytes", fix="send it in parts")
