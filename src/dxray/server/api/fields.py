"""`/fields`: what can stand in a filter, for those who type one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import Document, UnknownRow, answers
from dxray.server.api.parts import Parameters, PartsHere, ReaderHere, answer, filled
from dxray.server.filters import Term
from dxray.server.questions import fields as questions
from dxray.server.views import written

router = APIRouter(tags=["runs"])

Kind = Literal["text", "number", "time", "any"]


class FieldsQuery(Parameters):
    q: str | None = Field(
        None, description="the other words of the filter: values are counted in the runs that fit them"
    )
    field: str | None = Field(None, description="its values; without it, the names of fields")
    prefix: str = Field("", max_length=500, description="what was typed of it: what begins so comes first")
    limit: int = Field(20, ge=1, le=200)


class FieldRow(Document):
    """`runs`: in how many of the runs looked at a recorded key has a value; null for the fields of every filter."""

    field: str
    kind: Kind
    runs: int | None
    example: str | None


class ValueRow(Document):
    """`n`: how many runs, or steps, have it. `written` is the word of a filter that asks for it."""

    value: str
    n: int
    written: str


class FieldsAnswer(Document):
    """`fields` without a field, else `values`. `total`: how many there are with that prefix. `left_out`: values
    that are too long, or have characters that a line does not take. Of the runs that fit, so many were looked at.
    """

    field: str | None = None
    fields: list[FieldRow] | None = None
    kind: Kind | None = None
    values: list[ValueRow] | None = None
    counted: Literal["runs", "steps"] | None = None
    total: int
    left_out: int | None = None
    looked_at: int
    of: int | None = None
    unknown: UnknownRow | None = None
    sentence: str


@router.get(
    "/fields",
    summary="What can stand in a filter of runs: fields, or a field's values",
    responses=answers(FieldsAnswer),
)
def get_fields(parts: PartsHere, reader: ReaderHere, query: Annotated[FieldsQuery, Query()]) -> Response:
    given: dict[str, Any] = {"q": filled(parts, query.q), "prefix": query.prefix, "limit": query.limit}
    if query.field is None:
        return answer(questions.names(reader, **given))
    found = questions.values(reader, query.field, **given)
    for row in found["values"]:
        row["written"] = _word(query.field, row["value"], found["kind"], as_text=row.pop("as_text"))
    return answer(found)


def _word(field: str, value: str, kind: Kind, *, as_text: bool = False) -> str:
    """The word of a filter that asks for this value, and nothing else: `as_text`, where other values are that number.

    Quotes compare the value as it is written; without them 7 is also 7.0 and "07".
    """
    number = as_text or (kind == "any" and not _plain(value))
    quoted = value == "" or number or any(one.isspace() or one == '"' for one in value)
    return written(Term(field, ":", value, quoted, False))


def _plain(value: str) -> bool:
    """Whether a filter means this value when it stands without quotes: no other number is written like it."""
    try:
        number = float(value)
    except ValueError:
        return True
    return value == f"{number:.15g}"
