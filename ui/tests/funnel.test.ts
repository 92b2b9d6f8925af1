import { describe, expect, it } from "vitest";
import type { Funnel, FunnelStep } from "../src/api/types";
import { funnelGraph } from "../src/logic/funnelGraph";
import { funnelLayout } from "../src/logic/funnelLayout";

function step(id: string, more: Partial<FunnelStep>): FunnelStep {
  return {
    step_id: id,
    step_name: id,
    step_type: "filter",
    parent_step_id: null,
    attempt: 1,
    superseded: false,
    failed: false,
    ended: true,
    in: 0,
    produced: 0,
    accepted: 0,
    rejected: 0,
    selected: 0,
    outranked: 0,
    merged: 0,
    consumed: 0,
    unaccounted: 0,
    accepted_by_count: 0,
    rejected_by_count: 0,
    out: 0,
    reasons: [],
    edges: [],
    complete: true,
    contradictions: [],
    unknown: null,
    ...more,
  };
}
function edge(from: string, out: number, came: number) {
  return { step_id: from, step_name: from, out, in: came, lost_between: out - came, cause: null };
}
const funnel = {
  winners: [{ item_id: "p3", name: "Stand 3" }],
  steps: [
    step("search", { produced: 100, accepted: 100, out: 100 }),
    step("filter", {
      in: 96,
      accepted: 40,
      rejected: 50,
      unaccounted: 6,
      out: 40,
      edges: [edge("search", 100, 96)],
      reasons: [
        { reason: "price", n: 30 },
        { reason: "rating", n: 15 },
      ],
    }),
    step("old", { in: 40, superseded: true, edges: [edge("filter", 40, 40)] }),
    step("select", { in: 40, selected: 1, outranked: 39, out: 1, edges: [edge("filter", 40, 40)] }),
  ],
} as unknown as Funnel;

describe("the funnel", () => {
  const graph = funnelGraph(funnel);
  const leaves = [...graph.leaves.values()].flat();
  const of = (kind: string) => leaves.filter((leaf) => leaf.kind === kind).map((leaf) => [leaf.label, leaf.n]);

  it("shows every loss: by reason, without one, unaccounted, and between steps", () => {
    expect(of("rejected")).toEqual([
      ["price", 30],
      ["rating", 15],
      ["rejected, no reason said", 5],
    ]);
    expect(of("unaccounted")).toEqual([["unaccounted", 6]]);
    expect(of("lost")).toEqual([["lost before filter", 4]]);
    expect(of("outranked")).toEqual([["outranked", 39]]);
    expect(of("selected")).toEqual([["Stand 3", 1]]);
  });

  it("leaves out superseded attempts", () => {
    expect(graph.steps.map((one) => one.step_id)).toEqual(["search", "filter", "select"]);
  });

  it("puts steps in order, as tall as what they dealt with, and keeps texts apart", () => {
    const layout = funnelLayout(graph, 900);
    const [search, filter, select] = layout.boxes;
    expect(search!.x).toBeLessThan(filter!.x);
    expect(filter!.x).toBeLessThan(select!.x);
    expect(filter!.height / search!.height).toBeCloseTo(0.96);
    const below = layout.marks
      .filter((mark) => mark.leaf.stepId === "filter")
      .map((mark) => mark.y)
      .toSorted((a, b) => a - b);
    for (let at = 1; at < below.length; at += 1) expect(below[at]! - below[at - 1]!).toBeGreaterThanOrEqual(36);
    expect(layout.height).toBeGreaterThan(Math.max(...below));
  });

  it("stands for parallel branches in one column, one below the other", () => {
    const branches = {
      winners: [],
      steps: [
        step("a", { produced: 10, accepted: 10, out: 10 }),
        step("b", { in: 10, accepted: 10, out: 10, edges: [edge("a", 10, 10)] }),
        step("c", { in: 10, accepted: 10, out: 10, edges: [edge("a", 10, 10)] }),
      ],
    } as unknown as Funnel;
    const { boxes } = funnelLayout(funnelGraph(branches), 900);
    expect(boxes[1]!.x).toBe(boxes[2]!.x);
    expect(boxes[2]!.y).toBeGreaterThan(boxes[1]!.y + boxes[1]!.height);
  });
});
