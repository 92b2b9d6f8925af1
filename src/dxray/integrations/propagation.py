"""Which run a request belongs to: the SDK's own headers, or the same names in W3C baggage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from dxray.sdk.xray import PIPELINE_HEADER, RUN_HEADER, STEP_HEADER

CARRIED = (RUN_HEADER, STEP_HEADER, PIPELINE_HEADER)
BAGGAGE, TRACEPARENT = "baggage", "traceparent"
READ = frozenset((*CARRIED, BAGGAGE, TRACEPARENT))

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """What `XRay.extract` reads of a request, by lower-case names; empty where it brings no run."""
    if RUN_HEADER in headers:
        return {name: headers[name] for name in CARRIED if name in headers}
    found: dict[str, str] = {}
    for entry in headers.get(BAGGAGE, "").split(","):
        name, _, value = entry.partition(";")[0].partition("=")
        if name.strip() in CARRIED:
            found[name.strip()] = unquote(value.strip())
    return found if RUN_HEADER in found else {}


def trace_id(headers: Mapping[str, str]) -> str | None:
    """The trace that a `traceparent` names, 32 hex digits (W3C Trace Context); None where it names none."""
    found = _TRACEPARENT.fullmatch(headers.get(TRACEPARENT, ""))
    return found[1] if found is not None and found[1].strip("0") else None
