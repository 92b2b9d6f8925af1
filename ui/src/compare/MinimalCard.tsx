import { Button } from "@mantine/core";
import type { Diff } from "../api/types";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Section } from "../shell/Section";
import { EXACTNESS } from "../shell/tones";

interface Props {
  diff: Diff;
  asked: boolean;
  ask: () => void;
}

/** The smallest set of changed limits that gives an item in A the fate it has in B: found by replay, so it is a cause. */
export function MinimalCard({ diff, asked, ask }: Props) {
  const rules = diff.config_changes.some((one) => one.kind === "rule" || one.kind === "cutoff");
  if (!asked && !rules) return null;
  return (
    <Card title="Which of these changes did it">
      {asked ? null : (
        <Section>
          <Button size="xs" variant="default" onClick={ask}>
            Replay the run with each of them
          </Button>
        </Section>
      )}
      {asked && (diff.minimal_changes ?? []).length === 0 ? (
        <Section>No change of a limit gives an item of A the fate it has in B.</Section>
      ) : null}
      {(diff.minimal_changes ?? []).map((one) => (
        <Section key={one.item_id}>
          <Pill tone={EXACTNESS[one.exactness] ?? "neutral"}>{one.exactness.replaceAll("_", " ")}</Pill> {one.sentence}
        </Section>
      ))}
    </Card>
  );
}
