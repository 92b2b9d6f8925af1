"""A step that keeps the evidence of some events only. A step becomes one while it is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dxray.sdk import wide
from dxray.sdk.chunk import NOTE, Row
from dxray.sdk.guard import guard
from dxray.sdk.step import Step, plain_evidence
from dxray.sdk.values import as_text
from dxray.wire.records import Op


class SamplingStep(Step):
    """`Step`, with a choice of whose evidence is kept. Verdicts are all kept."""

    def accept(self, item_id: Any, reason: str | None = None, evidence: Any = None, by: str | None = None) -> None:
        """As `Step.accept`."""
        self._sampled(Op.ACCEPTED, item_id, reason, evidence, by)

    def reject(self, item_id: Any, reason: str, evidence: Any = None, by: str | None = None) -> None:
        """As `Step.reject`."""
        self._sampled(Op.REJECTED, item_id, reason, evidence, by)

    def produce(
        self,
        item_id: Any,
        name: str | None = None,
        parents: Sequence[Any] | None = None,
        *,
        kind: str | None = None,
        evidence: Any = None,
    ) -> None:
        """As `Step.produce`."""
        if evidence is None:
            super().produce(item_id, name, parents, kind=kind)
            return
        with guard:
            if parents is not None:
                parents = wide.one_or_several(parents)
                self._consume(parents)
        self._sampled(Op.PRODUCED_WITH, item_id, [name, parents or None, kind], evidence, None)

    def _sampled(self, op: int, item_id: Any, reason: Any, evidence: Any, by: str | None) -> None:
        with guard, self._counting_loss(1):
            notes: Row = () if by is None else (NOTE, item_id, "by", as_text(by, 64))
            if evidence is not None:
                cause = (
                    self._sampler.cause(item_id, reason if op != Op.PRODUCED_WITH else None)
                    if self._sampler is not None
                    else None
                )
                if cause is None:
                    evidence = False
                else:
                    evidence = plain_evidence(evidence)
                    if cause != "chance":
                        notes = (*notes, NOTE, item_id, "kept", cause)
            if notes:
                self._noted = True
            self._add((op, item_id, reason, evidence, *notes))
