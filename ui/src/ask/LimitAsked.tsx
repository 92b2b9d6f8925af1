import { Button, NumberInput, Slider } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { curve, type Scope, whatif } from "../api/asked";
import type { RuleHealth } from "../api/types";
import { number, value } from "../logic/format";
import { limits } from "../logic/limits";
import { Card } from "../shell/Card";
import { Problem } from "../shell/Problem";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";
import css from "./Ask.module.css";
import { Curve } from "./Curve";
import { WhatifAnswer } from "./WhatifAnswer";

interface Props {
  rule: RuleHealth;
  scope: Scope;
  /** The limit in the address. */
  to: string | undefined;
  keep: (to: string) => void;
  off: () => void;
}

const AFTER_MS = 180;
const POINTS = 100;

/** Drag a limit: the curve of all limits, and what the chosen one does. */
export function LimitAsked({ rule, scope, to, keep, off }: Props) {
  const now = rule.threshold as number;
  const said = to === undefined ? Number.NaN : Number(to);
  const { from, upTo, step } = limits(rule, said);
  const [limit, setLimit] = useState(Number.isFinite(said) ? said : now);
  const [settled] = useDebouncedValue(limit, AFTER_MS);
  const named = { reason: rule.reason, step_name: rule.step_name };
  const swept = useQuery(curve(scope, { ...named, from, to: upTo, points: POINTS }));
  const asked = useQuery(whatif(scope, settled === now ? null : { ...named, threshold: settled }));
  const others = rule.thresholds > 1 ? ` and ${rule.thresholds - 1} more limits` : "";
  return (
    <>
      <Card
        title={`${rule.field} ${rule.op} ${number(limit)}`}
        note={`recorded: ${value(now)}${others}`}
        aside={
          <div className={css.limit}>
            <NumberInput
              size="xs"
              w={110}
              aria-label="Limit"
              value={limit}
              step={step}
              onChange={(next) => typeof next === "number" && setLimit(next)}
              onBlur={() => keep(String(limit))}
            />
            <Button size="compact-xs" variant="default" fw={500} onClick={off}>
              Switch the rule off
            </Button>
          </div>
        }
      >
        <Section>
          {swept.error ? <Problem error={swept.error} /> : null}
          {swept.isPending ? <Waiting lines={3} /> : null}
          {swept.data ? (
            <Curve
              points={swept.data.curve}
              now={now}
              chosen={limit}
              choose={(next) => setLimit(Number(next.toPrecision(6)))}
            />
          ) : null}
          <div className={css.drag}>
            <Slider
              min={from}
              max={upTo}
              step={step}
              value={limit}
              onChange={setLimit}
              onChangeEnd={(next) => keep(String(next))}
              label={null}
              thumbLabel={`Limit of ${rule.field}`}
            />
          </div>
        </Section>
      </Card>
      {limit === now ? (
        <p className="mut">
          Drag the limit, or click into the curve: {number(rule.evaluated)} recorded checks are asked again.
        </p>
      ) : asked.error ? (
        <Problem error={asked.error} />
      ) : asked.data ? (
        <WhatifAnswer
          answer={asked.data}
          stale={asked.isPlaceholderData || settled !== limit}
          scope={scope}
          change={{ ...named, threshold: settled }}
        />
      ) : (
        <Waiting />
      )}
    </>
  );
}
