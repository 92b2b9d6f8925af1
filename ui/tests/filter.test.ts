import { describe, expect, it } from "vitest";
import { narrowed, quoted, replaced, suggestions, wordAt } from "../src/logic/filter";

describe("the word that is being typed", () => {
  it("is the one around the caret", () => {
    expect(wordAt("status:failed step:filter", 3)).toEqual({ text: "status:failed", start: 0, end: 13 });
    expect(wordAt("status:failed step:filter", 25)).toMatchObject({ text: "step:filter", start: 14 });
  });

  it("holds the blanks within its quotes", () => {
    const q = 'input.category:"phone cases" status:failed';
    expect(wordAt(q, 20).text).toBe('input.category:"phone cases"');
    expect(wordAt('name:"two wo', 12).text).toBe('name:"two wo');
  });
});

describe("suggestions", () => {
  it("are fields before the colon, and values behind it", () => {
    expect(suggestions("stat", {}).map((one) => one.text)).toEqual(["status:"]);
    expect(suggestions("status:f", {}).map((one) => one.text)).toEqual(["status:failed"]);
    expect(suggestions("-label:go", {}).map((one) => one.text)).toEqual(["-label:good"]);
  });

  it("quote what has blanks", () => {
    expect(suggestions("pipeline:two", { pipeline: ["two words"] }).map((one) => one.text)).toEqual([
      'pipeline:"two words"',
    ]);
    expect(quoted('say "no"')).toBe(String.raw`"say \"no\""`);
  });

  it("are none for a bare word that begins no field", () => {
    expect(suggestions("laptop", {})).toEqual([]);
    expect(suggestions("", {})).toEqual([]);
  });
});

describe("taking a suggestion", () => {
  it("replaces the word and nothing else", () => {
    const q = "sta since:7d";
    expect(replaced(q, wordAt(q, 3), "status:")).toEqual({ q: "status: since:7d", caret: 7 });
    const end = "since:7d lab";
    expect(replaced(end, wordAt(end, 12), "label:bad")).toEqual({ q: "since:7d label:bad ", caret: 19 });
  });

  it("adds a condition once", () => {
    expect(narrowed("", "label:bad")).toBe("label:bad");
    expect(narrowed("since:1d label:bad", "label:bad")).toBe("since:1d label:bad");
    expect(narrowed("label:badly", "label:bad")).toBe("label:badly label:bad");
  });
});
