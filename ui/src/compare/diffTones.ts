import type { DiffStep } from "../api/types";
import type { Tone } from "../shell/Pill";

export const DIFF_TONES: Readonly<Record<DiffStep["label"], Tone>> = {
  same: "good",
  config_changed: "bad",
  nondeterministic_here: "warn",
  unknown_cause: "warn",
  inherited: "neutral",
  structural: "bad",
};

export const DIFF_MEANS: Readonly<Record<DiffStep["label"], string>> = {
  same: "nothing differs",
  config_changed: "rules, cut-off or recorded config differ",
  nondeterministic_here: "the same input and config, another output",
  unknown_cause: "the record does not say why",
  inherited: "its input differs already",
  structural: "only one run has it, or it stands elsewhere",
};
