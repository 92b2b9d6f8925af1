"""What `instrument_sklearn` costs: a fit of a selector and a model, and a prediction."""

from __future__ import annotations

import numpy as np
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import dxray
from bench._turns import by_turns

ROUNDS = 9
CALLS = 20


def rows() -> list[tuple[str, float, float, int]]:
    """Name, seconds without, seconds with, calls: the best of rounds taken in turns."""
    numbers = np.random.default_rng(1)
    x, y = numbers.normal(size=(200, 10)), numbers.integers(0, 2, 200)
    pipeline = Pipeline([("scale", StandardScaler()), ("best", SelectKBest(k=3)), ("model", LogisticRegression())])
    pipeline.fit(x, y)
    found = []
    for name, call in (("fit", lambda: pipeline.fit(x, y)), ("predict", lambda: pipeline.predict(x))):
        without, with_ = by_turns(lambda: dxray.instrument_sklearn(pipeline), call, ROUNDS, CALLS)
        found.append((f"scikit-learn, {name}", without, with_, CALLS))
    return found
