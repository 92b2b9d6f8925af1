"""Stability in words: the sentence, and what cannot be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxray.server.reasoning.pipeline_names import no_such_pipeline
from dxray.server.reasoning.sentences import shown

_SET = "step.set_config(…) in each step, and code_version on XRay(…)"
CAUSES: dict[str, dict[str, str | None]] = {
    "not_completed": {"detail": "runs failed, and so came to no decision that could be compared", "hint": None},
    "not_ended": {"detail": "runs have not ended", "hint": None},
    "no_input": {
        "detail": "runs have no recorded input, so nobody knows which of them were asked the same",
        "hint": "record it: xray.run(input=…)",
    },
    "no_output": {"detail": "repeated runs have no recorded output", "hint": "record it: run.set_output(…)"},
    "no_settings": {
        "detail": "repeated runs do not say how they were set up, so a change between them would look like chance",
        "hint": f"record it: {_SET}",
    },
    "other_settings": {
        "detail": "inputs came under several settings of a step, and count once for each of them",
        "hint": "of a prompt that is filled with what came before, record the template: step.set_config(prompt=…)",
    },
    "decision_dropped": {"detail": "repeated runs lost events, which may be of their decision", "hint": None},
    "decision_not_recorded": {
        "detail": "repeated runs do not record what they chose",
        "hint": "call step.decide(selected=…) where the choice is made",
    },
    "decision_not_ended": {"detail": "repeated runs completed while the step that decides was open", "hint": None},
    "decision_contradiction": {
        "detail": "repeated runs record another outcome for an item after they selected it",
        "hint": None,
    },
    "decision_foreign_ids": {
        "detail": "repeated runs have no item in common, so their ids may be made anew in each run",
        "hint": "give an item the same id in each run: the product's own, not one that is counted or drawn",
    },
    "not_told_apart": {
        "detail": "compared runs leave open at which step they parted first: a step before it is not fully recorded",
        "hint": "record what goes in and out: step.set_input_count(…), step.set_output(…)",
    },
    "unrecorded": {
        "detail": "compared runs came to something else, though every recorded step did the same",
        "hint": "record what the steps make: step.set_output(…)",
    },
}


def sentence(out: Mapping[str, Any]) -> str:
    """All of it."""
    if out["did_you_mean"] is not None:
        return no_such_pipeline(out["pipeline"], out["did_you_mean"])
    if not out["runs"]:
        return "No run is recorded here, so there is nothing to compare."
    if not out["repeats"]:
        return (
            "No input came twice with the same settings to a run that completed, so whether the same input leads to "
            "the same decision cannot be said."
        )
    return " ".join(one for one in (_flips(out), _enters(out), _outputs(out)) if one)


def _flips(out: Mapping[str, Any]) -> str:
    n, flipped = out["decided"], out["flipped"]
    what = "decision" if out["decision_of"] == "selected" else "output"
    if not n:
        return f"{_inputs(out['repeats'])} came more than once, but what those runs decided is not known."
    low, high = (100 * one for one in out["interval"])
    of = f"{_inputs(n) if n > 1 else 'The only input'} that came more than once"
    if not flipped:
        return f"{of} led to the same {what} every time; at most {high:.0f} % of all inputs may not (95 %)."
    if n == 1:
        said = f"of one input no more can be said than that {low:.0f} to {high:.0f} % of all inputs do so (95 %)"
        return f"{of} did not always lead to the same {what}; {said}."
    share = f"{100 * out['flip_rate']:.0f} %, {low:.0f} to {high:.0f} % at 95 %"
    return f"{flipped} of {of} did not always lead to the same {what} ({share})."


def _enters(out: Mapping[str, Any]) -> str:
    """The step from which most of what differs in the end comes; and one that differs more often, but harmlessly."""
    steps: list[Mapping[str, Any]] = out["entry_steps"]
    if not steps:
        return ""
    lead = max(steps, key=lambda step: (step["flipped"], step["first"]))
    name, of = shown(lead["step_name"]), f"{lead['first']} of {out['diverged']} that part"
    if not lead["decided"]:
        return f"Repeated runs mostly part first in {name} ({of})."
    low, high = (100 * one for one in lead["amplification_interval"])
    if not lead["flipped"]:
        return (
            f"Repeated runs mostly part first in {name} ({of}), and that changed nothing (at most {high:.0f} % would)."
        )
    flipped = sum(step["flipped"] for step in steps)
    said = (
        f"Where it differs, the runs mostly part first in {name} ({_cases(lead['flipped'], flipped)}); a difference "
        f"there changes what comes out in {100 * lead['amplification']:.0f} % of cases ({low:.0f} to {high:.0f} %)."
    )
    noisy = steps[0]
    if noisy["first"] > lead["first"] and noisy["decided"] and noisy["amplification"] < 0.5:
        said += f" {shown(noisy['step_name'])} differs more often, mostly without consequence."
    return said


def _outputs(out: Mapping[str, Any]) -> str:
    if not out["outputs_known"] or out["decision_of"] == "output":
        return ""
    same, n = out["identical"], out["outputs_known"]
    if n == 1:
        return f"The recorded output was {'identical every time' if same else 'not always identical'}."
    if not same:
        return f"The recorded output was identical every time for none of {_inputs(n)}."
    some = f"{same} of {_inputs(n)}" if same < n else f"all {_inputs(n)}"
    return f"The recorded output was identical every time for {some}."


def _cases(some: int, n: int) -> str:
    return "the only case" if n == 1 else f"{some} of {n} cases"


def _inputs(n: int) -> str:
    return "1 input" if n == 1 else f"{n:,} inputs"
