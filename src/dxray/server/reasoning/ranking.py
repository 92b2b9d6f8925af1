"""Where an item stood among the scored, and the accepted item most like it. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dxray.server.reasoning.flow import Flow, Stage
from dxray.server.reasoning.identity import strangers

if TYPE_CHECKING:
    from dxray.server.reasoning.journey import Peers


@dataclass(frozen=True, slots=True)
class Standing:
    """A place among the scored. `gap` is how far the item was short of the cut-off; negative: above it.

    `rank` is None where not all scores are here; then it is `at_least` the place among those that are.
    """

    rank: int | None
    at_least: int | None
    scored: int
    cutoff: int | None
    gap: float | None
    last_in: str | None  # the taken item with the lowest score: who took the place
    last_in_score: float | None


def all_scored(flow: Flow, stage: Stage, peers: Peers) -> bool:
    """Whether every item that came to a step is recorded there: else a place among the scored is a bound."""
    if stage.lossy:
        return False
    if stage.declared_in is not None:
        return stage.declared_in <= stage.entered
    return not flow.ancestors(stage.step_id) or not strangers(flow, stage, peers)


def standing(item: str, stage: Stage, scores: Mapping[str, float], winners: Collection[str], whole: bool) -> Standing:
    """The item's place. Higher scores are better; items level with each other share a rank.

    `whole`: these are the scores of all who were ranked there, see `all_scored`.
    """
    own = scores.get(item)
    unscored = bool(scores) and any(winner not in scores for winner in winners)  # nobody knows where those stood
    place = None if own is None or unscored else 1 + sum(other > own for other in scores.values())
    taken = [winner for winner in winners if winner in scores]
    cutoff = stage.cutoff if stage.cutoff is not None else (len(winners) or None)
    level = False  # across the cut-off: then nobody knows who of them was the last to be taken
    if not winners and stage.cutoff and whole:
        order = sorted(scores, key=lambda one: (-scores[one], one))
        taken, left = order[: stage.cutoff], order[stage.cutoff :]
        level = bool(left) and scores[left[0]] == scores[taken[-1]]
    last_in = min(taken, key=lambda one: (scores[one], one), default=None)
    last_score = None if last_in is None else scores[last_in]
    if last_in is None and len(winners) == 1:
        last_in = next(iter(winners))
    gap = None if own is None or last_score is None or last_in == item else last_score - own
    taker = None if level or last_in == item else last_in
    rank, at_least = (place, None) if whole else (None, place)
    return Standing(rank, at_least, len(scores), cutoff, gap, taker, last_score)


@dataclass(frozen=True, slots=True)
class Twin:
    """The accepted item nearest in evidence. `distance` is 0..1 over the keys both have."""

    item_id: str
    distance: float
    shared: tuple[str, ...]
    differences: dict[str, list[Any]]  # key -> [the item's, the twin's]


def nearest_twin(evidence: Mapping[str, Any], accepted: Mapping[str, Mapping[str, Any]]) -> Twin | None:
    """Of items with evidence, the one that differs least; None where none shares a key that can be compared.

    A Gower distance: numbers by their difference over the spread, all else by equality, the mean over the
    shared keys; a key that only one of the two has counts as a full difference of half a weight.
    """
    own = {key: value for key, value in evidence.items() if value is not None}
    spreads = _spreads(own, accepted)
    nearest: tuple[float, str] | None = None
    for item, facts in accepted.items():
        far, shared = 0.0, 0
        for key, value in own.items():
            other = facts.get(key)
            if other is not None:
                shared += 1
                far += _apart(value, other, spreads.get(key))
        if shared:
            missing = 0.5 * (len(own) - shared)
            distance = ((far + missing) / (shared + missing), item)
            if nearest is None or distance < nearest:
                nearest = distance
    if nearest is None:
        return None
    facts = accepted[nearest[1]]
    both = [key for key in own if facts.get(key) is not None]
    differences = {key: [own[key], facts[key]] for key in both if _apart(own[key], facts[key], spreads.get(key)) > 0}
    return Twin(nearest[1], nearest[0], tuple(both), differences)


def _spreads(own: Mapping[str, Any], accepted: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    spreads = {}
    for key, value in own.items():
        if _is_number(value):
            values = [value, *(facts[key] for facts in accepted.values() if _is_number(facts.get(key)))]
            spreads[key] = float(max(values)) - float(min(values))
    return spreads


def _apart(one: Any, other: Any, spread: float | None) -> float:
    if spread is not None and _is_number(other):
        return abs(float(one) - float(other)) / spread if spread > 0 else 0.0
    return 0.0 if one == other else 1.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
