import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type Scope, whatif } from "../api/asked";
import type { RuleHealth } from "../api/types";
import { value } from "../logic/format";
import { Card } from "../shell/Card";
import { Problem } from "../shell/Problem";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";
import { WhatifAnswer } from "./WhatifAnswer";

interface Props {
  rule: RuleHealth;
  scope: Scope;
  back: () => void;
}

/** The rule switched off. */
export function WithoutRule({ rule, scope, back }: Props) {
  const change = { reason: rule.reason, step_name: rule.step_name, disable: true };
  const asked = useQuery(whatif(scope, change));
  const limited = typeof rule.threshold === "number";
  return (
    <>
      <Card title={`Without ${rule.reason}`} note={`recorded: ${rule.field} ${rule.op} ${value(rule.threshold)}`}>
        <Section>
          {limited ? (
            <Button size="xs" variant="default" onClick={back}>
              Try another limit
            </Button>
          ) : (
            <span className="mut">Its limit is no number, so what is asked is the rule switched off.</span>
          )}
        </Section>
      </Card>
      {asked.error ? (
        <Problem error={asked.error} />
      ) : asked.data ? (
        <WhatifAnswer answer={asked.data} stale={asked.isPlaceholderData} scope={scope} change={change} />
      ) : (
        <Waiting />
      )}
    </>
  );
}
