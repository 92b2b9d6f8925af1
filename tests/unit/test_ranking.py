"""An item's place among the scored, and when it is only a bound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from dxray.server.reasoning.flow import Stage, flow_of
from dxray.server.reasoning.ranking import all_scored, standing


class Recorded:
    """Two items that were scored at the step `s1`, of which no step before it knew."""

    def scores(self, step_id: str) -> Mapping[str, float]:
        return {}

    def ids(self, step_id: str) -> Collection[str]:
        return {"a", "b"} if step_id == "s1" else ()

    def produced(self, step_id: str) -> Collection[str]:
        return ()

    def dropped(self, step_id: str) -> Collection[str]:
        return ()


def test_who_took_the_place_is_not_said_of_a_tie_across_the_cutoff() -> None:
    rank = Stage("s1", "rank", cutoff=2)
    tied = standing("d", rank, {"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}, (), True)
    assert (tied.last_in, tied.rank, tied.gap) == (None, 4, 1.0)
    assert standing("d", rank, {"a": 3.0, "b": 2.0, "d": 1.0}, (), True).last_in == "b"


def test_a_place_among_scores_that_are_not_all_there_is_a_bound() -> None:
    scores = {"a": 3.0, "b": 2.0}
    search = Stage("s0", "search", "retrieve", produced=2)
    for entered, rank, at_least, gap in ((2, 2, None, 1.0), (1, None, 2, None)):
        stage = Stage("s1", "rank", "rank", 1, after=("s0",), declared_in=2, entered=entered, cutoff=1)
        whole = all_scored(flow_of([search, stage]), stage, Recorded())
        place = standing("b", stage, scores, (), whole)
        assert (place.rank, place.at_least, place.gap) == (rank, at_least, gap)


def test_items_from_nowhere_may_be_more_than_are_here() -> None:
    search, stage = Stage("s0", "search", "retrieve"), Stage("s1", "rank", "rank", 1, after=("s0",), entered=2)
    assert not all_scored(flow_of([search, stage]), stage, Recorded())
    alone = Stage("s1", "rank", "rank", entered=2)
    assert all_scored(flow_of([alone]), alone, Recorded())
    assert not all_scored(flow_of([alone]), replace(alone, lossy=True), Recorded())
