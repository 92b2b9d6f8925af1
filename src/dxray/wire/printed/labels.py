"""How the labels of a run read: one a line, with what to ask next."""

from __future__ import annotations

import shlex

from dxray.wire.answers.labels import Label, Labels
from dxray.wire.printed.why import ask_next, why_command
from dxray.wire.text import WIDTH, Line, Style, age, clean, clip, is_clean, pad, wrap

_BADGE: dict[str, Style] = {"good": "badge-good", "bad": "badge-bad", "wrong": "badge-bad", "keep": "badge-good"}


def labels_lines(answer: Labels, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """The labels, one a line; `commands` to go on with."""
    lines = [Line().add(answer.run_id, "name").add("  ").add(_count(len(answer.labels)), "dim")]
    if not answer.labels:
        lines += [Line().add(text) for text in wrap(answer.sentence, width)]
    for label in sorted([*answer.labels, *answer.replaced], key=lambda label: label.number):
        lines += _label(label, width)
    for warning in answer.warnings:
        lines += [
            Line().add("! " if not position else "  ", "warn").add(text, "warn")
            for position, text in enumerate(wrap(warning, max(20, width - 2)))
        ]
    if commands:
        lines.extend(ask_next(_next(answer)))
    return lines


def _count(n: int) -> str:
    return "1 label" if n == 1 else f"{n or 'no'} labels"


def _label(label: Label, width: int) -> list[Line]:
    gone = label.replaced_by is not None
    badge: Style = "dim" if gone else _BADGE.get(label.label, "badge-warn")
    line = Line().add(f"  {label.number:>3}  ", "dim").add(label.label, badge)
    line.add(pad("", 9 - len(label.label)))
    if label.item_id is not None:
        line.add(clip(clean(label.name or label.item_id), max(20, width - 50)), "name").add(" ")
        if label.name and label.name != label.item_id:
            line.add(clip(clean(label.item_id), 40), "dim").add(" ")
    line.add(age(label.at), "dim")
    if gone:
        line.add(f"  replaced by label {label.replaced_by}", "dim")
    notes = [Line().add(" " * 16).add(text) for text in wrap(label.note, max(20, width - 16))] if label.note else []
    return [line, *notes]


def _next(answer: Labels) -> list[str]:
    of_items = [label for label in answer.labels if label.item_id is not None]
    of_items.sort(key=lambda label: (label.number == answer.number, label.number))
    found = [why_command(answer.run_id, label.item_id) for label in of_items[-1:]]
    if any(label.label in ("bad", "wrong", "expected") for label in answer.labels):
        found.insert(0, "dxray blame")
    if not answer.labels and is_clean(answer.run_id):
        found.append(f"dxray label {shlex.quote(answer.run_id)} bad")
    return [one for one in found if one]
