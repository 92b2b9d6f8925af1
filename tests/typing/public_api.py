"""The public API as a user writes it. Never run: pyright and mypy read it, and so prove the types that users see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, assert_type

import dxray
from dxray import Client, DeliveryError, XRay, configure, current_run, current_step, local
from dxray.testing import Capture, Recorded, capture
from dxray.wire.answers import (
    Blame,
    Diff,
    Event,
    Explain,
    Flip,
    Funnel,
    Items,
    Labels,
    Lineage,
    Pipeline,
    Posted,
    Rules,
    Run,
    Runs,
    Stability,
    Step,
    Steps,
    View,
    Views,
    Whatif,
    Why,
    WhyRank,
)


def minimal() -> None:
    with XRay("my_pipeline").run(input={"product": "iPhone Case"}) as run:
        run.set_output({"selected": "p1"})
        assert_type(run.run_id, str)
        assert_type(run.url, str)


def settings() -> XRay:
    configure(api_url="http://localhost:8000", show_url=False)
    return XRay(
        "p",
        "http://localhost:8000",
        api_key=None,
        project="default",
        offline_mode="strict",
        capture="full",
        environment="test",
        code_version="1",
        spool_dir="spool",
        strict_timeout=2.0,
        disabled=False,
    )


def full(xray: XRay, products: Sequence[dict[str, Any]]) -> None:
    with xray.run(input=products, run_id="r1", metadata={"version": 2}, variant="b", trace_id="t") as run:
        run.set_metadata("tenant", "a")
        with run.step("search", step_type="retrieve", capture="none") as search:
            search.set_config(model="m1", temperature=0.1)
            search.set_usage(input_tokens=10)
            search.produce("kw:stand", name="stand")
            search.produce(7, name="a product", parents=["kw:stand"], kind="product", evidence={"price": 3})
        with run.step("filter", "filter", attempt=2) as step:
            step.set_input_count(2)
            assert_type(step.require("price", "<=", 100, reason="price_too_high").passes(7, 99.0), bool)
            step.require_all([("price", "<=", 100, "price_too_high")]).passes(7, {"price": 3})
            step.accept(7, "cheap", {"price": 3}, by="model")
            step.reject("p2", "price_too_high", {"price": 129.0})
            step.accept_many([1, 2], evidence={"price": [1.0, 2.0]})
            step.reject_many([3], ["too_high"])
            step.produce_many([4, 5], names=["a", "b"])
            step.score_many([4, 5], [0.1, 0.2])
            assert_type(step.filtered(products, products[:1], reason="x", key="id"), list[Any])
            step.filtered(products, products[:1], reason="x", key=lambda product: product["id"])
            step.set_output_count(1)
        with run.step("select", step_type="select") as step:
            step.score(7, 0.93, parts={"rating": 0.6, "price": 0.33})
            step.cutoff(1)
            step.merge(7, into="p2")
            step.decide(decision="choose", selected=7, reason="best", score=0.93, alternatives=[{"id": "p2"}, 4])
            step.decide("choose", ["p1", "p2"])
        run.wait()
    with xray.resume(run.run_id) as again:
        again.set_output(None)
    assert_type(xray.flush(timeout=5), bool)
    assert_type(xray.sync_offline(), dict[str, int])


def decorated(xray: XRay) -> None:
    def ranked(titles: list[str]) -> list[str]:
        current_step().score(titles[0], 1.0)
        return titles

    async def whole(title: str) -> str:
        current_run().set_metadata("title", title)
        return title

    rank: Callable[[list[str]], list[str]] = xray.step("rank", step_type="rank")(ranked)
    run: Callable[[str], Awaitable[str]] = xray.observe(whole)
    named: Callable[[str], Awaitable[str]] = xray.observe(variant="b")(whole)
    del rank, run, named


def across(xray: XRay) -> None:
    headers: dict[str, str] = {}
    xray.inject(headers)
    with xray.extract(headers) as run, run.step("there") as step:
        step.accept("a")


def strict(xray: XRay) -> None:
    try:
        minimal()
    except DeliveryError as error:
        raise SystemExit(str(error)) from error


def asking(client: Client) -> None:
    assert_type(client.runs(pipeline="p", status="failed", since=datetime.now(UTC), limit=5), Runs)
    for listed in client.runs(q="label:bad"):
        assert_type(listed, Run)
    run = client.run("r1")
    assert_type(run, Run)
    assert_type(run.steps, list[Step])
    assert_type(run.duration_ms, float | None)
    assert_type(client.steps(step_type="filter", rejection_rate_gt=0.9), Steps)
    assert_type(client.events("r1", outcome="rejected"), Iterator[Event])
    assert_type(client.pipelines(), list[Pipeline])
    why = client.why("r1", 7)
    assert_type(why, Why)
    assert_type(why.sentence, str)
    assert_type(client.post_run({"pipeline": "p"}), Posted)
    client.wait_ready(timeout=1)


def asking_of_one_run(client: Client) -> None:
    assert_type(client.run("last"), Run)
    assert_type(client.why_rank("last", 7, over="p2"), WhyRank)
    assert_type(client.funnel("r1"), Funnel)
    assert_type(client.lineage("r1", 7, levels=2), Lineage)
    assert_type(client.items("p1", limit=3), Items)
    assert_type(client.items(name="a product"), Items)
    assert_type(client.diff("r1", "last", isolate=True), Diff)
    assert_type(client.flip("last", 7), Flip)
    assert_type(client.label("r1", "wrong", 7, note="why"), Labels)
    assert_type(client.labels("last"), Labels)
    assert_type(client.unlabel("r1", 2), Labels)


def asking_of_many_runs(client: Client) -> None:
    assert_type(client.blame("p", since="7d", until=datetime.now(UTC), q="label:bad"), Blame)
    assert_type(client.stability("p", since="7d", until="1d", q="variant:b"), Stability)
    rules = client.rules("p", since="7d", step="filter")
    assert_type(rules, Rules)
    assert_type([rule.kills for rule in rules], list[int | None])
    assert_type(client.explain("version:1", "version:2", outcome="accepted", step="filter"), Explain)
    assert_type(client.explain(since="1h", until=datetime.now(UTC), pipeline="p"), Explain)
    assert_type(client.explain(versions=("1", "2")), Explain)
    assert_type(client.explain(label="bad").sentence, str)
    limits = {"price_too_high": 120, "wrong_kind": ["case", "stand"]}
    assert_type(client.whatif(set=limits, disable=["odd"], step="filter", since="7d", until="1d"), Whatif)
    assert_type(client.whatif(sweep={"reason": "price_too_high", "from": 50, "to": 150}, q="label:bad"), Whatif)
    assert_type(client.whatif([{"reason": "price_too_high", "threshold": 120, "step_name": "f"}]), Whatif)
    assert_type(client.save_view("strict", "rejection_rate:>0.9", source="steps", note="n"), View)
    assert_type(client.view("strict").fits, int | None)
    assert_type(client.views(), Views)
    assert_type(client.remove_view("strict"), Views)


def a_server_of_its_own() -> None:
    with local() as client:
        asking(client)
    asking(dxray.local(data="folder", port=8123))


def test_of_recording() -> None:
    with capture() as captured:
        minimal()
    assert_type(captured, Capture)
    assert_type(captured.events, list[Recorded])
    assert_type(captured.outcomes("filter"), dict[str, str])
