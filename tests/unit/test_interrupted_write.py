"""Somebody presses Ctrl-C while a batch is written to the spool."""

from __future__ import annotations

from typing import Any

import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk.channel import Channel
from dxray.sdk.disk import Disk
from dxray.sdk.outbox import Outbox


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where", [(Disk, "write"), (Outbox, "keep")])
def test_a_write_that_is_interrupted_loses_nothing_and_counts_once(
    monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], after: bool
) -> None:
    monkeypatch.setattr(Channel, "_start", lambda _: None)  # only what is asked for is collected
    owner, name = where
    original = getattr(owner, name)
    calls: list[int] = []

    def interrupted(*given: Any) -> Any:
        calls.append(1)
        found = original(*given) if after or len(calls) > 1 else None
        if len(calls) == 1:
            raise KeyboardInterrupt
        return found

    with dxray.testing.capture() as captured:
        xray = XRay("shop", capture="full")
        with xray.run() as run, run.step("f") as step:
            for number in range(100):
                step.accept(number)
        monkeypatch.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            xray.flush(5)
        assert xray.flush(5)
        assert [event.item_id for event in captured.events] == [str(number) for number in range(100)]
        assert captured.losses == {}
