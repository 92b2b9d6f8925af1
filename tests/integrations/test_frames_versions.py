"""The oldest releases that the adapters of frames and of scikit-learn know, in an environment of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
OLDEST = ["pandas==2.2.2", "polars==1.0.0", "narwhals==2.0.0", "scikit-learn==1.6.0", "scipy<1.16", "numpy<2.3"]
NEEDED = ["msgspec", "urllib3", "backports-zstd; python_version < '3.14'"]

PROGRAM = """
import pandas as pd, polars as pl
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
import dxray
from dxray.sdk.guard import guard
from dxray.testing import capture

data = {"id": ["a", "b", "c"], "price": [1.0, 2.0, 3.0], "rating": [1, 3, 2]}
with capture() as captured:
    for made in (pd.DataFrame, pl.DataFrame):
        with dxray.XRay("old").run():
            df = dxray.watch(made(data), key="id")
            df = df[df["price"] < 3] if made is pd.DataFrame else df.filter(pl.col("price") < 3)
            sorts = {"ascending": False} if made is pd.DataFrame else {"descending": True}
            df = df.sort_values("rating", **sorts) if made is pd.DataFrame else df.sort("rating", **sorts)
            assert list(df.head(1)["id"]) == ["b"]
    first = 'filter df["price"] < 3', 'filter pl.col("price") < 3'
    for name in first:
        assert captured.outcomes(name) == {"a": "accepted", "b": "accepted", "c": "rejected"}, captured.outcomes(name)
    assert captured.outcomes("head 1") == {"b": "selected"}

with capture() as captured:
    x = pd.DataFrame({"good": [0, 0, 1, 1, 9], "bad": [1, 0, 1, 0, 9]})
    cut = Pipeline([("cut", FunctionTransformer(lambda f: f[f["good"] < 9]))])
    model = Pipeline([("best", SelectKBest(k=1)), ("model", LogisticRegression())])
    with dxray.instrument_sklearn(cut), dxray.instrument_sklearn(model), dxray.XRay("old").run():
        model.fit(cut.fit_transform(x), [0, 0, 1, 1])
    assert captured.outcomes("best") == {"good": "selected", "bad": "outranked"}, captured.outcomes("best")
    assert captured.outcomes("cut: rows")["4"] == "rejected"
assert not guard.counts, guard.counts
"""


def test_the_oldest_known_releases_are_recorded(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if uv is None:
        pytest.skip("no uv here")
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "venv")], check=True, timeout=60)
    install = [uv, "pip", "install", "-q", "--only-binary", ":all:", "--python", str(python), *OLDEST, *NEEDED]
    done = subprocess.run(install, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode:
        pytest.skip(f"the releases are not to be had: {done.stderr[-200:]}")
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src")}
    ran = subprocess.run([str(python), str(file)], env=env, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
