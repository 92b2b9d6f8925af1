"""What a fitted scikit-learn pipeline did with features, and what its transformers did with rows, as steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from dxray.integrations.adapter import inferred
from dxray.integrations.frames_items import missing, others, picked
from dxray.sdk.null import NullRun, NullStep
from dxray.sdk.run import Run
from dxray.sdk.step import Step

_FACTS = {  # what selectors know of each feature they were given -> what it is called as evidence
    "scores_": "score",
    "pvalues_": "p_value",
    "variances_": "variance",
    "ranking_": "ranking",
}
MOST_PAIRS = 100_000  # of features, new and gone, that are compared by name

_CHOOSERS = frozenset(("SelectKBest", "SelectPercentile"))  # the best of the scores are taken


def record_features(run: Run | NullRun, pipeline: Any, given: Any) -> None:
    """Record, of a pipeline that was fitted to `given`, which features each of its steps kept, dropped and made."""
    names = _names_of(given)
    before: Step | NullStep | None = None
    for step_name, transformer in pipeline.steps:
        if transformer is None or isinstance(transformer, str) or names is None:
            continue
        if not hasattr(transformer, "transform"):
            continue  # a classifier, say, has no features of its own; nor has a sampler
        out = _names_out(transformer, names)
        support = _support(transformer, names)
        if out is not None and (support is not None or list(out) != list(names)):
            with run.step(
                step_name, step_type="filter" if support is not None else "transform", after=_after(before)
            ) as step:
                _say_features(step, transformer, names, out)
            before = step
        names = out


def _after(before: Step | NullStep | None) -> Any:
    return before if isinstance(before, Step) else ()


def _say_features(step: Step | NullStep, transformer: Any, names: list[str], out: list[str]) -> None:
    words = inferred(_words(transformer))
    facts = _facts(transformer, len(names))
    step.set_config(transformer=_words(transformer))
    gone = missing(names, out)
    stay = others(gone)
    lost, kept = picked(names, gone), picked(names, stay)
    made = picked(out, missing(out, names))
    scores = facts.get("score")
    if type(transformer).__name__ in _CHOOSERS and scores is not None and all(one == one for one in scores):
        step.score_many(names, scores)
        for fact in facts.keys() - {"score"}:  # no part of the score
            step.set_metadata(fact, dict(zip(names, facts[fact], strict=True)))
        step.decide(_words(transformer), selected=kept, reason=words, alternatives=_scored(lost, gone, scores))
        return
    step.accept_many(kept, evidence={key: picked(column, stay) for key, column in facts.items()} or None)
    if not made:
        step.reject_many(lost, words, {key: picked(column, gone) for key, column in facts.items()} or None)
        return
    parents = _parents(made, lost)
    for one in made:
        step.produce(one, parents=parents[one] or None)
    used = {parent for some in parents.values() for parent in some}
    step.reject_many([one for one in lost if one not in used], words)


def _parents(made: Sequence[str], lost: Sequence[str]) -> dict[str, list[str]]:
    """Which of the features that are gone each new one was made of: those it names (`color_red`), else all of them."""
    if len(made) * len(lost) > MOST_PAIRS:
        return {one: list(lost) for one in made}
    named = {one: re.compile(rf"(?<![A-Za-z0-9]){re.escape(one)}(?![A-Za-z0-9])") for one in lost}
    found = {one: [parent for parent in lost if named[parent].search(one)] for one in made}
    return found if any(found.values()) else {one: list(lost) for one in made}


def _scored(lost: Sequence[Any], gone: Any, scores: list[float]) -> list[dict[str, Any]]:
    return [{"id": one, "score": score} for one, score in zip(lost, picked(scores, gone), strict=True)]


def say_rows(
    run: Callable[[], Run | NullRun], name: str, method: str, before: Any, after: Any, last: Step | None
) -> Step | None:
    """Record a transformer that changed which rows there are; None where it did not."""
    (ids, n), (left, m) = before, after
    if ids is None or left is None:
        if n == m:
            return None
        with run().step(f"{name}: rows", step_type="filter" if m < n else "transform", after=_after(last)) as step:
            step.set_input_count(n)  # the rows have no ids: only how many
            step.set_output_count(m)
        return step if isinstance(step, Step) else None
    if len(ids) == len(left) and list(ids) == list(left):
        return None
    gone = missing(ids, left)
    new = missing(left, ids)
    with run().step(f"{name}: rows", step_type="filter", after=_after(last)) as step:
        step.reject_many(picked(ids, gone), inferred(f"{name}.{method}"))
        step.accept_many(picked(ids, others(gone)))
        step.produce_many(picked(left, new))
    return step if isinstance(step, Step) else None


def rows_of(table: Any) -> tuple[Any, int] | None:
    """The labels of a table's rows, where a frame's index names each of them, and how many they are."""
    index: Any = getattr(table, "index", None)
    if hasattr(table, "columns") and hasattr(index, "is_unique"):
        return (index.to_numpy() if index.dtype.kind in "iu" else index.tolist()) if index.is_unique else None, len(
            table
        )
    shape = getattr(table, "shape", None)
    if shape is not None and len(shape) == 2:
        return None, int(shape[0])
    return (None, len(table)) if isinstance(table, list) else None


def _names_of(table: Any) -> list[str] | None:
    """The names of a table's columns; without any, those that scikit-learn gives: x0, x1, ..."""
    columns = getattr(table, "columns", None)
    if columns is not None:
        return [str(name) for name in columns]
    shape = getattr(table, "shape", None)
    if shape is None and isinstance(table, list) and table and hasattr(table[0], "__len__"):
        shape = len(table), len(table[0])
    return [f"x{n}" for n in range(shape[1])] if shape is not None and len(shape) == 2 else None


def _names_out(transformer: Any, names: list[str]) -> list[str] | None:
    if not hasattr(transformer, "get_feature_names_out"):
        return None  # e.g. a function: what it makes has no names that anyone knows
    import numpy as np

    known = getattr(transformer, "feature_names_in_", None)
    if known is None and getattr(transformer, "n_features_in_", len(names)) != len(names):
        return None
    return [str(name) for name in transformer.get_feature_names_out(np.asarray(names, dtype=object))]


def _support(transformer: Any, names: list[str]) -> Any:
    support = transformer.get_support() if hasattr(transformer, "get_support") else None
    return support if support is not None and len(support) == len(names) else None


def _facts(transformer: Any, n: int) -> dict[str, list[Any]]:
    """What a selector knows of each feature: its score, its p-value, ..."""
    found = {}
    for attribute, name in _FACTS.items():
        values = getattr(transformer, attribute, None)
        if values is not None and getattr(values, "shape", ()) == (n,):
            found[name] = values.tolist()
    return found


def _words(transformer: Any) -> str:
    """As it is written: `SelectKBest(k=2)`."""
    return " ".join(repr(transformer).split())[:160]
