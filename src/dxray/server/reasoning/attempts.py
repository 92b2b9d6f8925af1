"""Which steps of many runs were tried again: they leave the funnel, and every count over runs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.flow import STAGE_COLUMNS, flow_of, stages_of
from dxray.server.reasoning.shown import Row
from dxray.server.store.base import Reader


def superseded(reader: Reader, steps: pa.Table) -> set[tuple[str, str]]:
    """The run and step of each; `steps` has `run_id` and `attempt`. Only a run with a later attempt has any."""
    again = pc.unique(steps.filter(pc.greater(steps["attempt"], 1))["run_id"])
    if not len(again):
        return set()
    rows = reader.select("steps", ("run_id", *STAGE_COLUMNS), beside=pa.table({"run_id": again})).to_pylist()
    by_run: dict[str, list[Row]] = {}
    for row in rows:
        by_run.setdefault(row["run_id"], []).append(row)
    return {(run_id, step) for run_id, some in by_run.items() for step in flow_of(stages_of(some)).superseded}


def without_superseded(reader: Reader, steps: pa.Table) -> pa.Table:
    """The steps that count. `steps` has `run_id`, `step_id` and `attempt`."""
    gone = superseded(reader, steps)
    if not gone:
        return steps
    pairs = zip(steps["run_id"].to_pylist(), steps["step_id"].to_pylist(), strict=True)
    return steps.filter(pa.array([pair not in gone for pair in pairs], pa.bool_()))
