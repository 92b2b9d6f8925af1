"""X-Ray: why did the pipeline make this decision?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dxray.sdk import run as _run
from dxray.sdk.channel import DeliveryError
from dxray.sdk.settings import configure
from dxray.sdk.xray import XRay, current_run, current_step

if TYPE_CHECKING:
    from dxray.client import Client
    from dxray.integrations.anthropic import instrument as instrument_anthropic
    from dxray.integrations.celery import instrument as instrument_celery
    from dxray.integrations.frames import watch
    from dxray.integrations.langchain import instrument as instrument_langchain
    from dxray.integrations.openai import instrument as instrument_openai
    from dxray.integrations.otel import instrument as instrument_otel
    from dxray.integrations.sklearn import instrument as instrument_sklearn
    from dxray.own_server import local

__version__ = "0.1.0"
__all__ = [
    "Client",
    "DeliveryError",
    "XRay",
    "configure",
    "current_run",
    "current_step",
    "instrument_anthropic",
    "instrument_celery",
    "instrument_langchain",
    "instrument_openai",
    "instrument_otel",
    "instrument_sklearn",
    "local",
    "watch",
]


def _client_for(api_url: str, api_key: str | None) -> Any:
    from dxray.client import Client

    return Client(api_url, api_key=api_key)


_run.client_for = _client_for


# Asking and adapters are loaded when they are first asked for: a pipeline that only records never pays for them.
_LAZY = {
    "Client": ("dxray.client", "Client"),
    "local": ("dxray.own_server", "local"),
    "watch": ("dxray.integrations.frames", "watch"),
    "instrument_langchain": ("dxray.integrations.langchain", "instrument"),
    "instrument_openai": ("dxray.integrations.openai", "instrument"),
    "instrument_anthropic": ("dxray.integrations.anthropic", "instrument"),
    "instrument_otel": ("dxray.integrations.otel", "instrument"),
    "instrument_celery": ("dxray.integrations.celery", "instrument"),
    "instrument_sklearn": ("dxray.integrations.sklearn", "instrument"),
}


def __getattr__(name: str) -> Any:
    where = _LAZY.get(name)
    if where is None:
        raise AttributeError(f"module 'dxray' has no attribute {name!r}")
    return getattr(import_module(where[0]), where[1])
