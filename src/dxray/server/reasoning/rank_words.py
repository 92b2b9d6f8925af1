"""An answer to "why does this stand before that" as plain sentences, for a ticket. Pure: from its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxray.server.reasoning.journey import DROPPED, Fate
from dxray.server.reasoning.sentences import rank_words, shown

GONE = (*sorted(DROPPED), "lost", "never_retrieved")  # verdicts after which an item is ranked nowhere


def side_title(side: Mapping[str, Any]) -> str:
    return shown(side["name"] or side["item_id"])


def fate_words(title: str, fate: Fate, status: str) -> str:
    """What became of one of the two, as one plain sentence without its full stop."""
    where = fate.stop.stage.name if fate.stop is not None else ""
    reason = fate.stop.last.reason if fate.stop is not None else None
    match fate.verdict:
        case "rejected" | "outranked" | "selected":
            return f"{title} was {fate.verdict} at {where}" + (f": {shown(reason)}" if reason else "")
        case "merged":
            into = fate.stop.last.ref_item if fate.stop is not None else None
            return f"{title} was merged into {shown(into) if into else 'another item'} at {where}"
        case "consumed":
            return f"{title} was used up at {where} to make other items"
        case "survived":
            return f"{title} was kept at {where}, the last step"
        case "lost":
            return f"{title} was lost between {where} and {fate.at.name if fate.at is not None else 'the next step'}"
        case "never_retrieved":
            return f"{title} was never in this run"
        case "interrupted":
            return f"the run is {status}, and it was not decided what becomes of {title}"
    return f"what became of {title} is not known: {fate.unknown.detail if fate.unknown is not None else 'not recorded'}"


def sentence_of_rank(out: Mapping[str, Any]) -> str:
    item, over = side_title(out["item"]), side_title(out["over"])
    if out["verdict"] == "not_ranked":
        gone = [side for side in (out["over"], out["item"]) if side["verdict"] in GONE]
        said = "; ".join(side["sentence"] for side in gone)
        rest = [side["sentence"] for side in (out["item"], out["over"]) if side not in gone]
        return ". ".join([f"No step ranked {item} and {over} against each other: {said}", *map(_upper, rest)]) + "."
    if out["verdict"] == "unknown":
        return f"Whether {item} stands before {over} is not known: {out['unknown']['detail']}."
    where = f" at {out['step_name']}"
    if out["verdict"] == "level":
        said = f"{item} and {over} are level{where}"
        return said + (f": both scored {shown(out['item']['score'])}." if out["decided_by"] == "score" else ".")
    said = f"{item} stands {out['verdict']} {over}{where}: "
    parts = [said + _because(out, item, over), _made_of(out), _change_words(out), _others(out)]
    if out["run_status"] in ("running", "waiting"):
        parts.append(f"The run is {out['run_status']}, and a later step may rank them again.")
    return " ".join(part for part in parts if part)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _because(out: Mapping[str, Any], item: str, over: str) -> str:
    first, second = (out["item"], out["over"]) if out["verdict"] == "before" else (out["over"], out["item"])
    if out["decided_by"] == "comparison":
        return f"it {'beat it' if first is out['item'] else 'was beaten by it'} when both were compared."
    said = ""
    if out["gap"] is not None:
        places = [rank_words(side, out["scored"]) for side in (out["item"], out["over"])]
        ranks = [f" ({place})" if place else "" for place in places]
        said = f"it scored {shown(out['item']['score'])}{ranks[0]} against {shown(out['over']['score'])}{ranks[1]}"
    if out["decided_by"] == "score" or (out["gap"] is not None and first["score"] > second["score"]):
        return said + "."
    chosen = f"{side_title(first)} was chosen"
    if out["gap"] is None:
        return f"{chosen}, and {side_title(second)} was not; no scores of both were recorded."
    although = "although " if first["score"] < second["score"] else ""
    return f"{chosen}, {although}{said if first is out['item'] else said.replace('it scored', f'{item} scored', 1)}."


def _made_of(out: Mapping[str, Any]) -> str:
    """The parts that speak for the one that stands first, the largest first."""
    gap = out["gap"]
    if not out["components"] or not gap:
        return ""
    speaks = [one for one in out["components"] if one["delta"] * gap > 0]
    against = [one for one in out["components"] if one["delta"] * gap < 0]
    speaks.sort(key=lambda one: -abs(one["delta"]))
    against.sort(key=lambda one: -abs(one["delta"]))
    said = f"The gap of {shown(abs(gap))} comes from " + " and ".join(_by(one) for one in speaks[:2])
    if against:
        said += f"; {_by(against[0])} speaks for the other"
    return said + "."


def _by(one: Mapping[str, Any]) -> str:
    name = one["name"] if one["recorded"] else "what the parts do not explain"
    return f"{shown(name)} ({shown(abs(one['delta']))})"


def _change_words(out: Mapping[str, Any]) -> str:
    change = out["change"]
    if change is None:
        return ""
    seen = "" if change["seen"] else ", more than any item had"
    behind = shown(change["name"] or change["item_id"])
    to = f"above {shown(change['to'])} (it was {shown(change['from'] or 0)}{seen})"
    return f"{behind} would pass with {shown(change['component'])} {to}."


def _others(out: Mapping[str, Any]) -> str:
    """Judges and steps that say otherwise."""
    said = []
    for row in out["rankings"]:
        several = max(len(row["item_scores"]), len(row["over_scores"]))
        if row["deciding"] and several > 1 and len(row["item_scores"]) == len(row["over_scores"]):
            ahead = row["item_ahead"] if out["verdict"] == "before" else row["over_ahead"]
            said.append(f"Both were scored {several} times there, and the last score counts; {ahead} of them agree.")
        elif not row["deciding"] and row["verdict"] not in (out["verdict"], "unknown"):
            how = "had them level" if row["verdict"] == "level" else "had them the other way round"
            said.append(f"{row['step_name']} {how}; {out['step_name']} decided.")
    return " ".join(said[:2])
