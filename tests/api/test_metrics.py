"""`GET /metrics`: every line is one that Prometheus reads, and counters only go up."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.api.exposition import Family, text_of
from dxray.server.api.metrics import MOST_CAUSES, OTHER, bounded
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Loss, Run

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_PAIR = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_PAIR}(?:,{_PAIR})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")
Values = dict[tuple[str, str], float]  # by name and labels

_ODD = 'a"b\\c\nd\\n é\u2028'


def read(text: str) -> tuple[dict[str, str], Values]:
    """Types by name, and values by series; fails for a line that is not of the format."""
    types: dict[str, str] = {}
    values: Values = {}
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            assert re.fullmatch(rf"# HELP {_NAME} [^\n]+", line), line
        elif line.startswith("# "):
            found = re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge)", line)
            assert found and found[1] not in types, line
            types[found[1]] = found[2]
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] in types, f"{line}: a sample stands below its type"
            series = (sample[1], sample[2] or "")
            assert series not in values, f"{series} stands twice"
            values[series] = float(sample[3])
    return types, values


def ask(api: TestClient) -> tuple[dict[str, str], Values]:
    answer = api.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(answer.text)


def send(api: TestClient, seq: int, *records: Any) -> None:
    body = pack_batch("me", seq, "default", map(pack_record, records))
    assert api.post("/ingest", content=body, headers={"content-encoding": "zstd"}).status_code == 200


def test_what_was_done_is_counted_and_counters_only_go_up(api: TestClient) -> None:
    types, first = ask(api)
    assert first["dxray_ingest_commits_total", ""] == first["dxray_ingest_batches_total", ""] == 0
    assert 1.6e9 < first["process_start_time_seconds", ""] < 1e11
    run = Run(run_id="r", version=1, pipeline="p", status="completed")
    seen = first
    for seq in (1, 2, 2):
        send(api, seq, run, Loss(run_id="r", cause="queue_full", n=3), Loss(run_id="", cause=_ODD, n=1))
        _, now = ask(api)
        for series, value in seen.items():
            if types[series[0]] == "counter":
                assert now[series] >= value, series
        seen = now
    assert seen["dxray_ingest_batches_total", ""] == 3
    assert (seen["dxray_ingest_duplicates_total", ""], seen["dxray_ingest_records_total", ""]) == (1, 6)
    assert seen["dxray_ingest_commits_total", ""] == 2
    assert seen["dxray_ingest_waiting_bytes", ""] == 0
    assert (seen["dxray_store_rows", 'table="runs"'], seen["dxray_store_rows", 'table="events"']) == (1, 0)
    assert seen["dxray_store_bytes", ""] > 0
    assert seen["dxray_lost_total", 'cause="queue_full"'] == 6


def test_label_values_are_escaped(api: TestClient) -> None:
    send(api, 1, Loss(run_id="", cause=_ODD, n=2))
    _, values = ask(api)
    assert values["dxray_lost_total", 'cause="a\\"b\\\\c\\nd\\\\n é\u2028"'] == 2


@pytest.mark.parametrize("value", ["", "plain", '"', "\\", "\n", '\\"\n', "\\n", 'x"} 1\nforged 2'])
def test_no_label_value_makes_a_line_of_its_own(value: str) -> None:
    text = text_of([Family("x", "counter", "What.", [({"cause": value, "b": "c"}, 1)])])
    types, values = read(text)
    assert types == {"x": "counter"}
    (series,) = values
    shown = re.search(r'cause="((?:[^"\\]|\\.)*)"', series[1])
    assert shown is not None
    back = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], shown[1])
    assert back == value


def test_causes_are_bounded_and_none_is_left_out() -> None:
    lost = {f"c{n}": 1 for n in range(MOST_CAUSES + 50)} | {OTHER: 7}
    found = bounded(lost)
    assert len(found) == MOST_CAUSES + 1
    assert found[OTHER] == 57
    assert sum(found.values()) == sum(lost.values())
    assert bounded({OTHER: 2, "a": 1}) == {OTHER: 2, "a": 1}


def test_a_parameter_is_refused(shared: TestClient) -> None:
    assert shared.get("/metrics?limit=1").status_code == 422
