"""Tests keep to themselves: their own spool, no settings of the person who runs them."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# `make test` says the same of the same code each time; `make fuzz` looks further, elsewhere each time.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=2_000, deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True, scope="session")
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("DXRAY_")]:
        del os.environ[name]
    os.environ["DXRAY_SPOOL_DIR"] = str(tmp_path_factory.mktemp("spool"))
