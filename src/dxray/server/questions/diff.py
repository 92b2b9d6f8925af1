"""Where did two runs part, and what became of what?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from dxray.server.errors import NotFound
from dxray.server.reasoning.alignment import RUN_CONFIG, Said, rule_changes, texts, value_changes
from dxray.server.reasoning.flips import NO_ITEMS, Ints, StepItems, all_items, flip_rows, names_of, rank_moves
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.isolation import minimal_changes
from dxray.server.reasoning.losses import NONE, Losses, losses_of
from dxray.server.reasoning.parting import OPEN, OneRun, Parting, Step, fact_text, state
from dxray.server.reasoning.reading import together
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import rule_text, shown, title
from dxray.server.reasoning.shown import Row, embedded, parsed, when
from dxray.server.store.base import Reader

_OF_RUN = (
    "run_id",
    "pipeline",
    "status",
    "started_at",
    "duration_ms",
    "input",
    "output",
    "error",
    "marks",
    "input_fingerprint",
    "output_fingerprint",
    "request_hash",
    *RUN_CONFIG,
)
_FLIPS = 200  # shown; `totals` says how many there are
_OTHERS = 50
_CHANGES = 200
_NAMED = 3  # in a sentence


def diff(reader: Reader, a: str, b: str, isolate: bool = False) -> dict[str, Any]:
    """The answer, fields as in the contract; with `isolate`, the smallest changes that flip a decision.

    Raises `NotFound`, which says of which run.
    """
    losses = losses_of(reader, [a, b])
    one, other = together(*(partial(_side, reader, side, run_id, losses) for side, run_id in (("a", a), ("b", b))))
    return _Asked(reader, Parting(reader, one, other, facts=True), isolate).answer()


def _side(reader: Reader, side: str, run_id: str, losses: Mapping[str, Losses]) -> OneRun:
    row = _existing(reader, side, run_id)
    return OneRun(reader, row, losses.get(run_id, NONE))


def _existing(reader: Reader, side: str, run_id: str) -> Row:
    try:
        return existing_run(reader, run_id, _OF_RUN)
    except NotFound as error:
        raise NotFound(f"{side}: {error.detail}", field=side, fix=error.fix) from None


class _Asked:
    """The answer, from two runs compared."""

    def __init__(self, reader: Reader, found: Parting, isolate: bool) -> None:
        self.reader, self.found, self.isolate = reader, found, isolate
        self.a, self.b, self.steps = found.a, found.b, found.steps

    def answer(self) -> dict[str, Any]:
        """Everything there is to say."""
        apart = [step for step in self.steps if step.verdict.label != "same" and step.verdict.differs]
        arrivals, departures = self._new(self.b, self.a), self._new(self.a, self.b)
        out: dict[str, Any] = {
            "a": self.a.run_id,
            "b": self.b.run_id,
            "sentence": "",
            "first_divergence": self._first(apart[0]) if apart else None,
            "first_effect": next((_place(step) | {"label": step.verdict.label} for step in apart if _told(step)), None),
            "runs": {"a": _of_run(self.a), "b": _of_run(self.b)},
            "run_input": texts(self.a.row, self.b.row, "input").name.lower(),
            "run_output": texts(self.a.row, self.b.row, "output").name.lower(),
            "steps": [self._step(step) for step in self.steps],
            **self._items(),
            "arrivals": None if arrivals is None else arrivals[1],
            "departures": None if departures is None else departures[1],
            "winners": {"a": self._winners(self.a), "b": self._winners(self.b)},
            "config_changes": list(self._changes()),
            "minimal_changes": self._minimal() if self.isolate else None,
            "unknown": self._unknown(arrivals is None or departures is None),
            "hint": next((step.hint for step in self.steps if step.hint is not None), None),
        }
        out["totals"] |= {
            "steps": len(self.steps),
            "steps_apart": len(apart),
            "arrivals": None if arrivals is None else arrivals[0],
            "departures": None if departures is None else departures[0],
            "config_changes": len(out["config_changes"]),
        }
        out["config_changes"] = out["config_changes"][:_CHANGES]
        self._name(out)
        out["sentence"] = _Words(out, self.found, apart).sentence()
        return out

    def _minimal(self) -> list[dict[str, Any]]:
        pairs = [step.pair for step in self.steps]
        aligned = [(one.a.step_id, one.b.step_id) for one in pairs if one.a is not None and one.b is not None]
        return minimal_changes(self.reader, self.a.run_id, self.b.run_id, aligned)

    # --- steps ---

    def _first(self, step: Step) -> dict[str, Any]:
        """Where the runs parted, with some items that only one of them had there."""
        some = {"only_a": step.over.only_a, "only_b": step.over.only_b}
        items = {name: [{"item_id": one} for one in self.found.runs.ids(n[:_NAMED])] for name, n in some.items()}
        return {**_place(step), "label": step.verdict.label, **items}

    def _step(self, step: Step) -> dict[str, Any]:
        pair, over = step.pair, step.over
        counts = None
        if pair.a is not None and pair.b is not None and step.sure:
            counts = {
                "both": len(over.at_a),
                "changed": int(over.changed.sum()),
                "flipped": int(over.flipped.sum()),
                "only_a": len(over.only_a),
                "only_b": len(over.only_b),
            }
        return {
            **_place(step),
            "step_type": step.key.type,
            "path": [name for name, _ in step.key.path],
            "occurrence": step.key.occurrence,
            "label": step.verdict.label,
            "differs": step.verdict.differs,
            "order_only": step.verdict.order_only,
            "a": self._side(self.a, pair.a),
            "b": self._side(self.b, pair.b),
            "items": counts,
            "unknown": step.unknown,
            "hint": step.hint,
        }

    def _side(self, run: OneRun, stage: Stage | None) -> dict[str, Any] | None:
        if stage is None:
            return None
        row = run.rows[stage.step_id]
        earlier = run.superseded.get(stage.step_id, [])
        names = ("step_id", "position", "attempt", "input_count", "output_count", "rejection_rate", "duration_ms")
        return {
            **{name: row[name] for name in names},
            "rejection_counts": embedded(row["rejection_counts"]) or {},
            "superseded": [{"step_id": one.step_id, "attempt": one.attempt, "failed": one.failed} for one in earlier],
            "complete": stage.complete,
            "error": embedded(row["error"]),
            "fingerprints": {
                **self.found.runs.prints(run.at(stage)),
                "config": _config_print(run, stage, row),
                "recorded_input": row["input_fingerprint"],
                "recorded_config": row["config_fingerprint"],
                "recorded_output": row["output_fingerprint"],
            },
        }

    # --- items ---

    def _items(self) -> dict[str, Any]:
        """Flips and rank moves, at the steps of which nothing is missing."""
        flips: list[dict[str, Any]] = []
        moves: list[dict[str, Any]] = []
        flipped = moved = 0
        for step in self.steps:
            if step.pair.a is None or step.pair.b is None or not step.sure:
                continue
            sides = self.a.at(step.pair.a), self.b.at(step.pair.b)
            flipped += int(step.over.flipped.sum())
            flips += [one | _place(step) for one in flip_rows(self.found.runs, *sides, step.over, _FLIPS)]
            n, some = rank_moves(self.found.runs, *sides, step.over, _OTHERS)
            moved += n
            moves += [one | _place(step) for one in some]
        flips.sort(key=lambda one: "selected" not in (one["a"]["outcome"], one["b"]["outcome"]))
        moves.sort(key=lambda one: -abs(one["a"]["rank"] - one["b"]["rank"]))
        totals = {"flips": flipped, "rank_moves": moved}
        return {"flips": flips[:_FLIPS], "rank_moves": moves[:_OTHERS], "totals": totals}

    def _new(self, run: OneRun, other: OneRun) -> tuple[int, list[dict[str, Any]]] | None:
        """The items of a run that are nowhere in the other, with the step that had them first; None where the other
        does not name all that it had."""
        if not other.names_all:
            return None
        left: Ints = np.setdiff1d(all_items(run.items), all_items(other.items), assume_unique=True)
        n = len(left)
        rows: list[dict[str, Any]] = []
        for stage in run.flow.stages:
            if not len(left):
                break
            here = np.intersect1d(left, run.at(stage).item, assume_unique=True)
            left = np.setdiff1d(left, here, assume_unique=True)
            ids = self.found.runs.ids(here[: _OTHERS - len(rows)])
            rows += [{"item_id": item, "step_id": stage.step_id, "step_name": stage.name} for item in ids]
        return n, rows

    def _winners(self, run: OneRun) -> list[dict[str, Any]] | None:
        """What was selected last; None where that is not known."""
        for stage in reversed(run.flow.stages):
            if stage.lossy or not stage.ended:
                return None
            items: StepItems = run.items.get(stage.step_id, NO_ITEMS)
            if len(items.winners):
                ids = self.found.runs.ids(items.winners[:_OTHERS])
                return [{"item_id": item, "step_id": stage.step_id, "step_name": stage.name} for item in ids]
        return []

    def _name(self, out: dict[str, Any]) -> None:
        """Give the items that are shown their names."""
        lists = [out["flips"], out["rank_moves"], out["arrivals"], out["departures"], *out["winners"].values()]
        first = out["first_divergence"] or {"only_a": (), "only_b": ()}
        rows = [row for some in [*lists, first["only_a"], first["only_b"]] for row in some or ()]
        names = names_of(self.reader, [self.a.run_id, self.b.run_id], (row["item_id"] for row in rows))
        for row in rows:
            row["name"] = names.get(row["item_id"])

    # --- config, and what is not known ---

    def _changes(self) -> Iterator[dict[str, Any]]:
        """What was set otherwise: of the runs, then of each step that both have."""
        for name in RUN_CONFIG:
            one, other = self.a.row[name], self.b.row[name]
            if one != other:
                yield {"step_name": None, "step_id": None, "kind": "run", "field": name, "a": one, "b": other}
        for step in self.steps:
            if step.pair.a is None or step.pair.b is None:
                continue
            a, b = step.pair.a.step_id, step.pair.b.step_id
            row_a, row_b = self.a.rows[a], self.b.rows[b]
            found = [*rule_changes(self.a.rules[a], self.b.rules[b])]
            if row_a["cutoff"] != row_b["cutoff"]:
                found.append({"kind": "cutoff", "field": "cutoff", "a": row_a["cutoff"], "b": row_b["cutoff"]})
            if texts(row_a, row_b, "config") is Said.OTHER:
                values = [*value_changes(row_a["config"], row_b["config"])]
                found += values or [{"kind": "config", "field": "config", "a": None, "b": None}]  # past what was kept
            yield from (_place(step) | one for one in found)

    def _unknown(self, not_all: bool) -> dict[str, str] | None:
        """What of the answer the record leaves open: a run that goes on first, then what is lost, then the rest."""
        if self.a.run_id == self.b.run_id:
            return None
        for run, which in ((self.a, "first"), (self.b, "second")):
            if run.row["status"] in OPEN:
                return {
                    "cause": run.row["status"],
                    "detail": f"{state(run.row['status'], which)}: only what it did so far is compared",
                }
        found = [step.unknown for step in self.steps if step.unknown is not None]
        for run, which in ((self.a, "first"), (self.b, "second")):
            if run.unplaced:
                detail = f"events of the {which} run did not arrive, and nobody knows of which step they were"
                return {"cause": "dropped", "detail": detail}
        if found:
            return min(found, key=lambda one: one["cause"] != "dropped")
        if not_all:
            detail = "not every step names all items that it had, so which items only one run had cannot be said"
            return {"cause": "not_recorded", "detail": detail}
        return None


def _place(step: Step) -> dict[str, Any]:
    ids = {side: None if one is None else one.step_id for side, one in (("a", step.pair.a), ("b", step.pair.b))}
    return {"step_name": step.key.name, "step_id": ids}


def _told(step: Step) -> bool:
    """Whether the step gave something else, not only in another order or from another setting."""
    return not step.verdict.order_only and step.output is not Said.SAME


def _of_run(run: OneRun) -> dict[str, Any]:
    names = ("pipeline", "status", "duration_ms", *RUN_CONFIG)
    lossy = run.unplaced or any(stage.lossy for stage in run.flow.stages)
    return {
        "started_at": when(run.row["started_at"]),
        **{name: run.row[name] for name in names},
        "error": embedded(run.row["error"]),
        "lost_events": lossy,
    }


def _config_print(run: OneRun, stage: Stage, row: Row) -> str | None:
    """A fingerprint of all that is recorded of how a step was set up; None for nothing."""
    rules = sorted(
        [one["field"], one["op"], json.dumps(parsed(one["threshold"], one["threshold"]), sort_keys=True), one["reason"]]
        for one in run.rules[stage.step_id]
    )
    config = row["config_fingerprint"] or parsed(row["config"], row["config"])
    said = [rules, row["cutoff"], config, *(run.row[name] for name in RUN_CONFIG)]
    if not any(one is not None and one != [] for one in said):
        return None
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()


class _Words:
    """The answer as a few plain sentences."""

    def __init__(self, out: dict[str, Any], found: Parting, apart: Sequence[Step]) -> None:
        self.out, self.found, self.apart = out, found, apart

    def sentence(self) -> str:
        """All of it."""
        out = self.out
        if out["a"] == out["b"]:
            return "Both are the same run, so there is no difference."
        pipelines = [out["runs"][side]["pipeline"] for side in ("a", "b")]
        said = [] if pipelines[0] == pipelines[1] else [f"The runs are of two pipelines, {' and '.join(pipelines)}."]
        said += [self._parted(), self._effect()] if self.apart else [self._no_difference()]
        unknown = out["unknown"]
        if unknown is not None and not (self.apart and self.apart[0].unknown == unknown):
            said.append(f"Not all can be said: {unknown['detail']}.")
        said += [self._flip(), self._chosen()]
        return " ".join(one for one in said if one)

    def _no_difference(self) -> str:
        n = len(self.found.steps)
        compared = [step for step in self.found.steps if step.verdict.differs is False]
        if not n:
            said = "No steps are recorded of either run"
        elif len(compared) == n:
            said = f"No difference: {'the only step' if n == 1 else f'all {n} steps'} gave the same in both runs"
        else:
            said = f"No difference is known: {len(compared)} of {n} steps gave the same in both runs"
        if self.out["run_input"] == "other":
            said += ", though their inputs differ"
        if self.out["run_output"] == "other":
            said += ", but what the runs recorded as their output differs"
        return said + "."

    def _parted(self) -> str:
        step = self.apart[0]
        before = self.found.steps[: self.found.steps.index(step)]
        open_ = [one for one in before if one.verdict.differs is None]
        latest = " at the latest" if open_ else ""
        at = "before" if step.verdict.label == "inherited" else "at"
        return f"The runs parted {at} {_where(step)}{latest}: {self._cause(step)}."

    def _cause(self, step: Step) -> str:
        label = step.verdict.label
        if label == "structural":
            if step.pair.a is not None and step.pair.b is not None:
                return "it stands at another place among the steps"
            return f"only the {'first' if step.pair.b is None else 'second'} run has this step"
        if label == "config_changed":
            own = [one for one in self.out["config_changes"] if one["step_id"] == _place(step)["step_id"]]
            of_run = [one for one in self.out["config_changes"] if one["kind"] == "run" and None not in one.values()]
            runs = [one for one in self.out["config_changes"] if one["kind"] == "run"]
            changes = own or of_run or runs
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            return f"{'; '.join(_change(one) for one in changes[:3])}{more}"
        if label == "inherited":
            if step.other is not None:
                return fact_text(step.other)
            if self.out["run_input"] == "other" and step is self.apart[0]:
                return "the runs were given different inputs"
            return "other items, or the same in another order, came into it"
        what = self._what(step)
        if label == "nondeterministic_here":
            return f"it was given the same, with the same config, and {what}"
        why = f"; why is not known, as {step.unknown['detail']}" if step.unknown is not None else ""
        return f"it {what}{why}"

    def _what(self, step: Step) -> str:
        """In what a step's results differ."""
        over = step.over
        if step.verdict.order_only:
            return "let the same items go on in another order"
        said = []
        for n, side, run in ((len(over.only_a), "only_a", "first"), (len(over.only_b), "only_b", "second")):
            if n:
                names = [title(item) for item in self.out["first_divergence"][side]]
                said.append(f"{_items(n)} only in the {run} run ({', '.join(names)}{', …' if n > len(names) else ''})")
        flipped, changed = int(over.flipped.sum()), int(over.changed.sum())
        if flipped:
            said.append(f"{_items(flipped)} with another outcome")
        if changed > flipped:
            said.append(f"{_items(changed - flipped)} with another score or reason")
        if said:
            return "gave something else, with " + " and ".join(said)
        errors = [run.rows[one.step_id]["error"] for run, one in self._sides(step)]
        if errors.count(None) == 1:
            return f"failed in the {'first' if errors[1] is None else 'second'} run only"
        out = [run.rows[one.step_id]["output_count"] for run, one in self._sides(step)]
        if None not in out and out[0] != out[1]:
            return f"let {_items(out[0])} go on in the first run and {out[1]:,} in the second"
        return "gave something else"

    def _sides(self, step: Step) -> list[tuple[OneRun, Stage]]:
        pairs = ((self.found.a, step.pair.a), (self.found.b, step.pair.b))
        return [(run, stage) for run, stage in pairs if stage is not None]

    def _effect(self) -> str:
        """Where what came out first differs, when the first difference was without effect."""
        if _told(self.apart[0]):
            return ""
        effect = self.out["first_effect"]
        if effect is None:
            order = self.apart[0].verdict.order_only
            return "" if order else "That changed nothing that is recorded."
        return f"What came out first differs at {shown(effect['step_name'])}."

    def _flip(self) -> str:
        flips, n = self.out["flips"], self.out["totals"]["flips"]
        if not flips:
            return ""
        one = flips[0]
        a, b = _fate(one["a"]), _fate(one["b"])
        where = shown(one["step_name"])
        said = f"{title(one)} was {a} at {where} in the first run, and {b} in the second"
        return f"{said}; {_items(n)} changed like that." if n > 1 else f"{said}."

    def _chosen(self) -> str:
        a, b = self.out["winners"]["a"], self.out["winners"]["b"]
        if not a or not b:
            return ""
        one, other = (", ".join(title(item) for item in some[:3]) + (", …" if len(some) > 3 else "") for some in (a, b))
        if {item["item_id"] for item in a} == {item["item_id"] for item in b}:
            return f"Both selected {one}."
        return f"The first run selected {one}, the second {other}."


def _where(step: Step) -> str:
    path = [name for name, _ in step.key.path]
    name = shown(step.key.name) + (f" (number {step.key.occurrence})" if step.key.occurrence > 1 else "")
    return name + (f" in {shown(path[-1])}" if path else "")


def _items(n: int) -> str:
    return "1 item" if n == 1 else f"{n:,} items"


def _fate(side: dict[str, Any]) -> str:
    return f"{side['outcome']} ({shown(side['reason'])})" if side["reason"] else str(side["outcome"])


def _change(change: dict[str, Any]) -> str:
    """A change of config in words."""
    a, b = change["a"], change["b"]
    if change["kind"] == "rule":
        if a is None or b is None:
            which = "second" if a is None else "first"
            return f"the rule {shown(change['reason'])} ({rule_text(a or b)}) is only in the {which} run"
        return f"the rule {shown(change['reason'])} was {rule_text(a)} and then {rule_text(b)}"
    if a is None and b is None:
        return f"its {shown(change['field'])} changed"
    return f"{shown(change['field'])} was {shown(a)} and then {shown(b)}"
