import { ActionIcon, Button, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, taken } from "../api/client";
import { labels } from "../api/queries";
import type { LabelName } from "../api/types";
import { exactTime } from "../logic/format";
import { Card } from "../shell/Card";
import { Icon } from "../shell/Icon";
import { Pill } from "../shell/Pill";
import { Section } from "../shell/Section";
import { LABEL } from "../shell/tones";
import css from "./Labels.module.css";

const OF_ITEMS = new Set<string>(["expected", "wrong"]);

/** What is said of the run afterwards. */
export function LabelsCard({ runId, itemId }: { runId: string; itemId?: string }) {
  const cache = useQueryClient();
  const said = useQuery(labels(runId));
  const [label, setLabel] = useState<LabelName>(itemId ? "wrong" : "bad");
  const [item, setItem] = useState(itemId ?? "");
  const [note, setNote] = useState("");
  const changed = () => {
    void cache.invalidateQueries({ queryKey: ["labels", runId] });
    void cache.invalidateQueries({ queryKey: ["run", runId] });
  };
  const add = useMutation({
    mutationFn: () => {
      const body = {
        label,
        ...(item && (OF_ITEMS.has(label) || itemId) ? { item_id: item } : {}),
        ...(note ? { note } : {}),
      };
      return taken(client.POST("/runs/{run_id}/labels", { params: { path: { run_id: runId } }, body }));
    },
    onSuccess: () => {
      setNote("");
      changed();
    },
  });
  const remove = useMutation({
    mutationFn: (number: number) =>
      taken(client.DELETE("/runs/{run_id}/labels/{number}", { params: { path: { run_id: runId, number } } })),
    onSuccess: changed,
  });
  const failed = add.error ?? remove.error;
  return (
    <Card title="Labels" note="what it was worth, afterwards">
      {said.data && said.data.labels.length > 0 ? (
        <Section>
          <ul className={css.labels}>
            {said.data.labels.map((one) => (
              <li key={one.number}>
                <Pill tone={LABEL[one.label] ?? "neutral"}>{one.label}</Pill>
                <span title={exactTime(one.at)}>
                  {one.name ?? one.item_id} <span className="mut">{one.note}</span>
                </span>
                <ActionIcon
                  size="sm"
                  variant="subtle"
                  color="gray"
                  aria-label={`Take back ${one.label}`}
                  onClick={() => remove.mutate(one.number)}
                  loading={remove.isPending && remove.variables === one.number}
                >
                  <Icon name="close" />
                </ActionIcon>
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      <Section>
        <form
          className={css.form}
          onSubmit={(event) => {
            event.preventDefault();
            add.mutate();
          }}
        >
          <Select
            size="xs"
            aria-label="Label"
            data={["good", "bad", "expected", "wrong", "keep"]}
            value={label}
            allowDeselect={false}
            onChange={(next) => next && setLabel(next)}
          />
          {OF_ITEMS.has(label) ? (
            <TextInput
              size="xs"
              aria-label="Item id"
              placeholder="item id"
              required
              value={item}
              onChange={(event) => setItem(event.currentTarget.value)}
            />
          ) : null}
          <TextInput
            size="xs"
            aria-label="Note"
            placeholder="note"
            value={note}
            onChange={(event) => setNote(event.currentTarget.value)}
          />
          <Button size="xs" type="submit" loading={add.isPending}>
            Add
          </Button>
        </form>
        {failed ? (
          <p role="alert" className={css.failed}>
            {failed.message}
          </p>
        ) : null}
        {add.data?.warnings.map((one) => (
          <p key={one} role="alert" className={css.failed}>
            {one}
          </p>
        ))}
      </Section>
    </Card>
  );
}
