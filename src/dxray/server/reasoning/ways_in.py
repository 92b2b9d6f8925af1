"""Why an item never came in: by the step that brings such items in, or by one before it that makes what they come by.

What a search finds depends on the values that it is given. So where a step before it generates values, what other runs
of the same input show decides: there the item came through values that this run has too (then the search is to blame),
or through one that it lacks (then the step that makes it).
"""

from __future__ import annotations

from dxray.server.reasoning.faults import GENERATE, Fault, Judgement, Recorded, undecided
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.journey import Unknown
from dxray.server.reasoning.wrong_items import KNOWN

_BACK = 8  # values that came from values


def never_there(run: Recorded, item: str) -> Judgement:
    """The step that should have brought an item in."""
    made = [stage for stage in run.flow.stages if stage.produced]
    doors = [stage for stage in made if stage.type == "retrieve"] or [one for one in made if one.type != GENERATE]
    known = run.brought_in_elsewhere(item)
    if known is None:
        return undecided(
            "not_recorded",
            f"other runs have {run.name(item)}, and none says which step brings it in",
            "call step.produce(item_id) where items enter",
        )
    by_others = [stage for stage in made if stage.name in known]
    odd = None if by_others else run.unexplained()
    if odd is not None:
        return undecided(
            "not_recorded",
            f"items came to {odd.name} that no step before it recorded: which step brings items in is not all recorded",
            "call step.produce(item_id) where items enter",
        )
    doors = by_others or doors
    names = list(dict.fromkeys(stage.name for stage in doors))
    if len(names) == 1 and (by_others or len(known) == 0):
        detail = f"did not bring {run.name(item)} in"
        detail += "" if known else ", and no run of the pipeline ever had it"
        earlier, unknown = _before(run, doors[-1], item)
        return Judgement((*earlier, Fault(doors[-1], "recall_loss", item, detail, unheard=not known)), unknown)
    if not names:
        return undecided(
            "not_recorded", "no step of the run records what it brings in", "call step.produce(item_id) there"
        )
    if not by_others and known:
        return undecided(
            "ambiguous", f"in other runs {' and '.join(sorted(known))} brought it in, which this run has not", None
        )
    return undecided(
        "ambiguous",
        f"{' and '.join(names)} bring items in, and which of them should have found {run.name(item)} is not recorded",
        "give steps their step_type: retrieve for those that look items up",
    )


def _before(run: Recorded, door: Stage, item: str) -> tuple[list[Fault], Unknown | None]:
    """The fault of a step before the one that brings items in; or why it is not known whether there is one."""
    makers = _makers(run, door)
    if not makers:
        return [], None
    name = run.name(item)
    hint = "give step.produce(item_id, parents=[…]), and record more runs with the same input"
    others = run.same_input_with(item)
    if not others:
        detail = (
            f"no other run with this input has {name}, so whether {makers[0].name} made what it comes by is not known"
        )
        return [], Unknown("nothing_to_compare", detail, hint)
    ways = [_missing_from(run, other, item, door.name) for other in others]
    found = {way[0] for way in ways if way is not None}
    if None in ways or len(found) != 1:
        detail = f"by what {name} came in in other runs with this input is not recorded, or is not the same in all"
        return [], Unknown("not_recorded", detail, hint)
    step, value = next(way for way in ways if way is not None)
    stage = next((one for one in makers if one.name == step), None)
    if step == door.name:
        return [], None
    if stage is None:
        detail = f'{name} came in through "{value}" in other runs, and {step}, which makes it, is not in this run'
        return [], Unknown("not_recorded", detail, None)
    said = f'did not make "{value}", through which {name} came in in {len(others)} other runs with the same input'
    return [Fault(stage, "recall_loss", item, said.replace("in 1 other runs", "in the other run"))], None


def _makers(run: Recorded, door: Stage) -> list[Stage]:
    """The steps before it that generate values, or of which it is not known that they do not."""
    flow = run.flow
    before = [flow.stage(one) for one in flow.ancestors(door.step_id)]
    makers = [
        one for one in before if one.type == GENERATE or (one.type not in KNOWN and not flow.has_inside(one.step_id))
    ]
    return sorted(makers, key=lambda stage: stage.position)


def _missing_from(run: Recorded, other: Recorded, item: str, door: str) -> tuple[str, str] | None:
    """The step that in another run made the first of the values that led to an item and that this run lacks; and it.

    None where that is not recorded. The item itself is the last of them.
    """
    step = door
    for _ in range(_BACK):
        made_at = other.made_at(item)
        stage = None if made_at is None else other.flow.stage(made_at)
        parents = other.parents(item)
        if stage is None:
            return None
        if not parents:
            return None if _makers(other, stage) else (step, other.name(item))
        known = [run.knows(one, other.given_name(one)) for one in parents]
        if any(known):
            return step, other.name(item)
        steps = {other.made_at(one) for one in parents}
        if None in known or None in steps or len(steps) != 1:
            return None
        item, step = parents[0], other.flow.stage(str(steps.pop())).name
    return None
