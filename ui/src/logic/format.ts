const NUMBERS = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const EXACT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export function number(found: number | null | undefined): string {
  return found === null || found === undefined ? "–" : NUMBERS.format(found);
}

/** As short as a label of an axis: four digits that count. */
export function short(found: number): string {
  return NUMBERS.format(Number(found.toPrecision(4)));
}

export function percent(rate: number | null | undefined): string {
  if (rate === null || rate === undefined) return "–";
  const hundred = rate * 100;
  if (hundred !== 0 && Math.abs(hundred) < 0.1) return "< 0.1 %";
  if (hundred > 99.9 && hundred < 100) return "> 99.9 %";
  return `${hundred >= 10 || hundred === 0 || hundred === Math.round(hundred) ? Math.round(hundred * 10) / 10 : hundred.toFixed(1)} %`;
}

export function interval(bounds: readonly number[]): string {
  const [low, high] = bounds;
  return low === undefined || high === undefined ? "" : `${percent(low)} to ${percent(high)}`;
}

/** Milliseconds, as short as they can be read. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Math.round(ms / 100) / 10} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60
    ? `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function ago(at: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(at)) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

export function exactTime(at: string | null | undefined): string {
  return at ? EXACT.format(new Date(at)) : "";
}

export function clock(at: string | null | undefined): string {
  return at ? CLOCK.format(new Date(at)) : "";
}

/** A run's id, short enough for a line: its beginning says nothing, its end tells runs apart. */
export function shortId(id: string): string {
  return id.length > 20 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id;
}

// What turns the direction of a line, or does not show: a recorded text may not change how its neighbours read.
// The joiners U+200C and U+200D stay: words of some scripts, and many emoji, are made with them.
// oxlint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A recorded text as it may be shown. */
export function plain(text: string): string {
  return text.replace(UNSEEN, "\ufffd");
}

const LONGEST = 160;

/** A name as a title can hold it. */
export function titled(text: string): string {
  return plain(text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);
}

/** A recorded value in one line of text. */
export function value(found: unknown): string {
  if (found === null || found === undefined) return "–";
  if (typeof found === "number") return number(found);
  return plain(typeof found === "string" ? found : JSON.stringify(found));
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/** `[3, 7]` as "3 to 7", `[3, 3]` as "3". */
export function range(bounds: readonly number[]): string {
  const [low, high] = bounds;
  return low === undefined
    ? "–"
    : high === undefined || low === high
      ? number(low)
      : `${number(low)} to ${number(high)}`;
}
