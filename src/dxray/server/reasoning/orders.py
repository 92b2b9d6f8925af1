"""Who a step put before others, who was next in line, and where a choice was made in truth. Pure functions.

A step that only repeats what another scored adds no verdict of its own: where all items at a choice have the scores
that a step before gave them, that step made the order. Where the choice gives no scores, and takes those that the step
scored highest, it may have; where it scores otherwise in another order, it has not. A step that ranks, and of which no
score of any of these items arrived, may have made it too, whatever else it recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dxray.server.reasoning.faults import GENERATE, Recorded
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.journey import Unknown

# What a reason calls it: `below_top_k`, `rank_12`, `not_the_best`; but not `stop_word`.
_OF_PLACE = re.compile(
    r"(?:^|[\W_])(?:top|rank(?:ed|ing)?|cut_?off|quota|best|worse|beaten|out(?:ranked|scored))(?:$|[\W_\d])",
    re.IGNORECASE,
)


def taken(run: Recorded, stage: Stage) -> list[str]:
    """The items that a step put before others: its winners, else the best by its cut-off, else what it kept."""
    winners = run.winners_at(stage.step_id)
    if winners or stage.cutoff is None:
        return sorted(winners or run.kept(stage.step_id))
    scores = run.scores(stage.step_id)
    return sorted(scores, key=lambda one: (-scores[one], one))[: stage.cutoff]


def is_next(run: Recorded, stage: Stage, item: str) -> bool | None:
    """Whether an item that a step outranked would have been taken in the place of another; None where nothing tells."""
    scores = run.scores(stage.step_id)
    chosen = set(taken(run, stage))
    waiting = [score for one, score in scores.items() if one not in chosen and one != item]
    if item not in scores or not chosen:
        return None
    best = max(waiting, default=None)
    if best == scores[item]:
        return None
    return best is None or scores[item] > best


def ranks(run: Recorded, stage: Stage) -> bool:
    """Whether a step let go on what it put first, and not the rest."""
    over = stage.cutoff is not None and len(run.scores(stage.step_id)) > stage.cutoff
    return over or stage.decided or stage.outranked > 0 or (stage.rejected > 0 and _cuts(run, stage))


def by_place(run: Recorded, stage: Stage, item: str, reason: str | None) -> bool:
    """Whether a step rejected an item, by no rule of its own, for its place among the others: it says so, or ranks."""
    if False in run.asked(item, stage.step_id).values():
        return False
    return _OF_PLACE.search(reason or "") is not None or _cuts(run, stage)


def _cuts(run: Recorded, stage: Stage) -> bool:
    """Whether a step that ranks kept what it scored highest, and rejected the rest."""
    if stage.type not in ("rank", "select"):
        return False
    scores, kept = run.scores(stage.step_id), set(run.kept(stage.step_id))
    gone = {*run.ids(stage.step_id)} - kept
    if not kept or not gone or not scores.keys() >= {*kept, *gone}:
        return False
    return min(scores[one] for one in kept) > max(scores[one] for one in gone)


def made_by(run: Recorded, end: Stage) -> tuple[Stage, Unknown | None]:
    """The step that made the order by which `end` chose; and why that is not certain, where it is not."""
    own = run.scores(end.step_id)
    items = set(run.ids(end.step_id))
    before = run.flow.ancestors(end.step_id)
    stages = [one for one in run.flow.stages if one.step_id in before and one.type != GENERATE]
    scored = [(one, run.scores(one.step_id)) for one in stages] if len(items) > 1 else []
    for stage, scores in scored:
        if items <= own.keys() & scores.keys() and all(own[item] == scores[item] for item in items):
            return stage, None
    for stage, scores in scored:
        why = _perhaps(run, stage, scores, end, own, items)
        if why is not None:
            return stage, why
    for stage in stages:
        if stage.type == "rank" and items.isdisjoint(run.scores(stage.step_id)):
            detail = (
                f"{stage.name} recorded no scores of what {end.name} chose from, and may have made the order by which "
                f"{end.name} chose"
            )
            return end, Unknown("not_recorded", detail, f"call step.score(item_id, score) in {stage.name}")
    return end, None


def _perhaps(
    run: Recorded, stage: Stage, scores: Mapping[str, float], end: Stage, own: Mapping[str, float], items: set[str]
) -> Unknown | None:
    """Why a step may have made the order of a choice; None where it has not."""
    common = items & scores.keys()
    if not common:
        return None
    if common != items:
        if any(own.get(item, scores[item]) != scores[item] for item in common):
            return None
        detail = f"{stage.name} did not score all that {end.name} chose from, and the rest as {end.name} did"
        return Unknown("not_recorded", detail, f"call step.score(item_id, score) in {stage.name} for all")
    if own.keys() >= items:
        same = _order(scores, items) == _order(own, items)
    else:
        chosen = set(taken(run, end))
        same = bool(chosen) and set(_order(scores, items)[: len(chosen)]) == chosen
    if not same:
        return None
    detail = (
        f"{stage.name} scored what {end.name} took highest; whether {end.name} goes by these scores is not recorded"
    )
    return Unknown("not_recorded", detail, f"give the scores by which {end.name} chooses: step.score(item_id, score)")


def _order(scores: Mapping[str, float], items: set[str]) -> list[str]:
    return sorted(items, key=lambda one: (-scores[one], one))
