"""What a server answers, typed."""

from dxray.wire.answers.base import Answer, Unknown
from dxray.wire.answers.blame import Blame
from dxray.wire.answers.diff import Diff
from dxray.wire.answers.funnel import Funnel
from dxray.wire.answers.items import Items
from dxray.wire.answers.labels import Labels
from dxray.wire.answers.lineage import Lineage
from dxray.wire.answers.rank import WhyRank
from dxray.wire.answers.runs import Edge, Event, Pipeline, Pipelines, Posted, Run, Runs, Step, Steps
from dxray.wire.answers.why import Ancestor, Predicate, Stop, Why

__all__ = [
    "Ancestor",
    "Answer",
    "Blame",
    "Diff",
    "Edge",
    "Event",
    "Funnel",
    "Items",
    "Labels",
    "Lineage",
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
    "WhyRank",
]
