"""The questions over many runs: what they ask, how limits are typed, which code they return, and how they read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dxray.cli import main
from dxray.client import Client, ClientError
from dxray.two_sets import two_sets
from dxray.wire.answers import Flip, Rules, Stability, Whatif
from dxray.wire.printed.flip import flip_lines
from dxray.wire.printed.rules import rules_lines
from dxray.wire.printed.stability import stability_lines
from dxray.wire.printed.whatif import whatif_lines
from dxray.wire.text import cells, plain
from tests.unit import cli_answers as answers

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DXRAY_API_URL", httpserver.url_for(""))
    monkeypatch.setenv("COLUMNS", "80")

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return call


# Exit codes


ABSENT = {"run_id": "r", "item_id": "x", "sentence": "That is not here."}
CODES: list[tuple[list[str], Mapping[str, Any], int]] = [
    (["why", "r", "x"], {"verdict": "unknown"}, 1),
    (["why", "r", "x"], {"verdict": "never_retrieved"}, 0),
    (["flip", "r", "x"], {"verdict": "never_retrieved"}, 1),
    (["flip", "r", "x"], {"verdict": "rejected", "unknown": {"cause": "not_recorded"}}, 1),
    (["flip", "r", "x"], {"verdict": "selected"}, 0),
    (["flip", "r", "x"], {"verdict": "rejected", "changes": [{"reason": "a"}]}, 0),
    (["explain", "--since", "1h"], {"runs_a": 0, "runs_b": 3}, 1),
    (["explain", "--since", "1h"], {"runs_a": 9, "runs_b": 9, "slices": []}, 1),
    (["explain", "--since", "1h"], {"runs_a": 9, "runs_b": 9, "slices": [{"main": True}]}, 0),
    (["diff", "a", "b"], {"unknown": {"cause": "dropped"}}, 1),
    (["diff", "a", "b"], {}, 0),
    (["diff", "a", "b"], {"first_divergence": {"label": "structural"}, "unknown": {"cause": "dropped"}}, 0),
    (["stability"], {"runs": 4}, 1),
    (["stability"], {"runs": 4, "flip_rate": 0.0}, 0),
    (["rules"], {"runs": 4}, 1),
    (["rules"], {"runs": 4, "rules": [{"field": "price"}]}, 0),
    (["blame"], {"labelled": 0}, 1),
    (["blame"], {"labelled": 1, "complaints": 1, "explained": 0}, 1),
    (["blame"], {"labelled": 1, "complaints": 1, "explained": 1}, 0),
    (["blame"], {"labelled": 1, "complaints": 0}, 0),
    (["whatif", "--set", "a=1"], {"runs": 3}, 0),
    (["view", "list"], {"views": []}, 0),
]


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["words", "json"])
@pytest.mark.parametrize(("words", "answer", "code"), CODES)
def test_0_is_an_answer_and_1_is_none(
    run: Run, httpserver: HTTPServer, words: list[str], answer: dict[str, Any], code: int, as_json: list[str]
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_json({**ABSENT, **answer})
    found, out, err = run(*words, *as_json)
    assert (found, err) == (code, "")
    if as_json:
        assert json.loads(out) == {**ABSENT, **answer}


@pytest.mark.parametrize(("status", "code"), [(400, 2), (404, 1), (409, 1), (422, 2), (503, 1)])
@pytest.mark.parametrize("words", [["runs"], ["flip", "r", "x"], ["whatif", "--set", "a=1"], ["view", "show", "v"]])
def test_what_the_server_refuses_was_typed_wrongly(
    run: Run, httpserver: HTTPServer, words: list[str], status: int, code: int
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_json({"detail": "it is not so"}, status=status)
    assert run(*words) == (code, "", "dxray: it is not so\n")


def test_help_tells_the_codes_and_cuts_no_command_short(run: Run) -> None:
    out = run("--help")[1]
    words = " ".join(out.split())
    assert "Exit codes: 0 answered; 1 no server" in words
    assert "2 typed wrongly" in words
    assert "..." not in out.partition("Commands:")[2]


# What is typed, and what is asked


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("120", 120),
        ("1e2", 100.0),
        ("-0.5", -0.5),
        ("true", True),
        ("phone", "phone"),
        ("case,stand", ["case", "stand"]),
        ("case, stand", ["case", "stand"]),
        ("case,", ["case"]),
        ("[case]", ["case"]),
        ("[case,stand]", ["case", "stand"]),
        ('["case","a b"]', ["case", "a b"]),
        ("1,20", [1, 20]),
        ("[1,20]", [1, 20]),
        ('"Smith, John"', "Smith, John"),
        ("NaN", "NaN"),
    ],
)
def test_a_limit_is_json_or_words_between_commas_or_a_text(
    run: Run, httpserver: HTTPServer, typed: str, asked: object
) -> None:
    body = {"changes": [{"reason": "a=b", "threshold": asked}], "until": "1h", "q": "label:bad"}
    httpserver.expect_request("/whatif", method="POST", json=body).respond_with_json({"runs": 1})
    assert run("whatif", "--set", f"a=b={typed}", "--until", "1h", "-q", "label:bad")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "a"], "write REASON=LIMIT"),
        (["--set", "a="], "write REASON=LIMIT"),
        (["--set", "=1"], "write REASON=LIMIT"),
        (["--set", "a=null"], "--disable a switches the rule off"),
        (["--set", "a=1e999"], "a finite number"),
        (["--set", "a=1,1e999"], "a finite number"),
        (["--set", "a=1", "--set", "a=2"], "set twice"),
        (["--set", "a=1", "--disable", "a"], "both set and disabled"),
        (["--sweep", "a", "5..1"], "the lower end comes first: 1..5"),
        (["--sweep", "a", "1e999..2"], "finite numbers"),
        (["--sweep", "a", "1-5"], "write the two ends as FROM..TO"),
        ([], "say what to change"),
    ],
)
def test_a_limit_that_cannot_be_is_told_without_asking(
    run: Run, httpserver: HTTPServer, words: list[str], said: str
) -> None:
    code, out, err = run("whatif", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert httpserver.log == []


@pytest.mark.parametrize(
    ("fix", "said"),
    [
        ('give a list, such as ["case","stand"]', "give a list, its values with commas between: case,stand"),
        ('give a list, such as ["case"]', "give a list, its values with commas between: case,"),
        ("give [lowest, highest]", "separate both by a comma, as in 1,20"),
        ("GET /openapi.json says what changes.0 may be", "--help says what it may be"),
        ("swap them: since=1m&until=2m", "swap them: --since 1m --until 2m"),
        ("GET /runs lists the runs there are", "dxray runs lists the runs there are"),
    ],
)
def test_what_the_server_says_to_do_is_said_as_it_is_typed(
    run: Run, httpserver: HTTPServer, fix: str, said: str
) -> None:
    httpserver.expect_request("/whatif").respond_with_json({"detail": "no", "fix": fix}, status=422)
    assert run("whatif", "--set", "a=1")[2] == f"dxray: no ({said})\n"


@pytest.mark.parametrize("words", [["whatif", "--set", "a=1"], ["explain", "--versions", "1", "2"]])
def test_a_pipeline_that_is_not_there_is_told_with_the_nearest(
    run: Run, httpserver: HTTPServer, words: list[str]
) -> None:
    httpserver.expect_request("/whatif").respond_with_json({"detail": "there are no such runs"}, status=404)
    httpserver.expect_request("/explain").respond_with_json({"runs_a": 0, "runs_b": 0})
    httpserver.expect_request("/pipelines").respond_with_json({"pipelines": [{"pipeline": "shop"}]})
    said = "dxray: no run of a pipeline shp is recorded; did you mean shop?\n"
    assert run(*words, "--pipeline", "shp") == (1, "", said)
    assert run(*words, "--pipeline", "shop")[2] != said


def test_the_client_asks_what_the_command_asks(run: Run, httpserver: HTTPServer) -> None:
    bodies: list[Any] = []

    def answer(request: Request) -> Response:
        bodies.append(json.loads(request.data))
        return Response("{}", content_type="application/json")

    httpserver.expect_request(re.compile("/(whatif|explain)")).respond_with_handler(answer)
    client = Client(httpserver.url_for(""))
    run("whatif", "--set", "a=1,2", "--disable", "b", "--sweep", "c", "1..5", "--points", "9", "--step", "f")
    client.whatif(set={"a": [1, 2]}, disable=["b"], sweep={"reason": "c", "from": 1, "to": 5, "points": 9}, step="f")
    run("explain", "--label", "bad", "--pipeline", "a b", "--step", "f")
    client.explain(label="bad", pipeline="a b", step="f")
    run("explain", "--since", "2026-11-23T10:00:00Z", "--until", "2026-11-23T12:00:00Z")
    client.explain(
        since=datetime(2026, 11, 23, 10, tzinfo=UTC), until=datetime(2026, 11, 23, 12, tzinfo=UTC), outcome="rejected"
    )
    assert bodies[::2] == bodies[1::2]
    assert bodies[0]["changes"][0] == {"step_name": "f", "reason": "a", "threshold": [1, 2]}
    assert bodies[2] == {
        "a": 'pipeline:"a b" -label:bad',
        "b": 'pipeline:"a b" label:bad',
        "outcome": "label:bad",
        "step_name": "f",
    }
    assert bodies[4]["a"] == "since:2026-11-23T08:00:00Z until:2026-11-23T10:00:00Z"
    assert bodies[4]["b"] == "since:2026-11-23T10:00:00Z until:2026-11-23T12:00:00Z"


def test_an_age_is_compared_with_the_same_length_before() -> None:
    sets = two_sets(since="2h")
    first, middle = (datetime.fromisoformat(found) for found in re.findall(r":(\S+Z)", sets["a"]))
    assert sets["b"] == f"since:{middle:%Y-%m-%dT%H:%M:%SZ}"
    assert abs(middle - first - timedelta(hours=2)) <= timedelta(seconds=1)
    assert abs(datetime.now(UTC) - middle - timedelta(hours=2)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "which two sets?"),
        ({"a": "x"}, "b is missing"),
        ({"since": "1h", "label": "bad"}, "since or label"),
        ({"since": "soon"}, "'soon' is no time"),
        ({"since": "999999999w"}, "longer ago than there are times"),
        ({"since": "1h", "until": "2h"}, "since is not before until"),
        ({"since": "2999-01-01"}, "lies ahead"),
        ({"label": "bad", "until": "1h"}, "until goes with since"),
    ],
)
def test_sets_that_cannot_be_are_told(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=re.escape(said)) as caught:
        two_sets(**asked)
    assert caught.value.status == 422


def test_last_is_the_newest_run_for_the_client_too(httpserver: HTTPServer) -> None:
    client = Client(httpserver.url_for(""))
    httpserver.expect_request("/runs", query_string={"limit": "1"}).respond_with_json({"runs": [answers.summary()]})
    httpserver.expect_request(f"/runs/{answers.RUN_ID}/why").respond_with_json(answers.rejected())
    assert client.why("last", "B0012").run_id == answers.RUN_ID
    httpserver.expect_request("/flip", json={"run_id": answers.RUN_ID, "item_id": "7"}).respond_with_json({"cost": 1})
    assert client.flip("last", 7).cost == 1
    httpserver.expect_request("/diff", query_string={"a": "r", "b": answers.RUN_ID}).respond_with_json({"a": "r"})
    assert client.diff("r", "last").a == "r"
    httpserver.clear()
    httpserver.expect_request("/runs").respond_with_json({"runs": []})
    with pytest.raises(ClientError, match="no run is recorded yet"):
        client.labels("last")


# How it reads


LONG = "a_reason_that_says_it_all_and_then_some_more_for_good_measure_and_luck"
NEAR = {"values": 9, "within": 2.5, "failed": 3, "passed": 4, "bins": [{"from": -25.0, "to": 25.0, "n": 9}]}
RULE: dict[str, Any] = {
    "pipeline": LONG, "step_name": LONG, "reason": LONG, "field": "price", "op": "<=", "threshold": 95, "thresholds": 3,
    "runs": 24, "evaluated": 720, "kills": 352, "rate": 0.489, "interval": [0.45, 0.53], "sole_kills": 40,
    "near_misses": NEAR, "drift": {"versions": [{"threshold": one, "rate": 0.5} for one in (100, 90, 95)]},
}  # fmt: skip
HINT = 'record the limit as a rule: step.require("price", "<=", 100, reason="…"), and so on and on and on'
RULES = {
    "runs": 24,
    "rules": [RULE, {**RULE, "pipeline": "other", "reason": "short", "sole_kills": 352, "thresholds": 1}],
    "look_first": {name: RULE[name] for name in ("pipeline", "step_name", "reason", "field", "op")},
    "without_rule": {"rejections": 1, "reasons": [{"step_name": LONG, "reason": LONG, "rejections": 1}], "hint": HINT},
}
CHANGE = {"step_name": LONG, "reason": LONG, "field": "kind", "op": "not_in", "from": ["case"], "to": ["case", "stand"]}
FLIP = {"run_id": answers.RUN_ID, "item_id": LONG * 3, "verdict": "rejected", "changes": [CHANGE]}
STEP = {"step_name": LONG, "share": 0.5, "flipped": 1, "decided": 21, "amplification": 0.1}
CHOICE = {"runs": 17, "items": [{"item_id": "p1", "name": LONG}], "examples": [answers.RUN_ID]}
STABILITY = {
    "runs": 9, "flip_rate": 0.2, "decided": 5, "interval": [0.1, 0.4], "compared": 9, "diverged": 9,
    "entry_steps": [{**STEP, "amplification_interval": [0.01, 0.3], "example": {"a": answers.RUN_ID, "b": "r2"}}],
    "unstable": [{"input": LONG * 2, "choices": [CHOICE]}],
    "unknown": [{"cause": "no_output", "n": 1, "detail": "inputs have no output"}],
}  # fmt: skip
EXAMPLE = {"run_id": "r", "item_id": "i", "name": LONG, "step_name": LONG, "now": "kept", "exactness": "certain"}
WHATIF = {
    "runs": 9,
    "changes": [CHANGE],
    "winner_changes": [{"run_id": answers.RUN_ID, "from": [{"item_id": LONG}], "to": [{"item_id": LONG}]}],
    "examples": [EXAMPLE, {**EXAMPLE, "run_id": "r2"}, {**EXAMPLE, "field": "tags", "observed": None}],
}


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["rules"], RULES),
        (["flip", "r", "x"], FLIP),
        (["stability"], STABILITY),
        (["whatif", "--set", "a=1"], WHATIF),
        (["blame"], {"labelled": 10**9, "complaints": 10**9, "explained": 10**8, "undecided": 1, "pipeline": LONG}),
    ],
)
def test_nothing_is_wider_than_the_screen(
    run: Run, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, columns: int, words: list[str], answer: Any
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    httpserver.expect_request(re.compile(".*")).respond_with_json(answer)
    commands = run(*words)[1].partition("ask next")
    for line in commands[0].splitlines():
        assert cells(line) <= columns, line
    for line in commands[2].splitlines():  # of a command no word is cut
        assert cells(line) <= columns or len(line.rstrip(" \\").split()) <= 2, line


def test_of_several_limits_their_number_and_range_is_told() -> None:
    text = plain(rules_lines(Rules.read(RULES), commands=True))
    assert "price <= 95 (the last of 3 limits from 90 to 100)" in text
    assert "price <= 95  short" in text
    assert "; 40 of them by this rule alone" in text
    assert "; all of them by this rule alone" in text
    assert f"ask next  dxray whatif --pipeline {LONG} --sweep {LONG} 70..120" in text


def test_an_item_that_was_meant_stands_on_a_line_of_its_own() -> None:
    meant = [{"item_id": "p4", "name": "Product 4"}, {"item_id": "p5", "name": None}]
    text = plain(
        flip_lines(Flip.read({**FLIP, "verdict": "never_retrieved", "changes": [], "did_you_mean": meant}), 80, True)
    )
    assert "\n  did you mean\n    Product 4  p4\n" in text
    assert f"ask next  dxray flip {answers.RUN_ID} p4\n" in text


@pytest.mark.parametrize(
    ("to", "typed"),
    [
        (120.5, "price=120.5"),
        (["case", "stand"], "price=case,stand"),
        (["case"], "price=case,"),
        (["a b", "1"], """'price=["a b", "1"]'"""),
        ("phone", "price=phone"),
        ("true", """'price="true"'"""),
        (False, "price=false"),
    ],
)
def test_the_change_that_flip_names_can_be_asked_over_all_runs(to: Any, typed: str) -> None:
    change = {"reason": "price", "field": "price", "op": "==", "from": 1, "to": to, "cost": 0.5, "observed": to}
    text = plain(flip_lines(Flip.read({**FLIP, "changes": [change]}), 100, True))
    assert f"dxray whatif --set {typed}\n" in text + "\n"


def test_an_item_in_many_runs_is_told_once_and_a_value_that_is_not_known_not_at_all() -> None:
    text = plain(whatif_lines(Whatif.read(WHATIF), 80))
    assert text.count("  + ") == 1
    assert "null" not in text


def test_runs_that_would_change_alike_are_told_together() -> None:
    change = {"from": [{"item_id": "a"}], "to": [{"item_id": "b"}], "changes": "yes", "exactness": "certain"}
    runs = [{**change, "run_id": f"r{n}", **({"to": []} if n == 3 else {})} for n in range(5)]
    found = Whatif.read({"changes": [CHANGE], "winner_changes": runs, "winners_changed": [5, 9]})
    told = plain(whatif_lines(found, 80)).partition("another outcome\n")[2]
    assert told == "  ✖ r0 and 3 more like it  a → b\n  ✖ r3  a → nothing\n    and 4 more"


def test_a_count_of_one_reads_well() -> None:
    text = plain(stability_lines(Stability.read(STABILITY), 80))
    assert "? inputs have no output (1)" in text
    assert "\n" + " " * 4 not in text.split("first")[1].split("\n")[1]
    assert "1 run " in plain(stability_lines(Stability.read({"runs": 1}), 80))


# The terminal


def test_where_a_letter_is_missing_one_like_it_stands_and_no_question_mark(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/whatif").respond_with_json(WHATIF)
    words = ["whatif", "--set", "a=1", "--api-url", httpserver.url_for("")]
    done = subprocess.run(
        [sys.executable, "-m", "dxray", *words],
        capture_output=True,
        timeout=60,
        check=False,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin", "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
    assert b" > " in done.stdout
    assert done.stdout.count(b"?") == 1  # the run of which it is not known


def test_a_pipe_that_closes_early_is_no_error(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/rules").respond_with_json({**RULES, "rules": [RULE] * 20})
    for flag in ("", "--json"):
        command = f"{sys.executable} -m dxray rules {flag} --api-url {httpserver.url_for('')} | head -1"
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
