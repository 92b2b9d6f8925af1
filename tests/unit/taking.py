"""A server that only takes what it is sent, and what is sent to it."""

from __future__ import annotations

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dxray import XRay
from dxray.wire.codec import inflate, unpack_batch, unpack_record
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import AnyRecord

NOWHERE = "http://127.0.0.1:9"


class Server:
    """Takes batches and keeps them; answers `status` instead while that is set."""

    def __init__(self, server: HTTPServer) -> None:
        place = f"/{uuid7_hex()}"  # of its own: what other tests left tries to go on
        self.url = server.url_for(place)
        self.status = 200
        self.body: str | None = None
        self.most_records = 10**9  # more than that is too large
        self.rejects: int | None = None  # the number of a record
        self.records: list[AnyRecord] = []
        self.seqs: list[tuple[str, int]] = []
        server.expect_request(f"{place}/ingest", method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        if self.status != 200:
            return Response(status=self.status)
        if self.body is not None:
            return Response(self.body)
        batch = unpack_batch(inflate(request.get_data(), request.headers["Content-Encoding"]))
        if len(batch.records) > self.most_records:
            return Response(status=413)
        if self.rejects is not None and batch.records:
            return Response(f'{{"accepted": 1, "rejected": [{{"index": {self.rejects}, "error": "no"}}]}}')
        self.seqs.append((batch.producer, batch.seq))
        self.records += [unpack_record(raw) for raw in batch.records]
        return Response('{"accepted": 1, "rejected": []}')


def record(xray: XRay, n: int = 3) -> None:
    with xray.run() as run, run.step("f") as step:
        for number in range(n):
            step.accept(number)
