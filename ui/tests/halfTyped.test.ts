import { expect, test } from "vitest";
import { isField, readable } from "../src/logic/halfTyped";

test.each([
  ["status:fai"],
  ["status:"],
  ["rejection_rate:>"],
  ["rejection_rate:>x"],
  ["since:7"],
  ['input.category:"phone'],
  ["nosuch:1"],
  ["input.:1"],
  ["-"],
])("%s is half typed, and not sent", (word) => {
  expect(readable(`pipeline:p ${word}`)).toBe("pipeline:p");
});

test.each([
  ["status:failed"],
  ["-status:failed"],
  ["rejection_rate:>0.9"],
  ["since:7d"],
  ["since:2026-11-23T10:00:00Z"],
  ['input.category:"phone cases"'],
  ["stand"],
  ['"laptop stand"'],
])("%s is whole", (word) => {
  expect(readable(word)).toBe(word);
});

test("values of what is no field are not asked for", () => {
  expect([null, "pipeline", "input.category", "nosuch", "input."].map(isField)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});
