"""How a lineage reads: the way back as a tree, then what came of the item."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from dxray.wire.answers.lineage import Generations, Lineage, LineageEdge, LineageNode
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import WIDTH, Line, cells, clean, clip, is_clean, number, pad, wrap

_BRANCHES = 8  # of one item
_LINES = 60  # of one tree


def lineage_lines(answer: Lineage, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """A lineage: the sentence, the trees back and on, what is not known; `commands` to go on with."""
    title = clean(answer.name or answer.item_id)
    head = Line().add(clip(title, max(20, width - 30)), "name")
    if answer.name and answer.name != answer.item_id:
        head.add("  ").add(clip(clean(answer.item_id), 40), "dim")
    lines = [head]
    lines.extend(Line().add(text, "bold") for text in wrap(answer.sentence, width) if answer.sentence)
    for label, back, totals in (("Came from", True, answer.ancestors), ("Came of it", False, answer.descendants)):
        if totals is not None and totals.total:
            lines.extend([Line(), Line().add(f"  {label}", "bold").add(_totals(totals), "dim")])
            lines.extend(_tree(answer, back, totals, width))
    lines.extend(_not_known(answer, width))
    if commands:
        lines.extend(ask_next(_after(answer)))
    return lines


def _totals(found: Generations) -> str:
    levels = f" in {len(found.levels)} generations" if len(found.levels) > 1 else ""
    more = ", and it goes on" if found.more else ""
    return f"  {number(found.total)} item{'s' if found.total != 1 else ''}{levels}{more}"


def _tree(answer: Lineage, back: bool, totals: Generations, width: int) -> Iterator[Line]:
    """The items one way, each under the one that it hangs on; an item that hangs on several is shown once."""
    nodes = {node.item_id: node for node in answer.nodes}
    under: dict[str, list[LineageEdge]] = {}
    for edge in answer.edges:
        under.setdefault(edge.child if back else edge.parent, []).append(edge)
    rows: list[tuple[str, LineageNode | None, str]] = []
    met = {answer.item_id}
    # Where there are several generations, what the answer does not hold may hang on any of them.
    hidden = totals.total - totals.shown if len(totals.levels) == 1 else 0

    def walk(item: str, before: str) -> None:
        edges = list({(edge.parent if back else edge.child): edge for edge in under.get(item, ())}.items())
        for position, (other, edge) in enumerate(edges):
            last = position == len(edges) - 1
            if position == _BRANCHES and not last:
                rows.append((before + "└─ ", None, f"and {number(len(edges) - position + hidden)} more"))
                return
            note = ("merged into the one above" if back else "which it was merged into") if edge.how == "merged" else ""
            again = other in met
            rows.append((before + ("└─ " if last else "├─ "), nodes.get(other), "see above" if again else note))
            if not again and len(before) < 60:
                met.add(other)
                walk(other, before + ("   " if last else "│  "))

    walk(answer.item_id, "")
    yield from _rows(rows[:_LINES], width)
    if len(rows) > _LINES:
        yield Line().add(f"  and {number(len(rows) - _LINES)} more lines; --json has them", "dim")


def _rows(rows: Sequence[tuple[str, LineageNode | None, str]], width: int) -> Iterator[Line]:
    titles = [prefix + ("" if node is None else clean(node.name or node.item_id)) for prefix, node, _ in rows]
    size = min(max(map(cells, titles), default=0), max(24, width // 2))
    for (prefix, node, note), title in zip(rows, titles, strict=True):
        if node is None:
            yield Line().add(f"  {prefix}{note}", "dim")
            continue
        shown = pad(clip(title, size), size)
        line = Line().add(f"  {prefix}", "dim").add(shown[len(prefix) :], "name")
        own = node.item_id if node.name and node.name != node.item_id else ""
        facts = [clip(clean(own), 24), clean(node.kind or ""), f"at {clean(node.step_name)}" if node.step_name else ""]
        room = max(8, width - size - 4 - (cells(note) + 2 if note else 0))
        line.add("  " + clip("  ".join(part for part in facts if part), room), "dim")
        yield line.add(f"  {note}" if note else "", "warn")


def _not_known(answer: Lineage, width: int) -> Iterator[Line]:
    found = []
    if answer.unknown is not None:
        cause = (answer.unknown.cause or "").replace("_", " ")
        found.append(("unknown", ": ".join(part for part in (cause, answer.unknown.detail) if part)))
    if answer.hint:
        found.append(("hint", answer.hint))
    near = [one for one in answer.did_you_mean or () if isinstance(one, Mapping)]
    found += [("did you mean", f"{one.get('name') or ''} {one.get('item_id') or ''}".strip()) for one in near[:5]]
    if found:
        yield Line()
    before = ""
    for label, text in found:
        for position, part in enumerate(wrap(text, width - 16)):
            said = label if position == 0 and label != before else ""
            yield Line().add(f"  {pad(said, 12)}  ", "warn" if label == "unknown" else "info").add(part)
        before = label


def _after(answer: Lineage) -> list[str]:
    if not is_clean(answer.run_id) or not answer.nodes:
        return []
    commands = [why_command(answer.run_id, answer.item_id)]
    roots = [one for one in answer.roots if one != answer.item_id and is_clean(one) and not one.startswith("-")]
    commands += [f"dxray lineage {shlex.quote(answer.run_id)} {shlex.quote(one)}" for one in roots[:1]]
    return [command for command in commands if command]
