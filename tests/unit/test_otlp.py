"""Any span that is not refused becomes records that can be stored, the same each time; places follow the times."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from dxray.server.otlp.places import Place, arranged
from dxray.server.otlp.spans import Mapped, Refusals, mapped
from dxray.wire.codec import pack_record, unpack_record
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook

NOW = 1_800_000_000_000_000
TEXTS = st.text(max_size=20)
KEYS = st.one_of(
    TEXTS,
    st.sampled_from(
        [
            "openinference.span.kind", "input.value", "input.mime_type", "output.value", "llm.model_name",
            "llm.token_count.prompt", "llm.invocation_parameters", "gen_ai.operation.name", "gen_ai.request.model",
            "gen_ai.usage.input_tokens", "gen_ai.retrieval.documents", "reranker.top_k",
            *(
                f"{prefix}.{n}.document.{field}"
                for prefix in ("retrieval.documents", "reranker.input_documents", "reranker.output_documents")
                for n in ("0", "1", "999999999", "-1", "x", "²")
                for field in ("id", "content", "score", "metadata")
            ),
        ]
    ),
)  # fmt: skip
JSONS = st.sampled_from(["RERANKER", "retriever", "chat", '{"a": [1, null]}', "[1e400]", '[{"id": 1, "score": "x"}]'])
LEAVES = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=st.one_of(TEXTS, JSONS)),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda values: AnyValue(array_value=ArrayValue(values=values)), st.lists(inner, max_size=3)
    ),
    max_leaves=5,
)
ATTRIBUTES = st.lists(st.builds(KeyValue, key=KEYS, value=VALUES), max_size=12)
NANOS = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, NOW * 1000))
SPANS = st.builds(
    Span,
    trace_id=st.one_of(st.just(b"\x01" * 16), st.binary(max_size=20)),
    span_id=st.one_of(st.binary(min_size=8, max_size=8), st.binary(max_size=10)),
    parent_span_id=st.one_of(st.just(b""), st.binary(min_size=8, max_size=8), st.binary(max_size=10)),
    name=TEXTS,
    start_time_unix_nano=NANOS,
    end_time_unix_nano=NANOS,
    attributes=ATTRIBUTES,
    dropped_attributes_count=st.one_of(st.just(0), st.integers(0, 2**32 - 1)),
    status=st.builds(Status, code=st.sampled_from([0, 1, 2]), message=TEXTS),
    events=st.lists(st.builds(Span.Event, name=st.just("exception"), attributes=ATTRIBUTES), max_size=2),
)


def steps_of(spans: list[Span]) -> tuple[list[Mapped], Refusals]:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    refused = Refusals()
    return list(mapped(request, NOW, refused)), refused


@settings(max_examples=300, deadline=None)
@given(st.lists(SPANS, max_size=4))
def test_any_span_is_refused_or_becomes_records_that_can_be_stored(spans: list[Span]) -> None:
    found, refused = steps_of(spans)
    assert len(found) + refused.n == len(spans)
    assert bool(refused.why) == bool(refused.n)
    records = [record for one in found for record in (one.step, *one.events)]
    for record in records:
        check(unpack_record(pack_record(record)))
        check(record)
    build([Sent("default", None, NOW, records)], ShapeBook(), PipelineMemory())
    for one in found:
        for text in (one.step.input, one.step.output, one.step.config, one.step.usage, one.step.metadata):
            assert text is None or len(msgspec.json.encode(msgspec.json.decode(text))) <= 2**17
    again, _ = steps_of(spans)
    assert [pack_record(one.step) for one in again] == [pack_record(one.step) for one in found]
    assert [[*map(pack_record, one.events)] for one in again] == [[*map(pack_record, one.events)] for one in found]


TIMES = st.one_of(st.none(), st.integers(0, 30))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TIMES, TIMES, st.integers(0, 3)), max_size=12))
def test_places_are_dense_and_what_is_before_ended_before(rows: list[tuple[int | None, int | None, int]]) -> None:
    steps = [Place(f"s{n}", f"p{parent}", start, end) for n, (start, end, parent) in enumerate(rows)]
    arranged(steps, whole=True)
    assert sorted(one.position or 0 for one in steps) == list(range(len(steps)))
    by_id = {one.step_id: one for one in steps}
    for one in steps:
        for before in (by_id[step_id] for step_id in one.after):
            assert before.parent == one.parent
            assert before.ended is not None
            assert before.ended <= (one.started or 0)
            assert before is not one
    assert arranged(steps, whole=True) == []


def test_siblings_side_by_side_are_both_before_the_next() -> None:
    steps = [Place("a", None, 0, 5), Place("b", None, 1, 6), Place("c", None, 7, 9), Place("d", None, 10, 11)]
    arranged(steps, whole=True)
    assert [one.after for one in steps] == [[], [], ["a", "b"], ["c"]]


def test_until_the_root_comes_nothing_that_has_a_number_moves() -> None:
    steps = [Place("late", None, 5, 6)]
    arranged(steps, whole=False)
    steps.append(Place("early", None, 1, 2))
    assert [one.step_id for one in arranged(steps, whole=False)] == ["early"]
    assert [one.position for one in steps] == [0, 1]
    arranged(steps, whole=True)
    assert [one.position for one in steps] == [1, 0]
    assert steps[0].after == ["early"]
