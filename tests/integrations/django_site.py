"""The smallest Django site: one view that records a step, and says in which run it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from dxray import current_run

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="tests", DEBUG=False, DATABASES={})
    django.setup(set_prefix=False)


def rank(request: HttpRequest) -> HttpResponse:
    with current_run().step("rank", "rank") as step:
        step.score("a", 0.5)
    return HttpResponse(current_run().run_id or "None")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        for n in range(2):
            with current_run().step("rank", "rank") as step:
                step.score(f"p{n}", 0.5)
            yield b"x"

    return StreamingHttpResponse(parts())


urlpatterns = [path("rank", rank), path("stream", stream)]


def wsgi_application() -> Any:
    return WSGIHandler()


def asgi_application() -> Any:
    return ASGIHandler()


def client_of(app: Any) -> Any:
    from starlette.testclient import TestClient

    return TestClient(app)
