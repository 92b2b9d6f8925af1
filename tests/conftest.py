"""Tests keep to themselves: their own spool, no settings of the person who runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from dxray.integrations.adapter import Handle

# `make test` says the same of the same code each time; `make fuzz` looks further, elsewhere each time.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=2_000, deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True, scope="session")
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("DXRAY_")]:
        del os.environ[name]
    os.environ["DXRAY_SPOOL_DIR"] = str(tmp_path_factory.mktemp("spool"))


@pytest.fixture(autouse=True)
def _adapters_come_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test, or a snippet of the docs, puts in place and leaves there would be seen by the next."""
    handles: list[Handle] = []
    real = Handle.__init__

    def made(self: Handle, *undo: Callable[[], None]) -> None:
        real(self, *undo)
        handles.append(self)

    monkeypatch.setattr(Handle, "__init__", made)
    yield
    for handle in reversed(handles):
        handle.off()
