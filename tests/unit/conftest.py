from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from tests.unit.taking import Server


@pytest.fixture
def server(httpserver: HTTPServer) -> Server:
    return Server(httpserver)
