"""What `dxray.testing.capture` took lies in the order of its recording, however its batches came."""

from __future__ import annotations

import random

from dxray.sdk.chunk import encode
from dxray.sdk.contents import halves
from dxray.testing import Capture
from dxray.wire.codec import pack_batch
from dxray.wire.records import Decision


def _decision(number: int) -> bytes:
    one = Decision(run_id="r", step_id="s1", number=number, decision="d", selected=["a"], at=0)
    return encode(one)


def test_batches_that_overtake_one_another_lie_in_their_order() -> None:
    packed = [pack_batch("p", seq, "shop", [_decision(2 * seq), _decision(2 * seq + 1)]) for seq in range(12)]
    first, second = halves(packed[9])  # as a server asks for it that takes no more at once
    arriving = [*packed[:9], *packed[10:], first, second]
    for seed in range(20):
        random.Random(seed).shuffle(arriving)
        captured = Capture()
        for data in arriving:
            captured._post(data)
        assert [decision.number for decision in captured.decisions] == list(range(24))
