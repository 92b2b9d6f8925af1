"""What an item came from, and what came of it."""

from __future__ import annotations

from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.text import Line


class LineageNode(Answer):
    """An item with the step that produced it, else the first that saw it. `root`: the walk back ended here."""

    item_id: str = ""
    name: str | None = None
    kind: str | None = None
    step_id: str | None = None
    step_name: str | None = None
    relation: str | None = None
    depth: int = 0
    root: bool = False


class LineageEdge(Answer):
    """`child` came from `parent`, or `parent` was merged into `child`, as `how` says."""

    parent: str = ""
    child: str = ""
    how: str = "parents"
    step_id: str | None = None
    step_name: str | None = None


class Generations(Answer):
    """How many items there are, in all and by generation; `more`: it goes on, and was not followed."""

    total: int = 0
    shown: int = 0
    levels: list[int] = []
    more: bool = False


class Lineage(Printed):
    """What an item came from, and what came of it, as a graph."""

    _nested: ClassVar[tuple[str, ...]] = ("nodes", "edges")

    run_id: str = ""
    pipeline: str | None = None
    run_status: str | None = None
    item_id: str = ""
    name: str | None = None
    nodes: list[LineageNode] = []
    edges: list[LineageEdge] = []
    roots: list[str] = []
    ancestors: Generations | None = None
    descendants: Generations | None = None
    sentence: str = ""
    unknown: Unknown | None = None
    hint: str | None = None
    did_you_mean: Any = None

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.lineage import lineage_lines

        return lineage_lines(self, width)
