"""How a why-rank reads: the order and the sentence, both scores part by part, what would swap them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from dxray.wire.answers.rank import Component, Ranking, RankSide, WhyRank
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import DASH, WIDTH, Line, Style, cells, clean, clip, fact, is_clean, number, pad, wrap

_BADGE: dict[str, Style] = {"before": "badge-good", "behind": "badge-bad"}
_BAR = 16
_NAMES = 24  # columns of a title over figures


def rank_lines(answer: WhyRank, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """A why-rank: the order and the sentence, the scores part by part, other rankings, what is not known."""
    head = Line().add((answer.verdict or "?").replace("_", " ").upper(), _BADGE.get(answer.verdict, "badge-warn"))
    room = max(12, (width - cells(answer.verdict) - 12) // 2)
    head.add("  ").add(clip(clean(answer.item.title), room), "name").add("  over  ", "dim")
    lines = [head.add(clip(clean(answer.over.title), room), "name")]
    lines.extend(Line().add(text, "bold") for text in wrap(answer.sentence, width) if answer.sentence)
    if answer.item.score is not None or answer.over.score is not None:
        lines.extend([Line(), *_scores(answer, width)])
    change = answer.change
    if change is not None:
        share = (
            "" if change.share_of_spread is None else f", {100 * change.share_of_spread:.0f} % of how much it varies"
        )
        words = f"{change.component} of {change.name or change.item_id}: {fact(change.from_)} → above {fact(change.to)}"
        words += share + ("" if change.seen else "; no item had so much")
        lines.append(Line())
        lines.extend(_set("to swap", "info", words, width))
    lines.extend(_rankings(answer, width))
    lines.extend(_became(answer, width))
    lines.extend(_not_known(answer, width))
    if commands:
        lines.extend(ask_next(_after(answer)))
    return lines


def _set(label: str, style: Style, text: str, width: int) -> Iterator[Line]:
    for position, part in enumerate(wrap(text, width - 16)):
        yield Line().add(f"  {pad('' if position else label, 12)}  ", style).add(part)


def _rank(side: RankSide, scored: int | None) -> str:
    if side.rank is not None:
        return f"{number(side.rank)} of {number(scored)}"
    return DASH if side.rank_at_least is None else f"{number(side.rank_at_least)} or lower"


def _scores(answer: WhyRank, width: int) -> Iterator[Line]:
    """Both scores and their parts in columns, with a bar for what each adds to the gap."""
    rows: list[tuple[str, str, str, str]] = []
    ranks = [_rank(side, answer.scored) for side in (answer.item, answer.over)]
    if ranks != [DASH, DASH]:
        rows.append(("rank", ranks[0], ranks[1], ""))
    scores = [DASH if side.score is None else fact(side.score) for side in (answer.item, answer.over)]
    rows.append(("score", scores[0], scores[1], "" if answer.gap is None else _signed(answer.gap)))
    rows += [(clean(one.name), _part(one.item), _part(one.over), _signed(one.delta)) for one in answer.components]
    titles = (clip(clean(answer.item.title), _NAMES), clip(clean(answer.over.title), _NAMES))
    sizes = [max(cells(row[n]) for row in rows) for n in range(4)]
    sizes = [min(sizes[0], 26), max(sizes[1], cells(titles[0])), max(sizes[2], cells(titles[1])), max(sizes[3], 4)]
    bars = width - sum(sizes) - 12 >= _BAR + 10
    head = f"  {pad('', sizes[0])}  {pad(titles[0], sizes[1], True)}  {pad(titles[1], sizes[2], True)}"
    yield Line().add(head + f"  {pad('gap', sizes[3], True)}", "dim")
    most = max((abs(one.delta) for one in answer.components), default=0.0)
    for position, row in enumerate(rows):
        at = position - (len(rows) - len(answer.components))
        one = answer.components[at] if at >= 0 else None
        line = Line().add(f"  {pad(clip(row[0], sizes[0]), sizes[0])}", "dim" if one is None else "")
        line.add("".join(f"  {pad(row[n], sizes[n], True)}" for n in (1, 2)), "bold" if one is None else "")
        style: Style = "" if one is None or one.delta == 0 else "good" if one.delta > 0 else "bad"
        line.add(f"  {pad(row[3], sizes[3], True)}", style)
        if one is not None and bars:
            line.add(f"  {pad(_bar(one, most), _BAR)}", style)
        yield line.add("  decides" if one is not None and one.decisive and answer.gap else "", "warn")


def _part(value: float | None) -> str:
    return DASH if value is None else fact(value)


def _signed(value: float) -> str:
    text = f"{abs(value):.6g}"
    return "0" if float(text) == 0 else ("+" if value > 0 else "-") + text


def _bar(one: Component, most: float) -> str:
    return "█" * max(1, round(_BAR * abs(one.delta) / most)) if most and one.delta else ""


def _rankings(answer: WhyRank, width: int) -> Iterator[Line]:
    """The steps that ranked both, where there is more to say of them than the answer itself does."""
    told = [one for one in answer.rankings if not one.deciding or len(one.item_scores) > 1 or len(one.over_scores) > 1]
    if told:
        yield Line()
        for position, one in enumerate(answer.rankings):
            head = Line().add(f"  {pad('' if position else 'rankings', 12)}  ", "dim")
            head.add(clip(clean(one.step_name or DASH), 30), "name").add("  ")
            head.add(_judged(one), "").add("  decided" if one.deciding else "", "info")
            yield head
    won = [one for one in answer.comparisons if isinstance(one, Mapping)]
    titles = {side.item_id: side.title for side in (answer.item, answer.over)}
    for position, row in enumerate(won[:6]):
        by = f", said a {row['by']}" if row.get("by") in ("model", "person") else ""
        winner, loser = (titles.get(str(row.get(key)), row.get(key)) for key in ("winner", "loser"))
        label = "" if position else "compared"
        yield from _set(label, "dim", f"{winner} beat {loser} at {row.get('step_name') or DASH}{by}", width)
    if len(won) > 6:
        yield from _set("", "dim", f"and {len(won) - 6} more comparisons", width)


def _judged(one: Ranking) -> str:
    if not one.item_scores or not one.over_scores:
        return one.verdict
    scores = [
        " ".join(map(fact, some[:6])) + (" …" if len(some) > 6 else "") for some in (one.item_scores, one.over_scores)
    ]
    return f"{one.verdict}  {scores[0]} against {scores[1]}"


def _became(answer: WhyRank, width: int) -> Iterator[Line]:
    said = [side.sentence for side in (answer.item, answer.over) if side.sentence]
    for position, text in enumerate(said):
        if position == 0:
            yield Line()
        yield from _set("" if position else "became", "dim", text, width)


def _not_known(answer: WhyRank, width: int) -> Iterator[Line]:
    if answer.unknown is not None or answer.hint:
        yield Line()
    if answer.unknown is not None:
        cause = (answer.unknown.cause or "").replace("_", " ")
        text = ": ".join(part for part in (cause, answer.unknown.detail) if part)
        yield from _set("unknown", "warn", text, width)
    if answer.hint:
        yield from _set("hint", "info", answer.hint, width)
    near = [one for one in answer.did_you_mean or () if isinstance(one, Mapping)]
    for position, row in enumerate(near[:5]):
        words = f"{row.get('name') or ''} {row.get('item_id') or ''}".strip()
        yield from _set("" if position else "did you mean", "info", words, width)


def _after(answer: WhyRank) -> list[str]:
    sides = (answer.item, answer.over)
    there = [side for side in sides if side.verdict not in (None, "never_retrieved")]
    commands = [why_command(answer.run_id, side.item_id) for side in there]
    offered = [one.get("item_id") for one in answer.did_you_mean or () if isinstance(one, Mapping)]
    near = [one for one in offered if isinstance(one, str) and one not in [side.item_id for side in sides]]
    if len(there) == 1 and near:
        pair = [one.item_id if one in there else near[0] for one in sides]
        if all(map(is_clean, (answer.run_id, *pair))) and not any(one.startswith("-") for one in pair):
            commands.insert(0, shlex.join(["dxray", "why-rank", answer.run_id, *pair]))
    if is_clean(answer.run_id):
        commands.append(f"dxray funnel {shlex.quote(answer.run_id)}")
    return [command for command in commands if command]
