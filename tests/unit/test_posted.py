"""A run written by hand becomes the records that an SDK would have sent."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dxray.server import posted
from dxray.server.errors import BadRequest, DxrayError, Invalid
from dxray.wire.codec import pack_record
from dxray.wire.records import Decision, Events, Op, Run, Step


def records(body: dict[str, Any]) -> list[Any]:
    return posted.read(msgspec.json.encode(body)).records


def rows(*events: dict[str, Any], **step: Any) -> list[tuple[int, str, Any, Any]]:
    found = records({"pipeline": "p", "steps": [{"name": "a", "events": list(events), **step}]})
    chunk = next(one for one in found if isinstance(one, Events))
    return list(zip(chunk.ops, chunk.ids, chunk.a, chunk.b or [], strict=True))


def test_a_run_its_steps_their_events_their_decisions() -> None:
    found = records(
        {
            "pipeline": "p",
            "run_id": "r",
            "steps": [
                {"name": "a", "events": [{"item_id": 1, "outcome": "accepted"}]},
                {"name": "b", "decisions": [{"decision": "d", "selected": [1, "2"]}]},
            ],
        }
    )
    assert [type(one) for one in found] == [Run, Step, Events, Step, Events, Decision]
    assert {one.run_id for one in found} == {"r"}
    assert found[1].events == 1
    assert found[-1].selected == ["1", "2"]


def test_parents_are_consumed_once_and_first() -> None:
    made = [{"item_id": n, "outcome": "produced", "name": f"n{n}", "parents": ["k", "k", "l"]} for n in (1, 2)]
    assert rows(*made) == [
        (Op.CONSUMED, "k", None, None),
        (Op.CONSUMED, "l", None, None),
        (Op.PRODUCED, "1", "n1", ["k", "l"]),
        (Op.PRODUCED, "2", "n2", ["k", "l"]),
    ]


def test_everything_an_event_can_say_is_kept() -> None:
    facts = {"price": 1}
    assert rows({"item_id": 1, "outcome": "produced", "name": "n", "kind": "product", "evidence": facts}) == [
        (Op.PRODUCED_WITH, "1", ["n", None, "product"], facts)
    ]
    assert rows({"item_id": 1, "outcome": "accepted", "score": 0.5, "parts": {"a": 0.5}, "evidence": facts}) == [
        (Op.SCORED, "1", 0.5, {"a": 0.5}),
        (Op.ACCEPTED, "1", None, facts),
    ]
    assert rows({"item_id": 1, "outcome": "selected", "score": 0.5, "reason": "best", "evidence": facts}) == [
        (Op.ACCEPTED, "1", None, facts),
        (Op.SELECTED, "1", "best", 0.5),
    ]
    assert rows({"item_id": 1, "outcome": "merged", "into": 2, "evidence": facts}) == [(Op.MERGED, "1", "2", facts)]
    assert rows({"item_id": 1, "outcome": "rejected", "reason": "no", "name": "n"}) == [
        (Op.REJECTED, "1", "no", {"name": "n"})
    ]


def test_a_decision_ranks_who_was_scored() -> None:
    scored = [{"item_id": n, "outcome": "accepted", "score": n / 10} for n in (1, 2, 3)]
    decision = {"decision": "d", "selected": 3, "reason": "best", "alternatives": [{"id": 2, "score": 0.25}, 9]}
    assert rows(*scored, decisions=[decision])[-4:] == [
        (Op.SELECTED, "3", "best", 0.3),
        (Op.OUTRANKED, "2", None, 0.25),
        (Op.OUTRANKED, "9", None, None),
        (Op.OUTRANKED, "1", None, 0.1),
    ]


def test_who_decided_is_kept_where_it_was_not_code() -> None:
    events = [{"item_id": n, "outcome": "accepted", "by": by} for n, by in enumerate(["code", "person", "model"])]
    found = records({"pipeline": "p", "steps": [{"name": "a", "events": events}]})
    assert found[2].by == {1: "person", 2: "model"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OUTCOMES = st.sampled_from(["produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed", "x"])
EVENT = st.fixed_dictionaries(
    {"item_id": st.integers() | st.text(), "outcome": OUTCOMES},
    optional={
        "reason": st.text(),
        "evidence": st.dictionaries(st.text(), JSON, max_size=3),
        "score": st.floats(allow_nan=False, allow_infinity=False),
        "parents": st.lists(st.integers() | st.text(), max_size=2),
        "name": st.text(),
        "into": st.text(),
        "by": st.sampled_from(["model", "person", "?"]),
    },
)
STEP = st.fixed_dictionaries(
    {"name": st.text()},
    optional={
        "events": st.lists(EVENT, max_size=4) | JSON,
        "after": st.lists(st.text(), max_size=2),
        "input_count": st.integers() | JSON,
        "input": JSON,
        "started_at": st.text() | st.datetimes().map(str),
        "rules": st.lists(JSON, max_size=2),
        "decisions": st.lists(JSON, max_size=2),
    },
)
RUN = st.fixed_dictionaries(
    {"pipeline": st.text()}, optional={"steps": st.lists(STEP, max_size=3) | JSON, "input": JSON}
)


@given(RUN | JSON)
def test_any_json_gives_records_that_travel_or_an_error_that_names_a_field(body: Any) -> None:
    found = read_or_error(msgspec.json.encode(body))
    if isinstance(found, DxrayError):
        assert isinstance(found, Invalid)
        assert found.field
    else:
        for record in found.records:
            pack_record(record)


@given(st.binary())
def test_any_bytes_give_records_or_an_error(body: bytes) -> None:
    assert isinstance(read_or_error(body), BadRequest | Invalid | posted.Posted)


def read_or_error(body: bytes) -> posted.Posted | DxrayError:
    try:
        return posted.read(body)
    except DxrayError as error:
        return error
