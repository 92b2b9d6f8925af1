import {
  sankey,
  sankeyLeft,
  sankeyLinkHorizontal,
  type SankeyGraph,
  type SankeyLink,
  type SankeyNode,
} from "d3-sankey";
import type { FunnelStep } from "../api/types";
import { type FunnelGraph, type Leaf, dealtWith } from "./funnelGraph";

interface NodeOf {
  id: string;
  leaf?: Leaf;
  fixedValue: number;
}
interface LinkOf {
  value: number;
  kind: "flow" | "leaf";
  leaf?: Leaf;
}
type Node = SankeyNode<NodeOf, LinkOf>;
type Link = SankeyLink<NodeOf, LinkOf>;

export interface Box {
  step: FunnelStep;
  x: number;
  y: number;
  height: number;
}
export interface Ribbon {
  key: string;
  /** A line to be drawn `width` wide, or a shape to be filled where `width` is null: a step that makes more of what came. */
  path: string;
  width: number | null;
  leaf: Leaf | null;
}
export interface Mark {
  leaf: Leaf;
  x: number;
  y: number;
  height: number;
  /** How wide a text may be. */
  room: number;
}
export interface Layout {
  width: number;
  height: number;
  columnWidth: number;
  boxes: Box[];
  ribbons: Ribbon[];
  marks: Mark[];
}

export const NODE_WIDTH = 13;
const TALLEST = 150;
const TOP = 60;
const LEFT = 18;
const LEAF_AT = 58;
const LEAF_STEP = 42;
const NARROWEST = 186;
const LAST_MORE = 56; // the last column names what was selected
const THINNEST = 2;

/** Where everything of the funnel stands: `available` is the width there is. d3-sankey sorts and joins the links. */
export function funnelLayout(graph: FunnelGraph, available: number): Layout {
  const columns = 1 + Math.max(0, ...graph.column.values());
  const columnWidth = Math.max(NARROWEST, (available - LEFT - LAST_MORE) / columns);
  const most = Math.max(1, ...graph.steps.map(dealtWith));
  const scale = (n: number) => Math.max(THINNEST, (n / most) * TALLEST);
  const { nodes, links } = described(graph);
  const layout = sankey<NodeOf, LinkOf>()
    .nodeId((node) => node.id)
    .nodeAlign(sankeyLeft)
    .nodeWidth(NODE_WIDTH)
    .iterations(1);
  const made: SankeyGraph<NodeOf, LinkOf> = layout({ nodes, links });
  const bottom = placed(made.nodes as Node[], graph, columnWidth, scale);
  for (const link of made.links as Link[]) link.width = scale(link.value);
  for (const node of made.nodes as Node[])
    node.sourceLinks?.sort((one, other) => (one.target as Node).y0! - (other.target as Node).y0!);
  layout.update(made);
  return drawn(made, graph, {
    width: Math.max(available, LEFT + columns * columnWidth + LAST_MORE),
    height: bottom,
    columnWidth,
  });
}

function described(graph: FunnelGraph): {
  nodes: NodeOf[];
  links: { source: string; target: string; value: number; kind: "flow" | "leaf"; leaf?: Leaf }[];
} {
  const nodes: NodeOf[] = graph.steps.map((step) => ({
    id: step.step_id,
    fixedValue: Math.max(1, dealtWith(step)),
  }));
  const links: ReturnType<typeof described>["links"] = graph.flows
    .filter((flow) => flow.n > 0)
    .map((flow) => ({ source: flow.from, target: flow.to, value: flow.n, kind: "flow" }));
  for (const [stepId, leaves] of graph.leaves) {
    for (const leaf of leaves) {
      nodes.push({ id: leaf.key, leaf, fixedValue: leaf.n });
      links.push({ source: stepId, target: leaf.key, value: leaf.n, kind: "leaf", leaf });
    }
  }
  return { nodes, links };
}

/** Steps of a column stand below each other, each with what left it underneath. Returns the height of it all. */
function placed(nodes: Node[], graph: FunnelGraph, columnWidth: number, scale: (n: number) => number): number {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const free = new Map<number, number>();
  for (const step of graph.steps) {
    const column = graph.column.get(step.step_id) ?? 0;
    const node = byId.get(step.step_id)!;
    const top = free.get(column) ?? TOP;
    node.x0 = LEFT + column * columnWidth;
    node.x1 = node.x0 + NODE_WIDTH;
    node.y0 = top;
    node.y1 = top + scale(dealtWith(step));
    let below = top + Math.max(node.y1 - top, 20) + 26;
    for (const leaf of graph.leaves.get(step.step_id) ?? []) {
      const end = byId.get(leaf.key)!;
      const kept = leaf.kind === "selected" || leaf.kind === "left";
      end.x0 = node.x1 + LEAF_AT;
      end.x1 = end.x0;
      end.y0 = kept ? top : below;
      end.y1 = end.y0 + Math.min(scale(leaf.n), kept ? TALLEST : 14);
      if (!kept) below += LEAF_STEP;
      else below = Math.max(below, end.y1 + 26);
    }
    free.set(column, below + 58);
  }
  return Math.max(TOP + TALLEST, ...free.values()) - 58;
}

function drawn(
  made: SankeyGraph<NodeOf, LinkOf>,
  graph: FunnelGraph,
  size: Omit<Layout, "boxes" | "ribbons" | "marks">,
): Layout {
  const steps = new Map(graph.steps.map((step) => [step.step_id, step]));
  const line = sankeyLinkHorizontal<NodeOf, LinkOf>();
  const boxes: Box[] = [];
  const marks: Mark[] = [];
  for (const node of made.nodes as Node[]) {
    const step = steps.get(node.id);
    if (step) boxes.push({ step, x: node.x0!, y: node.y0!, height: node.y1! - node.y0! });
    else if (node.leaf)
      marks.push({
        leaf: node.leaf,
        x: node.x0!,
        y: node.y0!,
        height: node.y1! - node.y0!,
        room: room(node.x0!, size),
      });
  }
  const ribbons = (made.links as Link[]).map((link): Ribbon => {
    const [from, to] = [link.source as Node, link.target as Node];
    const key = `${from.id}>${to.id}`;
    const target = steps.get(to.id);
    if (target && target.produced > 0 && target.consumed > 0) {
      return { key, path: widening(from, to, link), width: null, leaf: null };
    }
    if (link.leaf) return { key, path: falling(from, to, link), width: null, leaf: link.leaf };
    return { key, path: line(link) ?? "", width: link.width ?? 1, leaf: null };
  });
  return { ...size, boxes, ribbons, marks };
}

/** From a thin link to the whole of a step that made many items of few. */
function widening(from: Node, to: Node, link: Link): string {
  const middle = (from.x1! + to.x0!) / 2;
  const [top, bottom] = [link.y0! - link.width! / 2, link.y0! + link.width! / 2];
  return `M${from.x1} ${top}C${middle} ${top} ${middle} ${to.y0} ${to.x0} ${to.y0}V${to.y1}C${middle} ${to.y1} ${middle} ${bottom} ${from.x1} ${bottom}Z`;
}

/** From its full width at the step down to a mark that is small enough to have a text beside it. */
function falling(from: Node, to: Node, link: Link): string {
  const [top, bottom] = [link.y0! - link.width! / 2, link.y0! + link.width! / 2];
  const [near, far] = [from.x1! + 30, to.x0! - 22];
  return `M${from.x1} ${top}C${near} ${top} ${far} ${to.y0} ${to.x0} ${to.y0}V${to.y1}C${far} ${to.y1} ${near} ${bottom} ${from.x1} ${bottom}Z`;
}

/** As far as the next column; at the end as far as there is. */
function room(x: number, size: Omit<Layout, "boxes" | "ribbons" | "marks">): number {
  const last = x + size.columnWidth > size.width;
  return last ? size.width - x - 16 : size.columnWidth - 90;
}
