"""Answers as a server gives them, for the tests of the client and the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

RUN_ID = "run_019ac3f27d3e7b1c9a5e8d2f40b6c771"


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": RUN_ID,
        "pipeline": "competitor_selection",
        "status": "completed",
        "started_at": ago(125),
        "ended_at": ago(123),
        "duration_ms": 1240.5,
        "step_count": 4,
        "environment": "production",
        "code_version": None,
        "variant": None,
        "parent_run_id": None,
        "trace_id": None,
        "error": None,
        "losses": {},
        "marks": [],
        "output": {"selected": "B0541"},
    } | changes


def step(n: int, name: str, kind: str, counts: dict[str, int | None], **changes: Any) -> dict[str, Any]:
    zero = dict.fromkeys(
        ("in", "produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed", "unaccounted"), 0
    )
    return {
        "step_id": f"s{n}",
        "name": name,
        "step_name": name,
        "step_type": kind,
        "position": n,
        "parent_step_id": None,
        "after": [f"s{n - 1}"] if n else [],
        "after_inferred": True,
        "attempt": 1,
        "duration_ms": 12.4 * (n + 1),
        "input_count": None,
        "output_count": None,
        "rejection_rate": None,
        "rejection_counts": {},
        "counts": zero | counts,
        "unaccounted": counts.get("unaccounted", 0),
        "edges": [],
        "lost_between": None,
        "complete": True,
        "contradictions": [],
        "rules": [],
        "decisions": [],
        "error": None,
        "losses": {},
        "marks": [],
    } | changes


def edge(n: int, name: str, out: int, lost: int | None, cause: str | None = None) -> dict[str, Any]:
    into = None if lost is None else out - lost
    return {"step_id": f"s{n}", "step_name": name, "out": out, "in": into, "lost_between": lost, "cause": cause}


REASONS = {"price_too_high": 212, "wrong_category": 64, "rating_too_low": 35}
RULES: list[dict[str, Any]] = [
    {"field": "price", "op": "<=", "threshold": 100, "reason": "price_too_high", "evaluated": 375, "failed": 212},
    {"field": "rating", "op": ">=", "threshold": 3.0, "reason": "rating_too_low", "evaluated": 163, "failed": 35},
    {"field": "category", "op": "in", "threshold": ["phone"], "reason": "wrong_category", "evaluated": 128},
]
RULES[1] |= {"uncomparable": 3}
RULES[2] |= {"failed": 64}


def run(**changes: Any) -> dict[str, Any]:
    decision = {
        "decision": "select_competitor",
        "selected": ["B0541"],
        "reason": "highest_score",
        "score": 0.93,
        "alternatives": [{"id": "B0012", "score": 0.91}],
    }
    fields: dict[str, Any] = {
        "input": {"product": "iPhone 15 Case, shockproof, with fold-out stand"},
        "output": {"selected": "B0541"},
        "metadata": {"version": 2},
        "labels": [{"number": 1, "label": "bad", "item_id": None, "note": None}],
        "steps": [
            step(0, "generate_keywords", "generate", {"produced": 4, "accepted": 4}, output_count=4),
            step(
                1,
                "search",
                "retrieve",
                {"in": 4, "produced": 375, "consumed": 4, "accepted": 375},
                input_count=4,
                output_count=375,
                edges=[edge(0, "generate_keywords", 4, 0)],
            ),
            step(
                2,
                "filter_candidates",
                "filter",
                {"in": 375, "accepted": 64, "rejected": 311},
                input_count=375,
                output_count=64,
                rejection_rate=311 / 375,
                rejection_counts=REASONS,
                rules=RULES,
                edges=[edge(1, "search", 375, 0)],
            ),
            step(
                3,
                "select_best",
                "select",
                {"in": 62, "selected": 1, "outranked": 58, "unaccounted": 3},
                input_count=62,
                output_count=1,
                decisions=[decision],
                edges=[edge(2, "filter_candidates", 64, 2)],
            ),
        ],
    }
    return summary(**(fields | changes))


def stop(n: int, name: str, kind: str, outcome: str, **changes: Any) -> dict[str, Any]:
    return {
        "step_id": f"s{n}",
        "step_name": name,
        "step_type": kind,
        "attempt": 1,
        "outcome": outcome,
        "reason": None,
        "evidence": None,
        "score": None,
        "evidence_state": "kept",
    } | changes


WHY_NOTHING: dict[str, Any] = dict.fromkeys(
    ("name", "step_id", "step_name", "reason", "predicate", "rank", "cutoff", "gap", "into", "twin", "unknown", "hint")
)


def rejected(**changes: Any) -> dict[str, Any]:
    return {
        **WHY_NOTHING,
        "run_id": RUN_ID,
        "item_id": "B0012",
        "name": "Alder Slim Case for iPhone 15",
        "verdict": "rejected",
        "step_id": "s2",
        "step_name": "filter_candidates",
        "reason": "price_too_high",
        "predicate": {"field": "price", "op": "<=", "threshold": 100, "observed": 129.0, "margin": -29.0},
        "sentence": "Alder Slim Case for iPhone 15 was rejected by filter_candidates, because its price is 129 "
        "and may be at most 100: 29 too much.",
        "journey": [
            stop(1, "search", "retrieve", "produced", evidence={"position": 17}),
            stop(
                2,
                "filter_candidates",
                "filter",
                "rejected",
                reason="price_too_high",
                evidence={"price": 129.0, "category": "phone_accessories", "rating": None},
            ),
        ],
        "lineage": [
            {"item_id": "B0012", "name": "Alder Slim Case for iPhone 15", "step_name": "search"},
            {"item_id": "kw:iphone 15 case", "name": "iphone 15 case", "step_name": "generate_keywords"},
        ],
        "twin": {"item_id": "B0013", "name": "Birk Clear Case for iPhone 15", "differences": {"price": [129, 99.5]}},
    } | changes


def selected(**changes: Any) -> dict[str, Any]:
    return {
        **WHY_NOTHING,
        "run_id": RUN_ID,
        "item_id": "B0541",
        "name": "Fjord Aluminium Laptop Stand",
        "verdict": "selected",
        "step_id": "s3",
        "step_name": "select_best",
        "reason": "highest_score",
        "rank": 1,
        "cutoff": 1,
        "sentence": "Fjord Aluminium Laptop Stand was selected by select_best with the highest score, 0.93.",
        "journey": [
            stop(1, "search", "retrieve", "produced"),
            stop(2, "filter_candidates", "filter", "accepted", evidence_state="sampled_out"),
            stop(3, "select_best", "select", "selected", reason="highest_score", score=0.93),
        ],
        "lineage": [
            {"item_id": "B0541", "name": "Fjord Aluminium Laptop Stand", "step_name": "search"},
            {"item_id": "kw:stand", "name": "stand", "step_name": "generate_keywords"},
        ],
    } | changes


def unknown(**changes: Any) -> dict[str, Any]:
    return {
        **WHY_NOTHING,
        "run_id": RUN_ID,
        "item_id": "B9999",
        "verdict": "unknown",
        "sentence": "It cannot be said what became of B9999: no step of this run names it.",
        "journey": [],
        "lineage": [],
        "unknown": {"cause": "not_recorded", "detail": "search declares 400 items and names 375 of them"},
        "hint": "record every candidate with step.produce(...), or produce_many, and ask again",
        "did_you_mean": [{"item_id": "B0999", "name": "Kite Matte Case for iPhone 15"}],
    } | changes
