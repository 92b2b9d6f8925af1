import { describe, expect, it } from "vitest";
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
