"""X-Ray: why did the pipeline make this decision?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dxray.sdk import run as _run
from dxray.sdk.channel import DeliveryError
from dxray.sdk.settings import configure
from dxray.sdk.xray import XRay, current_run, current_step

if TYPE_CHECKING:
    from dxray.client import Client
    from dxray.own_server import local

__version__ = "0.1.0"
__all__ = ["Client", "DeliveryError", "XRay", "configure", "current_run", "current_step", "local"]


def _client_for(api_url: str, api_key: str | None) -> Any:
    from dxray.client import Client

    return Client(api_url, api_key=api_key)


_run.client_for = _client_for


def __getattr__(name: str) -> Any:
    # Asking is loaded when it is first asked for: a pipeline that only records never pays for it.
    if name == "Client":
        from dxray.client import Client

        return Client
    if name == "local":
        from dxray.own_server import local

        return local
    raise AttributeError(f"module 'dxray' has no attribute {name!r}")
