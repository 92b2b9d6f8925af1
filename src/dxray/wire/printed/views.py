"""How saved views read: their names and filters, with what to ask next."""

from __future__ import annotations

import re
import shlex

from dxray.wire.answers.views import View, Views
from dxray.wire.printed.why import ask_next
from dxray.wire.text import WIDTH, Line, Span, age, cells, clean, clip, is_clean, pad, wrap

_NAME_WIDTH = 40  # of a name in a list


def views_lines(answer: Views, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """The views, one a line; `commands` to go on with."""
    names = [clip(clean(view.name), _NAME_WIDTH) for view in answer]
    widest = max(map(cells, names), default=0)
    lines = []
    for view, name in zip(answer, names, strict=True):
        line = Line().add(pad(name, widest), "name").add(f"  {clean(view.source):<5}  ", "dim")
        when = age(view.updated_at)
        room = max(20, width - widest - 11 - cells(when))
        lines.append(line.add(clip(clean(view.q), room)).add("  ").add(when, "dim"))
    if not answer.views:
        lines = [Line().add(text) for text in wrap(answer.sentence, width)]
    if commands:
        first = answer.views[0] if answer.views else None
        lines.extend(ask_next(_asking(first) if first else ["dxray view save failed --q status:failed"]))
    return lines


def view_lines(answer: View, width: int = WIDTH, commands: bool = False) -> list[Line]:
    """One view; `commands` to go on with."""
    lines = [Line().add(clean(answer.name), "name").add(f"  a filter on {clean(answer.source)}", "dim")]
    lines += [Line().add(text) for text in wrap(answer.sentence, width)]
    rows = [("asks for", answer.q), ("that is", answer.expanded if answer.expanded != answer.q else None)]
    rows += [("note", answer.note)]
    for label, value in rows:
        if value:
            texts = wrap(value, max(20, width - 12))
            lines.append(Line([Span(f"  {label:<10}", "dim")]).add(texts[0] if texts else ""))
            lines += [Line().add(" " * 12).add(text) for text in texts[1:]]
    lines.append(Line([Span(f"  {'saved':<10}", "dim")]).add(age(answer.updated_at)))
    if commands:
        lines.extend(ask_next(_asking(answer)))
    return lines


def _asking(view: View) -> list[str]:
    """The command that asks it; none for a name that cannot be shown as it is."""
    command = "steps" if view.source == "steps" else "runs"
    return [f"dxray {command} --q {shlex.quote(view_word(view.name))}"] if is_clean(view.name) else []


def view_word(name: str) -> str:
    """The word of a filter that stands for a view."""
    plain = re.fullmatch(r'[^\s"<>=][^\s"]*', name)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f"view:{name}" if plain else f'view:"{escaped}"'
