"""OpenTelemetry: a real export to a real server; and runs beside spans, and as spans."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

import dxray
from dxray import XRay, local
from dxray.integrations import adapter, otel
from dxray.own_server import LocalClient
from dxray.sdk.guard import guard
from dxray.testing import capture

NOT_OUT = "inferred: not in the reranker's output"
FOUND = [("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.6)]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalClient]:
    with local() as client:
        yield client


@pytest.fixture
def memory() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


def documents(prefix: str, said: list[tuple[str, float]]) -> dict[str, str | float]:
    out: dict[str, str | float] = {}
    for number, (item, score) in enumerate(said):
        out[f"{prefix}.{number}.document.id"] = item
        out[f"{prefix}.{number}.document.content"] = f"About {item}."
        out[f"{prefix}.{number}.document.score"] = score
    return out


def answer(tracer: Tracer) -> str:
    """A retrieval pipeline as OpenInference writes it. Returns its trace's id."""
    kind = "openinference.span.kind"
    with tracer.start_as_current_span("answer", attributes={kind: "CHAIN", "input.value": "why?"}) as root:
        with tracer.start_as_current_span("search", attributes={kind: "RETRIEVER"}) as span:
            span.set_attributes(documents("retrieval.documents", FOUND))
        with tracer.start_as_current_span("rerank", attributes={kind: "RERANKER"}) as span:
            span.set_attributes(documents("reranker.input_documents", FOUND))
            span.set_attributes(documents("reranker.output_documents", [("c", 0.97), ("a", 0.6)]))
        root.set_attribute("output.value", "because")
        return f"{root.get_span_context().trace_id:032x}"


class TestIn:
    def test_a_real_export_answers_why_a_document_is_not_there(self, server: LocalClient) -> None:
        provider = TracerProvider(resource=Resource({"service.name": "docs_rag"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{server.api_url}/v1/traces")))
        run_id = f"trace_{answer(provider.get_tracer('test'))}"
        assert provider.force_flush()
        provider.shutdown()
        found = server.why(run_id, "b")
        assert (found.verdict, found.step_name) == ("rejected", "rerank")
        assert found.reason == NOT_OUT
        run = server.run(run_id)
        assert (run.pipeline, run.status, run.output) == ("docs_rag", "completed", "because")

    def test_each_span_alone_as_it_ends_gives_the_same(self, server: LocalClient) -> None:
        provider = TracerProvider(resource=Resource({"service.name": "docs_rag"}))
        for _ in range(2):  # each is sent twice
            provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{server.api_url}/v1/traces")))
        run_id = f"trace_{answer(provider.get_tracer('test'))}"
        provider.shutdown()
        run = server.run(run_id)
        assert [step.name for step in run.steps] == ["answer", "search", "rerank"]
        assert (run.steps[1].output_count, run.steps[2].rejection_counts) == (4, {NOT_OUT: 2})
        assert server.why(run_id, "d").verdict == "rejected"

    def test_attributes_that_the_sender_dropped_make_the_answer_unknown(self, server: LocalClient) -> None:
        provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=16))
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{server.api_url}/v1/traces")))
        run_id = f"trace_{answer(provider.get_tracer('test'))}"
        provider.shutdown()
        assert server.why(run_id, "b").verdict == "unknown"


class TestBeside:
    def test_runs_carry_the_trace_and_steps_the_span(self, memory: tuple[TracerProvider, InMemorySpanExporter]) -> None:
        tracer = memory[0].get_tracer("test")
        with capture() as captured, dxray.instrument_otel(link_template="https://t.example/{trace_id}"):
            with (
                tracer.start_as_current_span("outer") as outer,
                XRay("p").run() as run,
                tracer.start_as_current_span("inner") as inner,
                run.step("a"),
            ):
                pass
            with XRay("p").run(), dxray.current_run().step("b"):
                pass
        first, second = captured.runs
        ids = outer.get_span_context()
        assert first.trace_id == f"{ids.trace_id:032x}"
        assert json.loads(first.metadata or "")["trace_url"] == f"https://t.example/{ids.trace_id:032x}"
        said = json.loads(captured.steps[0].metadata or "")
        assert said == {"otel_span_id": f"{inner.get_span_context().span_id:016x}"}
        assert (second.trace_id, captured.steps[1].metadata) == (None, None)

    def test_a_trace_that_the_user_named_stays_and_off_is_off(
        self, memory: tuple[TracerProvider, InMemorySpanExporter]
    ) -> None:
        tracer = memory[0].get_tracer("test")
        handle = dxray.instrument_otel(XRay("p"))
        with capture() as captured, tracer.start_as_current_span("outer"):
            with XRay("p").run(trace_id="mine"):
                pass
            with XRay("other").run():
                pass
            assert handle.on
            handle.off()
            with XRay("p").run():
                pass
        assert [run.trace_id for run in captured.runs] == ["mine", None, None]

    def test_a_link_that_leads_elsewhere_is_refused(self) -> None:
        with pytest.raises(ValueError, match="http"):
            dxray.instrument_otel(link_template="javascript:alert(1)")

    def test_an_error_inside_never_reaches_the_pipeline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(otel, "active_ids", fail)
        monkeypatch.setattr(guard, "loud", False)
        before = guard.counts["RuntimeError"]
        with capture() as captured, dxray.instrument_otel(), XRay("p").run() as run, run.step("a") as step:
            step.accept("x")
        assert guard.counts["RuntimeError"] == before + 2
        assert len(captured.steps) == 1

    def test_an_unknown_version_is_left_alone(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(adapter, "version", lambda package: "2.0.1")
        monkeypatch.setattr(adapter, "_warned", set())
        with caplog.at_level(logging.WARNING, "dxray"):
            assert not dxray.instrument_otel().on
            assert not dxray.instrument_otel().on
        assert caplog.text.count("opentelemetry-api") == 1

    def test_the_oldest_version_that_is_known(self, tmp_path: Path) -> None:
        uv, venv = [sys.executable, "-m", "uv"], str(tmp_path / "venv")
        made = [
            [*uv, "venv", "-q", "-p", sys.executable, venv],
            [*uv, "pip", "install", "-q", "-p", venv, "opentelemetry-api==1.30.0"],
        ]
        try:
            for command in made:
                subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError):
            pytest.skip("no uv, or no index to install from")
        here = next((tmp_path / "venv").glob("lib/*/site-packages"))
        program = (
            "from importlib.metadata import version\n"
            "from opentelemetry import trace\n"
            "from dxray import XRay, instrument_otel\n"
            "from dxray.testing import capture\n"
            "span = trace.NonRecordingSpan(trace.SpanContext(7, 9, False))\n"
            "with capture() as captured, instrument_otel(export=True) as handle, trace.use_span(span):\n"
            "    with XRay('p').run() as run, run.step('a'): pass\n"
            "    on = handle.on\n"
            "print(version('opentelemetry-api'), on, captured.runs[0].trace_id, captured.steps[0].metadata)"
        )
        paths = {**os.environ, "PYTHONPATH": str(here)}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, env=paths
        )
        assert done.stdout.split() == ["1.30.0", "True", f"{7:032x}", '{"otel_span_id":"0000000000000009"}'], (
            done.stdout + done.stderr
        )

    def test_without_the_package_the_extra_is_named(self) -> None:
        program = (
            "import sys; sys.modules['opentelemetry.trace'] = None; sys.modules['opentelemetry'] = None\n"
            "import dxray\n"
            "try: dxray.instrument_otel()\n"
            "except ImportError as error: print(error)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert "pip install 'dxray[otel]'" in done.stdout


class TestOut:
    def test_a_run_becomes_spans_with_counts_and_no_items(
        self, memory: tuple[TracerProvider, InMemorySpanExporter]
    ) -> None:
        provider, exporter = memory
        with capture() as captured, otel.export_runs(tracer_provider=provider), XRay("p").run() as run:
            with run.step("outer"), run.step("filter", step_type="filter") as step:
                for n in range(1000):
                    if n % 4:
                        step.reject(f"secret-{n}", "no")
                    else:
                        step.accept(f"secret-{n}")
            with pytest.raises(KeyError), run.step("fails"):
                raise KeyError("no")
        spans = {span.name: span for span in exporter.get_finished_spans()}
        assert set(spans) == {"p", "outer", "filter", "fails"}
        top, outer, kept = spans["p"], spans["outer"], spans["filter"]
        assert kept.parent is not None
        assert outer.parent is not None
        assert outer.context is not None
        assert top.context is not None
        assert (kept.parent.span_id, outer.parent.span_id) == (outer.context.span_id, top.context.span_id)
        assert dict(kept.attributes or {}) == {
            "dxray.step_id": "s2", "dxray.step_type": "filter",
            "dxray.items_in": 1000, "dxray.items_out": 250, "dxray.rejected": 750,
        }  # fmt: skip
        assert "secret" not in "".join(span.to_json() for span in spans.values())
        assert spans["fails"].status.status_code is StatusCode.ERROR
        assert kept.start_time is not None
        assert kept.end_time is not None
        assert (top.start_time or 0) <= kept.start_time <= kept.end_time <= (top.end_time or 0)
        assert captured.runs[0].trace_id == f"{top.context.trace_id:032x}"
        assert list(captured.outcomes("filter").values()).count("rejected") == 750

    def test_it_stands_inside_the_active_span(self, memory: tuple[TracerProvider, InMemorySpanExporter]) -> None:
        provider, exporter = memory
        tracer = provider.get_tracer("test")
        with (
            capture(),
            otel.export_runs(tracer_provider=provider),
            tracer.start_as_current_span("request") as request,
            XRay("p").run(),
        ):
            pass
        span = next(one for one in exporter.get_finished_spans() if one.name == "p")
        assert span.parent is not None
        assert span.parent.span_id == request.get_span_context().span_id

    def test_counts_that_are_not_known_are_left_out(self, memory: tuple[TracerProvider, InMemorySpanExporter]) -> None:
        provider, exporter = memory
        with capture(), otel.export_runs(tracer_provider=provider), XRay("p").run() as run, run.step("bulk") as step:
            step.reject_many([str(n) for n in range(5000)], "no", {"n": list(range(5000))})
            step.set_input_count(5000)
        span = next(one for one in exporter.get_finished_spans() if one.name == "bulk")
        said = dict(span.attributes or {})
        assert said["dxray.items_in"] == 5000
        assert said.get("dxray.rejected", 5000) == 5000
