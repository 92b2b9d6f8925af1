"""Rules that are written or asked wrongly: the pipeline goes on, and the log and the counts say what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk.guard import LOG_EVERY_S, guard
from dxray.testing import Capture
from dxray.wire.predicates import OPERATORS, UnknownOperator, comparison


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged, with nothing logged in the minute before."""
    monkeypatch.setattr(guard, "_logged_at", -LOG_EVERY_S)
    caplog.set_level(logging.WARNING, "dxray")
    return caplog


@pytest.mark.parametrize(
    ("op", "meant"),
    [("=<", "<="), ("=>", ">="), ("=", "=="), ("<>", "!="), ("not in", "not_in"), ("gte", ">="), ("betwen", "between")],
)
@pytest.mark.parametrize("disabled", [False, True])
def test_a_misspelled_operator_is_logged_with_the_nearest(
    captured: Capture, logged: pytest.LogCaptureFixture, op: str, meant: str, disabled: bool
) -> None:
    with XRay("shop", disabled=disabled).run() as run, run.step("f") as step:
        assert not step.require("price", op, 100).passes("secret-sku", 1)
    assert f"operator {op!r} is not known; did you mean {meant!r}? Known: {' '.join(OPERATORS)}" in logged.text
    assert "secret-sku" not in logged.text


@pytest.mark.parametrize("together", [False, True])
def test_an_unknown_operator_is_seen_on_the_run(together: bool) -> None:
    with dxray.local() as client:
        xray = XRay("shop", api_url=client.api_url)
        with xray.run() as run, run.step("f") as step:
            step.set_input_count(1)
            if together:
                assert not step.require_all([("price", "=<", 30, "dear")]).passes("a", {"price": 1})
            else:
                assert not step.require("price", "=<", 30).passes("a", 1)
        assert xray.flush(timeout=20)
        shown, why = client.run(run.run_id), client.why(run.run_id, "a")
    assert shown.losses == shown.steps[0].losses == {"unknown_operator": 1}
    assert "lost: 1 rule (its operator is not known, so nothing passes it)" in str(shown)
    assert why.verdict == "unknown"
    assert why.unknown is not None and why.unknown.cause == "dropped"
    assert why.hint is not None and "write one of < <= > >= == != in not_in between" in why.hint


def test_an_operator_like_no_other_is_told_all() -> None:
    with pytest.raises(UnknownOperator, match=r"operator '~~' is not known\. Known: < <="):
        comparison("~~")


def test_of_other_mistakes_the_log_says_the_type_only(captured: Capture, logged: pytest.LogCaptureFixture) -> None:
    class Hostile:
        def __iter__(self) -> Any:
            raise ValueError("a customer's name")

    with XRay("shop").run() as run, run.step("f") as step:
        step.accept_many(Hostile())
    assert "ValueError" in logged.text
    assert "customer" not in logged.text


def test_a_rule_that_could_not_be_made_hides_no_failure_of_another(captured: Capture) -> None:
    with XRay("shop").run() as run, run.step("f") as step:
        rules = step.require_all([("price", "=<", 100, "x"), ("stars", ">=", 3, "bad"), ("stock", ">", 0, "gone")])
        assert not rules.passes("a", {"price": 1, "stars": 1, "stock": 0})
        assert not rules.passes("b", {"price": 1, "stars": 4, "stock": 1})
    assert captured.outcomes("f") == {"a": "rejected"}, "what cannot be made rejects nothing"
    assert [event.reason for event in captured.events if event.item_id == "a"] == ["bad", "gone"]
    assert [(rule.evaluated, rule.failed) for rule in captured.steps[0].rules] == [(2, 1), (2, 1)]


def test_what_could_not_be_compared_is_counted_once_each(captured: Capture) -> None:
    with XRay("shop").run() as run, run.step("f") as step:
        cap = step.require("price", "<=", 100)
        for number, price in enumerate(["12", None, 5, 500, {}, float("nan")]):
            cap.passes(number, price)
        step.require_all([("stars", ">", 3)]).passes("a", {"stars": "four"})
        step.require_all([("stars", ">", 3)]).passes("b", {})
    assert [(rule.evaluated, rule.failed, rule.uncomparable) for rule in captured.steps[0].rules] == [
        (6, 5, 4),
        (2, 2, 2),
    ]


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize(
    ("frame", "mask", "kind"),
    [([1, 2, 3], [True], ValueError), (np.arange(3), np.array([True]), IndexError)],
)
def test_a_mask_of_another_length_is_said_plainly(
    captured: Capture, frame: Any, mask: Any, kind: type[Exception], disabled: bool
) -> None:
    with XRay("shop", disabled=disabled).run() as run, run.step("f") as step, pytest.raises(kind) as caught:
        step.mask(frame, mask, "no")
    said = [str(caught.value), *getattr(caught.value, "__notes__", ())]
    assert "the mask has 1 flags for 3 items: give step.mask one flag for each" in said
