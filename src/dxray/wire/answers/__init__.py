"""What a server answers, typed."""

from dxray.wire.answers.base import Answer, Unknown
from dxray.wire.answers.runs import Edge, Event, Pipeline, Pipelines, Posted, Run, Runs, Step, Steps
from dxray.wire.answers.why import Ancestor, Predicate, Stop, Why

__all__ = [
    "Ancestor",
    "Answer",
    "Edge",
    "Event",
    "Pipeline",
    "Pipelines",
    "Posted",
    "Predicate",
    "Run",
    "Runs",
    "Step",
    "Steps",
    "Stop",
    "Unknown",
    "Why",
]
