"""What did an item come from, back to the beginning, and what came of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.ancestry import Link, Origin, Walk, links_of, origins_of, walk
from dxray.server.reasoning.flow import Stage, flow_of, stages_of
from dxray.server.reasoning.hints import loss_hint
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.similar import named, nearest_items
from dxray.server.store.base import Reader

_GENERATIONS = 50
_FOLLOWED = 20_000  # items met one way, after which no further generation is walked
_SHOWN = 200  # nodes each way; totals count all
_ORIGIN = ("item_id", "step_id", "outcome", "name", "kind")


def lineage(reader: Reader, run_id: str, item: str, levels: int = 3) -> dict[str, Any]:
    """The answer: ancestors to the last, descendants down to `levels`. `item` is an id or an exact name.

    Raises `NotFound` for the run. An item that the run never saw is an answer too.
    """
    asked = _Asked(reader, existing_run(reader, run_id, ("run_id", "pipeline", "status", "request_hash")))
    if asked.knows(item):
        return asked.answer(item, levels)
    others = named(reader, run_id, item)
    if len(others) == 1:
        return asked.answer(others[0]["item_id"], levels)
    return asked.ambiguous(item, others) if others else asked.nobody(item)


class _Asked:
    """One run, and where its lineage lies."""

    def __init__(self, reader: Reader, run: Row) -> None:
        self.reader, self.run, self.run_id = reader, run, run["run_id"]
        self.here = Clause("run_id", "==", self.run_id)
        rows = reader.select("steps", where=[self.here], order=["position", "attempt"]).to_pylist()
        self.losses = losses_of(reader, [self.run_id]).get(self.run_id, NONE)
        self.stages: list[Stage] = stages_of(rows, self.losses)
        self.flow = flow_of(self.stages, self.losses.events_elsewhere({stage.step_id for stage in self.stages}))

    def knows(self, item: str) -> bool:
        """Whether the run has an event of the item, or says that another came from it."""
        columns = (("events", "item_id"), ("lineage", "parent_id"))
        return any(
            self.reader.select(source, [column], [self.here, Clause(column, "==", item)], limit=1).num_rows
            for source, column in columns
        )

    def answer(self, item: str, levels: int) -> dict[str, Any]:
        back = walk(item, lambda some: self._links(some, back=True), True, _GENERATIONS, _FOLLOWED)
        on = walk(item, lambda some: self._links(some, back=False), False, levels, _FOLLOWED)
        past, future = back.items()[:_SHOWN], on.items()[:_SHOWN]
        shown_items = list(dict.fromkeys([item, *past, *future]))
        origins = self._origins(shown_items)
        out = self._base(item, origins.get(item, Origin()).name)
        ends = self._ends(item, back)
        depths = {one: -depth for depth, level in enumerate(back.levels, 1) for one in level}
        below = {one: depth for depth, level in enumerate(on.levels, 1) for one in level}
        depths = {item: 0, **below, **depths}
        out["nodes"] = [_node(one, depths[one], origins.get(one, Origin()), one in ends) for one in shown_items]
        links = dict.fromkeys([*back.links, *on.links])
        kept = set(shown_items)
        out["edges"] = [self._edge(link) for link in links if link.parent in kept and link.child in kept]
        out["ancestors"] = _totals(back, len(past))
        out["descendants"] = _totals(on, len(future))
        out["roots"] = [one for one in shown_items if one in ends]
        self._unless_unsure(out, origins)
        out["sentence"] = _sentence(out)
        return out

    def ambiguous(self, name: str, others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A name that several items have."""
        out = self._base(name, name)
        detail = f"{len(others)} items of this run have that name"
        out["unknown"] = {"cause": "ambiguous", "detail": detail}
        out["hint"], out["did_you_mean"] = "ask by item_id", list(others[:10])
        out["sentence"] = f"What {shown(name)} came from is not known: {detail}."
        return out

    def nobody(self, item: str) -> dict[str, Any]:
        """An item of which the run says nothing."""
        out = self._base(item, None)
        out["unknown"] = {"cause": "not_recorded", "detail": "this run recorded no such item"}
        out["did_you_mean"] = nearest_items(self.reader, self.run_id, " ".join(item.split()))
        lost = self._lost()
        if lost is not None:
            out["unknown"], out["hint"] = lost
        out["sentence"] = f"What {shown(item)} came from is not known: {out['unknown']['detail']}."
        return out

    def _base(self, item: str, name: str | None) -> dict[str, Any]:
        nothing = {"total": 0, "shown": 0, "levels": [], "more": False}
        return {
            "run_id": self.run_id,
            "pipeline": self.run["pipeline"],
            "run_status": self.run["status"],
            "item_id": item,
            "name": name,
            "nodes": [],
            "edges": [],
            "roots": [],
            "ancestors": dict(nothing),
            "descendants": dict(nothing),
            "sentence": "",
            "unknown": None,
            "hint": None,
            "did_you_mean": None,
        }

    def _links(self, items: Sequence[str], back: bool) -> list[Link]:
        own, other = ("item_id", "parent_id") if back else ("parent_id", "item_id")
        columns = ["step_id", own, other]
        made = self.reader.select("lineage", columns, [self.here, Clause(own, "in", list(items))], ["event_no"])
        merged = [self.here, Clause("outcome", "==", "merged")]
        merged.append(Clause("ref_item" if back else "item_id", "in", list(items)))
        columns = ["step_id", "item_id", "ref_item"]
        took = self.reader.select("events", columns, merged, ["event_no"]).to_pylist()
        known = [row for row in took if row["ref_item"] is not None]
        return links_of(made.to_pylist(), known, self.flow.superseded, back)

    def _ends(self, item: str, back: Walk) -> set[str]:
        """The items at which the walk back ended."""
        known = {item, *back.items()}
        if back.more and back.levels:
            known -= set(back.levels[-1])
        return known - {link.child for link in back.links}

    def _origins(self, items: Sequence[str]) -> Mapping[str, Origin]:
        rows = self.reader.select("events", _ORIGIN, [self.here, Clause("item_id", "in", list(items))])
        return origins_of(rows.to_pylist(), self.stages)

    def _edge(self, link: Link) -> dict[str, Any]:
        name = next((stage.name for stage in self.stages if stage.step_id == link.step_id), None)
        return {
            "parent": link.parent,
            "child": link.child,
            "how": link.how,
            "step_id": link.step_id,
            "step_name": name,
        }

    def _lost(self) -> tuple[dict[str, str], str] | None:
        lossy = [stage for stage in self.stages if stage.lossy]
        if not lossy and not self.flow.unplaced and not self.flow.missing_after(()):
            return None
        placed = [stage.name for stage in lossy if not stage.unplaced]
        detail = f"events of {placed[0] if placed else 'this run'} did not arrive, and one of them may have told"
        return {"cause": "dropped", "detail": detail}, loss_hint(self.losses.run)

    def _unless_unsure(self, out: dict[str, Any], origins: Mapping[str, Origin]) -> None:
        """Where the walk back ended, and nobody says that the item entered there."""
        lost = self._lost()
        unsaid = [one for one in out["roots"] if not origins.get(one, Origin()).produced]
        if lost is not None:
            out["unknown"], out["hint"] = lost
        elif unsaid:
            name = origins.get(unsaid[0], Origin()).name or unsaid[0]
            detail = f"no step says where {shown(name)} came from"
            out["unknown"] = {"cause": "not_recorded", "detail": detail}
            out["hint"] = "call step.produce(item_id, parents=[…]) in the step that brings it in"
            if self.run["request_hash"] is not None:
                out["hint"] = "record it at the step where it enters, with the outcome produced and its parents"


def _node(item: str, depth: int, origin: Origin, root: bool) -> dict[str, Any]:
    return {
        "item_id": item,
        "name": origin.name,
        "kind": origin.kind,
        "step_id": origin.step_id,
        "step_name": origin.step_name,
        "relation": "self" if depth == 0 else "ancestor" if depth < 0 else "descendant",
        "depth": abs(depth),
        "root": root,
    }


def _totals(found: Walk, taken: int) -> dict[str, Any]:
    levels = [len(level) for level in found.levels]
    return {"total": sum(levels), "shown": taken, "levels": levels, "more": found.more}


# Words


def _sentence(out: Mapping[str, Any]) -> str:
    nodes = {node["item_id"]: node for node in out["nodes"]}
    own = nodes[out["item_id"]]
    merged = [nodes[edge["parent"]] for edge in out["edges"] if _is(edge, "child", out, "merged")]
    parents = [nodes[edge["parent"]] for edge in out["edges"] if _is(edge, "child", out, "parents")]
    title, where = _title(own), own["step_name"]
    known = out["unknown"] is None
    said = title
    if parents:
        said += f" came from {_list(parents)}"
        said += f", which {parents[0]['step_name']} brought in" if len(parents) == 1 and parents[0]["step_name"] else ""
        first = [nodes[one] for one in out["roots"] if one in nodes and nodes[one] not in (*parents, *merged, own)]
        said += f", and that in the end from {_list(first)}" if first else ""
    elif known and where:
        said += f" came into the run at {where}"
    elif where:
        said += f" was first seen at {where}"
    else:
        said += " is named by others, and by no step itself"
    said += "."
    if merged:
        said += f" {_list(merged)} {'was' if len(merged) == 1 else 'were'} merged into it."
    said += _after(out, nodes)
    if not known:
        detail = out["unknown"]["detail"]
        said += f" {detail[:1].upper()}{detail[1:]}."
    return said


def _after(out: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    into = [nodes[edge["child"]] for edge in out["edges"] if _is(edge, "parent", out, "merged")]
    below = out["descendants"]
    if into:
        return f" It was merged into {_list(into)}."
    if not below["total"]:
        return ""
    first = [node for node in out["nodes"] if node["relation"] == "descendant" and node["depth"] == 1]
    n = below["levels"][0]
    more = below["total"] - n
    at_least = "at least " if below["more"] else ""
    further = f", and {at_least}{more} more from {'it' if n == 1 else 'those'}" if more else ""
    return f" {n} item{'s' if n > 1 else ''} came from it ({_list(first, n)}){further}."


def _is(edge: Mapping[str, Any], end: str, out: Mapping[str, Any], how: str) -> bool:
    return bool(edge[end] == out["item_id"] and edge["how"] == how)


def _title(node: Mapping[str, Any]) -> str:
    return shown(node["name"] or node["item_id"])


def _list(nodes: Sequence[Mapping[str, Any]], total: int | None = None) -> str:
    names = ", ".join(f'"{_title(node)}"' for node in nodes[:3])
    return names + (", …" if (total or len(nodes)) > 3 else "")
