"""Whether a rule of a step that kept an item speaks against it. What counts as a fault: see `faults`."""

from __future__ import annotations

from typing import Any

from dxray.server.reasoning.faults import Fault, Recorded, Rule
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.journey import Unknown
from dxray.server.reasoning.sentences import rule_text, shown
from dxray.wire.predicates import comparable, comparison

_MISSING = object()


def against(run: Recorded, stage: Stage, item: str, rule: Rule) -> Fault | Unknown | None:
    """What a rule says of an item that its step kept; None where it says nothing against it."""
    said = run.asked(item, stage.step_id).get(rule.rule_id)
    name, text = run.name(item), _text(rule)
    if said is True:
        return None
    if said is False:
        return _instead(run, stage, item, rule) or Fault(
            stage, "too_lenient", item, f"kept {name}, which failed {text}"
        )
    value, unkept = _observed(run, item, stage, rule.field)
    if value is _MISSING:
        if rule.asked or unkept or run.others_have(stage.step_id, rule.field):
            return Unknown(
                "not_recorded",
                f"{stage.name} did not ask {text} of {name}, and its {shown(rule.field)} is not recorded",
                f"ask every rule in {stage.name} with step.require_all, or record the evidence",
            )
        return None
    holds = _holds(rule, value)
    if holds is None:
        return Unknown(
            "not_recorded",
            f"{stage.name} did not ask {text} of {name}, and what it would have said cannot be told",
            f"ask every rule in {stage.name}",
        )
    if holds:
        return None
    asked = "was never asked" if rule.asked else "does not hold"
    seen = f"{shown(rule.field)} is {'missing' if value is None else shown(value)}"
    return _instead(run, stage, item, rule) or Fault(
        stage, "too_lenient", item, f"let {name} pass: {text} {asked}, and its {seen}"
    )


def _instead(run: Recorded, stage: Stage, item: str, rule: Rule) -> Unknown | None:
    """Why a rule that an item failed, or was not asked, may be one of several of which one is enough."""
    others = run.asked_instead(stage.step_id)
    passed = run.asked(item, stage.step_id)
    if rule.rule_id not in others and not any(passed.get(one) for one in others):
        return None
    rules = run.rules(stage.step_id)
    later = next(one for one in rules if one.rule_id in others and one.rule_id in (rule.rule_id, *passed))
    return Unknown(
        "ambiguous",
        f"{stage.name} asked {_text(later)} only of what had failed another rule, so either may be enough: "
        f"that {run.name(item)} did not pass {_text(rule)} is then no mistake",
        f"record in {stage.name} one rule for both, or ask every rule with step.require_all",
    )


def _observed(run: Recorded, item: str, stage: Stage, name: str) -> tuple[Any, bool]:
    """The value of a key at a step, else at one before it; and whether evidence was not kept."""
    unkept = False
    before = run.flow.ancestors(stage.step_id)
    earlier = [one for one in reversed(run.flow.stages) if one.step_id in before]
    for one in (stage, *earlier):
        facts, gone = run.facts(item, one.step_id)
        unkept = unkept or gone
        if name in facts:
            return facts[name], unkept
    return _MISSING, unkept


def _text(rule: Rule) -> str:
    return rule_text({"field": rule.field, "op": rule.op, "threshold": rule.threshold})


def _holds(rule: Rule, value: Any) -> bool | None:
    """What the rule says of a value; None where stored as it is it cannot be compared as it was."""
    if not comparable(value):
        return False
    bounds = rule.threshold if isinstance(rule.threshold, list) else [rule.threshold]
    kinds = {_kind(one) for one in bounds if one is not None}
    if kinds and _kind(value) not in kinds:
        return None
    try:
        return bool(comparison(rule.op)(value, rule.threshold))
    except (TypeError, ValueError, IndexError):
        return None


def _kind(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__
