"""An instrumented scikit-learn pipeline: what is recorded of features and rows, and that nothing else changes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import dxray
from dxray import XRay
from dxray.integrations import adapter
from dxray.sdk.guard import guard
from dxray.testing import Capture, capture

WINE = load_wine(as_frame=True)
X, Y = WINE.data, WINE.target


@pytest.fixture
def captured() -> Iterator[Capture]:
    before = dict(guard.counts)
    with capture() as captured:
        yield captured
        assert dict(guard.counts) == before


def selecting(k: int = 3) -> Pipeline:
    return Pipeline(
        [
            ("scale", StandardScaler()),
            ("steady", VarianceThreshold(0.5)),
            ("best", SelectKBest(f_classif, k=k)),
            ("model", LogisticRegression()),
        ]
    )


def without_cheap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["alcohol"] > 13]


def class_methods() -> dict[Any, Any]:
    kinds = (Pipeline, StandardScaler, VarianceThreshold, SelectKBest, LogisticRegression, FunctionTransformer)
    return {(kind, name): kind.__dict__.get(name) for kind in kinds for name in ("fit", "transform", "fit_transform")}


def test_the_features_a_selector_took_and_left_are_a_choice_with_its_scores(captured: Capture) -> None:
    pipeline = selecting()
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit(X, Y)
    best = pipeline.named_steps["best"]
    taken = {name for name, kept in zip(X.columns, best.get_support(), strict=True) if kept}
    outcomes = captured.outcomes("best")
    assert {name for name, outcome in outcomes.items() if outcome == "selected"} == taken
    assert {name for name, outcome in outcomes.items() if outcome == "outranked"} == {*X.columns} - taken
    (decision,) = captured.decisions
    assert decision.decision == decision.reason.removeprefix("inferred: ") == "SelectKBest(k=3)"  # type: ignore[union-attr]
    said = json.loads(captured.steps[-1].metadata or "{}")
    assert said["p_value"] == pytest.approx(dict(zip(X.columns, best.pvalues_, strict=True)))
    assert captured.outcomes("steady") == dict.fromkeys(X.columns, "accepted")
    assert [step.name for step in captured.steps] == ["steady", "best"]  # scaling changes no feature's name
    assert captured.steps[1].after == [captured.steps[0].step_id]


def test_a_threshold_rejects_with_what_it_looked_at(captured: Capture) -> None:
    pipeline = Pipeline([("steady", VarianceThreshold(1.0)), ("model", GaussianNB())])
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit(X, Y)
    low = {str(name) for name in X.columns if X[name].var(ddof=0) <= 1.0}
    gone = {event.item_id: event for event in captured.events if event.outcome == "rejected"}
    assert set(gone) == low
    assert gone["hue"].reason == "inferred: VarianceThreshold(threshold=1.0)"
    assert gone["hue"].evidence == {"variance": pytest.approx(X["hue"].var(ddof=0))}


def test_arrays_have_the_names_that_scikit_learn_gives(captured: Capture) -> None:
    pipeline = Pipeline([("best", SelectKBest(k=1)), ("model", LogisticRegression())])
    with XRay("iris").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit(*load_iris(return_X_y=True))
    assert set(captured.outcomes("best")) == {"x0", "x1", "x2", "x3"}


def test_features_made_of_others_consume_those_that_they_name(captured: Capture) -> None:
    frame = pd.DataFrame({"color": ["red", "blue", "red"], "size": ["s", "m", "m"], "price": [1.0, 2.0, 3.0]})
    encode = ColumnTransformer(
        [("hot", OneHotEncoder(), ["color", "size"]), ("same", "passthrough", ["price"])],
        verbose_feature_names_out=False,
    )
    pipeline = Pipeline([("encode", encode), ("parts", PCA(2))])
    with XRay("shirts").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit(frame)
    assert captured.outcomes("encode") == {
        "price": "accepted", "color": "consumed", "size": "consumed",
        "color_blue": "produced", "color_red": "produced", "size_m": "produced", "size_s": "produced",
    }  # fmt: skip
    assert set(captured.outcomes("parts")) >= {"pca0", "pca1"}


def test_rows_that_a_function_drops_are_told_by_their_index(captured: Capture) -> None:
    pipeline = Pipeline([("keep", FunctionTransformer(without_cheap)), ("scale", StandardScaler())])
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        out = pipeline.fit_transform(X)
    outcomes = captured.outcomes("keep: rows")
    assert {int(row) for row, outcome in outcomes.items() if outcome == "accepted"} == {*X[X["alcohol"] > 13].index}
    assert len(outcomes) == len(X)
    assert len(out) == sum(outcome == "accepted" for outcome in outcomes.values())
    assert {e.reason for e in captured.events if e.outcome == "rejected"} == {"inferred: keep.fit_transform"}
    assert len(captured.steps) == 1  # `fit_transform` calls `transform`: one stage


def test_rows_without_ids_are_counted(captured: Capture) -> None:
    pipeline = Pipeline([("keep", FunctionTransformer(lambda a: a[:10])), ("scale", StandardScaler())])
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit_transform(X.to_numpy())
    (step,) = captured.steps
    assert (step.input_count, step.output_count) == (len(X), 10)
    assert captured.outcomes(step.name) == {}


class Undersampler(BaseEstimator):
    """As imbalanced-learn's: a step that fits and takes some of the rows."""

    def fit_resample(self, x: Any, y: Any) -> tuple[Any, Any]:
        return x.iloc[::2], y.iloc[::2]


class ResamplingPipeline(Pipeline):
    """The part of imbalanced-learn's pipeline that matters here: it calls `fit_resample` of its steps."""

    def fit(self, X: Any, y: Any = None) -> ResamplingPipeline:  # noqa: N803
        for _, one in self.steps[:-1]:
            X, y = one.fit_resample(X, y)  # noqa: N806
        self.steps[-1][1].fit(X, y)
        return self


def test_a_sampler_is_a_step_about_rows(captured: Capture) -> None:
    pipeline = ResamplingPipeline([("under", Undersampler()), ("model", GaussianNB())])
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit(X, Y)
    kept = {row for row, outcome in captured.outcomes("under: rows").items() if outcome == "accepted"}
    assert kept == {str(row) for row in X.index[::2]}


# -- the pipeline is as it was -----------------------------------------------------------------------------


def test_results_are_unchanged_and_off_restores_the_classes(captured: Capture) -> None:
    before = class_methods()
    plain, pipeline = selecting().fit(X, Y), selecting()
    handle = dxray.instrument_sklearn(pipeline)
    assert handle.on
    pipeline.fit(X, Y)
    np.testing.assert_array_equal(pipeline.predict_proba(X), plain.predict_proba(X))
    assert pipeline.score(X, Y) == plain.score(X, Y)
    assert not hasattr(pipeline, "fit_predict")  # what its last step cannot do, it still cannot
    assert not hasattr(pipeline, "transform")
    handle.off()
    handle.off()
    assert class_methods() == before
    recorded = len(captured.records)
    pipeline.fit(X, Y)
    assert len(captured.records) == recorded


def test_a_run_is_begun_for_a_fit_and_none_for_predictions(captured: Capture) -> None:
    pipeline = selecting()
    with dxray.instrument_sklearn(pipeline, name="wine"):
        pipeline.fit(X, Y)
        pipeline.predict(X)
        assert not dxray.current_run()
    assert [(run.pipeline, run.status) for run in captured.runs] == [("wine", "completed")]


def test_clones_pickles_and_other_pipelines_are_not_recorded(captured: Capture) -> None:
    pipeline = selecting()
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        clone(pipeline).fit(X, Y)
        pickle.loads(pickle.dumps(pipeline)).fit(X, Y)
        selecting().fit(X, Y)
        assert captured.steps == []
        pipeline.fit(X, Y)
        fitted = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(fitted.predict(X), pipeline.predict(X))
    assert len(captured.steps) == 2


def test_a_grid_search_and_cross_validation_around_it_work(captured: Capture) -> None:
    pipeline = selecting()
    grid = {"best__k": [1, 5]}
    plain = GridSearchCV(selecting(), grid, cv=3).fit(X, Y)
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
        scores = cross_val_score(pipeline, X, Y, cv=3)
    assert search.best_params_ == plain.best_params_
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(scores, cross_val_score(selecting(), X, Y, cv=3))
    assert captured.steps == []


def test_features_are_recorded_also_where_fits_are_cached(captured: Capture, tmp_path: Path) -> None:
    pipeline = selecting().set_params(memory=str(tmp_path))
    with XRay("wine").run(), dxray.instrument_sklearn(pipeline):
        pipeline.fit(X, Y)
        pipeline.fit(X, Y)
    assert [step.name for step in captured.steps] == ["steady", "best"] * 2


def test_the_pipelines_own_error_is_what_the_caller_sees(captured: Capture) -> None:
    pipeline = selecting()
    with dxray.instrument_sklearn(pipeline), pytest.raises(ValueError, match="inconsistent numbers of samples"):
        pipeline.fit(X, Y[:5])
    assert captured.steps == []


def test_an_error_of_ours_is_counted_and_the_fit_goes_on(captured: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from dxray.integrations import sklearn

    def broken(*_: Any) -> None:
        raise ArithmeticError

    pipeline = selecting()
    with monkeypatch.context() as patch, dxray.instrument_sklearn(pipeline):
        patch.setattr(sklearn, "record_features", broken)
        assert pipeline.fit(X, Y).score(X, Y) > 0.9
    assert guard.counts["ArithmeticError"] == 1
    del guard.counts["ArithmeticError"]


def test_an_unknown_version_stays_out_of_the_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(adapter, "version", lambda _: "2.0.0")
    monkeypatch.setattr(adapter, "_warned", set())
    before = class_methods()
    assert not dxray.instrument_sklearn(selecting()).on
    assert not dxray.instrument_sklearn(selecting()).on
    assert class_methods() == before
    assert len(caplog.records) == 1


def test_what_is_no_pipeline_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a scikit-learn Pipeline, not SelectKBest"):
        dxray.instrument_sklearn(SelectKBest())
