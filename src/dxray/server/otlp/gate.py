"""One request at a time for each trace: what is stored is looked up, and then added to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager


class Gate:
    """Lets in who names only traces that nobody inside has named. All calls are of one event loop."""

    def __init__(self) -> None:
        self._inside: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def of(self, run_ids: Collection[str]) -> AsyncIterator[None]:
        """Inside, no other request holds one of these."""
        while busy := [self._inside[one] for one in run_ids if one in self._inside]:
            await asyncio.wait(busy)
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inside.update(dict.fromkeys(run_ids, left))
        try:
            yield
        finally:
            for one in run_ids:
                del self._inside[one]
            left.set_result(None)
