"""Every error as a problem document (RFC 9457) that names the field and the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from dxray.server.errors import Busy, DxrayError, nearest
from dxray.server.reasoning.shown import to_json
from dxray.wire.codec import CodecError
from dxray.wire.codec import TooLarge as BatchTooLarge

_JSON = "application/problem+json"
# What the framework says in its own words, in plain ones.
_PLAIN = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "may be at most {le}",
}


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """A problem document of these members; `field` and `fix` where they are known."""
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    members |= {name: value for name, value in more.items() if value is not None}
    return Response(to_json(members), status, dict(headers or {}), media_type=_JSON)


def of_error(error: DxrayError) -> Response:
    """The document of an error of ours."""
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, Busy) else {}
    return Response(to_json(error.problem()), error.status, headers, media_type=_JSON)


def failed() -> Response:
    """What is said of an error that nobody foresaw: nothing of its inside; the log has it."""
    return problem(
        500, "The server failed", "something went wrong inside the server", fix="the server's log says what, and where"
    )


def install(app: FastAPI) -> None:
    """Make all errors of `app` problem documents."""
    app.add_exception_handler(DxrayError, _ours)
    app.add_exception_handler(CodecError, _codec)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, DxrayError)
    return of_error(error)


def _codec(request: Request, error: Exception) -> Response:
    if isinstance(error, BatchTooLarge):
        return problem(413, "Too large", str(error), fix="send it in parts")
    return problem(400, "The body cannot be read", str(error), fix="send a batch of this format: msgpack, zstd or gzip")


def _gone(request: Request, error: Exception) -> Response:
    return problem(400, "The body cannot be read", "the client left before the body was complete")


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    context = first.get("ctx") or {}
    if first["type"] == "unknown_parameter":
        name = str(context["name"])
        return problem(422, "A value is not valid", str(first["msg"]), field=name, fix=context["fix"])
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    if first["type"] == "missing" and first["loc"][0] == "query":
        example = f"?{name}={'ID' if name == 'item' else 'VALUE'}"
        return problem(422, "A value is not valid", f"{name} is missing", field=name, fix=f"add {example}")
    said = _PLAIN.get(first["type"], str(first["msg"])).format(**context)
    said = said.removeprefix("Input ").removeprefix("Value error, ")
    given = first.get("input")
    shown = f", got {given[:100]!r}" if isinstance(given, str) else ""
    detail = f"{name}: is missing" if first["type"] == "missing" else f"{name}: {said}{shown}"
    fix = context.get("fix") or f"GET /openapi.json says what {name} may be"
    if first["type"] == "literal_error" and isinstance(given, str):
        fix = nearest(given, re.findall(r"'([^']+)'", str(context.get("expected", ""))))
    return problem(422, "A value is not valid", detail, field=name, fix=fix)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    title = HTTPStatus(error.status_code).phrase
    served: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    if error.status_code == 404:
        return problem(404, title, f"there is nothing at {path[:200]}", fix=nearest(path, served))
    if error.status_code == 405:
        allowed = ", ".join(sorted({one.upper() for known in served if _is_at(path, known) for one in served[known]}))
        headers = {"Allow": allowed or (error.headers or {}).get("Allow", "GET")}
        detail = f"{method[:20]} is not served at {path[:200]}"
        return problem(405, title, detail, headers, fix=f"use {headers['Allow']}")
    return problem(error.status_code, title, str(error.detail), error.headers)


def _is_at(path: str, known: str) -> bool:
    """Whether a path is one of `/runs/{run_id}`."""
    pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", known))
    return re.fullmatch(pattern, path) is not None
