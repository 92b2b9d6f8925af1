import { SegmentedControl } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { client, taken } from "../api/client";
import type { Step } from "../api/types";
import { number } from "../logic/format";
import { Section } from "../shell/Section";
import { Histogram } from "./Histogram";
import { stateOf } from "./stateOf";

interface Props {
  runId: string;
  step: Step;
  colours: Map<string, string>;
}

const FEW = 3;

/** The values that a rule saw, with its limit drawn in. */
export function Distribution({ runId, step, colours }: Props) {
  const rules = useMemo(() => step.rules.filter((rule) => typeof rule.threshold === "number"), [step.rules]);
  const [field, setField] = useState("");
  const rule = rules.find((one) => one.field === field) ?? rules[0];
  const asked = { step_id: step.step_id, bins_of: rule?.field ?? "", edge: rule?.threshold as number, limit: 1 };
  const { data } = useQuery({
    queryKey: ["values at a step", runId, asked, stateOf(step)],
    queryFn: ({ signal }) =>
      taken(client.GET("/runs/{run_id}/items", { params: { path: { run_id: runId }, query: asked }, signal })),
    enabled: rule !== undefined,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    retry: false,
  });
  const found = data?.distribution;
  if (!rule || !found || found.n < FEW) return null;
  const fields = [...new Set(rules.map((one) => one.field))];
  return (
    <Section title={`${found.key} of the items named here, as far as it was recorded`}>
      {fields.length > 1 ? (
        <SegmentedControl size="xs" mb={6} data={fields} value={rule.field} onChange={setField} aria-label="Field" />
      ) : null}
      {found.key === rule.field ? (
        <Histogram
          bins={found.bins}
          limit={asked.edge}
          above={rule.op.startsWith(">")}
          colour={colours.get(rule.reason) ?? "var(--r2)"}
          label={`${found.key}: ${number(found.n)} values, ${number(rule.failed)} failed ${rule.op} ${number(asked.edge)}`}
        />
      ) : null}
      <p className="mut" style={{ margin: "4px 0 0", fontSize: 12 }}>
        {number(found.n)} have a value
        {found.without > 0 ? `, ${number(found.without)} have none` : ""}
      </p>
    </Section>
  );
}
