"""How a why reads: the verdict and the sentence, the journey, the walk back, what to ask next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dxray.wire.answers import Predicate, Stop, Why
from dxray.wire.text import (
    DASH,
    WIDTH,
    Line,
    Span,
    Style,
    cells,
    clean,
    clip,
    fact,
    flow,
    is_clean,
    number,
    pad,
    value_text,
    wrap,
)

MOST_ITEMS = 6

OUTCOME: dict[str, tuple[str, Style]] = {
    "produced": ("+", "info"),
    "accepted": ("✔", "good"),
    "rejected": ("✖", "bad"),
    "selected": ("★", "good"),
    "outranked": ("↓", "warn"),
    "merged": ("⇒", "warn"),
    "consumed": ("→", "info"),
}
BADGE: dict[str, Style] = {
    "selected": "badge-good",
    "survived": "badge-good",
    "rejected": "badge-bad",
    "lost": "badge-bad",
    "never_retrieved": "badge-bad",
}


def why_lines(why: Why, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """A why: the verdict and the sentence, the journey, the walk back, what is not known; `commands` to go on with."""
    verdict = why.verdict.replace("_", " ") or "?"
    head = Line().add(verdict.upper(), BADGE.get(why.verdict, "badge-warn")).add("  ")
    head.add(clip(clean(why.name or why.item_id), max(20, width - cells(verdict) - 5)), "name")
    if why.name and why.name != why.item_id:
        head.add("  ").add(clip(clean(why.item_id), 60), "dim")
    lines = [head]
    lines.extend(Line().add(text, "bold") for text in wrap(why.sentence, width) if why.sentence)
    facts = list(_facts(why))
    if facts:
        lines.append(Line())
        size = max(cells(label) for label, _ in facts)
        for label, parts in facts:
            lines.extend(flow(Line().add(f"  {pad(label, size)}  ", "dim"), parts, width, "   "))
    if why.journey:
        lines.extend([Line(), Line().add("  Journey", "bold")])
        lines.extend(_journey(why, width))
    if len(why.lineage) > 1 or (why.lineage and why.lineage[0].item_id != why.item_id):
        lines.extend([Line(), Line().add("  Walk back", "bold")])
        lines.extend(_lineage(why, width))
    lines.extend(_not_known(why, width))
    if commands:
        lines.extend(ask_next(_after_why(why)))
    return lines


def _facts(why: Why) -> Iterator[tuple[str, list[list[Span]]]]:
    if why.predicate is not None:
        yield "rule", _rule(why.predicate)
    if why.rank is not None or why.rank_at_least is not None or why.gap is not None:
        yield "ranking", _ranking(why)
    if why.into is not None:
        items = _many(why.into)
        parts = [_item(item) for item in items[:MOST_ITEMS]]
        more = max(why.expanded or 0, len(items)) - len(parts)
        parts += [[Span(f"and {number(more)} more", "dim")]] if more > 0 else []
        yield {"merged": "merged into", "consumed": "brought in"}.get(why.verdict, "in its place"), parts
    if why.twin is not None:
        yield "nearest kept", [_item(why.twin), *_differences(why.twin)]
    for missed in why.not_evaluated or ():
        if isinstance(missed, Mapping):
            rules = [rule for rule in missed.get("rules") or () if isinstance(rule, Mapping)]
            # Rules of several reasons may ask the same.
            texts = list(
                dict.fromkeys(
                    f"{rule.get('field')} {rule.get('op')} {fact(rule.get('threshold'), 30)}" for rule in rules
                )
            )
            between = ["," if text is not texts[-1] else "" for text in texts]
            where = f"at {missed.get('step_name')}"
            parts = [[Span(clean(text), "warn"), Span(comma)] for text, comma in zip(texts, between, strict=True)]
            yield "never asked", [*parts, [Span(clean(where), "dim")]]


def _ranking(why: Why) -> list[list[Span]]:
    parts = []
    if why.rank is not None:
        of = f" of {number(why.scored)}" if why.scored is not None else ""
        parts.append([Span(f"rank {number(why.rank)}{of}", "bold")])
    elif why.rank_at_least is not None:
        parts.append([Span(f"rank {number(why.rank_at_least)} or lower", "bold")])
        parts.append([Span(f"{number(why.scored)} scores recorded, perhaps not all", "warn")])
    if why.cutoff is not None:
        taken = "only the first was taken" if why.cutoff == 1 else f"the first {number(why.cutoff)} were taken"
        parts.append([Span(taken)])
    if why.gap is not None:
        short = why.gap > 0
        words = "short of" if short else "above"
        parts.append([Span(f"{fact(abs(why.gap))} {words} the cut-off", "warn" if short else "")])
    return parts


def _rule(predicate: Predicate) -> list[list[Span]]:
    rule = f"{predicate.field} {predicate.op} {fact(predicate.threshold)}"
    parts = [[Span(clean(rule), "bold")], [Span("observed "), Span(fact(predicate.observed), "bold")]]
    if predicate.margin is not None:
        outside = predicate.margin < 0
        words = "outside by" if outside else "inside by"
        parts.append([Span(f"{words} {fact(abs(predicate.margin))}", "bad" if outside else "good")])
    return parts


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _item(item: Any) -> list[Span]:
    if not isinstance(item, Mapping):
        return [Span(value_text(item, 60), "name")]
    item_id, name = item.get("item_id", item.get("id")), item.get("name")
    spans = [Span(value_text(name or item_id, 60), "name")]
    if name and name != item_id:
        spans.append(Span(f" {value_text(item_id, 40)}", "dim"))
    if item.get("verdict"):
        spans.append(Span(clean(f" ({item['verdict']})"), "dim"))
    return spans


def _differences(twin: Any) -> Iterator[list[Span]]:
    found = twin.get("differences") if isinstance(twin, Mapping) else None
    if isinstance(found, Mapping):
        for key, pair in list(found.items())[:6]:
            here, there = pair if isinstance(pair, list) and len(pair) == 2 else (None, pair)
            yield [Span(clean(f"{key} "), "dim"), Span(fact(there, 30)), Span(f", here {fact(here, 30)}", "dim")]


def _journey(why: Why, width: int) -> Iterator[Line]:
    stops = why.journey
    names = min(max(cells(_stop_name(stop)) for stop in stops), max(14, width // 3))
    types = min(max(cells(clean(stop.step_type or "")) for stop in stops), 10)
    outcomes = max(cells(clean(stop.outcome or DASH)) for stop in stops)
    for position, stop in enumerate(stops, 1):
        sign, style = OUTCOME.get(stop.outcome or "", ("·", ""))
        line = Line().add(f"  {position:>2} ", "dim").add(f"{sign} ", style)
        here = stop.step_id is not None and stop.step_id == why.step_id
        line.add(pad(clip(_stop_name(stop), names), names), "name" if here else "")
        line.add(f"  {pad(clip(clean(stop.step_type or ''), types), types)}  ", "dim")
        line.add(pad(clean(stop.outcome or DASH), outcomes), style).add("  ")
        parts = [[Span(value_text(stop.reason, 60), "bold")]] if stop.reason else []
        if stop.score is not None:
            parts.append([Span("score ", "dim"), Span(fact(stop.score))])
        if stop.by not in (None, "code", "rule"):
            parts.append([Span(clean(f"by {stop.by}"), "info")])
        if stop.superseded:
            parts.append([Span("superseded by a later attempt", "dim")])
        yield from flow(line, parts, width)
        facts = list(_evidence(stop))
        if facts:
            yield from flow(Line([Span(" " * 9)]), facts, width)


def _stop_name(stop: Stop) -> str:
    attempt = f" (attempt {stop.attempt})" if (stop.attempt or 1) > 1 else ""
    return clean(stop.step_name or stop.step_id or DASH) + attempt


def _evidence(stop: Stop) -> Iterator[list[Span]]:
    if isinstance(stop.evidence, Mapping):
        for key, value in stop.evidence.items():
            yield [Span(clean(f"{key} "), "dim"), Span(fact(value, 40), "dim" if value is None else "")]
    elif stop.evidence is not None:
        yield [Span(value_text(stop.evidence, 60))]
    if isinstance(stop.parts, Mapping) and stop.parts:
        sum_of = " + ".join(f"{clean(key)} {fact(part)}" for key, part in stop.parts.items())
        yield [Span("score = ", "dim"), Span(sum_of)]
    if stop.evidence_state not in (None, "kept"):
        yield [Span(clean(f"evidence {stop.evidence_state}".replace("_", " ")), "warn")]


def _lineage(why: Why, width: int) -> Iterator[Line]:
    rows = [
        (
            clean(one.item_id),
            clean(one.name if one.name and one.name != one.item_id else ""),
            clean(one.step_name or ""),
        )
        for one in why.lineage
    ]
    ids, names, origins = (max(cells(row[n]) for row in rows) for n in range(3))
    ids = min(ids, width // 3)
    names = min(names, max(12, width - ids - min(origins, 24) - 14))
    for position, (item_id, name, origin) in enumerate(rows):
        line = Line().add("  ").add("   " if position == 0 else " ↖ ", "info")
        line.add(pad(clip(item_id, ids), ids), "name").add("  ")
        if names:
            line.add(pad(clip(name, names), names)).add("  ")
        line.add(f"from {clip(origin, 24)}" if origin else "", "dim")
        yield line
        others = [value_text(one, 30) for one in why.lineage[position].also_from or ()]
        if others:
            head = Line().add(" " * (7 + ids) + "and from ", "dim")
            yield from flow(head, [[Span(other)] for other in others[:MOST_ITEMS]], width)


def _not_known(why: Why, width: int) -> Iterator[Line]:
    found: list[tuple[str, Style, str]] = []
    if why.unknown is not None:
        cause = (why.unknown.cause or "").replace("_", " ")
        found.append(("unknown", "warn", ": ".join(part for part in (cause, why.unknown.detail) if part)))
    if why.hint:
        found.append(("hint", "info", why.hint))
    near = [_item(one) for one in _many(why.did_you_mean) if one]
    size = 12 if near else 7
    if found or near:
        yield Line()
    for label, style, text in found:
        for position, part in enumerate(wrap(text, width - size - 4)):
            yield Line().add(f"  {pad('' if position else label, size)}  ", style).add(part)
    if near:
        yield from flow(Line().add("  did you mean  ", "info"), near, width)


# What to type next


def ask_next(commands: Sequence[str]) -> Iterator[Line]:
    """Commands to go on with, as the end of a layout."""
    if commands:
        yield Line()
    for position, command in enumerate(commands):
        yield Line().add("  ask next  " if position == 0 else " " * 12, "dim").add(command, "info")


def _after_why(why: Why) -> list[str]:
    items: list[Any] = [one.item_id for one in why.lineage if one.item_id != why.item_id][:1]
    others = [one for other in (why.into, why.twin, why.did_you_mean) for one in _many(other)]
    items += [one.get("item_id", one.get("id")) if isinstance(one, Mapping) else one for one in others]
    commands = dict.fromkeys(why_command(why.run_id, item) for item in items if item != why.item_id)
    show = f"dxray show {shlex.quote(why.run_id)}" if is_clean(why.run_id) else ""
    return [command for command in [*list(commands)[:3], show] if command]


def why_command(run_id: str, item: Any) -> str:
    """A command ready to be copied; empty for an id that cannot be typed as it shows."""
    if not isinstance(item, str) or not item or not is_clean(item) or not is_clean(run_id):
        return ""
    return f"dxray why {shlex.quote(run_id)} {'-- ' if item.startswith('-') else ''}{shlex.quote(item)}"
