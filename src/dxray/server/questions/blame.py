"""Which steps are to blame for what labels say was wrong? Over many labelled runs; see `reasoning.faults`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.expected_items import expected
from dxray.server.reasoning.faults import KINDS, Fault, Judgement
from dxray.server.reasoning.intervals import wilson
from dxray.server.reasoning.journey import Unknown
from dxray.server.reasoning.others import OF_RUN, SAYS_WRONG, Others, records_of
from dxray.server.reasoning.pipeline_names import pipelines_like
from dxray.server.reasoning.recorded import RunRecord
from dxray.server.reasoning.selection import equal, labels_of, period, runs_where
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.unheard import unheard_of
from dxray.server.reasoning.wrong_items import wrong
from dxray.server.store.base import Reader

_RUNS = 500  # labelled runs that are looked at, the newest
_LOOKED_UP = 20  # items that no run had, for which the nearest are looked for


def blame(
    reader: Reader,
    *,
    pipeline: str | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `FilterError`."""
    labels: dict[str, list[Row]] = defaultdict(list)
    for row in labels_of(reader, []):
        labels[str(row["run_id"])].append(row)
    where = [*equal(pipeline=pipeline), *period(since, until, "started_at"), *runs_where(reader, q)]
    asked = [*where, Clause("run_id", "in", sorted(labels))]
    rows = reader.select("runs", OF_RUN, asked, ["-started_at", "-run_id"]).to_pylist() if labels else []
    complaints = {row["run_id"]: _complaints(labels[row["run_id"]]) for row in rows}
    taken = [row for row in rows if complaints[row["run_id"]]][:_RUNS]
    others = Others(reader, labels)
    found: list[_Judged] = []
    for record in records_of(reader, taken, others):
        found += [_Judged(record, label, _judgement(record, label)) for label in complaints[record.run_id]]
    left_out = sum(bool(some) for some in complaints.values()) - len(taken)
    out = _answer(pipeline, rows, found, left_out)
    pipelines = {row["run_id"]: row["pipeline"] for row in taken}
    for fault in [row for row in out["faults"] if row["never_seen"]][:_LOOKED_UP]:
        near = unheard_of(reader, pipelines[fault["run_id"]], fault["item_id"]) or ()
        names = " or ".join(shown(one["item_id"]) for one in near)
        fault["hint"] = f"see that the id is right{f'; did you mean {names}?' if names else ''}"
    if pipeline is not None and not rows:
        out["did_you_mean"] = pipelines_like(reader, pipeline)
    out["sentence"] = _sentence(out)
    return out


class _Judged:
    """One complaint, and what was found."""

    def __init__(self, record: RunRecord, label: Row, judgement: Judgement) -> None:
        self.record, self.label = record, label
        self.faults, self.unknown = judgement.faults, judgement.unknown


def _complaints(labels: Sequence[Row]) -> list[Row]:
    """The labels that say that something was wrong; `bad` only where no other label says what."""
    said = [label for label in labels if label["label"] in SAYS_WRONG]
    exact = [label for label in said if label["label"] != "bad" or label["item_id"] is not None]
    return exact or said[:1]


def _judgement(record: RunRecord, label: Row) -> Judgement:
    item = label["item_id"]
    if label["label"] == "expected":
        return expected(record, item)
    if item is not None:
        return wrong(record, item)
    winners = record.winners()
    if len(winners) == 1:
        return wrong(record, winners[0])
    if winners:
        detail = f"the run chose {len(winners)} items, and the label does not say which of them is wrong"
        return Judgement(unknown=Unknown("ambiguous", detail, "label the item: wrong ITEM, or expected ITEM"))
    detail = "the run does not record what it chose"
    hint = "call step.decide(selected=…) where the choice is made, or label the item: wrong ITEM, or expected ITEM"
    return Judgement(unknown=Unknown("not_recorded", detail, hint))


# The answer


def _answer(pipeline: str | None, rows: Sequence[Row], found: Sequence[_Judged], left_out: int) -> dict[str, Any]:
    pipelines = sorted({row["pipeline"] for row in rows})
    decided = [one for one in found if one.faults]
    undecided = [one for one in found if not one.faults]
    steps = _steps(decided)
    out: dict[str, Any] = {
        "pipeline": pipeline or (pipelines[0] if len(pipelines) == 1 else None),
        "labelled": len(rows),
        "complaints": len(found),
        "explained": len(decided),
        "undecided": len(undecided),
        "not_looked_at": left_out,
        "steps": steps,
        "faults": [row for one in decided for row in _faults(one)],
        "unknown": [_unknown(one) for one in undecided],
        "did_you_mean": None,
        "sentence": "",
    }
    return out


def _steps(decided: Sequence[_Judged]) -> list[dict[str, Any]]:
    """A row for each step at which one changed verdict would have mended an outcome; what comes earliest first."""
    kinds: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    mended: dict[tuple[str, str], set[int]] = defaultdict(set)
    earliest: Counter[tuple[str, str]] = Counter()
    for number, one in enumerate(decided):
        for place, fault in enumerate(_one_a_step(one.faults)):
            step = (one.record.run["pipeline"], fault.stage.name)
            kinds[step][fault.kind] += 1
            mended[step].add(number)
            earliest[step] += place == 0 and one.unknown is None
    order = sorted(mended, key=lambda step: (-earliest[step], -len(mended[step]), step))
    return [
        {
            "pipeline": step[0],
            "step_name": step[1],
            "faults": len(mended[step]),
            "earliest": earliest[step],
            "share": len(mended[step]) / len(decided),
            "interval": list(wilson(len(mended[step]), len(decided))),
            "classes": {kind: kinds[step][kind] for kind in KINDS},
        }
        for step in order
    ]


def _one_a_step(faults: Sequence[Fault]) -> list[Fault]:
    """The first fault of each step of a run: several rules that one item got past count once."""
    by_step: dict[str, Fault] = {}
    for fault in faults:
        by_step.setdefault(fault.stage.name, fault)
    return list(by_step.values())


def _of_label(one: _Judged) -> dict[str, Any]:
    label, record = one.label, one.record
    item = label["item_id"]
    return {
        "run_id": record.run_id,
        "number": label["number"],
        "label": label["label"],
        "labelled_item": item,
        "note": label["note"],
    }


def _faults(one: _Judged) -> list[dict[str, Any]]:
    """The faults that one label leads to. `earliest` is null where a step before could not be judged."""
    unknown = None
    if one.unknown is not None:
        unknown = {"cause": one.unknown.cause, "detail": one.unknown.detail}
    return [
        {
            **_of_label(one),
            "item_id": fault.item,
            "name": one.record.given_name(fault.item),
            "step_id": fault.stage.step_id,
            "step_name": fault.stage.name,
            "class": fault.kind,
            "earliest": None if place == 0 and one.unknown is not None else place == 0,
            "detail": fault.detail,
            "never_seen": fault.unheard,
            "unknown": unknown if place == 0 else None,
            "hint": one.unknown.hint if place == 0 and one.unknown is not None else None,
        }
        for place, fault in enumerate(one.faults)
    ]


def _unknown(one: _Judged) -> dict[str, Any]:
    assert one.unknown is not None
    item = one.label["item_id"]
    name = None if item is None else one.record.given_name(item)
    said = {"cause": one.unknown.cause, "detail": one.unknown.detail, "hint": one.unknown.hint}
    return {**_of_label(one), "item_id": item, "name": name, **said}


_SAYS = {
    "recall_loss": "did not bring in what was expected",
    "too_strict": "dropped what was expected",
    "too_lenient": "let pass what its own rules speak against",
    "mis_ranked": "put the wrong item first",
    "bad_generation": "generated a value that brought the wrong item in",
}


def _sentence(out: Mapping[str, Any]) -> str:
    if out["did_you_mean"] is not None:
        near = " or ".join(shown(name) for name in out["did_you_mean"])
        return f"No run of a pipeline {shown(out['pipeline'])} is recorded{f'; did you mean {near}?' if near else '.'}"
    if not out["labelled"]:
        return "No run here is labelled, so there is nothing to explain yet."
    if not out["complaints"]:
        return f"{_many(out['labelled'], 'labelled run')}, and no label says that something was wrong."
    steps: list[Mapping[str, Any]] = out["steps"]
    said = []
    for place, step in enumerate(steps[:3]):
        of = _share(step["faults"], out["explained"])
        what = _value(out["faults"], step)
        if place == 0:
            leads = "leads" if out["explained"] == 1 or step["faults"] == 1 else "lead"
            perhaps = "" if step["earliest"] else "; whether a step before it is to blame is not known"
            said.append(f"{of} {leads} to {step['step_name']}, which {_did(step)}{what}{perhaps}.")
        else:
            said.append(f"{step['step_name']} could have mended {step['faults']}: it {_did(step)}.")
    unheard = {row["item_id"] for row in out["faults"] if row["never_seen"]}
    if unheard:
        what = shown(next(iter(unheard))) if len(unheard) == 1 else f"{len(unheard)} of the items that were expected"
        said.append(f"No run ever had {what}: see that the label names the right id.")
    if out["undecided"]:
        whose = "label is" if out["undecided"] == 1 else "labels are"
        causes = Counter(row["detail"] for row in out["unknown"])
        most = causes.most_common(1)[0][0]
        rest = "" if len(causes) == 1 else ", and others"
        said.append(f"{out['undecided']} {whose} undecided: {most}{rest}.")
    return " ".join(said)


def _share(n: int, of: int) -> str:
    if of == 1:
        return "The one label that is explained"
    return f"All {of} explained labels" if n == of else f"{n} of {of} explained labels"


def _value(faults: Sequence[Mapping[str, Any]], step: Mapping[str, Any]) -> str:
    """The generated value, where it is always the same."""
    here = [row for row in faults if row["step_name"] == step["step_name"]]
    names = {row["name"] or row["item_id"] for row in here}
    same = len(names) == 1 and all(row["class"] == "bad_generation" for row in here)
    return f": {shown(names.pop())}" if same else ""


def _did(step: Mapping[str, Any]) -> str:
    classes: Mapping[str, int] = step["classes"]
    found = sorted((kind for kind in classes if classes[kind]), key=lambda kind: -classes[kind])
    return " or ".join(_SAYS[kind] for kind in found)


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
