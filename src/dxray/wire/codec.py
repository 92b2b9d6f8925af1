"""Bytes <-> batches: msgpack, compressed with zstd or gzip. `FORMAT` is the format's version."""

from __future__ import annotations

import gzip
import struct
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from dxray.wire.records import AnyRecord, Batch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = 1
DIGEST = "Content-Digest"
MAX_INFLATED = 16 * 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_record = msgspec.msgpack.Decoder(AnyRecord).decode


# What msgspec raises for bytes that are not what they should be: also for depth, and for text that is no UTF-8.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class CodecError(ValueError):
    """The bytes are not a batch of a format known here. The message says what is wrong."""


class TooLarge(CodecError):
    """The batch inflates to more than the server takes at once; send it in parts."""


def pack_batch(producer: str, seq: int, project: str, records: Iterable[bytes]) -> bytes:
    """One batch from records that are encoded already, compressed with zstd at level 1."""
    parts = list(records)
    head = _encode({"v": FORMAT, "producer": producer, "seq": seq, "project": project})
    # One more key than `head` has, then an array of the records as they are: nothing is encoded twice.
    body = [bytes([head[0] + 1]), head[1:], _encode("records"), b"\xdd", struct.pack(">I", len(parts)), *parts]
    return zstd.compress(b"".join(body), level=1)


def digest(body: bytes) -> str:
    """What `Content-Digest` says of a body (RFC 9530)."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def is_damaged(body: bytes, said: str | None) -> bool:
    """Whether a body is not what its `Content-Digest` says; one of another kind says nothing here."""
    return said is not None and said.startswith("sha-256=") and said != digest(body)


def inflate(body: bytes, encoding: str, limit: int = MAX_INFLATED) -> bytes:
    """`body` without its compression (`zstd`, `gzip` or `identity`), never more than `limit` bytes.

    Raises `TooLarge` past the limit and `CodecError` for damaged bytes or another encoding.
    """
    try:
        if encoding == "zstd":
            return _inflate_zstd(body, limit)
        if encoding == "gzip":
            return _inflate_gzip(body, limit)
    except (zstd.ZstdError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise CodecError(f"the body is not valid {encoding}: {error}") from error
    if encoding not in ("", "identity"):
        raise CodecError(f"content-encoding {encoding!r} is not known here; use zstd or gzip")
    if len(body) > limit:
        raise TooLarge(f"the batch has more than {limit} bytes; send it in parts")
    return body


def _inflate_zstd(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while body:  # frame by frame: several members are one stream
        stream = zstd.ZstdDecompressor()
        part = stream.decompress(body, max_length=limit - total + 1)
        total += len(part)
        if total > limit:
            raise TooLarge(f"the batch inflates to more than {limit} bytes; send it in parts")
        parts.append(part)
        if not stream.eof:
            raise CodecError("the body is not valid zstd: it ends early")
        body = stream.unused_data
    return b"".join(parts) if len(parts) != 1 else parts[0]


def _inflate_gzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while body:
        stream = zlib.decompressobj(wbits=31)
        part = stream.decompress(body, limit - total + 1)
        total += len(part)
        if total > limit:
            raise TooLarge(f"the batch inflates to more than {limit} bytes; send it in parts")
        parts.append(part)
        if not stream.eof:
            raise CodecError("the body is not valid gzip: it ends early")
        body = stream.unused_data
    return b"".join(parts)


def unpack_batch(data: bytes) -> Batch:
    """The batch in inflated bytes; its records are still encoded, so that a bad one costs only itself."""
    try:
        batch = _decode_batch(data)
    except _UNREADABLE as error:
        raise CodecError(f"the body is not a batch: {error}") from error
    if batch.v != FORMAT:
        raise CodecError(f"format {batch.v} is not known here (this server reads format {FORMAT}); upgrade the server")
    return batch


def unpack_record(raw: msgspec.Raw | bytes) -> AnyRecord:
    """One record. Raises `CodecError`."""
    try:
        record: AnyRecord = _decode_record(raw)
        return record
    except _UNREADABLE as error:
        raise CodecError(str(error)) from error


def pack_record(record: AnyRecord) -> bytes:
    """One record as msgpack. Raises TypeError, ValueError or OverflowError for what msgpack cannot hold."""
    return _encode(record)
