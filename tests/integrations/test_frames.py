"""A watched frame: what its filters, joins, sorts and cuts record, and that it is the frame's own otherwise."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal
from polars.testing import assert_frame_equal as assert_polars_equal

import dxray
from dxray import XRay
from dxray.integrations import adapter
from dxray.integrations.frames import Watched
from dxray.sdk.guard import guard
from dxray.testing import Capture, capture

PRODUCTS = {
    "id": [1, 2, 3, 4, 5],
    "price": [10.0, 20.0, 30.0, 40.0, 50.0],
    "title": ["case", "stand", "cable", "case", None],
    "score": [1, 5, 3, 4, 2],
}


@pytest.fixture
def captured() -> Iterator[Capture]:
    before = dict(guard.counts)
    with capture() as captured:
        yield captured
        assert dict(guard.counts) == before


def pandas_frame() -> Any:
    return pd.DataFrame(PRODUCTS)


def polars_frame() -> Any:
    return pl.DataFrame(PRODUCTS)


BOTH = pytest.mark.parametrize("made", [pandas_frame, polars_frame])


def last(captured: Capture) -> tuple[str, str | None, dict[str, str]]:
    """Name, type and outcomes of the last step."""
    step = captured.steps[-1]
    return step.name, step.type, captured.outcomes(step.name)


def gone_because(captured: Capture, step: str) -> dict[str, str | None]:
    return {e.item_id: e.reason for e in captured.events if e.step_name == step and e.outcome == "rejected"}


KEPT_TWO = {"1": "accepted", "2": "accepted", "3": "rejected", "4": "rejected", "5": "rejected"}

FILTERS: list[tuple[Any, Any, str]] = [
    (pandas_frame, lambda df: df[df["price"] <= 20], 'filter df["price"] <= 20'),
    (pandas_frame, lambda df: df.query("price <= 20"), "query price <= 20"),
    (pandas_frame, lambda df: df.loc[df["price"] <= 20], 'loc df["price"] <= 20'),
    (pandas_frame, lambda df: df[[True, True, False, False, False]], "filter [True, True, False, False, False]"),
    (pandas_frame, lambda df: df.iloc[:2], "iloc :2"),
    (pandas_frame, lambda df: df[:2], "slice :2"),
    (pandas_frame, lambda df: df.head(2), "head 2"),
    (pandas_frame, lambda df: df.drop([2, 3, 4]), "drop 2, 3, 4"),
    (pandas_frame, lambda df: df.pipe(lambda inner: inner[inner.price < 25]), "filter inner.price < 25"),
    (polars_frame, lambda df: df.filter(pl.col("price") <= 20), 'filter pl.col("price") <= 20'),
    (polars_frame, lambda df: df.limit(2), "limit 2"),
    (polars_frame, lambda df: df.slice(0, 2), "slice 0 2"),
    (polars_frame, lambda df: df[:2], "slice :2"),
]


@pytest.mark.parametrize(("made", "stage", "words"), FILTERS, ids=[words for *_, words in FILTERS])
def test_a_stage_that_drops_rows_is_a_step_in_the_users_own_words(
    captured: Capture, made: Any, stage: Any, words: str
) -> None:
    with XRay("frames").run():
        left = stage(dxray.watch(made(), key="id"))
    assert list(left["id"]) == [1, 2]
    name, _, outcomes = last(captured)
    assert name == words
    assert outcomes == KEPT_TWO
    assert gone_because(captured, name) == dict.fromkeys("345", f"inferred: {words}")
    assert len(captured.steps) == 1


@BOTH
def test_the_result_is_what_the_plain_frame_gives(captured: Capture, made: Any) -> None:
    def chain(df: Any) -> Any:
        if isinstance(df, pd.DataFrame):
            other = pd.DataFrame({"id": [2, 3, 9], "stock": [1, 0, 4]})
            return (
                df.merge(other, on="id")
                .sort_values("score", ascending=False)
                .head(1)
                .assign(twice=lambda d: d.price * 2)
            )
        other = pl.DataFrame({"id": [2, 3, 9], "stock": [1, 0, 4]})
        return df.join(other, on="id").sort("score", descending=True).head(1).with_columns(twice=pl.col("price") * 2)

    watched = chain(dxray.watch(made(), key="id"))
    assert type(watched) is Watched
    same = assert_frame_equal if made is pandas_frame else assert_polars_equal
    same(watched.unwatch(), chain(made()))


@BOTH
def test_the_values_a_predicate_looked_at_are_evidence(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        if made is pandas_frame:
            df[(df["price"] <= 20) & df["title"].notna()]
        else:
            df.filter((pl.col("price") <= 20) & pl.col("title").is_not_null())
    facts = {event.item_id: event.evidence for event in captured.events}
    assert facts["1"] == {"price": 10.0, "title": "case"}
    assert facts["5"] == {"price": 50.0, "title": None}


def test_a_mask_made_elsewhere_is_told_by_its_name_and_a_computed_one_stays_plain(captured: Capture) -> None:
    with XRay("frames").run():
        df = dxray.watch(pandas_frame())
        cheap = df["price"] <= 20
        assert type(cheap) is pd.Series
        df[cheap]
    assert last(captured)[0] == "filter cheap"


@BOTH
def test_a_sort_ranks_and_what_follows_chooses(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        best = df.sort_values("score", ascending=False) if made is pandas_frame else df.sort("score", descending=True)
        best = best.head(2)
    rank, choice = captured.steps
    assert (rank.type, choice.type, choice.name) == ("rank", "select", "head 2")
    assert set(captured.outcomes(rank.name).values()) == {"accepted"}
    assert captured.outcomes("head 2") == {
        "2": "selected",
        "4": "selected",
    }  # who was scored, and not named, is outranked
    assert captured.decisions[0].selected == ["2", "4"]
    scored = [event.item_id for event in captured.events if event.step_name == "head 2" and event.outcome is None]
    assert scored == ["2", "4", "3", "5", "1"]


@BOTH
def test_the_lowest_first_outranks_by_place_not_by_a_made_up_score(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        (df.sort_values("price") if made is pandas_frame else df.sort("price")).head(3)
    assert captured.outcomes("head 3") == {**dict.fromkeys("123", "selected"), **dict.fromkeys("45", "outranked")}
    ranked = [event for event in captured.events if event.step_name != "head 3"]
    assert [event.evidence for event in ranked] == [{"price": float(n)} for n in (10, 20, 30, 40, 50)]


@BOTH
def test_the_best_of_a_column_are_chosen(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        best = df.nlargest(1, "score") if made is pandas_frame else df.top_k(1, by="score")
    assert list(best["id"]) == [2]
    assert captured.decisions[0].selected == ["2"]


def test_rows_from_the_middle_of_an_order_are_no_winners(captured: Capture) -> None:
    with XRay("frames").run():
        dxray.watch(pandas_frame()).sort_values("score", ascending=False).iloc[1:3]
    assert captured.outcomes("iloc 1:3") == {
        "2": "rejected", "3": "accepted", "4": "accepted", "1": "rejected", "5": "rejected"
    }  # fmt: skip
    assert captured.decisions == []


@BOTH
def test_a_join_keeps_drops_and_brings_in_items(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        if made is pandas_frame:
            df.merge(pd.DataFrame({"id": [2, 2, 9], "stock": [1, 2, 3]}), how="right", on="id")
        else:
            df.join(pl.DataFrame({"id": [2, 2, 9], "stock": [1, 2, 3]}), how="right", on="id")
    name, kind, outcomes = last(captured)
    assert kind == "merge"
    assert outcomes == {**dict.fromkeys("1345", "rejected"), "2": "accepted", "9": "produced"}
    assert sum(event.item_id == "2" for event in captured.events) == 1  # two rows, one item
    assert gone_because(captured, name)["1"] == f"inferred: {name}"


def test_ids_stay_the_same_where_missing_ones_make_floats_of_them(captured: Capture) -> None:
    with XRay("frames").run():
        df = dxray.watch(pd.DataFrame({"id": [1, 2], "sku": ["a", "b"]}))
        df = df.merge(pd.DataFrame({"sku": ["a", "c"], "stock": [1, 2]}), how="outer", on="sku")
        assert df["id"].dtype.kind == "f"
    assert last(captured)[2] == {"1": "accepted", "2": "accepted"}
    assert captured.steps[-1].output_count == 3  # one without an id, counted


@BOTH
def test_missing_values_and_doubles_that_go(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        df = df.dropna(subset=["title"]) if made is pandas_frame else df.drop_nulls("title")
        assert last(captured)[2]["5"] == "rejected"
        df = (
            df.drop_duplicates("title")
            if made is pandas_frame
            else df.unique("title", keep="first", maintain_order=True)
        )
    assert last(captured)[2] == {"1": "accepted", "2": "accepted", "3": "accepted", "4": "rejected"}


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_a_change_in_place_is_recorded(captured: Capture) -> None:
    with XRay("frames").run():
        df = dxray.watch(pandas_frame())
        assert df.dropna(inplace=True) is None
        df["price"] = df["price"] + 1
        df = df[df["price"] > 11]
    assert [step.name for step in captured.steps] == ["dropna", 'filter df["price"] > 11']
    assert captured.outcomes("dropna")["5"] == "rejected"
    assert captured.outcomes('filter df["price"] > 11') == {
        "1": "rejected", "2": "accepted", "3": "accepted", "4": "accepted"
    }  # fmt: skip


@BOTH
def test_what_changes_no_row_is_no_step_and_stays_watched(captured: Capture, made: Any) -> None:
    with XRay("frames").run():
        df = dxray.watch(made(), key="id")
        same = df.assign(x=1) if made is pandas_frame else df.with_columns(x=1)
        assert type(same) is Watched
        assert type(df[["price"]]) is made().__class__  # without the key: plain
        assert type(df[["id", "price"]]) is Watched
        assert df["price"].sum() == 150
        assert len(df) == 5
        assert df.shape == (5, 4)
        assert repr(df) == repr(made())
        assert "price" in (df if made is pandas_frame else df.columns)
        assert isinstance(df, made().__class__)
    assert captured.steps == []


def test_it_is_taken_for_a_frame_by_pandas_numpy_and_pickle() -> None:
    df = dxray.watch(pandas_frame())
    assert len(pd.concat([df, df])) == 10
    assert len(pd.merge(df, df, on="id")) == 5
    assert np.asarray(df[["id", "price"]]).shape == (5, 2)
    assert_frame_equal(pickle.loads(pickle.dumps(df)), pandas_frame())
    assert type(copy.deepcopy(df)) is Watched
    assert (df == df).to_numpy()[:4].all()
    assert (df[["price"]] * 2)["price"].tolist() == [20, 40, 60, 80, 100]


def test_polars_takes_it_for_a_frame() -> None:
    df = dxray.watch(polars_frame())
    assert pl.concat([df, df]).height == 10
    assert df.lazy().filter(pl.col("price") < 15).collect().height == 1
    assert_polars_equal(pickle.loads(pickle.dumps(df)), polars_frame())


@pytest.mark.parametrize(
    "wrong",
    [lambda df: df.query("no such"), lambda df: df["nothing"], lambda df: df.no_method(), lambda df: df.merge(3)],
)
def test_the_frames_own_errors_are_what_the_caller_sees(captured: Capture, wrong: Any) -> None:
    def kind(frame: Any) -> str:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever pandas raises
            wrong(frame)
        return f"{type(caught.value).__name__}: {caught.value}"

    assert kind(dxray.watch(pandas_frame())) == kind(pandas_frame())
    assert captured.steps == []


def test_an_error_of_ours_is_counted_and_the_frame_comes_back(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dxray.integrations.frames_chain import Chain

    def broken(*_: Any) -> None:
        raise ArithmeticError

    df = dxray.watch(pandas_frame())
    with monkeypatch.context() as patch:
        patch.setattr(Chain, "record", broken)
        assert df[df["price"] <= 20]["id"].tolist() == [1, 2]
    assert guard.counts.pop("ArithmeticError") == 1


@BOTH
def test_an_empty_frame_and_one_that_becomes_empty(captured: Capture, made: Any) -> None:
    df = dxray.watch(made(), key="id")
    with XRay("frames").run():
        empty = df.head(0)
        assert len(empty) == 0
        assert len(empty.head(3)) == 0
    assert set(captured.outcomes("head 0").values()) == {"rejected"}
    assert captured.outcomes("head 3") == {}


@pytest.mark.parametrize("kind", ["int", "text", "nullable", "date"])
@pytest.mark.parametrize("n", [10, 2_000])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_ids_of_any_kind_are_kept_and_gone_as_the_plain_frame_says(
    captured: Capture, kind: str, n: int, library: str
) -> None:
    ids: Any = {
        "int": np.arange(n) * 7,
        "text": [f"p{number}" for number in range(n)],
        "nullable": pd.array([*range(n - 1), None], dtype="Int64"),
        "date": pd.date_range("2026-01-01", periods=n),
    }[kind]
    frame: Any = pd.DataFrame({"id": ids, "x": np.arange(n) % 3})
    frame = frame if library == "pandas" else pl.from_pandas(frame)
    with XRay("frames").run():
        df = dxray.watch(frame, key="id")
        kept = df[df["x"] == 1] if library == "pandas" else df.filter(df["x"] == 1)
    outcomes = captured.outcomes(captured.steps[-1].name)
    assert len(outcomes) == n - (kind == "nullable")
    assert sum(outcome == "accepted" for outcome in outcomes.values()) == len(
        kept["id"].drop_nulls() if library == "polars" else kept["id"].dropna()
    )
    assert len(kept) == sum(np.arange(n) % 3 == 1)
    if kind in ("int", "text"):
        assert {item for item, outcome in outcomes.items() if outcome == "accepted"} == {str(i) for i in kept["id"]}
    if kind == "nullable":
        assert captured.steps[-1].input_count == n


def test_the_key_may_be_the_index(captured: Capture) -> None:
    with XRay("frames").run():
        df = dxray.watch(pandas_frame().set_index("id"), key="id")
        df.query("price <= 20")
    assert last(captured)[2] == KEPT_TWO


# -- runs ----------------------------------------------------------------------------------------------


def test_a_run_is_begun_where_none_is_open_and_is_nobodys_current_run(captured: Capture) -> None:
    with dxray.watch(pandas_frame(), pipeline="prices") as df:
        df = df[df["price"] <= 20]
        assert not dxray.current_run()
        df.head(1)
    (run,) = captured.runs
    assert (run.pipeline, run.status) == ("prices", "completed")
    assert len(captured.steps) == 2


def test_the_run_begun_ends_with_the_last_frame(captured: Capture) -> None:
    df = dxray.watch(pandas_frame())
    df = df.head(3)
    df = df.head(2)
    assert captured.runs == [] or captured.runs[0].status == "running"
    del df
    assert [run.status for run in captured.runs] == ["completed"]


def test_steps_stand_under_the_step_that_is_open(captured: Capture) -> None:
    df = dxray.watch(pandas_frame())
    with XRay("prices").run() as run, run.step("narrow") as outer:
        df.head(3)
    above = {step.name: step.parent_step_id for step in captured.steps}
    assert above == {"narrow": None, "head 3": outer.step_id}
    assert len(captured.runs) == 1


def test_the_run_that_is_given_is_the_one(captured: Capture) -> None:
    with XRay("mine").run() as mine:
        df = dxray.watch(pandas_frame(), run=mine)
        with XRay("other").run():
            df.head(1)
    assert captured.steps[0].run_id == mine.run_id


# -- what cannot be watched ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "error", "said"),
    [
        (pl.DataFrame(PRODUCTS).lazy(), TypeError, r"watch\(frame.collect\(\)"),
        ([1, 2], TypeError, "not builtins.list"),
        (pd.Series([1]), TypeError, "Series"),
        (pd.DataFrame({"sku": [1]}), KeyError, "no column 'id'"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_the_way_out(frame: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        dxray.watch(frame, key="id")


def test_an_unknown_version_is_warned_of_and_left_alone(
    captured: Capture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(adapter, "version", lambda _: "99.1")
    monkeypatch.setattr(adapter, "_warned", set())
    for _ in range(2):
        df = dxray.watch(pandas_frame())
        assert df.head(2).unwatch()["id"].tolist() == [1, 2]
    assert [r.message for r in caplog.records if "pandas" in r.message and "99.1" in r.message] != []
    assert len(caplog.records) == 1
    assert captured.steps == []


def test_without_narwhals_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"pip install 'dxray\[frames\]'"):
        dxray.watch(pandas_frame())
