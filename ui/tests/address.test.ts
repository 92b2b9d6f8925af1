import { describe, expect, it } from "vitest";
import { only, parseSearch, stringifySearch } from "../src/logic/address";

describe("the filter in the address", () => {
  it("comes back as it was typed", () => {
    const q = 'input.category:"phone cases" rejection_rate:>0.9 a&b=c #1 ü';
    expect(parseSearch(stringifySearch({ q }))).toEqual({ q });
  });

  it("keeps what looks like another type as text", () => {
    expect(parseSearch("?item=7&q=true")).toEqual({ item: "7", q: "true" });
  });

  it("leaves out what says nothing, and what the page does not know", () => {
    expect(stringifySearch({ q: "", step: undefined })).toBe("");
    expect(only("q")({ q: "a", other: "b", empty: "" })).toEqual({ q: "a" });
  });
});
