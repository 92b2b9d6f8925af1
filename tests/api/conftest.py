"""A whole server in this process, on a folder of its own; and a run to ask of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.app import create_app
from dxray.server.settings import Settings


def connect(data: Path, **settings: Any) -> TestClient:
    app = create_app(Settings(data=data, owner_wait=0.2, **settings))
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TestClient]:
    with connect(tmp_path) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One server for all tests of a file that change nothing, or only refuse."""
    with connect(tmp_path_factory.mktemp("shared")) as client:
        yield client


@pytest.fixture(scope="session")
def stands() -> dict[str, Any]:
    """A phone case is looked for; "stand" brings laptop stands in, and one wins."""
    word = {"item_id": "kw:stand", "outcome": "produced", "name": "stand"}
    return {
        "run_id": "stands",
        "pipeline": "competitor_selection",
        "input": {"product": "iPhone Case", "category": "phone cases"},
        "output": {"selected": "p3"},
        "metadata": {"version": 2},
        "steps": [
            {"name": "generate_keywords", "step_type": "generate", "events": [word]},
            {
                "name": "search",
                "step_type": "retrieve",
                "events": [
                    {"item_id": f"p{n}", "outcome": "produced", "name": f"Stand {n}", "parents": ["kw:stand"]}
                    for n in range(6)
                ],
            },
            filtered(),
            {
                "name": "dedupe",
                "step_type": "merge",
                "input_count": 4,
                "events": [
                    {"item_id": "p5", "outcome": "merged", "into": "p4"},
                    *({"item_id": f"p{n}", "outcome": "accepted"} for n in range(2, 5)),
                ],
            },
            selected(),
        ],
    }


def filtered() -> dict[str, Any]:
    return {
        "name": "filter_candidates",
        "step_type": "filter",
        "input_count": 6,
        "rules": [{"field": "price", "op": "<=", "threshold": 100, "reason": "price_too_high"}],
        "events": [
            {"item_id": "p0", "outcome": "rejected", "reason": "price_too_high", "evidence": {"price": 129.5}},
            {"item_id": "p1", "outcome": "rejected", "reason": "duplicate", "by": "model"},
            *(
                {"item_id": f"p{n}", "outcome": "accepted", "evidence": {"price": 90 + n}, "score": n / 10}
                for n in range(2, 6)
            ),
        ],
    }


def selected() -> dict[str, Any]:
    return {
        "name": "select_best",
        "step_type": "select",
        "input_count": 3,
        "events": [{"item_id": f"p{n}", "outcome": "accepted", "score": s} for n, s in ((2, 0.4), (4, 0.1))],
        "decisions": [
            {
                "decision": "select_competitor",
                "selected": "p3",
                "reason": "highest_score",
                "score": 0.9,
                "alternatives": [{"id": "p2", "score": 0.4}],
            }
        ],
    }
