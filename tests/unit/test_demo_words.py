"""What the demo says to type next can be typed where it was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dxray import demo
from dxray.wire.text import plain


@pytest.mark.parametrize(
    ("there", "found", "inside", "said"),
    [
        (True, None, True, ".venv/bin/dxray"),
        (True, "elsewhere", True, ".venv/bin/dxray"),
        (True, ".venv/bin/dxray", True, "dxray"),
        (True, None, False, "{root}/.venv/bin/dxray"),
        (False, None, True, "dxray"),
    ],
)
def test_the_command_is_named_as_it_can_be_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, found: str | None, inside: bool, said: str
) -> None:
    own = tmp_path / ".venv" / "bin" / "dxray"
    own.parent.mkdir(parents=True)
    if there:
        own.touch()
    monkeypatch.setattr(sys, "executable", str(own.parent / "python"))
    monkeypatch.setattr(demo.shutil, "which", lambda _: None if found is None else str(tmp_path / found))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path if inside else tmp_path / "other")
    assert demo.command() == said.format(root=tmp_path)
    shown = plain(demo.what_next("http://localhost:8000", "run_1", "B1"))
    assert f"\n  {demo.command()} show run_1\n" in shown
    assert '\n  curl "http://localhost:8000/runs/run_1/why?item=B1"\n' in shown
