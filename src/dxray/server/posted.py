"""A run written by hand (`POST /runs`) as the records an SDK would have sent. Strict: what is not known is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from dxray.server.errors import BadRequest, Invalid
from dxray.server.posted_records import records_of
from dxray.server.posted_shape import PostedRun, convert
from dxray.wire.ids import is_run_id, new_run_id
from dxray.wire.records import AnyRecord


@dataclass(frozen=True, slots=True)
class Posted:
    """A run ready to be stored. `request_hash` is of the request as it was posted, before defaults."""

    run_id: str
    records: list[AnyRecord]
    request_hash: str


def read(body: bytes) -> Posted:
    """The run in a JSON body. Raises `BadRequest` for bytes that are no JSON, `Invalid` naming a field by its path."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"the body is not valid JSON: {error}",
            fix="send one run as a JSON object; NaN, Infinity and half surrogates are no JSON",
        ) from error
    run = convert(raw, PostedRun)
    if run.run_id is None:
        run.run_id = new_run_id()
    elif not is_run_id(run.run_id):
        raise Invalid(
            f"run_id: {run.run_id[:140]!r} cannot name a run",
            field="run_id",
            fix="1 to 128 of A-Z a-z 0-9 . _ : - and neither '.' nor '..'; leave it out and one is made",
        )
    canonical = msgspec.json.encode(raw, order="sorted")
    return Posted(run.run_id, records_of(run), hashlib.sha256(canonical).hexdigest())
