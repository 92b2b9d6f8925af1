"""How flip reads: the sentence, each change with what it costs, and what to ask next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dxray.wire.answers.flip import Flip, FlipChange
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import WIDTH, Line, clean, fact, is_clean, number, value_text, wrap


def flip_lines(answer: Flip, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """Flip, as it is read."""
    head = Line().add(answer.name or answer.item_id, "name").add("  ").add(f"in {answer.run_id}", "dim")
    lines = [head, *(Line().add(text, "bold") for text in wrap(answer.sentence, width))]
    if answer.changes:
        lines += [Line(), *_changes(answer)]
    if answer.unknown is not None and answer.unknown.detail:
        lines += [Line(), *(Line().add("  ? ", "warn").add(text) for text in wrap(answer.unknown.detail, width - 4))]
    near = [one for one in answer.did_you_mean or () if isinstance(one, dict)]
    if near:
        said = ", ".join(value_text(one.get("name") or one.get("item_id"), 40) for one in near)
        lines += [Line(), Line().add("  did you mean  ", "info").add(said)]
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _changes(answer: Flip) -> Iterator[Line]:
    for one in answer.changes:
        line = Line().add("  → ", "good").add(one.reason, "bold").add(f" at {clean(one.step_name)}  ", "dim")
        yield line.add(f"{one.field} {one.op} ").add(_limits(one), "bold")
        observed = f"observed {fact(one.observed)}" if one.observed is not None else "nothing observed"
        yield Line().add(f"    {observed}; costs {number(one.cost)} spreads of what the step sees", "dim")
    exact = answer.exactness.replace("_", " ")
    tried = "every set of rules was tried" if answer.proved else "there are too many rules to try every set"
    yield Line().add(f"  {exact}; {tried}", "dim")


def _limits(one: FlipChange) -> str:
    return f"{fact(one.from_)} → " + ("switched off" if one.disable else fact(one.to))


def _next(answer: Flip) -> list[str]:
    found = [why_command(answer.run_id, answer.item_id)]
    if len(answer.changes) == 1:
        one = answer.changes[0]
        plain = isinstance(one.to, int | float | str) and not isinstance(one.to, bool) and is_clean(str(one.to))
        if one.disable and is_clean(one.reason):
            found.append(f"dxray whatif --disable {shlex.quote(one.reason)}")
        elif plain and is_clean(one.reason):
            found.append(f"dxray whatif --set {shlex.quote(f'{one.reason}={one.to}')}")
    return [one for one in found if one]
