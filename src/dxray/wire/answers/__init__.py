"""What a server answers, typed."""

from dxray.wire.answers.base import Answer, Unknown
from dxray.wire.answers.blame import Blame, BlamedStep, Fault, Undecided
from dxray.wire.answers.diff import Diff, DiffStep
from dxray.wire.answers.explain import Condition, Explain, LeftOut, Slice, SplitStep
from dxray.wire.answers.flip import Flip
from dxray.wire.answers.funnel import Funnel, FunnelStep
from dxray.wire.answers.items import ItemInRun, ItemMeant, Items
from dxray.wire.answers.labels import Label, Labels
from dxray.wire.answers.lineage import Generations, Lineage, LineageEdge, LineageNode
from dxray.wire.answers.rank import Component, RankChange, Ranking, RankSide, WhyRank
from dxray.wire.answers.rules import RuleHealth, Rules
from dxray.wire.answers.runs import Edge, Event, Pipeline, Pipelines, Posted, Run, Runs, Step, Steps, Summary
from dxray.wire.answers.stability import EntryStep, Stability, UnstableInput
from dxray.wire.answers.step_items import StepItem, StepItems
from dxray.wire.answers.views import View, Views
from dxray.wire.answers.whatif import Whatif
from dxray.wire.answers.why import Ancestor, Predicate, Stop, Why

__all__ = [
    "Ancestor",
    "Answer",
    "Blame",
    "BlamedStep",
    "Component",
    "Condition",
    "Diff",
    "DiffStep",
    "Edge",
    "EntryStep",
    "Event",
    "Explain",
    "Fault",
    "Flip",
    "Funnel",
    "FunnelStep",
    "Generations",
    "ItemInRun",
    "ItemMeant",
    "Items",
    "Label",
    "Labels",
    "LeftOut",
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
    "RuleHealth",
    "Rules",
    "Run",
    "Runs",
    "Slice",
    "SplitStep",
    "Stability",
    "Step",
    "StepItem",
    "StepItems",
    "Steps",
    "Stop",
    "Summary",
    "Undecided",
    "Unknown",
    "UnstableInput",
    "View",
    "Views",
    "Whatif",
    "Why",
    "WhyRank",
]
