"""`/openapi.json` says what is answered: the models hold for real answers, and every reference leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.api import documents


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/runs", documents.RunsAnswer),
        ("/runs/stands", documents.RunAnswer),
        ("/runs/stands/events?limit=1000", documents.EventsAnswer),
        ("/steps", documents.StepsAnswer),
        ("/pipelines", documents.PipelinesAnswer),
        ("/healthz", documents.Health),
        ("/readyz", documents.Health),
        *((f"/runs/stands/why?item={item}", documents.WhyAnswer) for item in ("p0", "p2", "p3", "p5", "kw:stand", "x")),
        ("/runs/nope", documents.Problem),
        ("/runs?limit=0", documents.Problem),
    ],
)
def test_answers_are_as_described(
    shared: TestClient, stands: dict[str, Any], path: str, model: type[documents.Document]
) -> None:
    posted = shared.post("/runs", json=stands)
    documents.PostedAnswer.model_validate_json(posted.content, strict=True)
    read = model.model_validate_json(shared.get(path).content, strict=True)
    assert not read.model_extra or model in (documents.WhyAnswer,), read.model_extra


def test_every_reference_leads_somewhere(shared: TestClient) -> None:
    found = shared.get("/openapi.json").json()
    schemas = found["components"]["schemas"]
    assert "PostedRun" in schemas
    for reference in references(found):
        assert reference.removeprefix("#/components/schemas/") in schemas


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)
