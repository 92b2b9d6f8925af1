"""What a stage of a frame is called: the call's own arguments, or the words that stand in the caller's source."""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import CodeType, FrameType
from typing import Any

LONGEST = 160  # characters of a stage's words
MOST_COLUMNS = 8  # that are kept as evidence of one stage
REMEMBERED = 4096  # places in sources

_said: dict[tuple[CodeType, int], str] = {}


def words_of(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> str:
    """A call in words: `query price <= 30`, `head 10`, `drop_duplicates subset=title`."""
    given = [_word(arg) for arg in args]
    given += [f"{key}={said}" for key, value in options.items() if key != "inplace" and (said := _word(value))]
    return _short(" ".join([name, *filter(None, given)]))


def source_of(caller: FrameType) -> str:
    """What the caller has written between the brackets of the subscript or the call that it is in.

    "" where its source is not to be had.
    """
    place = caller.f_code, caller.f_lasti
    found = _said.get(place)
    if found is None:
        if len(_said) >= REMEMBERED:
            _said.clear()
        found = _said[place] = _short(_between_brackets(_text_at(caller)))
    return found


def columns_in(text: str, columns: Iterable[Any]) -> list[str]:
    """The columns that a predicate names, as a word, or quoted."""
    named = {*re.findall(r"\w+", text), *re.findall(r"[`'\"]([^`'\"]*)[`'\"]", text)}
    return [name for name in columns if isinstance(name, str) and name in named][:MOST_COLUMNS]


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(_word(one) for one in value[:MOST_COLUMNS])
    if isinstance(value, slice):
        return ":".join("" if part is None else _word(part) for part in (value.start, value.stop))
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    return _short(str(value)) if _is_expression(value) else ""


def _is_expression(value: Any) -> bool:
    return type(value).__name__ == "Expr"


def _text_at(caller: FrameType) -> str:
    """The source of the expression that a frame is evaluating."""
    where = next(islice(caller.f_code.co_positions(), caller.f_lasti // 2, None), None)
    if where is None or None in where:
        return ""
    first, last, start, end = (number or 0 for number in where)
    lines = [
        linecache.getline(caller.f_code.co_filename, number, caller.f_globals).encode()
        for number in range(first, last + 1)
    ]
    lines[-1] = lines[-1][:end]  # columns are counted in bytes
    lines[0] = lines[0][start:]
    return b"".join(lines).decode(errors="replace")


def _between_brackets(text: str) -> str:
    try:
        node = ast.parse(f"({text})", mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    source = f"({text})"
    if isinstance(node, ast.Subscript):
        return ast.get_source_segment(source, node.slice) or ""
    if isinstance(node, ast.Call):
        given = [*node.args, *(option.value for option in node.keywords)]
        return ", ".join(ast.get_source_segment(source, one) or "" for one in given)
    return ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
