import { describe, expect, it } from "vitest";
import { bins } from "../src/logic/bins";
import { limits } from "../src/logic/limits";

const near = (first: number, last: number) =>
  ({
    bins: [
      { from: first, to: 0, n: 1 },
      { from: 0, to: last, n: 1 },
    ],
  }) as never;

describe("the limits worth trying", () => {
  it("lie as far on both sides as the values do, in round steps", () => {
    expect(limits({ threshold: 100, op: "<=", near_misses: near(-83.87, 83.87) })).toEqual({
      from: 16,
      upTo: 184,
      step: 1,
    });
    const small = limits({ threshold: 3, op: ">=", near_misses: near(-0.95, 0.95) });
    expect(small.step).toBe(0.01);
    expect(Math.abs(small.from - 2.05)).toBeLessThan(0.011);
  });

  it("reach as far as the one in the address", () => {
    expect(limits({ threshold: 100, op: "<=", near_misses: near(-10, 10) }, 150).upTo).toBeGreaterThanOrEqual(150);
    expect(limits({ threshold: 100, op: "<=", near_misses: null }, Number.NaN)).toEqual({
      from: 50,
      upTo: 150,
      step: 1,
    });
  });
});

describe("the bins of a histogram", () => {
  it("hold every value once", () => {
    const values = Array.from({ length: 1000 }, (_, at) => Math.sin(at) * 50 + at / 7);
    for (const limit of [-60, 0, 33.3, 1e6]) {
      expect(bins(values, limit).reduce((sum, bin) => sum + bin.n, 0)).toBe(1000);
    }
  });

  it("end at the limit: no bar lies on both sides of it", () => {
    const found = bins([1, 50, 99.99, 100, 101, 240], 100);
    expect(found.some((bin) => Math.abs(bin.from - 100) < 1e-9)).toBe(true);
    expect(found.filter((bin) => bin.to <= 100 + 1e-9).reduce((sum, bin) => sum + bin.n, 0)).toBe(3);
  });

  it("are one where all values are the limit", () => {
    expect(bins([5, 5], 5)).toEqual([{ from: 5, to: 5, n: 2 }]);
  });
});
