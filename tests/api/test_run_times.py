"""`/times`: when runs started, counted against the runs one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from dxray.server.api.run_times import TimesAnswer
from dxray.server.questions.run_times import LEAST, MOST, run_times
from tests.api.conftest import connect

START = datetime(2026, 11, 20, 7, 59, 59, 250_000, tzinfo=UTC)
RUNS = [(START + timedelta(minutes=41 * n), "failed" if n % 7 == 3 else "completed", n % 3) for n in range(100)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A hundred runs, one every 41 minutes; every seventh failed."""
    with connect(tmp_path_factory.mktemp("times")) as client:
        for number, (at, status, kind) in enumerate(RUNS):
            run = {"run_id": f"r{number}", "pipeline": f"p{kind}", "status": status, "started_at": at.isoformat()}
            assert client.post("/runs", json=run).status_code == 201
        yield client


def times(client: TestClient, **asked: Any) -> dict[str, Any]:
    answer = client.get("/times", params=asked)
    assert answer.status_code == 200, answer.text
    read = TimesAnswer.model_validate_json(answer.content, strict=True)
    assert not read.model_extra
    found: dict[str, Any] = answer.json()
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("buckets", [10, 60, 500])
@pytest.mark.parametrize("kind", [None, 1])
def test_every_run_is_counted_in_the_bucket_of_its_start(asked: TestClient, buckets: int, kind: int | None) -> None:
    found = times(asked, buckets=buckets, **({} if kind is None else {"q": f"pipeline:p{kind}"}))
    runs = [run for run in RUNS if kind is None or run[2] == kind]
    assert len(found["buckets"]) <= buckets
    assert (found["total"], found["undated"]) == (len(runs), 0)
    end = found["from"]
    for bucket in found["buckets"]:
        low, high = moment(bucket["from"]), moment(bucket["to"])
        assert (bucket["from"], (high - low) / timedelta(milliseconds=1)) == (end, found["width_ms"])
        assert bucket["counts"] == Counter(status for at, status, _ in runs if low <= at < high)
        end = bucket["to"]
    assert end == found["to"]
    assert found["counts"] == Counter(status for _, status, _ in runs)
    assert found["buckets"][0]["counts"] and found["buckets"][-1]["counts"]


def test_a_bucket_put_into_the_filter_finds_its_runs(asked: TestClient) -> None:
    bucket = max(times(asked)["buckets"], key=lambda one: sum(one["counts"].values()))
    q = f"since:{bucket['from']} until:{bucket['to']}"
    listed = asked.get("/runs", params={"q": q}).json()
    assert listed["total"] == sum(bucket["counts"].values()) > 0
    inside = times(asked, q=q)
    assert (inside["from"], inside["to"], inside["total"]) == (bucket["from"], bucket["to"], listed["total"])


def test_where_the_filter_says_when_a_quiet_time_shows(asked: TestClient) -> None:
    found = times(asked, q="since:2026-11-19T00:00:00Z until:2026-11-20T09:00:00Z")
    assert (found["from"], found["to"], found["total"]) == ("2026-11-19T00:00:00Z", "2026-11-20T09:00:00Z", 2)
    assert [bucket["counts"] for bucket in found["buckets"]][:-3] == [{}] * (len(found["buckets"]) - 3)
    empty = times(asked, q="since:2020-01-01T00:00:00Z until:2020-01-02T00:00:00Z")
    assert (empty["total"], empty["counts"], len(empty["buckets"])) == (0, {}, 48)
    assert empty["sentence"] == "No run fits."


def test_the_sentence_can_be_pasted(asked: TestClient) -> None:
    assert times(asked, q="until:2026-11-20T12:00:00Z")["sentence"] == (
        "6 runs started between 2026-11-20 07:55 and 2026-11-20 12:00 UTC: 5 completed, 1 failed."
    )
    assert times(asked, q="since:2026-11-20T00:00:00Z until:2026-11-21T00:00:00Z", buckets=10)["sentence"] == (
        "24 runs started between 2026-11-20 00:00 and 2026-11-21 00:00 UTC: 21 completed, 3 failed; "
        "the most, 5, from 2026-11-20 12:00 to 2026-11-20 15:00."
    )


def test_one_run_is_one_bucket_of_a_second(asked: TestClient) -> None:
    found = times(asked, q="run_id:r0")
    assert found["buckets"] == [
        {"from": "2026-11-20T07:59:59Z", "to": "2026-11-20T08:00:00Z", "counts": {"completed": 1}}
    ]
    sentence = "1 run started between 2026-11-20 07:59:59 and 2026-11-20 08:00 UTC: 1 completed."
    assert found["sentence"] == sentence


def test_nothing_is_no_bucket(asked: TestClient) -> None:
    for q in ("pipeline:nope", "since:2026-11-22T00:00:00Z until:2026-11-21T00:00:00Z", "since:3000-01-01T00:00:00Z"):
        found = times(asked, q=q)
        assert (found["buckets"], found["from"], found["width_ms"], found["total"]) == ([], None, None, 0)


@pytest.mark.parametrize(
    ("asked_for", "field"),
    [
        ({"buckets": 9}, "buckets"),
        ({"buckets": 501}, "buckets"),
        ({"q": "statu:x"}, "statu"),
        ({"bucket": 1}, "bucket"),
    ],
)
def test_what_cannot_be_is_refused(asked: TestClient, asked_for: dict[str, Any], field: str) -> None:
    answer = asked.get("/times", params=asked_for)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["fix"] or answer.json()["detail"]


def test_a_run_may_be_called_times(api: TestClient) -> None:
    api.post("/runs", json={"run_id": "times", "pipeline": "p"})
    assert api.get("/runs/times").json()["run_id"] == "times"
    assert times(api)["total"] == 1


class Started:
    """A reader of runs that started then."""

    def __init__(self, started: list[int]) -> None:
        self.table = pa.table({"started_at": pa.array(started, pa.int64()), "status": ["completed"] * len(started)})

    def select(self, *_: Any) -> pa.Table:
        return self.table


@given(
    started=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(1_763_000_000_000_000, 1_764_000_000_000_000)),
    buckets=st.integers(LEAST, MOST),
)
def test_any_times_at_all_are_counted_once_or_undated(started: list[int], buckets: int) -> None:
    found = run_times(Started(started), buckets=buckets)  # type: ignore[arg-type]
    inside = sum(sum(bucket["counts"].values()) for bucket in found["buckets"])
    assert inside + found["undated"] == found["total"] == len(started)
    assert len(found["buckets"]) <= buckets
    assert None not in [bucket[end] for bucket in found["buckets"] for end in ("from", "to")]
