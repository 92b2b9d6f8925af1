import type { Tone } from "./Pill";

export const STATUS: Readonly<Record<string, Tone>> = {
  completed: "good",
  failed: "bad",
  abandoned: "warn",
  running: "blue",
  waiting: "blue",
};

export const OUTCOME: Readonly<Record<string, Tone>> = {
  produced: "blue",
  accepted: "blue",
  selected: "good",
  survived: "good",
  rejected: "bad",
  outranked: "warn",
  lost: "bad",
};

export const LABEL: Readonly<Record<string, Tone>> = {
  good: "good",
  keep: "good",
  bad: "bad",
  wrong: "bad",
  expected: "warn",
};

export const EXACTNESS: Readonly<Record<string, Tone>> = { certain: "good", bounded: "warn", replay_needed: "bad" };
