"""Why did the model not get this feature? A scikit-learn pipeline, instrumented.

    pip install -e ".[server,sklearn]" pandas
    python -m examples.sklearn_selection

It starts a server of its own, and ends it.
"""

from __future__ import annotations

import os

from sklearn.datasets import load_wine
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import dxray


def main() -> None:
    wine = load_wine(as_frame=True)
    model = Pipeline(
        [
            ("steady", VarianceThreshold(0.1)),
            ("scale", StandardScaler()),
            ("best", SelectKBest(k=4)),
            ("model", LogisticRegression()),
        ]
    )
    with dxray.local() as client:
        os.environ["DXRAY_API_URL"] = client.api_url
        xray = dxray.XRay("wine")
        with dxray.instrument_sklearn(model), xray.run() as run:
            model.fit(wine.data, wine.target)
        xray.flush()
        print(f"right on {model.score(wine.data, wine.target):.0%}", end="\n\n")
        for feature in ("proline", "ash", "hue", "nonflavanoid_phenols"):
            print(client.why(run.run_id, feature), end="\n\n")


if __name__ == "__main__":
    main()
