import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { rules } from "../api/asked";
import type { RuleHealth } from "../api/types";
import { Blank } from "../shell/Blank";
import { Lines } from "../shell/Lines";
import { Problem } from "../shell/Problem";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
import { LimitAsked } from "./LimitAsked";
import { WithoutRule } from "./WithoutRule";

/** In the address: what switches a rule off in place of another limit. */
const OFF = "off";

const named = (rule: RuleHealth) => `${rule.pipeline} / ${rule.step_name} / ${rule.reason} (${rule.field} ${rule.op})`;

/** Another limit of one rule, or none: which items flip and whose winner changes, over recorded history. */
export function Whatif({ scope, search, set }: Asking) {
  const known = useQuery(rules(scope));
  const all = known.data?.rules ?? [];
  const { reason, step, to } = search;
  const rule =
    all.find((one) => one.reason === reason && (!step || one.step_name === step)) ??
    all.find((one) => typeof one.threshold === "number") ??
    all[0];
  if (known.error) return <Problem error={known.error} again={() => void known.refetch()} />;
  if (known.isPending) return <Waiting />;
  if (!rule) return <NoRule />;
  const at = { reason: rule.reason, step: rule.step_name };
  const narrowed = { ...scope, pipeline: rule.pipeline };
  const off = to === OFF || typeof rule.threshold !== "number";
  return (
    <>
      <Select
        my={12}
        size="xs"
        label="Rule"
        w={{ base: "100%", sm: 460 }}
        data={[...new Set(all.map(named))]}
        value={named(rule)}
        allowDeselect={false}
        onChange={(next) => {
          const found = all.find((one) => named(one) === next);
          if (found) set({ reason: found.reason, step: found.step_name, to: undefined });
        }}
      />
      {off ? (
        <WithoutRule key={named(rule)} rule={rule} scope={narrowed} back={() => set({ ...at, to: undefined })} />
      ) : (
        <LimitAsked
          key={named(rule)}
          rule={rule}
          scope={narrowed}
          to={to}
          keep={(limit) => set({ ...at, to: limit })}
          off={() => set({ ...at, to: OFF })}
        />
      )}
    </>
  );
}

function NoRule() {
  return (
    <Blank title="No rule was recorded here">
      <p>A rule that is recorded can be asked again with another limit:</p>
      <Lines
        text={
          'cap = step.require("price", "<=", 100, reason="price_too_high")\nif not cap.passes(item.id, item.price): ...'
        }
      />
    </Blank>
  );
}
