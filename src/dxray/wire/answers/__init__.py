"""What a server answers, typed."""

from dxray.wire.answers.base import Answer, Unknown
from dxray.wire.answers.blame import Blame, BlamedStep, Fault, Undecided
from dxray.wire.answers.diff import Diff, DiffStep
from dxray.wire.answers.funnel import Funnel, FunnelStep
from dxray.wire.answers.items import ItemInRun, ItemMeant, Items
from dxray.wire.answers.labels import Label, Labels
from dxray.wire.answers.lineage import Generations, Lineage, LineageEdge, LineageNode
from dxray.wire.answers.rank import Component, RankChange, Ranking, RankSide, WhyRank
from dxray.wire.answers.runs import Edge, Event, Pipeline, Pipelines, Posted, Run, Runs, Step, Steps
from dxray.wire.answers.why import Ancestor, Predicate, Stop, Why

__all__ = [
    "Ancestor",
    "Answer",
    "Blame",
    "BlamedStep",
    "Component",
    "Diff",
    "DiffStep",
    "Edge",
    "Event",
    "Fault",
    "Funnel",
    "FunnelStep",
    "Generations",
    "ItemInRun",
    "ItemMeant",
    "Items",
    "Label",
    "Labels",
    "Lineage",
    "LineageEdge",
    "LineageNode",
    "Pipeline",
    "Pipelines",
    "Posted",
    "Predicate",
    "RankChange",
    "RankSide",
    "Ranking",
    "Run",
    "Runs",
    "Step",
    "Steps",
    "Stop",
    "Undecided",
    "Unknown",
    "Why",
    "WhyRank",
]
