"""What to do so that the next answer is known."""

from __future__ import annotations

from collections.abc import Collection

from dxray.server.reasoning.journey import Fate
from dxray.server.reasoning.losses import Losses
from dxray.wire.printed.runs import CAUSES
from dxray.wire.records import VALUE_LOSSES


def loss_hint(causes: Collection[str]) -> str:
    """About events that did not arrive, by the causes of loss; where none is known, they may still wait."""
    events = [cause for cause in causes if cause not in VALUE_LOSSES]
    if not events:
        return "see `losses` of the run; `dxray sync` delivers what still lies in the spool"
    known = [CAUSES[cause] for cause in events if cause in CAUSES]
    said = [f"{words}: {remedy}" for words, remedy in known if remedy][:2]
    return "; ".join(said) or "see `losses` of the run"


def hint_of(fate: Fate, losses: Losses, posted: bool) -> str | None:
    """About an unknown fate: with the SDK, by hand in a run that was `posted` so, or about what was lost."""
    unknown = fate.unknown
    if unknown is None:
        return None
    if unknown.hint is None:
        placed = fate.at is not None and not fate.at.unplaced
        return loss_hint(losses.at(fate.at.step_id) if fate.at is not None and placed else losses.run)
    return (unknown.by_hand if posted else None) or unknown.hint
