"""`POST /v1/traces`: spans become runs and steps, each once, however they come."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.testclient import TestClient

from dxray.server.otlp import payload
from tests.api.conftest import connect

TRACE = bytes(range(1, 17))
RUN = f"trace_{TRACE.hex()}"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
NOW_NS = time.time_ns() - 60 * 10**9


def value(said: Any) -> AnyValue:
    if isinstance(said, bool):
        return AnyValue(bool_value=said)
    if isinstance(said, int):
        return AnyValue(int_value=said)
    return AnyValue(double_value=said) if isinstance(said, float) else AnyValue(string_value=said)


def keys(said: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(one)) for key, one in said.items()]


def span(number: int, parent: int | None, start_ms: int, end_ms: int, name: str = "", **more: Any) -> Span:
    return Span(
        trace_id=more.pop("trace", TRACE),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=b"" if parent is None else parent.to_bytes(8, "big"),
        name=name or f"span {number}",
        start_time_unix_nano=NOW_NS + start_ms * 10**6,
        end_time_unix_nano=NOW_NS + end_ms * 10**6,
        attributes=keys(more.pop("attributes", {})),
        **more,
    )


def documents(prefix: str, said: Iterable[tuple[str, float | None]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for number, (item, score) in enumerate(said):
        out[f"{prefix}.{number}.document.id"] = item
        out[f"{prefix}.{number}.document.content"] = f"About {item}."
        out[f"{prefix}.{number}.document.metadata"] = json.dumps({"source": f"{item}.md", "page": number})
        if score is not None:
            out[f"{prefix}.{number}.document.score"] = score
    return out


def rag() -> list[Span]:
    """A question is answered: five documents are found, the reranker lets two through."""
    found = [(f"d{n}", 0.9 - n / 10) for n in range(5)]
    return [
        span(1, None, 0, 100, "answer", attributes={
            "openinference.span.kind": "CHAIN", "input.value": "why?", "output.value": '{"text": "because"}',
            "output.mime_type": "application/json"}),
        span(2, 1, 1, 20, "search", attributes={
            "openinference.span.kind": "RETRIEVER", **documents("retrieval.documents", found)}),
        span(3, 1, 21, 40, "rerank", attributes={
            "openinference.span.kind": "RERANKER", "reranker.top_k": 2, "reranker.model_name": "r1",
            **documents("reranker.input_documents", found),
            **documents("reranker.output_documents", [("d3", 0.99), ("d0", 0.8)])}),
        span(4, 1, 41, 90, "complete", attributes={
            "openinference.span.kind": "LLM", "llm.model_name": "m1", "llm.token_count.prompt": 10,
            "llm.token_count.completion": 3, "llm.invocation_parameters": '{"temperature": 0.5}'}),
    ]  # fmt: skip


def request(spans: Iterable[Span], service: str = "docs_rag", **more: Any) -> ExportTraceServiceRequest:
    out = ExportTraceServiceRequest()
    of_resource = out.resource_spans.add()
    of_resource.resource.attributes.extend(keys({"service.name": service, **more}))
    of_resource.scope_spans.add().spans.extend(spans)
    return out


def post(api: TestClient, spans: Iterable[Span], service: str = "docs_rag", **more: Any) -> ExportTraceServiceResponse:
    answer = api.post("/v1/traces", content=request(spans, service, **more).SerializeToString(), headers=PROTOBUF)
    assert answer.status_code == 200, answer.content
    assert answer.headers["content-type"] == "application/x-protobuf"
    said = ExportTraceServiceResponse()
    said.ParseFromString(answer.content)
    return said


def run_of(api: TestClient, run_id: str = RUN) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/runs/{run_id}").json()
    return found


def shape(api: TestClient) -> Any:
    """What is told of a run, but for when it was stored."""
    run = run_of(api)
    events = api.get(f"/runs/{RUN}/events").json()
    return run, events


def why(api: TestClient, item: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/runs/{RUN}/why", params={"item": item}).json()
    return found


class TestMapping:
    def test_a_trace_is_a_run_and_its_spans_are_steps(self, api: TestClient) -> None:
        assert not post(api, rag(), **{"service.version": "v7", "deployment.environment.name": "prod"}).HasField(
            "partial_success"
        )
        run = run_of(api)
        assert (run["pipeline"], run["status"], run["trace_id"]) == ("docs_rag", "completed", TRACE.hex())
        assert (run["input"], run["output"]) == ("why?", {"text": "because"})
        assert (run["code_version"], run["environment"], run["duration_ms"]) == ("v7", "prod", 100)
        assert [(s["name"], s["step_type"], s["parent_step_id"]) for s in run["steps"]] == [
            ("answer", "transform", None),
            ("search", "retrieve", "0000000000000001"),
            ("rerank", "rank", "0000000000000001"),
            ("complete", "generate", "0000000000000001"),
        ]
        assert [s["after"] for s in run["steps"]] == [[], [], ["0000000000000002"], ["0000000000000003"]]
        llm = run["steps"][3]
        assert llm["usage"] == {"input_tokens": 10, "output_tokens": 3, "model": "m1"}
        assert llm["config"] == {"model": "m1", "temperature": 0.5}

    def test_a_document_that_the_reranker_did_not_let_through_was_rejected(self, api: TestClient) -> None:
        post(api, rag())
        rerank = run_of(api)["steps"][2]
        assert (rerank["input_count"], rerank["output_count"], rerank["counts"]["rejected"]) == (5, 2, 3)
        assert rerank["complete"]
        found = why(api, "d1")
        assert (found["verdict"], found["step_name"]) == ("rejected", "rerank")
        assert found["reason"] == "inferred: not in the reranker's output"
        kept = why(api, "d3")["journey"][-1]
        assert (kept["step_name"], kept["outcome"]) == ("rerank", "accepted")
        scores = {e["item_id"]: e["score"] for e in _events(api, "0000000000000003") if e["score"] is not None}
        assert scores == {"d3": 0.99, "d0": 0.8}

    def test_evidence_is_the_metadata_and_the_content(self, api: TestClient) -> None:
        post(api, rag())
        first = _events(api, "0000000000000002")[0]
        assert first["evidence"] == {"source": "d0.md", "page": 0, "content": "About d0."}
        assert (first["name"], first["kind"], first["outcome"]) == ("About d0.", "document", "produced")

    def test_nothing_is_rejected_where_the_output_was_not_recorded(self, api: TestClient) -> None:
        spans = rag()
        kept = [one for one in spans[2].attributes if "output_documents" not in one.key]
        del spans[2].attributes[:]
        spans[2].attributes.extend(kept)
        post(api, spans)
        assert run_of(api)["steps"][2]["counts"]["rejected"] == 0

    def test_nothing_is_rejected_where_attributes_were_dropped_and_the_loss_is_said(self, api: TestClient) -> None:
        spans = rag()
        spans[2].dropped_attributes_count = 4
        post(api, spans)
        rerank = run_of(api)["steps"][2]
        assert rerank["counts"]["rejected"] == 0
        assert rerank["losses"] == {"otel_dropped_attributes": 4}
        assert why(api, "d1")["verdict"] == "unknown"

    def test_generative_conventions_come_second(self, api: TestClient) -> None:
        chat = span(1, None, 0, 5, "chat m2", attributes={
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "m2", "gen_ai.request.temperature": 0.1,
            "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 2})  # fmt: skip
        found = span(2, 1, 1, 2, "retrieval", attributes={
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": '[{"id": "a", "score": 0.5}, {"id": "b", "score": 0.25}]'})  # fmt: skip
        post(api, [chat, found])
        llm, retrieval = run_of(api)["steps"]
        assert (llm["step_type"], llm["config"]) == ("generate", {"temperature": 0.1, "model": "m2"})
        assert llm["usage"] == {"input_tokens": 7, "output_tokens": 2, "model": "m2"}
        assert (retrieval["step_type"], retrieval["counts"]["produced"]) == ("retrieve", 2)

    def test_other_spans_are_plain_steps(self, api: TestClient) -> None:
        post(api, [*rag(), span(9, 4, 50, 60, "POST", attributes={"http.request.method": "POST"})])
        http = run_of(api)["steps"][-1]
        assert (http["name"], http["step_type"]) == ("POST", None)
        assert http["metadata"] == {"http.request.method": "POST"}

    def test_a_failed_root_is_a_failed_run(self, api: TestClient) -> None:
        raised = Span.Event(
            name="exception", attributes=keys({"exception.type": "KeyError", "exception.message": "no key"})
        )
        post(api, [span(1, None, 0, 5, status=Status(code=Status.STATUS_CODE_ERROR), events=[raised])])
        run = run_of(api)
        assert (run["status"], run["error"]) == ("failed", {"type": "KeyError", "message": "no key"})

    def test_without_a_name_of_the_service_the_root_is_the_pipeline(self, api: TestClient) -> None:
        post(api, rag()[1:], service="unknown_service:python")
        assert run_of(api)["pipeline"] == "otel"
        post(api, rag()[:1], service="unknown_service:python")
        assert run_of(api)["pipeline"] == "answer"

    def test_documents_far_apart_and_without_ids(self, api: TestClient) -> None:
        post(api, [span(1, None, 0, 5, attributes={
            "openinference.span.kind": "RETRIEVER", "retrieval.documents.999999999.document.content": "x",
            "retrieval.documents.99999999999999.document.content": "y",
            "retrieval.documents.0.document.content": "z"})])  # fmt: skip
        events = _events(api, "0000000000000001")
        assert [event["name"] for event in events] == ["z", "x"]
        assert all(event["item_id"].startswith("doc:") for event in events)


def _events(api: TestClient, step_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/runs/{RUN}/events", params={"step_id": step_id}).json()["events"]
    return found


class TestOnce:
    def test_a_repeated_request_changes_nothing(self, api: TestClient) -> None:
        post(api, rag())
        before = shape(api)
        post(api, rag())
        assert shape(api) == before

    def test_children_first_one_by_one_and_repeated_in_other_batches(self, api: TestClient) -> None:
        post(api, rag())
        whole = shape(api)
        other = bytes(16 - n for n in range(16))
        spans = rag()
        for one in spans:
            one.trace_id = other
        order = [3, 2, 1, 2, 0, 3]
        for n in order[:3]:
            post(api, [spans[n]])
        assert run_of(api, f"trace_{other.hex()}")["status"] == "running"
        for n in order[3:]:
            post(api, [spans[n], spans[1]])
        told = run_of(api, f"trace_{other.hex()}")
        assert told["status"] == "completed"
        ours, theirs = ([_plain(step) for step in run["steps"]] for run in (whole[0], told))
        assert ours == theirs

    def test_any_order_gives_the_same_run(self, api: TestClient) -> None:
        spans = [span(1, None, 0, 1000), *(span(n, 1 + n % 3, n * 3, n * 3 + n % 7) for n in range(2, 40))]
        seen: list[list[dict[str, Any]]] = []
        for seed in range(3):
            trace = bytes([seed + 1]) * 16
            mixed = list(spans)
            random.Random(seed).shuffle(mixed)
            for one in mixed:
                one.trace_id = trace
            while mixed:
                post(api, [mixed.pop() for _ in range(min(7, len(mixed)))])
            run = run_of(api, f"trace_{trace.hex()}")
            seen.append([_plain(step) for step in run["steps"]])
        assert seen[0] == seen[1] == seen[2]
        assert [step["position"] for step in seen[0]] == list(range(39))

    def test_late_spans_find_their_place(self, api: TestClient) -> None:
        spans = rag()
        post(api, [spans[0], spans[3]])
        assert run_of(api)["status"] == "completed"
        post(api, spans[1:3])
        run = run_of(api)
        assert [step["name"] for step in run["steps"]] == ["answer", "search", "rerank", "complete"]
        assert run["steps"][3]["after"] == ["0000000000000003"]
        assert run["steps"][3]["usage"] == {"input_tokens": 10, "output_tokens": 3, "model": "m1"}
        assert why(api, "d1")["verdict"] == "rejected"

    def test_what_is_stored_counts_after_a_restart_too(self, tmp_path: Path) -> None:
        with connect(tmp_path) as api:
            post(api, rag()[1:])
        with connect(tmp_path) as api:
            post(api, rag())
            run = run_of(api)
            assert (len(run["steps"]), run["status"]) == (4, "completed")
            assert len(_events(api, "0000000000000002")) == 10

    def test_ten_thousand_spans_of_one_trace(self, api: TestClient) -> None:
        spans = [span(n + 2, 1, n, n + 1) for n in range(9_999)]
        for first in range(0, len(spans), 2500):
            post(api, spans[first : first + 2500])
        post(api, [span(1, None, 0, 20_000)])
        listed = api.get("/runs").json()["runs"][0]
        assert (listed["step_count"], listed["status"]) == (10_000, "completed")
        steps = api.get("/steps", params={"limit": 1, "q": f"run_id:{RUN}"}).json()
        assert steps["total"] == 10_000


def _plain(step: Mapping[str, Any]) -> dict[str, Any]:
    return dict(step)


class TestRefused:
    def test_spans_that_cannot_be_are_counted_and_the_others_stored(self, api: TestClient) -> None:
        short = span(7, 1, 0, 1)
        short.trace_id = b"abc"
        nothing = span(0, 1, 0, 1)
        own = span(8, 8, 0, 1)
        ahead = span(9, 1, 3 * 86_400_000, 3 * 86_400_001)
        said = post(api, [short, nothing, own, ahead, *rag()]).partial_success
        assert said.rejected_spans == 4
        assert "trace_id has to be 16 bytes" in said.error_message
        assert len(run_of(api)["steps"]) == 4

    def test_odd_numbers_are_stored(self, api: TestClient) -> None:
        odd = span(1, None, 5, 0, attributes={
            "openinference.span.kind": "LLM", "llm.token_count.prompt": 2**63 - 1, "llm.cost.total": float("nan"),
            "x": float("inf"), "retrieval.documents.0.document.score": float("-inf"),
            "retrieval.documents.0.document.metadata": '{"n": 1e400, "big": 99999999999999999999}',
            "nul": "a\0b"})  # fmt: skip
        post(api, [odd])
        step = run_of(api)["steps"][0]
        assert step["marks"]
        assert step["duration_ms"] == 0
        assert step["metadata"]["x"] == "inf"

    def test_a_value_too_deep_is_cut(self, api: TestClient) -> None:
        deep = AnyValue(string_value="bottom")
        for _ in range(30):
            deep = AnyValue(array_value=ArrayValue(values=[deep]))
        one = span(1, None, 0, 1)
        one.attributes.append(KeyValue(key="deep", value=deep))
        post(api, [one])
        assert "bottom" not in json.dumps(run_of(api)["steps"][0]["metadata"])

    @pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a" * 5000])
    def test_malformed_protobuf_is_a_status(self, shared: TestClient, body: bytes) -> None:
        answer = shared.post("/v1/traces", content=body, headers=PROTOBUF)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/x-protobuf")
        assert answer.content[:2] == b"\x08\x03"  # code: INVALID_ARGUMENT
        assert b"ExportTraceServiceRequest" in answer.content

    @pytest.mark.parametrize(
        "body", [b"{", b"[1]", b'{"resourceSpans": 3}', b"[" * 9999, b'{"resourceSpans": [{"scopeSpans": [7]}]}']
    )
    def test_malformed_json_is_a_status_in_json(self, shared: TestClient, body: bytes) -> None:
        answer = shared.post("/v1/traces", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, 3)
        assert answer.json()["message"]

    def test_another_content_type_is_415(self, shared: TestClient) -> None:
        assert shared.post("/v1/traces", content=b"", headers={"Content-Type": "text/plain"}).status_code == 415

    def test_what_inflates_to_too_much_is_413(self, shared: TestClient) -> None:
        body = gzip.compress(bytes(17 * 1024 * 1024))
        answer = shared.post("/v1/traces", content=body, headers={**PROTOBUF, "Content-Encoding": "gzip"})
        assert answer.status_code == 413

    def test_nothing_is_an_answer_too(self, shared: TestClient) -> None:
        answer = shared.post("/v1/traces", content=b"", headers=PROTOBUF)
        assert (answer.status_code, answer.content) == (200, b"")


class TestJson:
    def test_json_in_and_json_out(self, api: TestClient) -> None:
        body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [
            {"traceId": TRACE.hex(), "spanId": "00000000000000AA", "name": "root", "kind": 1, "unknownField": 1,
             "startTimeUnixNano": str(NOW_NS), "endTimeUnixNano": str(NOW_NS + 10**6),
             "attributes": [{"key": "input.value", "value": {"stringValue": "hi"}},
                            {"key": "n", "value": {"intValue": "5"}}]},
            {"traceId": "no hex", "spanId": "00000000000000ab", "name": "bad"}]}]}]}  # fmt: skip
        headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
        answer = api.post("/v1/traces", content=gzip.compress(json.dumps(body).encode()), headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
        run = run_of(api)
        assert (run["pipeline"], run["input"], run["steps"][0]["step_id"]) == ("root", "hi", "00000000000000aa")
        assert run["steps"][0]["metadata"] == {"n": 5}

    def test_all_well_is_an_empty_object(self) -> None:
        assert json.loads(payload.accepted(payload.JSON, 0, "")) == {}


class TestLink:
    def test_a_run_leads_to_its_trace(self, tmp_path: Path) -> None:
        with connect(tmp_path, trace_link="https://tracing.example/trace/{trace_id}?run={run_id}") as api:
            post(api, rag())
            assert run_of(api)["trace_url"] == f"https://tracing.example/trace/{TRACE.hex()}?run={RUN}"
            odd = {"pipeline": "p", "run_id": "odd", "trace_id": '../"><x>&a=b', "steps": []}
            api.post("/runs", json=odd)
            url = run_of(api, "odd")["trace_url"]
            assert url == "https://tracing.example/trace/..%2F%22%3E%3Cx%3E%26a%3Db?run=odd"
            api.post("/runs", json={"pipeline": "p", "run_id": "none", "steps": []})
            assert run_of(api, "none")["trace_url"] is None

    def test_without_the_setting_there_is_none(self, api: TestClient) -> None:
        post(api, rag())
        assert run_of(api)["trace_url"] is None

    @pytest.mark.parametrize("link", ["javascript:alert({trace_id})", "https://tracing.example/"])
    def test_another_kind_of_link_is_refused(self, tmp_path: Path, link: str) -> None:
        with pytest.raises(ValueError, match="trace_link"):
            connect(tmp_path, trace_link=link)
