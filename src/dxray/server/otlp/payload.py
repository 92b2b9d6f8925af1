"""What OTLP/HTTP sends and is answered with: protobuf or JSON, an answer in the words of the question."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from dxray.server.errors import BadRequest

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_IDS = ("traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id")
# By HTTP status: what google.rpc.Code calls it.
_CODES = {400: 3, 413: 8, 415: 3, 403: 7, 401: 16, 422: 3, 503: 14}
_UNREADABLE = (msgspec.MsgspecError, json_format.ParseError, DecodeError, ValueError, TypeError, RecursionError)


def kind_of(content_type: str) -> str | None:
    """`PROTOBUF` or `JSON`, by a Content-Type header; None for another."""
    said = content_type.partition(";")[0].strip().lower()
    return said if said in (PROTOBUF, JSON) else None


def read(body: bytes, kind: str) -> ExportTraceServiceRequest:
    """The request in an inflated body. Raises `BadRequest`."""
    request = ExportTraceServiceRequest()
    try:
        if kind == PROTOBUF:
            request.ParseFromString(body)
        else:
            document = msgspec.json.decode(body)
            for span in _spans(document):
                _hex_to_bytes(span)
            json_format.ParseDict(document, request, ignore_unknown_fields=True)
    except _UNREADABLE as error:
        said = str(error).partition("\n")[0][:200] or type(error).__name__
        raise BadRequest(f"the body is no ExportTraceServiceRequest: {said}") from error
    return request


def accepted(kind: str, refused: int, why: str) -> bytes:
    """What is said of a request that was committed, but for the spans that were refused."""
    answer = ExportTraceServiceResponse()
    if refused or why:
        answer.partial_success.rejected_spans = refused
        answer.partial_success.error_message = why
    return _written(answer, kind)


def failed(kind: str, status: int, detail: str) -> bytes:
    """A google.rpc.Status: `code` and `message`."""
    code = _CODES.get(status, 13)
    if kind == JSON:
        return msgspec.json.encode({"code": code, "message": detail})
    message = detail.encode("utf-8", "replace")
    return b"\x08" + _varint(code) + b"\x12" + _varint(len(message)) + message


def _written(message: Message, kind: str) -> bytes:
    if kind == PROTOBUF:
        return bytes(message.SerializeToString())
    return str(json_format.MessageToJson(message, indent=None)).encode()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _spans(document: Any) -> Iterator[dict[str, Any]]:
    """The spans of a request as JSON, and their links: whatever has ids."""
    for resource in _listed(document, "resourceSpans", "resource_spans"):
        for scope in _listed(resource, "scopeSpans", "scope_spans"):
            for span in _listed(scope, "spans", "spans"):
                yield span
                yield from _listed(span, "links", "links")


def _listed(document: Any, *names: str) -> Iterator[dict[str, Any]]:
    for name in dict.fromkeys(names):
        found = document.get(name) if isinstance(document, dict) else None
        yield from (one for one in found or () if isinstance(one, dict)) if isinstance(found, list) else ()


def _hex_to_bytes(span: dict[str, Any]) -> None:
    """OTLP writes ids in hex where protobuf's own JSON has base64. One that is no hex becomes empty, and is refused."""
    for name in _IDS:
        if isinstance(said := span.get(name), str):
            try:
                raw = bytes.fromhex(said)
            except ValueError:
                raw = b"?"
            span[name] = base64.b64encode(raw).decode()
