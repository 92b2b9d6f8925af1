import { expect, test } from "vitest";
import { failureOf } from "../src/logic/failure";

test("an error of the SDK has a type, a message, and where it was raised", () => {
  expect(failureOf({ type: "KeyError", message: "'price'", where: ["shop.py:12 main", "shop.py:30 rank"] })).toEqual({
    type: "KeyError",
    message: "'price'",
    where: ["shop.py:12 main", "shop.py:30 rank"],
  });
});

test("what was posted may be a text, or of any shape", () => {
  expect(failureOf("out of stock")).toEqual({ type: null, message: "out of stock", where: [] });
  expect(failureOf({ code: 7 })).toEqual({ type: null, message: '{"code":7}', where: [] });
  expect(failureOf({ message: "no", where: "a.py:1" })).toEqual({ type: null, message: "no", where: ["a.py:1"] });
  expect(failureOf(null)).toBeNull();
});

test("a recorded text cannot turn the direction of a line", () => {
  expect(failureOf({ type: "E", message: "a\u202eb" })?.message).toBe("a\ufffdb");
});
