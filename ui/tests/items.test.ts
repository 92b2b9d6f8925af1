import { describe, expect, it } from "vitest";
import type { EventRow } from "../src/api/types";
import { compare, evidenceColumns, itemsOf, wanted } from "../src/logic/items";
import { marginOf } from "../src/logic/margin";

function event(itemId: string, more: Partial<EventRow>): EventRow {
  return {
    event_no: 0,
    step_id: "s1",
    step_name: "filter",
    step_type: "filter",
    item_id: itemId,
    name: null,
    kind: null,
    outcome: null,
    reason: null,
    evidence: null,
    evidence_state: null,
    kept_because: null,
    p: null,
    score: null,
    by: "code",
    passed: null,
    ref_item: null,
    ref_kind: null,
    marks: [],
    at: null,
    ...more,
  };
}

const rule = {
  field: "price",
  op: "<=",
  threshold: 100,
  reason: "price_too_high",
  evaluated: 2,
  failed: 1,
  uncomparable: 0,
};

describe("items at a step", () => {
  it("have their last outcome, and the evidence of every observation", () => {
    const rows = itemsOf(
      [
        event("a", { passed: true, evidence: { price: 50 } }),
        event("a", { passed: true, evidence: { rating: 4 }, score: 0.5 }),
        event("a", { outcome: "rejected", reason: "late" }),
        event("a", { outcome: "accepted", reason: null }),
      ],
      new Map([["a", "Case"]]),
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      name: "Case",
      outcome: "accepted",
      reason: null,
      score: 0.5,
      evidence: { price: 50, rating: 4 },
    });
  });

  it("are narrowed by outcome, reason and text together", () => {
    const rows = itemsOf(
      [event("A1", { outcome: "rejected", reason: "x" }), event("a2", { outcome: "accepted" })],
      new Map(),
    );
    expect(wanted(rows, { find: "a" })).toHaveLength(2);
    expect(wanted(rows, { find: "a", outcome: "rejected", reason: "x" })).toHaveLength(1);
    expect(wanted(rows, { reason: "y" })).toHaveLength(0);
  });

  it("are ordered with what is missing last", () => {
    expect([3, null, 1, undefined, 2].toSorted(compare)).toEqual([1, 2, 3, null, undefined]);
    expect(["item 10", "item 9"].toSorted(compare)).toEqual(["item 9", "item 10"]);
  });

  it("show the evidence that most of them have", () => {
    const rows = itemsOf(
      [event("a", { evidence: { rare: 1, price: 2 } }), event("b", { evidence: { price: 3 } })],
      new Map(),
    );
    expect(evidenceColumns(rows)).toEqual(["price", "rare"]);
  });

  it("have a margin only where the rule that rejected them has a distance", () => {
    const [rejected, other] = itemsOf(
      [
        event("a", { outcome: "rejected", reason: "price_too_high", evidence: { price: 104.9 } }),
        event("b", { outcome: "rejected", reason: "banned" }),
      ],
      new Map(),
    );
    expect(marginOf(rejected!, [rule])).toBeCloseTo(-4.9);
    expect(marginOf(other!, [rule])).toBeNull();
  });
});
