import { SegmentedControl } from "@mantine/core";
import { useMemo, useState } from "react";
import type { Step } from "../api/types";
import { bins } from "../logic/bins";
import { number } from "../logic/format";
import { itemsOf } from "../logic/items";
import { Section } from "../shell/Section";
import { Histogram } from "./Histogram";
import { stateOf } from "./stateOf";
import { useEvents } from "./useEvents";

interface Props {
  runId: string;
  step: Step;
  colours: Map<string, string>;
}

const NAMES: ReadonlyMap<string, string> = new Map();

/** The values that a rule saw, with its limit drawn in. */
export function Distribution({ runId, step, colours }: Props) {
  const { events } = useEvents(runId, { step_id: step.step_id }, stateOf(step));
  const rules = useMemo(() => step.rules.filter((rule) => typeof rule.threshold === "number"), [step.rules]);
  const [field, setField] = useState("");
  const rule = rules.find((one) => one.field === field) ?? rules[0];
  const values = useMemo(() => {
    if (!rule) return [];
    return itemsOf(events, NAMES).flatMap((row) => {
      const observed = row.evidence[rule.field];
      return typeof observed === "number" ? [observed] : [];
    });
  }, [events, rule]);
  if (!rule || values.length < 3) return null;
  const limit = rule.threshold as number;
  const fields = [...new Set(rules.map((one) => one.field))];
  return (
    <Section title={`${rule.field} of the items that came in, as far as it was asked`}>
      {fields.length > 1 ? (
        <SegmentedControl size="xs" mb={6} data={fields} value={rule.field} onChange={setField} aria-label="Field" />
      ) : null}
      <Histogram
        bins={bins(values, limit)}
        limit={limit}
        above={rule.op.startsWith(">")}
        colour={colours.get(rule.reason) ?? "var(--r2)"}
        label={`${rule.field}: ${number(values.length)} values, ${number(rule.failed)} failed ${rule.op} ${number(limit)}`}
      />
    </Section>
  );
}
