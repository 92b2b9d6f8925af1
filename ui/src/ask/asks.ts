export const QUESTIONS = [
  { value: "whatif", label: "What if", asks: "What would another limit have done?" },
  { value: "rules", label: "Rules", asks: "Which rules matter, and which limit should be looked at first?" },
  { value: "explain", label: "Explain", asks: "What do some runs share that others do not?" },
  { value: "stability", label: "Stability", asks: "Does the same input lead to the same decision?" },
  { value: "blame", label: "Blame", asks: "Which step is to blame for what labels say was wrong?" },
] as const;

/** What it is called, the reference, and what is looked at: the last day against the day before. */
export const SINCE_YESTERDAY = ["what changed since yesterday", "since:2d until:1d", "since:1d"] as const;
