"""A retrieval pipeline that only knows OpenTelemetry, asked why a document is not in its answer.

    pip install -e ".[server]" opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    python -m examples.otel_rag

The spans are written as OpenInference writes them, and sent by OTLP to a server of their own. Nothing of dxray is in
the pipeline.
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Tracer

from dxray import local

PAGES = {
    "refunds": "Refunds are paid within 14 days.",
    "returns": "Send goods back within 30 days.",
    "opening": "We are open from 9 to 17.",
    "gifts": "Gifts can be sent back by whoever got them.",
}
QUESTION = "How long do I have to send something back?"


def shared_words(text: str) -> int:
    """How many words of a text are in the question."""
    return len({word.strip("?.").lower() for word in text.split()} & set(QUESTION.strip("?").lower().split()))


def write(span: Span, prefix: str, scores: dict[str, float]) -> None:
    """Documents, as attributes of a span."""
    for number, (page, score) in enumerate(scores.items()):
        span.set_attribute(f"{prefix}.{number}.document.id", page)
        span.set_attribute(f"{prefix}.{number}.document.content", PAGES[page])
        span.set_attribute(f"{prefix}.{number}.document.score", score)


def answer(tracer: Tracer) -> str:
    """Find, rank, answer. Returns the id of the trace."""
    kind = "openinference.span.kind"
    with tracer.start_as_current_span("answer", attributes={kind: "CHAIN", "input.value": QUESTION}) as root:
        with tracer.start_as_current_span("search", attributes={kind: "RETRIEVER"}) as span:
            found = {page: 1.0 / n for n, page in enumerate(PAGES, 1)}
            write(span, "retrieval.documents", found)
        with tracer.start_as_current_span("rerank", attributes={kind: "RERANKER", "reranker.top_k": 2}) as span:
            scores = {page: float(shared_words(PAGES[page])) for page in found}
            best = dict(sorted(scores.items(), key=lambda one: -one[1])[:2])
            write(span, "reranker.input_documents", found)
            write(span, "reranker.output_documents", best)
        root.set_attribute("output.value", PAGES[next(iter(best))])
        return f"{root.get_span_context().trace_id:032x}"


def main() -> None:
    """Send a trace to a server, and ask it."""
    with local() as client:
        provider = TracerProvider(resource=Resource({"service.name": "docs_rag"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{client.api_url}/v1/traces")))
        run_id = f"trace_{answer(provider.get_tracer('examples'))}"
        provider.shutdown()
        print(client.why(run_id, "gifts"))


if __name__ == "__main__":
    main()
