"""Rows of an answer as a pandas DataFrame, for those who have pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A DataFrame of these columns. Raises `ImportError`, which says what to install, where pandas is not there."""
    try:
        pandas: Any = import_module("pandas")
    except ImportError:
        raise ImportError("to_frame() needs pandas: pip install pandas") from None
    return pandas.DataFrame([[row.get(name) for name in columns] for row in rows], columns=list(columns))
