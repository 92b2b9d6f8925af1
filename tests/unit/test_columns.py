"""Records become the tables of the store, and evidence comes back as it went in."""

from __future__ import annotations

import math
import string
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxray.wire.columns import SCHEMAS, PipelineMemory, Refused, Sent, build, check
from dxray.wire.evidence import ShapeBook, ShapeReader
from dxray.wire.records import AnyRecord, Decision, Events, Loss, Op, Rule, Run, Step


def chunk(ops: list[int], ids: Any, a: Any = None, b: Any = None, **more: Any) -> Events:
    return Events(run_id="r", step_id="s", first=0, at=5, ops=bytes(ops), ids=ids, a=a, b=b, **more)


def tables(*records: AnyRecord, book: ShapeBook | None = None) -> dict[str, pa.Table]:
    for record in records:
        check(record)
    return build([Sent("p", "me", 7, records)], book or ShapeBook(), PipelineMemory()).tables


def rows(*records: AnyRecord) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = tables(*records)["events"].to_pylist()
    return listed


def stored(evidence: list[Any], book: ShapeBook | None = None, shapes: list[dict[str, Any]] | None = None) -> list[Any]:
    """Evidence as it comes back from the tables."""
    import json

    n = len(evidence)
    made = tables(chunk([Op.ACCEPTED] * n, [str(i) for i in range(n)], None, evidence), book=book)
    known = [] if shapes is None else shapes
    known += made["shapes"].to_pylist() if "shapes" in made else []
    reader = ShapeReader([(s["shape_id"], s["key"], s["class"], s["position"]) for s in known])
    return [
        reader.evidence(r["shape_id"], r["num"], r["str"], json.loads(r["extra"] or "{}").get("evidence_text"))
        for r in made["events"].to_pylist()
    ]


def test_what_each_op_says() -> None:
    rule = Rule(field="price", op="<=", threshold="100", reason="too_dear")
    made = rows(
        chunk(
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            [f"i{n}" for n in range(13)],
            ["name", None, "why", "best", "worse", "i1", None, 0.5, 0, 0, 0, "i2", ["thing", ["i0"], "product"]],
            [["k"], {"x": 1}, None, 0.9, 0.1, None, None, {"w": 1.0}, 90, 200, None, "beaten_by", {"y": "z"}],
            rules=[rule],
        )
    )
    assert [r["outcome"] for r in made] == [
        "produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed",
        None, None, "rejected", None, None, "produced",
    ]  # fmt: skip
    assert [r["reason"] for r in made] == [None, None, "why", "best", "worse"] + [None] * 4 + ["too_dear"] + [None] * 3
    assert [r["score"] for r in made] == [None, None, None, 0.9, 0.1, None, None, 0.5] + [None] * 5
    assert [r["passed"] for r in made[7:11]] == [None, True, False, False]
    assert made[0]["name"] == "name"
    assert made[12]["name"] == "thing"
    assert '"kind":"product"' in made[12]["extra"]
    assert '"ref_item":"i1","ref_kind":"merged_into"' in made[5]["extra"]
    assert '"ref_kind":"beaten_by"' in made[11]["extra"]
    assert all('"decided_by":"rule"' in r["extra"] for r in made[8:11])
    assert made[8]["rule_id"] == made[9]["rule_id"] is not None
    assert made[9]["num"] == [200.0]
    assert made[10]["num"] == [None]


def test_every_table_has_its_columns() -> None:
    made = tables(
        Run(run_id="r", version=1, pipeline="q", status="running"),
        Step(run_id="r", step_id="s", version=1, name="n", position=0, rules=[Rule("f", "<", "1", "why")]),
        Decision(run_id="r", step_id="s", number=0, decision="d", selected=["a"]),
        Loss(run_id="", cause="damaged", n=1),
        chunk([0, 1], ["a", "b"], None, [["x", 7], {"k": 1}]),
    )
    assert {name: table.schema for name, table in made.items() if name in SCHEMAS} == {
        name: SCHEMAS[name] for name in ("runs", "steps", "decisions", "losses", "rules", "shapes")
    }
    assert made["runs"]["started_at"].to_pylist() == [None]  # the store says when it first heard of the run
    assert made["lineage"].select(["item_id", "parent_id"]).to_pylist() == [
        {"item_id": "a", "parent_id": "x"},
        {"item_id": "a", "parent_id": "7"},
    ]


def test_ids_are_text() -> None:
    made = rows(chunk([1] * 6, [7, "7", True, None, 1.5, b"x"]))
    assert [r["item_id"] for r in made] == ["7", "7", "True", "None", "1.5", "x"]
    wide = {"numpy": "<i8", "data": np.array([7, 8]).tobytes()}
    assert [r["item_id"] for r in rows(chunk([1, 1], wide))] == ["7", "8"]


def test_nul_is_replaced_and_marked() -> None:
    made = rows(chunk([2, 2], ["a\0b", "c"], ["d\0", "e"], [{"k": "f\0"}, {"k": "g"}]))
    assert made[0]["item_id"] == "a␀b"
    assert made[0]["reason"] == "d␀"
    assert made[0]["str"] == ["f␀"]
    assert "NUL" in made[0]["extra"]
    assert made[1]["extra"] is None
    run = tables(Run(run_id="r", version=1, pipeline="q\0", status="running"))["runs"].to_pylist()[0]
    assert run["pipeline"] == "q␀"
    assert "NUL" in run["marks"]


def test_losses_become_rows_of_known_and_unknown_runs() -> None:
    lost = [Loss(run_id="", cause="x" * 100, n=2**63 - 1), Loss(run_id="r", cause="a\0", n=2, step_id="s\0")]
    assert [tuple(row.values()) for row in tables(*lost)["losses"].to_pylist()] == [
        ("p", "", None, "x" * 100, 2**63 - 1, 7),
        ("p", "r", "s␀", "a␀", 2, 7),
    ]


def test_sampling_is_said() -> None:
    made = rows(
        chunk(
            [1, 1, 2], ["a", "b", "c"], None, [{"k": 1}, False, {"k": 2}], p=0.01, kept={2: "reason"}, by={0: "model"}
        )
    )
    assert '"p":0.01' in made[0]["extra"]
    assert '"decided_by":"model"' in made[0]["extra"]
    assert '"evidence_state":"sampled_out"' in made[1]["extra"]
    assert made[1]["shape_id"] is None
    assert '"kept_because":"reason"' in made[2]["extra"]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (chunk([1, 1], ["a"]), "ids has 1 rows"),
        (chunk([99], ["a"]), "op 99"),
        (chunk([1], ["a"], ["x", "y"]), "a has 2 rows"),
        (chunk([Op.RULE_PASSED], ["a"], [3], [1]), "rule's number"),
        (chunk([Op.RULE_PASSED], ["a"]), "no rule number"),
        (chunk([1], ["a"], wide={"k": [1, 2]}), "2 rows, not 1"),
        (chunk([1], ["a"], wide={"k": {"numpy": "object", "data": b""}}), "buffer"),
        (chunk([1], ["a"], kept={4: "x"}), "not there"),
        (Run(run_id="../x", version=1, pipeline="q", status="running"), "run_id"),
        (Run(run_id="r", version=2**63, pipeline="q", status="running"), "out of range"),
        (Run(run_id="", version=1, pipeline="q", status="running"), "run_id"),
        (Loss(run_id="../x", cause="refused", n=1), "run_id"),
        (Loss(run_id="r", cause="", n=1), "cause has 0 characters"),
        (Loss(run_id="r", cause="x" * 101, n=1), "cause has 101 characters"),
        (Loss(run_id="r", cause="refused", n=0), "a loss of 0"),
        (Loss(run_id="", cause="refused", n=-1), "a loss of -1"),
        (Loss(run_id="r", cause="refused", n=2**63), "out of range"),
    ],
)
def test_what_no_table_can_hold_is_refused(record: AnyRecord, says: str) -> None:
    with pytest.raises(Refused, match=says):
        check(record)


# --- evidence ---------------------------------------------------------------------------------------------

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
)
_PLAIN = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(string.ascii_letters, max_size=4)
_NESTED = st.lists(_PLAIN, max_size=3) | st.dictionaries(st.text(string.ascii_letters, max_size=3), _PLAIN, max_size=2)
_KEYS = st.sampled_from(["price", "a", "b", "ü", "x.y", ""])
EVIDENCE = st.dictionaries(_KEYS, _SCALARS | _NESTED, max_size=4)


def as_read(value: Any) -> Any:
    """What a value is expected to come back as: NaN and the infinities as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | EVIDENCE, min_size=1, max_size=12), st.integers(1, 4))
def test_evidence_comes_back_equal(given_: list[Any], times: int) -> None:
    evidence = given_ * times  # repeated, so that what was learned from the first is used on the others
    book, shapes = ShapeBook(), []  # type: ignore[var-annotated]
    for _ in range(2):
        back = stored(evidence, book, shapes)
        expected = [None if not e else {k: as_read(v) for k, v in e.items()} for e in evidence]
        assert back == expected
        for one, other in zip(back, expected, strict=True):
            for key in other or {}:
                assert isinstance(one[key], bool) == isinstance(other[key], bool)


def test_decimals_and_big_integers_are_exact() -> None:
    evidence = [{"x": 2**60 + 1}, {"x": 1}, {"x": 2**53}, {"x": -(2**63)}]
    assert stored(evidence) == evidence
    assert stored([{"x": Decimal("1.10")}]) == [{"x": "1.10"}]


def test_optional_nullable_keys_make_few_shapes() -> None:
    book = ShapeBook()
    random = np.random.default_rng(1)
    evidence = []
    for _ in range(20_000):
        keys = random.permutation(10)[: random.integers(0, 11)].tolist()
        evidence.append({f"k{k}": [None, int(k), k + 0.5][random.integers(0, 3)] for k in keys})
    made = tables(chunk([1] * len(evidence), list(range(len(evidence))), None, evidence), book=book)
    assert len(set(made["shapes"]["shape_id"].to_pylist())) <= 1_100
    assert stored(evidence) == [e or None for e in evidence]


def test_past_the_limit_evidence_is_kept_as_text() -> None:
    book = ShapeBook(max_shapes=5)
    evidence = [{f"k{i}": i, "nan": math.nan} for i in range(20)]
    back = stored(evidence, book)
    assert back == [{f"k{i}": i, "nan": "NaN"} for i in range(20)]
    made = tables(chunk([1] * 20, list(range(20)), None, evidence), book=book)["events"].to_pylist()
    assert sum(r["shape_id"] is None for r in made) == 15
    assert sum("not queryable" in (r["extra"] or "") for r in made) == 15, "whichever shapes came first"
    many = {f"k{i}": i for i in range(600)}
    assert stored([many]) == [many]


def test_shapes_are_sent_until_they_are_stored() -> None:
    book = ShapeBook()
    one = chunk([1], ["a"], None, [{"k": 1}])
    first = build([Sent("p", None, 1, [one])], book, PipelineMemory())
    again = build([Sent("p", None, 1, [one])], book, PipelineMemory())
    assert first.shapes == again.shapes != []
    book.stored(first.shapes)
    assert "shapes" not in build([Sent("p", None, 1, [one])], book, PipelineMemory()).tables


def test_evidence_by_column() -> None:
    arrow = pa.table({"x": pa.array([1.5, None, 3.0])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    wide = {
        "n": {"numpy": "<f8", "data": np.array([1.0, math.nan, 3.0]).tobytes()},
        "b": {"numpy": "|b1", "data": np.array([True, False, True]).tobytes()},
        "t": ["x", None, "z"],
        "a": {"arrow": sink.getvalue().to_pybytes()},
    }
    made = tables(chunk([1, 1, 1], ["a", "b", "c"], wide=wide))
    reader = ShapeReader.of_table(made["shapes"])
    assert [reader.evidence(r["shape_id"], r["num"], r["str"]) for r in made["events"].to_pylist()] == [
        {"a": 1.5, "b": True, "n": 1, "t": "x"},
        {"a": None, "b": False, "n": "NaN", "t": None},
        {"a": 3, "b": True, "n": 3, "t": "z"},
    ]
    some = tables(chunk([1, 1, 1], ["a", "b", "c"], wide={"k": [5]}, wide_rows=[1]))["events"].to_pylist()
    assert [r["num"] for r in some] == [None, [5.0], None]
