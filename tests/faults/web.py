"""A WSGI application that records each request; gunicorn preloads it, and forks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.faults import instrument

instrument.install()

from dxray import XRay  # noqa: E402
from tests.faults.child import record  # noqa: E402

_xray = XRay("faults", api_url=os.environ["FAULTS_URL"], spool_dir=os.environ["FAULTS_SPOOL"])
_requests = itertools.count()
record(_xray, {"producer": int(os.environ["FAULTS_NUMBER"]), "items": 50, "rate": 100_000, "most": 50})


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    number = int(str(environ["PATH_INFO"]).strip("/"))
    next(_requests)
    record(_xray, {"producer": number, "items": 50, "rate": 100_000, "most": 50})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
