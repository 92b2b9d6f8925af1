"""The harness in small, for whoever changes delivery: `pytest -m faults`. The table is `make faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import forks, herd, honesty, kills, network
from tests.faults.planted import BUGS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def test_kills_lose_nothing(tmp_path: Path) -> None:
    campaign = kills.Campaign(tmp_path, seed=5)
    try:
        plan = [
            ("sdk", "spool.appended"),
            ("server", "commit.before_commit"),
            ("sdk", "ship.committed"),
            ("both", None),
        ]
        score = kills.run_plan(campaign, plan)
    finally:
        campaign.close()
    assert score.verdict is not None and score.verdict.clean, score.verdict
    assert not score.errors


def test_an_answer_that_never_comes_doubles_nothing(tmp_path: Path) -> None:
    out = network.through(tmp_path, 10, ["drop_answer", "reset_answer"], limit_s=30.0)
    assert out.faults == 10
    assert out.verdict.clean and out.verdict.stored == out.verdict.intended, out.verdict


def test_forks_double_nothing(tmp_path: Path) -> None:
    verdict, seen, _ = forks.storm(tmp_path, 5)
    assert seen == {"deadlocks": 0, "unflushed": 0}
    assert verdict.clean, verdict


def test_a_herd_is_kept_apart() -> None:
    ratio, attempts, _ = herd.simulate(None)
    assert ratio <= 3 and attempts <= 1.2


@pytest.mark.parametrize(
    "bug", [bug for bug in BUGS if bug.scenario in ("network_drop", "damage")], ids=lambda b: b.name
)
def test_a_planted_bug_is_caught(bug: object, tmp_path: Path) -> None:
    from tests.faults.planted import Bug

    assert isinstance(bug, Bug)
    assert honesty.catches(bug.scenario, tmp_path / "rig", bug.patches)
