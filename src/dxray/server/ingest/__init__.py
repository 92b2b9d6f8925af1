"""From the bytes of a batch to committed rows, counted once."""

from dxray.server.ingest.submissions import Receipt
from dxray.server.ingest.threads import Counters, Ingest

__all__ = ["Counters", "Ingest", "Receipt"]
