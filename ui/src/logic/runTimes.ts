import type { Period } from "./filter";

// When runs started: where the bars stand, and which stretch of time is meant.

export interface Bucket {
  from: string;
  to: string;
  counts: Readonly<Record<string, number>>;
}

export interface Part {
  status: string;
  n: number;
  y: number;
  height: number;
}

/** From the ground up: what went wrong stands on the ground, where its heights can be compared. */
export const STACK = ["failed", "abandoned", "waiting", "running", "completed"] as const;

/** One run among thousands is seen too, and one that failed first of all. */
function least(status: string): number {
  return status === "failed" ? 2 : 1;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, n) => all + n, 0);
}

/** The parts of one bar, within a height. */
export function parts(counts: Readonly<Record<string, number>>, most: number, height: number): Part[] {
  const said = [...STACK, ...Object.keys(counts).filter((one) => !STACK.some((known) => known === one))]
    .map((status) => ({ status, n: counts[status] ?? 0 }))
    .filter(({ n }) => n > 0);
  const heights = said.map(({ status, n }) => Math.max(least(status), (n / Math.max(1, most)) * height));
  const over = heights.reduce((all, one) => all + one, 0) - height;
  const largest = heights.indexOf(Math.max(...heights));
  if (over > 0) heights[largest] = (heights[largest] ?? 0) - over;
  let ground = height;
  return said.map((one, at) => {
    const tall = heights[at] ?? 0;
    ground -= tall;
    return { ...one, y: ground, height: tall };
  });
}

/** The bucket at a place between 0 and 1 of the width. */
export function bucketAt(share: number, count: number): number {
  return Math.min(count - 1, Math.max(0, Math.floor(share * count)));
}

/** The stretch from one bucket to another, whichever comes first. */
export function stretch(buckets: readonly Bucket[], one: number, other: number): Period | null {
  const first = buckets[Math.min(one, other)];
  const last = buckets[Math.max(one, other)];
  return first && last ? { since: first.from, until: last.to } : null;
}

/** Runs by status in the buckets from one to another. */
export function together(buckets: readonly Bucket[], one: number, other: number): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { counts } of buckets.slice(Math.min(one, other), Math.max(one, other) + 1)) {
    for (const [status, n] of Object.entries(counts)) found[status] = (found[status] ?? 0) + n;
  }
  return found;
}

const DAY = 86_400_000;
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const fine = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** A time as finely as buckets of this length need it. */
export function moment(at: string, widthMs: number, now = Date.now()): string {
  const when = new Date(at);
  const day = when.getFullYear() === new Date(now).getFullYear() ? date : dated;
  if (widthMs >= DAY && when.getHours() === 0 && when.getMinutes() === 0) return day.format(when);
  return `${day.format(when)}, ${clock(when, widthMs)}`;
}

/** A stretch of time: the day is said once. */
export function period(from: string, to: string, widthMs: number, now = Date.now()): string {
  const [start, end] = [new Date(from), new Date(to)];
  const until = start.toDateString() === end.toDateString() ? clock(end, widthMs) : moment(to, widthMs, now);
  return `${moment(from, widthMs, now)} to ${until}`;
}

function clock(when: Date, widthMs: number): string {
  return (widthMs >= 60_000 ? minute : widthMs >= 1_000 ? second : fine).format(when);
}

/** How long a bucket is: "3 h". */
export function long(widthMs: number): string {
  const units: [number, string][] = [
    [7 * DAY, "week"],
    [DAY, "day"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
    [1, "ms"],
  ];
  const [size, name] = units.find(([one]) => widthMs >= one && widthMs % one === 0) ?? [1, "ms"];
  const n = widthMs / size;
  return `${n} ${name}${n > 1 && size >= DAY ? "s" : ""}`;
}
