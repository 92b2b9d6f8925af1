export interface Bin {
  from: number;
  to: number;
  n: number;
}

/** Values in about `count` equal bins, one of whose edges is the limit: no bar lies on both sides of it. */
export function bins(values: readonly number[], limit: number, count = 24): Bin[] {
  let low = limit;
  let high = limit;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low === high) return [{ from: low, to: high, n: values.length }];
  const width = (high - low) / count;
  const below = Math.max(0, Math.ceil((limit - low) / width));
  const start = limit - below * width;
  const total = below + Math.max(1, Math.ceil((high - limit) / width) || 1);
  const found = Array.from({ length: total }, (_, at): Bin => ({
    from: start + at * width,
    to: start + (at + 1) * width,
    n: 0,
  }));
  for (const value of values) {
    const bin = found[Math.min(total - 1, Math.max(0, Math.floor((value - start) / width)))];
    if (bin) bin.n += 1;
  }
  return found;
}
