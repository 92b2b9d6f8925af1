"""The pytest plugin, in real pytest runs of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dxray

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "testing.md"

TESTS = """
import threading
import pytest
import dxray
from dxray.integrations.pytest import assert_decision

OWN = dxray.XRay("own", api_url="http://127.0.0.1:9")

def choose(xray, limit):
    with xray.run(input={"limit": limit}) as run:
        with run.step("search", "retrieve") as step:
            for item in "ab":
                step.produce(item, name=f"Case {item}")
        with run.step("filter", "filter") as step:
            cap = step.require("price", "<=", limit, reason="price_too_high")
            kept = [item for item, price in (("a", 20), ("b", 129.5)) if cap.passes(item, price)]
        with run.step("select", "select") as step:
            for item in kept:
                step.score(item, {"a": 0.5, "b": 0.9}[item])
            step.decide("best", selected=kept[-1])
    return run

def test_it_holds(xray):
    run = choose(xray, 100)
    assert_decision(run, selected="a", rejected={"b": "price_too_high"}, absent="z", not_selected=["b", "z"])
    assert xray.captured.outcomes("filter") == {"b": "rejected"}
    again = choose(OWN, 200)  # recorded by code that knows nothing of the test
    assert_decision(again.run_id, selected=["b"], outranked={"a"})
    assert len(xray.captured.runs) == 2

def test_nothing_is_left_of_another_test(xray):
    assert xray.captured.runs == []

def test_it_does_not_hold(xray):
    assert_decision(choose(xray, 100), selected="b", rejected={"a": "too_old"})

def test_the_reason_is_another(xray):
    assert_decision(choose(xray, 100), rejected={"b": "too_old"})

def test_what_is_not_recorded_is_no_decision(xray):
    with xray.run() as run:
        with run.step("search", "retrieve") as step:
            step.produce("a")
            step.set_output_count(5)
    assert_decision(run, not_selected="c")

def test_nothing_was_asked(xray):
    with pytest.raises(ValueError, match="name items"):
        assert_decision(choose(xray, 100))
"""


def test_a_failed_assertion_says_why_not(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    result.assert_outcomes(passed=3, failed=3)
    said = result.stdout.str()
    first = said[said.index("test_it_does_not_hold") : said.index("test_the_reason_is_another")]
    assert "b was expected to be selected; it is rejected" in first
    assert "Case b was rejected at filter: price_too_high" in first
    assert re.search(r"rule +price <= 100 +observed 129.5 +outside by 29.5", first)
    assert "a was expected to be rejected for too_old; it is selected" in first
    assert "integrations/pytest.py" not in first  # the test is where it failed
    assert "b was expected to be rejected for too_old; it is rejected for price_too_high" in said
    assert "c was expected to be not selected; it is unknown" in said


def test_the_documents_example_passes_and_its_failure_reads_as_shown(pytester: pytest.Pytester) -> None:
    text = DOCUMENT.read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    wrong = example.replace('selected="slim", rejected={"gold": "price_too_high"}', 'selected="gold"')
    assert wrong != example
    pytester.makepyfile(test_right=example, test_wrong=wrong)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    result.assert_outcomes(passed=1, failed=1)
    printed = [line.removeprefix("E").strip().removeprefix("AssertionError: ") for line in result.outlines]
    assert [line for line in map(str.strip, shown.splitlines()) if line not in (*printed, "")] == []
    assert any("AssertionError: gold was expected" in line for line in printed) or "gold was expected" in "".join(
        printed
    )


def test_each_test_is_a_run_of_the_server_also_with_xdist(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytester.makepyfile("""
        import pytest, dxray
        def test_good():
            with dxray.XRay("inner").run() as run:
                pass
        def test_bad():
            raise RuntimeError("no such luck")
        @pytest.mark.skip
        def test_skipped(): pass
        @pytest.mark.xfail
        def test_known(): assert False
        @pytest.fixture
        def broken(): raise LookupError("fixture")
        def test_error(broken): pass
        def test_captured(xray):
            with xray.run(): pass
    """)
    with dxray.local() as client:
        monkeypatch.setenv("DXRAY_API_URL", client.api_url)
        monkeypatch.setenv("DXRAY_SPOOL_DIR", str(tmp_path / "spool"))
        for extra in ((), ("-n", "1")):
            before = {run.run_id for run in client.runs(limit=100)}
            result = pytester.runpytest_subprocess("--xray", "-p", "no:cacheprovider", *extra)
            result.assert_outcomes(passed=2, failed=1, skipped=1, xfailed=1, errors=1)
            runs = [client.run(run.run_id) for run in client.runs(limit=100) if run.run_id not in before]
            found = {run.input["test"].split("::")[1]: run for run in runs if run.pipeline == "pytest"}
            assert {name: (run.status, run.output["outcome"]) for name, run in found.items()} == {
                "test_good": ("completed", "passed"),
                "test_bad": ("failed", "failed"),
                "test_skipped": ("completed", "skipped"),
                "test_known": ("completed", "xfailed"),
                "test_error": ("failed", "failed"),
                "test_captured": ("completed", "passed"),
            }
            assert "no such luck" in json.dumps(found["test_bad"].error)
            assert "fixture" in json.dumps(found["test_error"].error)
            (inner,) = (run for run in runs if run.pipeline == "inner")
            assert inner.parent_run_id == found["test_good"].run_id
            assert len(runs) == 7  # and none of what a test captured
            if not extra:
                result.stdout.fnmatch_lines([f"dxray: 6 tests are recorded at {client.api_url}/ui/"])


def test_without_a_server_the_tests_run_all_the_same(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DXRAY_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DXRAY_SPOOL_DIR", str(tmp_path / "spool"))
    pytester.makepyfile("def test_good(): pass")
    result = pytester.runpytest_subprocess("--xray", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["dxray: 1 tests are recorded and wait here for a server: dxray sync"])


def test_another_plugin_may_have_the_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(early="def pytest_addoption(parser): parser.addoption('--xray', action='store_true')")
    pytester.makepyfile("def test_good(pytestconfig): assert pytestconfig.getoption('--xray')")
    pytester.syspathinsert()
    result = pytester.runpytest_inprocess("-p", "early", "--xray", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_who_does_not_use_it_pays_for_the_import_of_dxray_alone() -> None:
    code = """
import sys, time, pytest, _pytest.config, dataclasses, contextlib
import dxray
before, at = set(sys.modules), time.perf_counter()
import dxray.integrations.pytest
took = time.perf_counter() - at
import json
print(json.dumps([sorted(set(sys.modules) - before), took]))
"""
    took = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
        new, seconds = json.loads(done.stdout)
        assert [name for name in new if not name.startswith("dxray.integrations")] == []
        took.append(seconds)
    assert min(took) < 0.02


def test_unused_it_adds_no_hook_to_a_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys
        def test_good(pytestconfig):
            manager = pytestconfig.pluginmanager
            assert manager.get_plugin("dxray")
            for hook in ("pytest_runtest_protocol", "pytest_runtest_call", "pytest_runtest_makereport"):
                assert not any("dxray" in one.plugin_name for one in getattr(manager.hook, hook).get_hookimpls())
            assert not {"dxray.client", "dxray.own_server", "dxray.sdk.testing"} & set(sys.modules)
    """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:playwright", "-p", "no:xdist")
    result.assert_outcomes(passed=1)
