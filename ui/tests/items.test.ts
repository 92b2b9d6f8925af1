import { describe, expect, it } from "vitest";
import type { StepItem } from "../src/api/types";
import { atStep, evidenceColumns, itemsFilter, nextSort, unknownKey } from "../src/logic/items";
import { marginOf } from "../src/logic/margin";

const step = { step_id: "s1", step_name: "filter" };

function item(more: Partial<StepItem>): StepItem {
  return {
    item_id: "a",
    name: null,
    kind: null,
    outcome: null,
    reason: null,
    score: null,
    rank: null,
    by: "code",
    evidence: null,
    evidence_state: null,
    ref_item: null,
    ref_kind: null,
    events: 1,
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
  it("are as the server says, and evidence that was kept needs no word", () => {
    const row = atStep(item({ evidence: null, evidence_state: "sampled_out", rank: 2 }), step);
    expect(row).toMatchObject({ itemId: "a", stepName: "filter", rank: 2, evidence: {}, evidenceState: "sampled_out" });
    expect(atStep(item({ evidence_state: "kept" }), step).evidenceState).toBeNull();
  });

  it("have a margin only where the rule that rejected them has a distance", () => {
    const dear = { outcome: "rejected", reason: "price_too_high", evidence: { price: 104.9 } };
    const rejected = atStep(item(dear), step);
    const other = atStep(item({ ...dear, reason: "banned" }), step);
    expect(marginOf(rejected, [rule])).toBeCloseTo(-4.9);
    expect(marginOf(other, [rule])).toBeNull();
  });
});

describe("the columns of evidence", () => {
  it("are the keys that most items have, and as many as can be read", () => {
    const keys = ["price", "brand", "c", "d", "e", "f", "g"].map((key, at) => ({
      key,
      kind: at ? ("text" as const) : ("number" as const),
      n: 9 - at,
    }));
    const columns = evidenceColumns({ evidence_keys: keys, items: [] });
    expect(columns.map((one) => one.key)).toEqual(["price", "brand", "c", "d", "e", "f"]);
    expect(columns.map((one) => one.numeric)).toEqual([true, false, false, false, false, false]);
  });

  it("are those of the rows where the server knows no keys", () => {
    const items = [item({ evidence: { a: 1 } }), item({ evidence: { b: "x", a: 2 } })];
    expect(evidenceColumns({ evidence_keys: [], items }).map((one) => one.key)).toEqual(["a", "b"]);
  });
});

describe("what is typed into the items' filter", () => {
  it("is text of an id or a name, whatever it holds", () => {
    expect(itemsFilter("kw:stand", [])).toBe('"kw:stand"');
    expect(itemsFilter(' 5" \\ x ', [])).toBe('"5\\" \\\\ x"');
    expect(itemsFilter("  ", [])).toBeUndefined();
    expect(itemsFilter(undefined, [])).toBeUndefined();
  });

  it("is a comparison where it names evidence of the step", () => {
    expect(itemsFilter("price > 100", ["price"])).toBe("evidence.price:>100");
    expect(itemsFilter("price:<=9.5", ["price"])).toBe("evidence.price:<=9.5");
    expect(itemsFilter("price=-1", ["price"])).toBe("evidence.price:-1");
    expect(itemsFilter("price > 100", ["weight"])).toBe('"price > 100"');
    expect(itemsFilter("price > cheap", ["price"])).toBe('"price > cheap"');
  });
});

describe("a column that is pressed", () => {
  it("orders one way, then the other, then not", () => {
    expect(nextSort(undefined, "name", false)).toBe("name");
    expect(nextSort("name", "name", false)).toBe("-name");
    expect(nextSort("-name", "name", false)).toBeUndefined();
    expect(nextSort("reason", "score", true)).toBe("-score");
    expect(nextSort("-score", "score", true)).toBe("score");
    expect(nextSort("score", "score", true)).toBeUndefined();
  });
});

describe("a key that is compared and is not there", () => {
  const keys = ["price", "rating", "margin_pct"];
  it("is named with the nearest", () => {
    expect(unknownKey("prise > 100", keys)).toEqual({ key: "prise", near: "price" });
    expect(unknownKey("Rating>=3", keys)).toEqual({ key: "Rating", near: "rating" });
  });
  it("is named alone where none is near", () => {
    expect(unknownKey("colour = 3", keys)).toEqual({ key: "colour" });
  });
  it("is none where the key is there, or a text was typed", () => {
    expect(unknownKey("price > 100", keys)).toBeUndefined();
    expect(unknownKey("laptop stand", keys)).toBeUndefined();
    expect(unknownKey(undefined, keys)).toBeUndefined();
  });
});
