import { SegmentedControl } from "@mantine/core";
import { useState } from "react";
import type { Funnel, Run } from "../api/types";
import { Card } from "../shell/Card";
import { FunnelPicture } from "./FunnelPicture";
import { FunnelTable } from "./FunnelTable";
import type { Chosen } from "./RunPage";
import { Timeline } from "./Timeline";

interface Props {
  funnel: Funnel;
  run: Run;
  colours: Map<string, string>;
  chosen: Chosen;
  choose: (next: Chosen) => void;
}

const KINDS = ["Funnel", "Table", "Timeline"];

export function FunnelCard({ funnel, run, colours, chosen, choose }: Props) {
  const [kind, setKind] = useState("Funnel");
  if (funnel.steps.length === 0) {
    return (
      <Card title="Where the candidates went">
        <p className="mut" style={{ padding: "4px 16px 12px" }}>
          This run has no steps.{" "}
          <code>{'with run.step("filter", step_type="filter") as step: step.reject(item_id, "reason")'}</code> records
          one.
        </p>
      </Card>
    );
  }
  return (
    <Card
      title="Where the candidates went"
      note={kind === "Funnel" ? "width = items" : null}
      aside={<SegmentedControl size="xs" data={KINDS} value={kind} onChange={setKind} aria-label="How to show it" />}
    >
      {kind === "Funnel" ? <FunnelPicture funnel={funnel} colours={colours} chosen={chosen} choose={choose} /> : null}
      {kind === "Table" ? <FunnelTable funnel={funnel} chosen={chosen} choose={choose} /> : null}
      {kind === "Timeline" ? <Timeline run={run} chosen={chosen} choose={choose} /> : null}
    </Card>
  );
}
