"""Saved views: what may be saved, and what `view:NAME` in a filter stands for.

The words of the saved filter stand where its name stood, as if they had been typed there: all of them must hold, and
what they say of a step must hold for the same step as what is said beside them. Words that must all hold say no more
when they are said twice, so a view that is named twice is filled in once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dxray.server.errors import BadRequest, Conflict, DxrayError, NotFound, nearest
from dxray.server.filters import Clause, FilterError, Term, terms
from dxray.server.posted_shape import refuse
from dxray.server.reasoning.selection import runs_where, steps_where
from dxray.server.reasoning.sentences import quoted, shown
from dxray.server.reasoning.shown import when
from dxray.server.store.base import Reader

if TYPE_CHECKING:  # SQLAlchemy, which is imported when a catalog is opened
    from dxray.server.catalog.views import View, Views

Source = Literal["runs", "steps"]
SOURCES = ("runs", "steps")
LONGEST_NAME = 80
DEEPEST = 5  # views in views
MOST = 20  # views that one filter stands on

_FIELDS = ("name", "q", "source", "note")
_LONGEST = 4_096  # as of every filter; of one that names views, with all that they say
_LONGEST_NOTE = 10_000
_LIST = "GET /views lists the views there are"
_EXAMPLE = 'send {"name": "failed", "q": "status:failed"}'
_SAVING = Lock()  # what a view names must still be there when it is saved


class InUse(Conflict):
    """Others stand on it."""

    title = "It is in use"


# --- what a filter means --------------------------------------------------------------------------------------


def expand(known: Views, q: str, source: Source) -> str:
    """The filter without names of views. Raises `FilterError` for what cannot stand for a filter on `source`."""
    return _expand({view.name: view for view in known.list()}, q, source) if _may_name(q) else q


def _may_name(q: str) -> bool:
    return "view:" in q


def _expand(known: Mapping[str, View], q: str, source: str, within: tuple[str, ...] = ()) -> str:
    text = " ".join(_words(known, q, source, within, set(within)))
    if len(text) > _LONGEST:
        raise FilterError(
            f"the filter has {len(text)} characters with what its views say", field="q", fix=f"at most {_LONGEST}"
        )
    return text


def _words(known: Mapping[str, View], q: str, source: str, within: tuple[str, ...], said: set[str]) -> Iterator[str]:
    """The words of a filter. `within`: the views on the way here; `said`: all that were filled in so far."""
    for term in terms(q):
        if term.field != "view":
            yield written(term)
            continue
        name = _named(term)
        if name in within:
            way = " in ".join(repr(one) for one in reversed((*within[within.index(name) :], name)))
            raise FilterError(f"a view cannot stand in itself: {way}", field="view", fix="take its name out of one")
        if name in said:
            continue
        view = _found(known, name, source, within)
        if len(within) == DEEPEST:
            raise FilterError(
                f"the view {name!r} lies more than {DEEPEST} views deep", field="view", fix="write out what it says"
            )
        if len(said) == MOST:
            raise FilterError(
                f"the filter stands on more than {MOST} views", field="view", fix="write some of them out"
            )
        said.add(name)
        yield from _words(known, view.q, source, (*within, name), said)


def _named(term: Term) -> str:
    if term.op != ":":
        raise FilterError("view takes a name only", field="view", fix="write view:NAME")
    if term.negated:
        raise FilterError(
            f"-view:{term.value}: what a view does not mean cannot be asked",
            field="view",
            fix="deny its words one by one: -status:failed",
        )
    return term.value


def _found(known: Mapping[str, View], name: str, source: str, within: tuple[str, ...]) -> View:
    where = f", which the view {within[-1]!r} names" if within else ""
    view = known.get(name)
    if view is None:
        raise FilterError(f"there is no view {name[:200]!r}{where}", field="view", fix=_near(name, known))
    if view.source != source:
        raise FilterError(
            f"the view {name!r}{where} is a filter on {view.source}, and this one is on {source}",
            field="view",
            fix=f"ask it of GET /{view.source}",
        )
    return view


def _near(name: str, known: Mapping[str, View]) -> str:
    near = get_close_matches(name[:200], known, n=1)
    return f"did you mean {near[0]!r}?" if near else _LIST


def written(term: Term) -> str:
    """A word of a filter as it can be typed: it is read as the same term again."""
    value = term.value
    if term.quoted:
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    op = term.op.removeprefix(":")
    if term.field is not None and not op and value.startswith(("<", ">", "=")):
        op = "="  # else the value's own sign would be read as one
    return ("-" if term.negated else "") + ("" if term.field is None else f"{term.field}:{op}") + value


# --- saving ---------------------------------------------------------------------------------------------------


def read(body: bytes, name: str | None = None) -> View:
    """The view in a JSON body, of that name where the address has it. Raises `BadRequest` or `Invalid`."""
    from dxray.server.catalog.views import View

    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}", fix=_EXAMPLE) from error
    if not isinstance(raw, dict):
        refuse("the body", "expected an object", _EXAMPLE)
    for one in raw:
        if one not in _FIELDS:
            refuse(one[:100], "there is no such field", nearest(one[:100], _FIELDS))
    if name is None:
        name = raw.get("name")
    elif raw.get("name", name) != name:
        refuse("name", f"the view's name is {name[:200]!r}, as the address says", "leave it out")
    source = raw.get("source", "runs")
    if source not in SOURCES:
        refuse("source", f"there is no source {str(source)[:100]!r}", nearest(str(source)[:100], SOURCES))
    return View(_name(name), source, _q(raw.get("q")), _note(raw.get("note")))


def _name(name: Any) -> str:
    if name is None:
        refuse("name", "is missing", _EXAMPLE)
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        refuse("name", f"expected a text of 1 to {LONGEST_NAME} characters", "choose a short name")
    if any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in name):
        refuse("name", "has a control character or a line break", "choose a name that can be typed on one line")
    if any(part in (".", "..") for part in name.split("/")):
        refuse("name", f"{name!r} cannot stand in an address", "add a letter to the dots")
    return name


def _q(q: Any) -> str:
    if q is None:
        refuse("q", "is missing", _EXAMPLE)
    if not isinstance(q, str) or not q.strip() or "\0" in q:
        refuse("q", "expected a filter", "write field:value, as in status:failed")
    return q


def _note(note: Any) -> str | None:
    if not isinstance(note, str | None) or len(note or "") > _LONGEST_NOTE or "\0" in (note or ""):
        refuse("note", f"expected a text of at most {_LONGEST_NOTE} characters", "leave it out, or write a text")
    return note or None


def save(known: Views, reader: Reader, view: View, *, replace: bool) -> bool:
    """Save a view whose filter can be asked; whether it is new.

    Raises `FilterError` for its filter, and `InUse` where a view that names it would no longer be one.
    """
    with _SAVING:
        others = {one.name: one for one in known.list()}
        _fits(reader, _expand(others, view.q, view.source, (view.name,)), view.source)
        before = others.get(view.name)
        if before is not None and replace:
            _keep_users({**others, view.name: view}, view.name)
        return known.put(view, replace=replace)


def remove(known: Views, name: str) -> None:
    """Remove a view. Raises `NotFound`, and `InUse` where others name it."""
    with _SAVING:
        others = {one.name: one for one in known.list()}
        _existing(others, name)
        _keep_users({other: view for other, view in others.items() if other != name}, name)
        known.delete(name)


def _keep_users(known: Mapping[str, View], name: str) -> None:
    """Raise `InUse` where a view names this one, directly or not, and would not be a filter any more."""
    for view in known.values():
        if view.name != name and _may_name(view.q):
            try:
                _expand(known, view.q, view.source, (view.name,))
            except FilterError as error:
                raise InUse(
                    f"the view {view.name!r} stands on {name!r}: {error.detail}",
                    field="name",
                    fix=f"change or remove {view.name!r} first",
                ) from error


def _existing(known: Mapping[str, View], name: str) -> View:
    view = known.get(name)
    if view is None:
        raise NotFound(f"there is no view {name[:200]!r}", field="name", fix=_near(name, known))
    return view


def _fits(reader: Reader, q: str, source: str) -> int:
    """How many rows there are now that fit a filter."""
    where: list[Clause] = runs_where(reader, q) if source == "runs" else steps_where(reader, q)
    found: int = reader.count_by(source, (), where).column("n")[0].as_py()
    return found


# --- answers --------------------------------------------------------------------------------------------------


def listed(known: Views) -> dict[str, Any]:
    """All views, the one that was saved last first."""
    found = [_row(view) for view in known.list()]
    sentence = f"{_many(len(found), 'view')} {'is' if len(found) == 1 else 'are'} saved here."
    return {"views": found, "total": len(found), "sentence": sentence if found else "No view is saved here yet."}


def one(known: Views, reader: Reader, name: str) -> dict[str, Any]:
    """One view: what it stands for, and how many fit it now. Raises `NotFound`."""
    views = {view.name: view for view in known.list()}
    view = _existing(views, name)
    answer = {**_row(view), "expanded": None, "fits": None, "unknown": None}
    try:
        answer["expanded"] = _expand(views, view.q, view.source, (view.name,))
        answer["fits"] = _fits(reader, answer["expanded"], view.source)
    except FilterError as error:
        # What was a filter when it was saved need not stay one: `-label:` has a limit, other servers save too.
        answer["unknown"] = {"cause": "not_a_filter", "detail": error.detail}
        answer["sentence"] = f"What fits the view {quoted(name)} is not known: {error.detail}."
    except DxrayError as error:
        answer["unknown"] = {"cause": "not_counted", "detail": error.detail}
        answer["sentence"] = f"What fits the view {quoted(name)} is not known: it could not be counted."
    else:
        fits = _many(answer["fits"], view.source.removesuffix("s"))
        fit = "fits" if answer["fits"] == 1 else "fit"
        answer["sentence"] = f"{fits} now {fit} the view {quoted(name)}, which asks for {shown(view.q)}."
    return answer


def _row(view: View) -> dict[str, Any]:
    return {
        "name": view.name,
        "source": view.source,
        "q": view.q,
        "note": view.note,
        "created_at": when(view.created_at),
        "updated_at": when(view.updated_at),
    }


def _many(n: int, what: str) -> str:
    return f"{n or 'No'} {what}{'' if n == 1 else 's'}"
