"""A12: the wall clock jumps by an hour, forwards and back, of the SDK and of the server."""

from __future__ import annotations

from pathlib import Path

from tests.faults.rig import Rig
from tests.faults.rows import Result

HOUR = 3_600.0
STEPS = [[0.6, HOUR], [1.2, -2 * HOUR], [1.8, HOUR]]  # an hour on, an hour behind, right again

_WRONG = """
    SELECT (SELECT count(*) FROM runs WHERE duration_ms < 0 OR ended_at < started_at)
         + (SELECT count(*) FROM steps WHERE duration_ms < 0 OR ended_at < started_at) AS negative,
           (SELECT count(*) FROM runs WHERE status <> 'completed') AS unfinished,
           (SELECT count(*) FROM (
               SELECT row_number() OVER (PARTITION BY run_id, step_id ORDER BY event_no) AS place,
                      row_number() OVER (PARTITION BY run_id, step_id ORDER BY CAST(item_id AS BIGINT)) AS meant
               FROM events) WHERE place <> meant) AS disordered,
           (SELECT count(*) FROM steps a JOIN steps b USING (run_id)
             WHERE a.position < b.position AND a.started_at > b.started_at) AS swapped,
           (SELECT count(*) FROM runs) AS runs
"""


def run(folder: Path, long: bool) -> list[Result]:
    import duckdb

    rounds = 10 if long else 2
    with Rig(folder / "clock", sdk={"clock": STEPS}, server={"clock": [[3.0 + a, s] for a, s in STEPS]}) as rig:
        rig.serve()
        for _ in range(rounds):
            producer = rig.produce(seconds=2.6, rate=5_000, items=100, flush=10.0)
            producer.ends_within(30.0)
            producer.kill()
        verdict = rig.verdict()
        (path,) = rig.data.glob("*.duckdb")
        with duckdb.connect(str(path), read_only=True) as con:
            found = con.execute(_WRONG).fetchone()
    assert found is not None
    negative, unfinished, disordered, swapped, runs = found
    return [
        Result(
            "A12",
            f"clock steps of +1 h, -2 h, +1 h in SDK and server, {runs:,} runs",
            "no negative duration; order by sequence",
            f"{negative} negative durations, {disordered} events and {swapped} steps out of order, "
            f"{unfinished} runs not shown as completed; {verdict.line()}",
            not (negative or unfinished or disordered or swapped) and verdict.clean and runs > 0,
        )
    ]
