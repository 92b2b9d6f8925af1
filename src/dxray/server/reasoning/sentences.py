"""An answer to "why" as one plain sentence or two, for a ticket. Pure: from the answer's own fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dxray.wire.predicates import OPERATORS
from dxray.wire.text import clean

Answer = Mapping[str, Any]

_LONGEST = 120
_ORDERING = ("<", "<=", ">", ">=", "between")


@dataclass(slots=True)
class Notes:
    """What a sentence says besides the answer's own fields."""

    about: Mapping[str, Any] | None = None  # the evidence given with the rejection, not all that the step observed
    missing: bool = False  # the rule that rejected was asked of null, or of nothing
    unlike: bool | None = None  # whether the rule could not compare what failed it: all, none, or some (None)
    overruled: Sequence[tuple[str, Sequence[Answer]]] = ()  # steps that kept the item, with the rules it failed there
    chosen: tuple[str, Sequence[str]] | None = None  # the step that says nothing of the item, and what it selected
    error: str | None = None  # of a run that failed


def sentence_of(answer: Answer, notes: Notes | None = None) -> str:
    """The sentence of a finished answer."""
    notes = notes or Notes()
    said = _VERDICTS[answer["verdict"]](answer, notes)
    return " ".join(part for part in (said, *_also(answer, notes)) if part)


def shown(value: Any) -> str:
    """A value in a sentence: numbers short, texts without quotes, all cut where they are long."""
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list):
        text = ", ".join(map(shown, value[:10])) + (", …" if len(value) > 10 else "")
    else:
        text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def title(item: Answer) -> str:
    """An item by its name, else by its id."""
    return shown(item.get("name") or item["item_id"])


def rule_text(rule: Answer) -> str:
    """`price <= 100`."""
    return f"{rule['field']} {rule['op'].replace('_', ' ')} {limit_text(rule['threshold'])}"


def rank_words(side: Mapping[str, Any], of: int) -> str:
    """A place among the scored; where not all scores may have been recorded, what is sure of it."""
    if side["rank"] is not None:
        return f"rank {side['rank']} of {of}"
    if side["rank_at_least"] is not None:
        return f"rank {side['rank_at_least']} or lower ({of} scores recorded, perhaps not all)"
    return ""


def limit_text(limit: Any) -> str:
    """A limit in a sentence: as `shown`, but a text that would not be seen stands in quotes."""
    if isinstance(limit, list):
        return shown([limit_text(one) for one in limit]) if limit else "[]"
    return shown(f'"{limit}"' if isinstance(limit, str) and not limit.strip() else limit)


def _selected(answer: Answer, notes: Notes) -> str:
    stop = _stop(answer)
    score, of = stop.get("score"), answer.get("scored") or 0
    why = ""
    if answer["rank"] == 1 and of > 1:
        why = f": it scored highest ({shown(score)}) of {of}"
    elif of > 1 and (place := rank_words(answer, of)):
        why = f": it scored {shown(score)}, {place}"
    elif score is not None:
        why = f" with a score of {shown(score)}"
    if answer["reason"] and not why.startswith(": it scored highest"):
        why += f" ({shown(answer['reason'])})"
    return f"{title(answer)} was selected at {answer['step_name']}{why}."


def _rejected(answer: Answer, notes: Notes) -> str:
    by = {"model": " by a model", "person": " by a person"}.get(_stop(answer).get("by") or "", "")
    said = f"{title(answer)} was rejected{by} at {answer['step_name']}"
    if answer["reason"]:
        said += f": {shown(answer['reason'])}"
    rule = answer["predicate"]
    if rule is None:
        return said + _facts(notes.about) + "."
    said += f" ({_observed(rule, notes.missing, notes.unlike)}"
    if rule["margin"] is not None and rule["margin"] < 0:
        said += f"; it missed by {shown(abs(rule['margin']))}"
    others = answer["also_failed"]
    if others:
        said += f"; it also failed {' and '.join(rule_text(other) for other in others[:3])}"
    return said + ")."


def _observed(rule: Answer, missing: bool, unlike: bool | None) -> str:
    """What a rule was asked of, and the rule."""
    field, value, text = rule["field"], rule["observed"], rule_text(rule)
    if value is None and missing:
        return f"{field} was missing, the rule is {text}"
    if value is None:
        return f"the rule is {text}; which {field} it was asked of is not recorded"
    against = rule["threshold"]
    kind, other = _kind(value), _kind(against[0] if rule["op"] == "between" and against else against)
    if rule["op"] not in _ORDERING or kind == other:
        return f"{field} was {shown(value)}, the rule is {text}"
    if value == "NaN":
        return f"{field} was NaN, which cannot be compared; the rule is {text}"
    if _is_unlike(rule, unlike):
        return f"{field} was {kind}{quoted(value)}, which cannot be compared with {quoted(against)}; the rule is {text}"
    return f"{field} was {shown(value)}, the rule is {text}"


def _is_unlike(rule: Answer, unlike: bool | None) -> bool:
    """Whether a value of another kind than the threshold was no number that is only stored as a text, as a Decimal is.

    `unlike` is what the rule's counts say of the items that failed it: all of them, none, or None for some.
    """
    if unlike is not None:
        return unlike
    value, *bounds = map(_number, (rule["observed"], *_listed(rule["threshold"])))
    if value is None or None in bounds:
        return True
    # As a number it would have passed: so it was none. Where it would have failed too, nobody knows.
    return bool(OPERATORS[rule["op"]](value, bounds if rule["op"] == "between" else bounds[0]))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "the text "
    return "" if isinstance(value, int | float) else "the value "


def quoted(value: Any) -> str:
    """A value as `shown`, a text in quotes."""
    return f'"{shown(value)}"' if isinstance(value, str) else shown(value)


def _facts(evidence: Any) -> str:
    if not isinstance(evidence, Mapping) or not evidence:
        return ""
    return " (" + ", ".join(f"{shown(key)} {shown(value)}" for key, value in list(evidence.items())[:4]) + ")"


def _outranked(answer: Answer, notes: Notes) -> str:
    said = f"{title(answer)} was outranked at {answer['step_name']}"
    score, gap = _stop(answer).get("score"), answer["gap"]
    if place := rank_words(answer, answer["scored"]):
        said += f": {place} with {shown(score)}"
    if gap is not None and gap > 0:
        said += f", {shown(gap)} short of the cut-off"
    elif gap is not None and gap < 0:
        said += f", although it scored {shown(-gap)} more than what was taken"
    if answer["into"] is not None:
        said += f"; {title(answer['into'])} took the place"
    if answer["reason"]:
        said += f" ({shown(answer['reason'])})"
    return said + "."


def _merged(answer: Answer, notes: Notes) -> str:
    into = answer["into"]
    if into is None:
        return f"{title(answer)} was merged into another item at {answer['step_name']}."
    said = f"{title(answer)} was merged into {title(into)} at {answer['step_name']}."
    return f"{said} {into['sentence']}" if into.get("sentence") else said


def _consumed(answer: Answer, notes: Notes) -> str:
    children = answer["into"] or []
    said = f"{title(answer)} was used up at {answer['step_name']}"
    if len(children) == 1:
        said += f": it became {title(children[0])}"
        return f"{said}. {children[0]['sentence']}" if children[0].get("sentence") else said + "."
    if children:
        names = ", ".join(title(child) for child in children[:3])
        said += f": {answer['expanded']} items came from it, among them {names}"
    return said + "."


def _survived(answer: Answer, notes: Notes) -> str:
    return f"{title(answer)} was kept at {answer['step_name']}, the last step; nothing selects after it."


def _lost(answer: Answer, notes: Notes) -> str:
    return (
        f"{title(answer)} was lost between {answer['step_name']} and {answer['lost_at']['step_name']}: "
        f"the one let it go on, the other never saw it, and no event says why."
    )


def _never(answer: Answer, notes: Notes) -> str:
    where = f" {answer['step_name']} did not bring it in." if answer["step_name"] else ""
    return f"{title(answer)} was never in this run.{where}"


def _failed(notes: Notes) -> str:
    return "failed" + (f" ({shown(clean(notes.error))})" if notes.error else "")


def _interrupted(answer: Answer, notes: Notes) -> str:
    words = {"running": "is still running", "waiting": "waits for a person", "abandoned": "was abandoned"}
    how = _failed(notes) if answer["run_status"] == "failed" else words.get(answer["run_status"], answer["run_status"])
    stop = answer["journey"][-1] if answer["journey"] else None
    if stop is None:
        return f"The run {how}, and {title(answer)} was not in it so far."
    what = f" ({stop['outcome']})" if stop["outcome"] else ""
    return (
        f"The run {how} before it was decided what becomes of {title(answer)}, last seen at {stop['step_name']}{what}."
    )


def _unknown(answer: Answer, notes: Notes) -> str:
    open_ = f"what became of {title(answer)} is not known: {answer['unknown']['detail']}."
    failed = answer["run_status"] == "failed"
    said = f"The run {_failed(notes)}, and {open_}" if failed else open_[:1].upper() + open_[1:]
    if notes.chosen is not None:
        step, names = notes.chosen
        many = ", ".join(map(shown, names[:3])) + (", …" if len(names) > 3 else "")
        said = f"{step} selected {many}; what became of {title(answer)} there is not recorded: "
        said += f"{answer['unknown']['detail']}."
    stop = answer["journey"][-1] if answer["journey"] else None
    if stop is not None:
        said += f" It was last seen at {stop['step_name']}"
        said += f" ({stop['outcome']})." if stop["outcome"] else "."
    return said


_VERDICTS = {
    "selected": _selected,
    "rejected": _rejected,
    "outranked": _outranked,
    "merged": _merged,
    "consumed": _consumed,
    "survived": _survived,
    "lost": _lost,
    "never_retrieved": _never,
    "interrupted": _interrupted,
    "unknown": _unknown,
}


def _stop(answer: Answer) -> Answer:
    """The journey's row at which the verdict fell."""
    for row in reversed(answer["journey"]):
        if row["step_id"] == answer["step_id"]:
            found: Answer = row
            return found
    return {}


def _also(answer: Answer, notes: Notes) -> list[str]:
    """Where it came from, what let it pass, and what was like it and stayed."""
    said: list[str] = []
    chain = answer["lineage"]
    if len(chain) > 1:
        came = f'It came in through "{title(chain[1])}"'
        if chain[1]["step_name"]:
            came += f", which {chain[1]['step_name']} produced"
        if len(chain) > 2:
            came += f' from "{title(chain[2])}"'
        said.append(came + ".")
    if answer["verdict"] in ("selected", "survived"):
        said += [_overruled(step, rules) for step, rules in notes.overruled[:2]]
        said += [_passed(step) for step in answer["not_evaluated"][:2]]
        said += [
            f"{row['step_name']} had dropped it before ({shown(row['reason'] or row['outcome'])})."
            for row in answer["journey"]
            if row["outcome"] in ("rejected", "outranked") and not row["superseded"]
        ][:1]
    twin = answer["twin"]
    apart = twin["differences"] if twin is not None else {}
    # What the rejection was about comes first; without a rule or a fact of its own, there is no twin.
    field = answer["predicate"]["field"] if answer["predicate"] is not None else next(iter(apart), None)
    if twin is not None and field in apart:
        own, other = apart[field]
        say = shown if _kind(own) == _kind(other) else quoted
        said.append(f"The nearest item that was kept is {title(twin)}: {field} {say(other)}, here {say(own)}.")
    return said


def _overruled(step: str, rules: Sequence[Answer]) -> str:
    said = " and ".join(f"{rule_text(rule)} (was {_was(rule['observed'])})" for rule in rules[:3])
    return f"{step} accepted it although it failed {said}."


def _was(value: Any) -> str:
    return "missing" if value is None else quoted(value)


def _passed(step: Answer) -> str:
    texts = list(dict.fromkeys(map(rule_text, step["rules"])))  # rules of several reasons may ask the same
    rules = " and ".join(texts[:3])
    plural = "s" if len(texts) > 1 else ""
    were = "were" if plural else "was"
    return f"{step['step_name']} accepted it although the rule{plural} {rules} {were} not evaluated for it."
