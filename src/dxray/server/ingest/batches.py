"""Batches as they come -> records that can be stored, and tables that can be committed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa

from dxray.server.errors import BadRequest, TooLarge
from dxray.server.ingest.submissions import Group, Receipt, Submission
from dxray.wire import codec
from dxray.wire.columns import Built, PipelineMemory, Refused, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Batch, Events

_log = logging.getLogger("dxray.ingest")

POISON = Built({})  # in place of tables that could not be built

PART_ROWS = 8_192  # decoded records are turned into tables before they are many more than this


def unpacked(submission: Submission) -> Batch:
    """The batch in a body. Raises `DxrayError`."""
    try:
        batch = codec.unpack_batch(codec.inflate(submission.body, submission.encoding, submission.limit))
    except codec.TooLarge as error:
        raise TooLarge(str(error)) from error
    except codec.CodecError as error:
        raise BadRequest(str(error)) from error
    if not 0 <= batch.seq < 2**62:
        raise BadRequest(f"seq {batch.seq} is out of range")
    if submission.project is not None:
        batch.project = submission.project
    return batch


def records_of(submission: Submission, batch: Batch) -> Iterator[Sent]:
    """The records of a batch that can be stored, some at a time; in the end its receipt names the others."""
    accepted, rows = 0, 0
    rejected: list[tuple[int, str]] = []
    records: list[AnyRecord] = []
    for index, raw in enumerate(batch.records):
        try:
            record = codec.unpack_record(raw)
            check(record)
        except (codec.CodecError, Refused) as error:
            rejected.append((index, str(error)))
            continue
        records.append(record)
        accepted += 1
        rows += len(record.ops) if type(record) is Events else 1
        if rows >= PART_ROWS:  # turned into columns while they are in the processor's cache
            yield Sent(batch.project, batch.producer, submission.received_at, records)
            records, rows = [], 0
    submission.receipt = Receipt(accepted, rejected)
    if records:
        yield Sent(batch.project, batch.producer, submission.received_at, records)


def build_part(group: Group, book: ShapeBook, pipelines: PipelineMemory) -> None:
    """Turn what a group holds decoded into tables."""
    if not group.sent:
        return
    sent, group.sent, group.part_rows = group.sent, [], 0
    try:
        group.parts.append(build(sent, book, pipelines))
    except Exception:  # noqa: BLE001 - it is logged, and each batch is tried alone
        _log.exception("tables could not be built of %d batches; trying them one by one", len(sent))
        group.parts.append(POISON)


def built_alone(submission: Submission, pipelines: PipelineMemory) -> Built:
    """One submission's tables. Records of a batch that cannot become rows are refused, so that it is not sent for
    ever."""
    if submission.sent is not None:
        return build([submission.sent], ShapeBook(), pipelines)
    batch = unpacked(submission)
    try:
        return build(list(records_of(submission, batch)), ShapeBook(), pipelines)
    except Exception:  # noqa: BLE001 - it is logged, and the records say which it was
        _log.exception("a batch cannot be turned into tables; its records are tried one by one")
        return build(_salvaged(submission, batch, pipelines), ShapeBook(), pipelines)


def _salvaged(submission: Submission, batch: Batch, pipelines: PipelineMemory) -> list[Sent]:
    """The records of a batch that can be turned into tables, each tried alone; its receipt names the others."""
    records: list[AnyRecord] = []
    rejected: list[tuple[int, str]] = []
    for index, raw in enumerate(batch.records):
        try:
            record = codec.unpack_record(raw)
            check(record)
            build([Sent(batch.project, batch.producer, submission.received_at, [record])], ShapeBook(), pipelines)
            records.append(record)
        except Exception as error:  # noqa: BLE001 - it is told to the sender
            rejected.append((index, str(error) or type(error).__name__))
    submission.receipt = Receipt(len(records), rejected)
    return [Sent(batch.project, batch.producer, submission.received_at, records)] if records else []


def joined(parts: Sequence[Built]) -> dict[str, pa.Table]:
    """The tables of several parts as one set."""
    tables: dict[str, list[pa.Table]] = {}
    for part in parts:
        for name, table in part.tables.items():
            tables.setdefault(name, []).append(table)
    return {name: some[0] if len(some) == 1 else pa.concat_tables(_alike(some)) for name, some in tables.items()}


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """The tables with the same types: a part may hold a text column as a dictionary where another does not."""
    schema = tables[0].schema
    for number, field_ in enumerate(schema):
        if any(table.schema.field(number).type != field_.type for table in tables):
            plain = field_.type.value_type if pa.types.is_dictionary(field_.type) else field_.type
            schema = schema.set(number, pa.field(field_.name, plain))
    return [table if table.schema == schema else table.cast(schema) for table in tables]
