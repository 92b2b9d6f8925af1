import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lineage } from "../api/queries";
import { plural } from "../logic/format";
import { Card } from "../shell/Card";
import { Section } from "../shell/Section";

const SHOWN = 30;

/** What the item came from, and what came of it. */
export function LineageCard({ runId, item }: { runId: string; item: string }) {
  const asked = useQuery(lineage(runId, item));
  const answer = asked.data;
  if (!answer || answer.nodes.length < 2) return null;
  const groups = [
    {
      title: `Came from ${plural(answer.ancestors.total, "item")}`,
      nodes: answer.nodes.filter((one) => one.relation === "ancestor"),
    },
    {
      title: `${plural(answer.descendants.total, "item")} came of it`,
      nodes: answer.nodes.filter((one) => one.relation === "descendant"),
    },
  ];
  return (
    <Card title="Lineage" note={answer.sentence}>
      {groups.map(({ title, nodes }) =>
        nodes.length === 0 ? null : (
          <Section key={title} title={title}>
            {nodes.slice(0, SHOWN).map((one) => (
              <div key={one.item_id} style={{ paddingLeft: (one.depth - 1) * 18 }}>
                <Link to="/runs/$runId/item" params={{ runId }} search={{ item: one.item_id }} className="link">
                  {one.name ?? one.item_id}
                </Link>{" "}
                <span className="faint">
                  <span className="mono">{one.item_id}</span> at {one.step_name}
                </span>
              </div>
            ))}
            {nodes.length > SHOWN ? <span className="mut">and {nodes.length - SHOWN} more</span> : null}
          </Section>
        ),
      )}
    </Card>
  );
}
