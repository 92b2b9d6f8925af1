"""`/views`: filters with a name, which `view:NAME` stands for in every filter."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from dxray.server import views
from dxray.server.api.documents import Document, UnknownRow, answers
from dxray.server.api.parts import PROJECT, NoParameters, Parts, PartsHere, answer, body_of

router = APIRouter(tags=["views"])

_LONGEST_BODY = 100_000
_SAID: dict[str, Any] = {
    "q": {"type": "string", "description": "a filter; view:NAME in it stands for another view"},
    "source": {"type": "string", "enum": list(views.SOURCES), "default": "runs", "description": "what it is asked of"},
    "note": {"type": "string"},
}
_NAME = {"type": "string", "minLength": 1, "maxLength": views.LONGEST_NAME}


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


class ViewRow(Document):
    name: str
    source: Literal["runs", "steps"]
    q: str
    note: str | None
    created_at: str
    updated_at: str


class ViewsAnswer(Document):
    """The one that was saved last comes first."""

    views: list[ViewRow]
    total: int
    sentence: str


class ViewAnswer(ViewRow):
    """`expanded`: its filter without the names of other views; `fits`: how many runs or steps fit it now."""

    expanded: str | None
    fits: int | None
    unknown: UnknownRow | None
    sentence: str


@router.get("/views", summary="The saved views", responses=answers(ViewsAnswer))
def list_views(parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    return answer(views.listed(parts.catalog.views(PROJECT)))


@router.post(
    "/views",
    summary="Save a filter under a name",
    status_code=201,
    responses={201: {"model": ViewAnswer}, **answers(ViewAnswer, 400, 409, 413)},
    openapi_extra=_body({"name": _NAME, **_SAID}, "name", "q"),
)
async def post_view(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    """201 when it is new, 200 when it says so already, 409 when it says something else."""
    body = await body_of(request, _LONGEST_BODY)
    return await run_in_threadpool(_save, parts, views.read(body), replace=False)


@router.get("/views/{name:path}", summary="A saved view, and how many fit it now", responses=answers(ViewAnswer, 404))
def get_view(parts: PartsHere, name: str, _: Annotated[NoParameters, Query()]) -> Response:
    return _one(parts, name)


@router.put(
    "/views/{name:path}",
    summary="Save a filter under this name, in place of what it says now",
    responses={201: {"model": ViewAnswer}, **answers(ViewAnswer, 400, 409, 413)},
    openapi_extra=_body({"name": _NAME, **_SAID}, "q"),
)
async def put_view(request: Request, parts: PartsHere, name: str, _: Annotated[NoParameters, Query()]) -> Response:
    """201 when it is new; 409 when a view that names it would no longer be one."""
    body = await body_of(request, _LONGEST_BODY)
    return await run_in_threadpool(_save, parts, views.read(body, name), replace=True)


@router.delete("/views/{name:path}", summary="Remove a saved view", responses=answers(ViewsAnswer, 404, 409))
def delete_view(parts: PartsHere, name: str, _: Annotated[NoParameters, Query()]) -> Response:
    """409 while another view names it. The answer lists those that are left."""
    known = parts.catalog.views(PROJECT)
    views.remove(known, name)
    return answer(views.listed(known))


def _save(parts: Parts, view: Any, *, replace: bool) -> Response:
    made = views.save(parts.catalog.views(PROJECT), parts.store.project(PROJECT), view, replace=replace)
    return _one(parts, view.name, 201 if made else 200)


def _one(parts: Parts, name: str, status: int = 200) -> Response:
    return answer(views.one(parts.catalog.views(PROJECT), parts.store.project(PROJECT), name), status)
