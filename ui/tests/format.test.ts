import { describe, expect, it } from "vitest";
import { ago, duration, number, percent, range, shortId, value } from "../src/logic/format";
import { summary } from "../src/logic/summary";

describe("figures", () => {
  it("never show what is not known as zero", () => {
    for (const show of [number, percent, duration]) expect(show(null)).toBe("–");
  });

  it("round without saying 0 % or 100 % of what is neither", () => {
    expect(percent(0)).toBe("0 %");
    expect(percent(0.0004)).toBe("< 0.1 %");
    expect(percent(0.9999)).toBe("> 99.9 %");
    expect(percent(1)).toBe("100 %");
    expect(percent(0.909_890_1)).toBe("91 %");
  });

  it("give durations a unit that fits", () => {
    expect([0.073, 182, 1_540, 125_000].map(duration)).toEqual(["0.1 ms", "182 ms", "1.5 s", "2 min 5 s"]);
  });

  it("show bounds only where they differ", () => {
    expect(range([3, 7])).toBe("3 to 7");
    expect(range([3, 3])).toBe("3");
  });

  it("tell how long ago, and never in the future", () => {
    const at = "2026-11-23T15:10:00Z";
    expect(ago(at, Date.parse(at) + 125_000)).toBe("2 min ago");
    expect(ago(at, Date.parse(at) - 9_000)).toBe("just now");
  });
});

describe("texts", () => {
  it("of recorded values stay in one line and short", () => {
    expect(value({ a: [1, null] })).toBe('{"a":[1,null]}');
    expect(summary({ selected: "B1", title: "Laptop Stand" })).toBe("Laptop Stand");
    expect(summary({ price: 3, rating: null })).toBe("price 3");
    expect(summary({ selected: null })).toBe("nothing");
    expect(summary("x".repeat(999))).toHaveLength(160);
  });

  it("of ids keep the end, which tells runs apart", () => {
    expect(shortId("run_01a208f5499f732a88fe2cb32f491963")).toBe("run_01a2…491963");
    expect(shortId("stands")).toBe("stands");
  });
});
