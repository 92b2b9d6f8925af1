"""Whatever is asked, in whatever characters, gets an answer or a refusal: never a failure of the server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

ODD = st.text(max_size=20) | st.sampled_from(
    ["", "0", "-1", "1e999", "nan", "9" * 30, "%", "'", '"', "\x00", "a' OR 1=1 --", "../..", "null", "[]", "{}"]
)
FILTERS = st.lists(
    st.sampled_from(
        [
            "pipeline:p",
            "-status:failed",
            "rejection_rate:>0.5",
            "input.a.b:1",
            "input.:x",
            "metadata.a/b~c:true",
            'config."x',
            "step:filter",
            "label:bad",
            "-label:bad",
            "since:7d",
            "until:0001-01-01",
            "duration_ms:>1e308",
            "run_id:'",
            'input.k:""',
            "word",
            "input.k:<=5",
            "-input.k:3",
            "metadata.$:1",
            "input.0:1",
        ]
    )
    | ODD
).map(" ".join)
PATHS = ["/runs", "/steps", "/runs/stands", "/runs/stands/events", "/runs/stands/why", "/pipelines"]
NAMES = ["q", "limit", "offset", "since", "until", "pipeline", "status", "step_id", "cursor", "item", "outcome", "name"]

_SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def api(shared: TestClient, stands: dict[str, Any]) -> TestClient:
    shared.post("/runs", json=stands)
    return shared


@_SETTINGS
@given(path=st.sampled_from(PATHS), params=st.dictionaries(st.sampled_from(NAMES), ODD | FILTERS, max_size=3))
def test_parameters(api: TestClient, path: str, params: dict[str, str]) -> None:
    answered(api.get(path, params=params))


@_SETTINGS
@given(q=FILTERS)
def test_filters(api: TestClient, q: str) -> None:
    for path in ("/runs", "/steps"):
        answered(api.get(path, params={"q": q}))


@_SETTINGS
@given(body=st.binary(max_size=60), encoding=st.sampled_from(["zstd", "gzip", "identity", "br", ""]))
def test_batches(api: TestClient, body: bytes, encoding: str) -> None:
    answer = api.post("/ingest", content=body, headers={"content-encoding": encoding})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@_SETTINGS
@given(item=ODD)
def test_items(api: TestClient, item: str) -> None:
    answered(api.get("/runs/stands/why", params={"item": item}))


def answered(answer: Any) -> None:
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["fix"]
