"""What `watch` costs a frame's own stages: a mask and a cut, over few rows and many."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

import dxray

ROUNDS = 9


def columns(n: int) -> dict[str, Any]:
    numbers = np.arange(n)
    return {"id": numbers, "price": (numbers * 37 % 100).astype(float), "stock": numbers % 7}


def pandas_stages(df: Any) -> None:
    df[df["price"] <= 30].head(10)


def polars_stages(df: Any) -> None:
    df.filter(pl.col("price") <= 30).head(10)


def rows() -> list[tuple[str, float, float, int]]:
    """Name, seconds without, seconds with, calls (stages): the best of rounds taken in turns."""
    found = []
    for library, made, stages in (("pandas", pd.DataFrame, pandas_stages), ("polars", pl.DataFrame, polars_stages)):
        for n, times in ((100, 50), (10_000, 20), (1_000_000, 1)):
            plain = made(columns(n))
            best = [float("inf"), float("inf")]
            for _ in range(ROUNDS if n < 1_000_000 else 3):
                with dxray.XRay("bench").run() as run:
                    for on, frame in enumerate((plain, dxray.watch(plain, key="id", run=run))):
                        stages(frame)
                        start = time.perf_counter()
                        for _ in range(times):
                            stages(frame)
                        best[on] = min(best[on], time.perf_counter() - start)
                dxray.XRay("bench").flush(30)
            found.append((f"{library}, {n:,} rows", best[0], best[1], 2 * times))
    return found
