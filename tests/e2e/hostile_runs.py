"""Runs as nobody means them: each would break a page that trusts what it is given."""

from __future__ import annotations

from typing import Any

Run = dict[str, Any]

PIPELINE = "hostile"
EMOJI = "🧪👩‍👩‍👧‍👦🇩🇪"
HEBREW = "מוצר מספר"
ARABIC = "منتج رقم"
TURNED = "\u202eevil\u202c"


def run(run_id: str, steps: list[Run], **more: Any) -> Run:
    return {"run_id": run_id, "pipeline": PIPELINE, "input": {"product": run_id}, "steps": steps, **more}


def no_steps() -> Run:
    return run("no_steps", [])


def many_steps(count: int = 1_000) -> Run:
    steps = [
        {"name": f"step_{at}", "step_type": "filter", "input_count": 1_000 - at // 2, "output_count": 999 - at // 2}
        for at in range(count)
    ]
    return run("many_steps", steps)


def deep(levels: int = 50) -> Run:
    steps: list[Run] = [
        {
            "name": f"level_{at}",
            "step_type": "tool",
            "step_id": f"s{at}",
            "events": [{"item_id": f"found_{at}", "outcome": "produced"}],
            **({"parent_step_id": f"s{at - 1}"} if at else {}),
        }
        for at in range(levels)
    ]
    return run("deep", steps)


def many_items(count: int = 100_000) -> Run:
    produced = [{"item_id": f"item_{at}", "outcome": "produced", "name": f"Item number {at}"} for at in range(count)]
    judged = [
        {"item_id": f"item_{at}", "outcome": "accepted", "evidence": {"price": at % 100}}
        if at % 3
        else {
            "item_id": f"item_{at}",
            "outcome": "rejected",
            "reason": "price_too_high",
            "evidence": {"price": at % 100},
        }
        for at in range(count)
    ]
    search = {"name": "search", "step_type": "retrieve", "events": produced}
    return run("many_items", [search, {"name": "keep", "step_type": "filter", "events": judged}])


def long_texts(size: int = 1_000_000) -> Run:
    words = ("all work and no play makes a dull page " * (size // 39 + 1))[:size]
    unbroken = "x" * size
    events = [
        {"item_id": "long", "outcome": "produced", "name": "n" * 2_000},
        {"item_id": "long", "outcome": "rejected", "reason": "r" * 200, "evidence": {"text": words, "k" * 200: 1}},
    ]
    step = {"name": "s" * 200, "step_type": "filter", "input": {"text": words}, "output": unbroken, "events": events}
    return run("long_texts", [step], input={"product": unbroken}, output={"title": words}, metadata={"m": unbroken})


def odd_ids() -> Run:
    ids = [EMOJI, HEBREW, ARABIC, TURNED, "../..", "a b\tc", "%2F?&#", "<b>bold</b>", "\u200b", "🙂" * 200]
    events: list[Run] = []
    for at, item in enumerate(ids):
        events.append({"item_id": item, "outcome": "produced", "name": f"{item} {at}"})
        outcome = {"outcome": "rejected", "reason": HEBREW} if at % 2 else {"outcome": "accepted"}
        events.append({"item_id": item, **outcome, "evidence": {ARABIC: at}})
    step = {"name": f"{ARABIC} {EMOJI}", "step_type": "filter", "events": events}
    return run("odd_ids", [step], input={"product": f"{HEBREW} {EMOJI}"}, output={"title": TURNED})


def abandoned() -> Run:
    step = {"name": "search", "step_type": "retrieve", "events": [{"item_id": "a", "outcome": "produced"}]}
    return run("abandoned", [step], status="running")


ALL = (no_steps, many_steps, deep, many_items, long_texts, odd_ids, abandoned)
