"""Tests keep to themselves: their own spool, no settings of the person who runs them."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("DXRAY_")]:
        del os.environ[name]
    os.environ["DXRAY_SPOOL_DIR"] = str(tmp_path_factory.mktemp("spool"))
