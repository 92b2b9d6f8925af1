import { describe, expect, it } from "vitest";
import {
  always,
  asking,
  goesOn,
  narrowed,
  ofRunsToo,
  quoted,
  type Recorded,
  replaced,
  saysWhen,
  STEP_FIELDS,
  suggestions,
  widened,
  within,
  without,
  wordAt,
  wordsOf,
} from "../src/logic/filter";

const value = (name: string, written: string, hint = ""): Recorded => ({ name, written, hint });
const offered = (word: string, ...recorded: Recorded[]) => suggestions(asking(word), recorded).map((one) => one.text);

describe("the word that is being typed", () => {
  it("is the one around the caret", () => {
    expect(wordAt("status:failed step:filter", 3)).toEqual({ text: "status:failed", start: 0, end: 13 });
    expect(wordAt("status:failed step:filter", 25)).toMatchObject({ text: "step:filter", start: 14 });
  });

  it("is empty between words", () => {
    expect(wordAt("status:failed ", 14)).toEqual({ text: "", start: 14, end: 14 });
    expect(wordAt("", 0)).toEqual({ text: "", start: 0, end: 0 });
  });

  it("holds the blanks within its quotes", () => {
    const q = 'input.category:"phone cases" status:failed';
    expect(wordAt(q, 20).text).toBe('input.category:"phone cases"');
    expect(wordAt('name:"two wo', 12).text).toBe('name:"two wo');
  });

  it("knows a quote that is meant from one that ends", () => {
    const q = String.raw`a:"say \"no\" now" b:"ends \\" c`;
    expect(wordsOf(q).map((word) => word.text)).toEqual([String.raw`a:"say \"no\" now"`, String.raw`b:"ends \\"`, "c"]);
  });

  it("leaves the others where it is taken out", () => {
    const q = "since:7d sta label:bad";
    expect(without(q, wordAt(q, 11))).toBe("since:7d label:bad");
    expect(without("sta", wordAt("sta", 3))).toBe("");
  });

  it("asks for names, or for values of one", () => {
    expect(asking("-sta")).toEqual({ negated: "-", field: null, begun: "sta" });
    expect(asking('input.category:"phone ca')).toEqual({ negated: "", field: "input.category", begun: "phone ca" });
    expect(asking(String.raw`input.size:"12\" x"`).begun).toBe('12" x');
    expect(asking('"a:b').field).toBeNull();
  });
});

describe("suggestions", () => {
  it("are fields before the colon, and values behind it", () => {
    expect(offered("stat")).toEqual(["status:"]);
    expect(offered("status:f")).toEqual(["status:failed"]);
    expect(offered("-label:go")).toEqual(["-label:good"]);
  });

  it("are the keys that runs have, as well", () => {
    const seen = value("input.category", "input.category:", "in 12 runs");
    expect(offered("cat", seen)).toEqual(["input.category:"]);
    expect(offered("input.", seen)).toEqual(["input.", "input.category:"]);
  });

  it("are the recorded values as they came, with what begins so first", () => {
    const cases = value("phone cases", 'input.category:"phone cases"');
    const hands = value("hand phones", 'input.category:"hand phones"');
    expect(offered("input.category:phone", hands, cases)).toEqual([cases.written, hands.written]);
    expect(offered('-input.category:"phone c', hands, cases)).toEqual([`-${cases.written}`]);
  });

  it("stand once, though a value is also always there", () => {
    expect(offered("status:f", value("failed", "status:failed", "3 runs"))).toEqual(["status:failed"]);
  });

  it("are none for a bare word that is in no field", () => {
    expect(offered("laptop")).toEqual([]);
    expect(offered("since:7d")).toEqual([]);
  });
});

describe("taking a suggestion", () => {
  it("replaces the word and nothing else", () => {
    const q = "sta since:7d";
    expect(replaced(q, wordAt(q, 3), "status:")).toEqual({ q: "status: since:7d", caret: 7 });
    const end = "since:7d lab";
    expect(replaced(end, wordAt(end, 12), "label:bad")).toEqual({ q: "since:7d label:bad ", caret: 19 });
  });

  it("goes on after a name, and not after a value that looks like one", () => {
    expect([goesOn("status:"), goesOn("-input.")]).toEqual([true, true]);
    expect([goesOn("pipeline:Acme."), goesOn("pipeline:a:"), goesOn('pipeline:"a b:"')]).toEqual([false, false, false]);
  });

  it("quotes what has blanks", () => {
    expect(quoted("two words")).toBe('"two words"');
    expect(quoted('say "no"')).toBe(String.raw`"say \"no\""`);
  });

  it("adds a condition once, and takes it away", () => {
    expect(narrowed("", "label:bad")).toBe("label:bad");
    expect(narrowed("since:1d label:bad", "label:bad")).toBe("since:1d label:bad");
    expect(narrowed("label:badly", "label:bad")).toBe("label:badly label:bad");
    expect(widened("label:bad since:1d", "label:bad")).toBe("since:1d");
  });
});

describe("a stretch of time", () => {
  const period = { since: "2026-11-23T14:00:00Z", until: "2026-11-23T15:00:00Z" };

  it("takes the place of the one before", () => {
    const q = within('"laptop stand" since:7d status:failed', period);
    expect(q).toBe('"laptop stand" status:failed since:2026-11-23T14:00:00Z until:2026-11-23T15:00:00Z');
    expect(within("", period)).toBe("since:2026-11-23T14:00:00Z until:2026-11-23T15:00:00Z");
  });

  it("is cleared, and nothing else", () => {
    expect(always('input.note:"since:7d is a word" since:7d until:1d')).toBe('input.note:"since:7d is a word"');
    expect(saysWhen('"since:7d"')).toBe(false);
    expect(saysWhen("label:bad until:1h")).toBe(true);
  });
});

const ofSteps = (begun: string) => suggestions(asking(begun), [], STEP_FIELDS).map((one) => one.text);

describe("a filter on steps", () => {
  it("is offered the fields of steps, and not those that only runs have", () => {
    expect(ofSteps("config")).toEqual(["config."]);
    expect(ofSteps("attem")).toEqual(["attempt:"]);
    expect(ofSteps("vari")).toEqual([]);
    expect(offered("attem")).toEqual([]);
  });

  it("counts values beside the words that say the same of runs", () => {
    expect(ofRunsToo('pipeline:"a b" name:x stand config.k:1 -status:failed duration_ms:>5')).toBe(
      'pipeline:"a b" -status:failed',
    );
  });
});
