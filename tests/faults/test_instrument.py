"""What makes the harness trustworthy costs no process: markers, patches, the list of bugs."""

from __future__ import annotations

import pytest

from tests.faults import honesty, instrument
from tests.faults.planted import BUGS


def test_a_marker_becomes_a_call_and_lines_stay() -> None:
    text = "def f():\n    a = 1\n    # failpoint: spool.appended\n    return a\n"
    changed = instrument.rewritten(text)
    assert changed.count("\n") == text.count("\n")
    assert '    _dxray_reach("spool.appended", locals())\n' in changed
    compile(changed, "f", "exec")


def test_every_file_with_markers_still_compiles() -> None:
    for path in instrument.SOURCE.rglob("*.py"):
        compile(instrument.rewritten(path.read_text("utf-8")), str(path), "exec")


def test_a_patch_applies_exactly_once() -> None:
    assert instrument.patched("m", "a b", [["m", "a", "c"], ["other", "b", "d"]]) == "c b"
    for text in ("b", "a a"):
        with pytest.raises(instrument.PatchDoesNotApply):
            instrument.patched("m", text, [["m", "a", "c"]])


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_still_applies(bug: object) -> None:
    from tests.faults.planted import Bug

    assert isinstance(bug, Bug)
    for module, old, new in bug.patches:
        path = instrument.SOURCE.parent / (module.replace(".", "/") + ".py")
        changed = instrument.patched(module, path.read_text("utf-8"), [[module, old, new]])
        compile(instrument.rewritten(changed), str(path), "exec")
    assert bug.scenario in honesty.SCENARIOS or bug.scenario + "_" in honesty.SCENARIOS


def test_there_are_enough_failpoints_and_bugs() -> None:
    assert len(instrument.failpoints()) >= 25
    assert len(BUGS) >= 10


def test_an_unknown_failpoint_is_told() -> None:
    with pytest.raises(instrument.PatchDoesNotApply, match=r"no failpoint 'spool\.apended'"):
        instrument._check_names({"kill": ["spool.apended", 1]})
