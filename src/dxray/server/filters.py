"""The one filter grammar, and the clauses it becomes.

A filter is words with blanks between: `field:value` compares for equality, `field:>0.9` (also `<`, `<=`,
`>=`) orders, a `-` in front negates, quotes hold blanks together, and a word without a field is searched
for in the texts. All must hold. `since:` and `until:` take a time (RFC 3339) or an age (`15m`, `1h`, `7d`).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from dxray.server.errors import Invalid, nearest

ClauseOp = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "is_null", "not_null"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on a source. `field` is a column, or `input.KEY`, `output.KEY`, `metadata.KEY`, `config.KEY`
    into JSON text (dots descend), or `evidence.KEY`; `contains` is a case-insensitive text search.
    Several columns joined by `|` mean any of them: `step_name|step_type`."""

    field: str
    op: ClauseOp
    value: Any = None


class FilterError(Invalid):
    """A filter that cannot be read; `field` and `fix` say where and how."""

    title = "The filter is not valid"


Kind = Literal["text", "number", "time", "any"]


@dataclass(frozen=True, slots=True)
class Known:
    """A field of the grammar on one source: the column (or `a|b`) it asks, and what its values are."""

    column: str
    kind: Kind = "text"
    values: tuple[str, ...] = ()  # all there are, where the set is closed


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be asked of one source: fields by name, JSON texts to descend into, texts that bare words search."""

    fields: Mapping[str, Known]
    texts: str  # columns joined by `|`
    roots: Mapping[str, str] = field(default_factory=dict)  # `input` -> the clause's prefix


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter: `field` is None for a bare word."""

    field: str | None
    op: str  # ":", "<", "<=", ">", ">="
    value: str
    quoted: bool
    negated: bool


_WORD = re.compile(
    r"""(?P<negated>-)?
        (?:(?P<field>[^\s:"]+):(?P<op><=|>=|<|>|=)?)?
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"]*))
        (?=\s|$)""",
    re.VERBOSE,
)
_NO_COLON = re.compile(r"([A-Za-z_][\w.]*)(<=|>=|==|<|>|=)(.+)", re.DOTALL)
_FLIPPED: dict[str, ClauseOp] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_AGE = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 4_096
_HALF = re.compile(r"[\ud800-\udfff]")  # of a pair of surrogates; no store can hold one alone
_MICROS = 1_000_000


def terms(text: str) -> Iterator[Term]:
    """The words of a filter. Raises `FilterError` at the first that cannot be read."""
    if len(text) > _LONGEST:
        raise FilterError(f"the filter has {len(text)} characters", field="q", fix=f"at most {_LONGEST}")
    half = _HALF.search(text)
    if half is not None:
        raise FilterError(
            f"the filter cannot be read at {half[0]!r}: that is half a character",
            field="q",
            fix="write the whole character, as UTF-8",
        )
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _WORD.match(text, at)
        if found is None or found.end() == at:
            raise FilterError(
                f"the filter cannot be read from {text[at : at + 40]!r} on",
                field="q",
                fix='write field:value, with double quotes around a value with blanks: name:"phone cases"',
            )
        yield _term(found)
        at = found.end()


def _term(found: re.Match[str]) -> Term:
    name, quoted = found["field"], found["quoted"]
    value = found["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    if name is not None and value == "" and quoted is None:
        raise FilterError(f"{name}: has no value", field=name, fix=f'write {name}:VALUE, or {name}:"" for an empty one')
    op = found["op"] or ":"
    return Term(name, ":" if op == "=" else op, value, quoted is not None, found["negated"] is not None)


def parse(text: str, grammar: Grammar, now: float | None = None) -> list[Clause]:
    """The clauses of a filter; all must hold. Raises `FilterError`, and nothing else."""
    return [clause for term in terms(text) for clause in clauses_of(term, grammar, now)]


def clauses_of(term: Term, grammar: Grammar, now: float | None = None) -> list[Clause]:
    """The clauses of one word: one, unless it denies several columns."""
    clause = _clause_of(term, grammar, now)
    if clause.op == "!=":  # "none of them is" takes one clause each
        return [Clause(name, clause.op, clause.value) for name in clause.field.split("|")]
    return [clause]


def _clause_of(term: Term, grammar: Grammar, now: float | None) -> Clause:
    if term.field is None:
        _refuse_without_colon(term, grammar)
        if term.negated:
            raise FilterError(
                f"-{term.value}: a bare word cannot be negated", field="q", fix=f"name a field: -name:{term.value}"
            )
        return Clause(grammar.texts, "contains", term.value)
    root, dot, _ = term.field.partition(".")
    if dot and root in grammar.roots:
        path = term.field[len(root) + 1 :]
        return _compare(term, Known(f"{grammar.roots[root]}.{path}", "any"))
    known = grammar.fields.get(term.field)
    if known is None:
        names = [*grammar.fields, *(f"{name}.KEY" for name in grammar.roots)]
        raise FilterError(f"there is no field {term.field!r} here", field=term.field, fix=nearest(term.field, names))
    if term.field in ("since", "until"):
        return _period(term, known, now)
    return _compare(term, known)


def _refuse_without_colon(term: Term, grammar: Grammar) -> None:
    """`rejection_rate>0.9` is no word to search for."""
    found = None if term.quoted else _NO_COLON.fullmatch(term.value)
    if found is None:
        return
    name, op, value = found.groups()
    root, dot, _ = name.partition(".")
    if name in grammar.fields or (dot and root in grammar.roots):
        meant = f"{'-' if term.negated else ''}{name}:{'' if op in ('=', '==') else op}{value}"
        raise FilterError(f"{term.value}: a field is followed by a colon", field=name, fix=f"did you mean {meant}?")


def _period(term: Term, known: Known, now: float | None) -> Clause:
    if term.negated or term.op != ":":
        raise FilterError(f"{term.field} takes a time only", field=term.field, fix=f"write {term.field}:7d")
    assert term.field is not None
    op: ClauseOp = ">=" if term.field == "since" else "<"
    return Clause(known.column, op, moment(term.value, term.field, now))


def _compare(term: Term, known: Known) -> Clause:
    assert term.field is not None
    value = _value(term, known)
    if term.op == ":":
        return Clause(known.column, "!=" if term.negated else "==", value)
    if isinstance(value, str):
        raise FilterError(
            f"{term.field}:{term.op}{term.value}: {term.value!r} is not a number",
            field=term.field,
            fix=f"{term.op} orders numbers; write {term.field}:{term.value} for equality",
        )
    if known.column == "rejection_rate" and not 0 <= value <= 1:
        fix = f"did you mean {term.field}:{term.op}{value / 100:g}?" if 2 <= value <= 100 else f"{term.field}:>0.9"
        raise FilterError(f"{term.field}:{term.op}{term.value}: a rate lies in 0..1", field=term.field, fix=fix)
    op: ClauseOp = _FLIPPED[term.op] if term.negated else term.op  # type: ignore[assignment]
    return Clause(known.column, op, value)


def _value(term: Term, known: Known) -> str | int | float | bool:
    assert term.field is not None
    if known.values and term.value not in known.values:
        raise FilterError(
            f"{term.field}:{term.value}: there is no {term.field} {term.value!r}",
            field=term.field,
            fix=nearest(term.value, known.values),
        )
    if known.kind == "text" or (known.kind == "any" and term.quoted):
        return term.value
    if known.kind == "time":
        return moment(term.value, term.field)
    if known.kind == "any" and term.value in ("true", "false"):
        return term.value == "true"
    number = _number(term.value)
    if number is not None:
        return number
    if known.kind == "number":
        raise FilterError(
            f"{term.field}:{term.value}: {term.value!r} is not a number", field=term.field, fix=f"{term.field}:>0.9"
        )
    return term.value


def _number(text: str) -> int | float | None:
    if not text.isascii() or "_" in text or len(text) > 40:
        return None
    try:
        number = float(text)
        if not math.isfinite(number):
            return None
        return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else number
    except ValueError:
        return None


def moment(text: str, name: str, now: float | None = None) -> int:
    """Microseconds since 1970 of an RFC 3339 time, or of an age counted back from `now`. Raises `FilterError`."""
    age = _AGE.fullmatch(text)
    if age is not None:
        ago = int(age[1]) * _SECONDS[age[2]]
        return int(((time.time() if now is None else now) - ago) * _MICROS)
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        # Not timestamp(): a float holds microseconds of today only just.
        since = when - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise FilterError(
            f"{name}:{text}: {text!r} is no time",
            field=name,
            fix="write an age (15m, 1h, 7d) or an RFC 3339 time (2026-11-23T08:00:00Z)",
        ) from None
    return (since.days * 86_400 + since.seconds) * _MICROS + since.microseconds
