import { describe, expect, it } from "vitest";
import { bucketAt, long, parts, period, stretch, together } from "../src/logic/runTimes";

const bucket = (hour: number, counts: Record<string, number>) => ({
  from: `2026-11-23T${hour}:00:00Z`,
  to: `2026-11-23T${hour + 1}:00:00Z`,
  counts,
});
const buckets = [bucket(10, { completed: 3 }), bucket(11, {}), bucket(12, { completed: 1, failed: 2 })];

describe("bars of runs", () => {
  it("stand on what failed, and fill the height with the most", () => {
    const [failed, completed] = parts({ completed: 30, failed: 10 }, 40, 40);
    expect(failed).toEqual({ status: "failed", n: 10, y: 30, height: 10 });
    expect(completed).toEqual({ status: "completed", n: 30, y: 0, height: 30 });
  });

  it("show one failure among thousands, and stay within the height", () => {
    const found = parts({ completed: 9_999, failed: 1 }, 10_000, 50);
    expect(found[0]).toMatchObject({ status: "failed", height: 2 });
    expect(found.reduce((all, one) => all + one.height, 0)).toBeCloseTo(50);
    expect(Math.min(...found.map((one) => one.y))).toBeGreaterThanOrEqual(0);
  });

  it("show a status that is not known here", () => {
    expect(parts({ odd: 1 }, 1, 50).map((one) => one.status)).toEqual(["odd"]);
    expect(parts({}, 1, 50)).toEqual([]);
  });
});

describe("a stretch of time", () => {
  it("goes from the first bucket to the last, whichever was pressed first", () => {
    expect(stretch(buckets, 2, 1)).toEqual({ since: "2026-11-23T11:00:00Z", until: "2026-11-23T13:00:00Z" });
    expect(stretch(buckets, 0, 0)).toEqual({ since: "2026-11-23T10:00:00Z", until: "2026-11-23T11:00:00Z" });
    expect(stretch([], 0, 0)).toBeNull();
    expect(together(buckets, 2, 0)).toEqual({ completed: 4, failed: 2 });
  });

  it("ends with the picture", () => {
    expect([bucketAt(-0.1, 3), bucketAt(0.34, 3), bucketAt(1, 3), bucketAt(1.2, 3)]).toEqual([0, 1, 2, 2]);
  });

  it("says its day once", () => {
    const now = Date.parse("2026-12-01T00:00:00Z");
    expect(period("2026-11-23T10:00:00", "2026-11-23T11:00:00", 3_600_000, now)).toBe("23 Nov, 10:00 to 11:00");
    expect(period("2026-11-23T00:00:00", "2026-11-24T00:00:00", 86_400_000, now)).toBe("23 Nov to 24 Nov");
    expect(period("2025-11-23T10:00:00", "2025-11-23T10:00:01", 1_000, now)).toBe("23 Nov 2025, 10:00:00 to 10:00:01");
  });

  it("is told in the largest unit that is whole", () => {
    expect([500, 1_000, 900_000, 10_800_000, 86_400_000, 1_209_600_000].map(long)).toEqual([
      "500 ms",
      "1 s",
      "15 min",
      "3 h",
      "1 day",
      "2 weeks",
    ]);
  });
});
