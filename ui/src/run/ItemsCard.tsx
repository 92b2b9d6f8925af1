import { Button, Select, TextInput } from "@mantine/core";
import { useMemo } from "react";
import type { ItemRow, Step } from "../api/types";
import { firstOf, itemsOf, namesOf, wanted } from "../logic/items";
import { number, plural } from "../logic/format";
import { Card } from "../shell/Card";
import { Problem } from "../shell/Problem";
import { Waiting } from "../shell/Waiting";
import css from "./Items.module.css";
import { ItemsTable } from "./ItemsTable";
import type { Chosen } from "./RunPage";
import { stateOf } from "./stateOf";
import { useEvents } from "./useEvents";

interface Props {
  runId: string;
  step: Step;
  winners: ItemRow[];
  colours: Map<string, string>;
  chosen: Chosen;
  choose: (next: Chosen) => void;
}

/** The items of a step with their outcome, reason, score and evidence. */
export function ItemsCard({ runId, step, winners, colours, chosen, choose }: Props) {
  const here = useEvents(runId, { step_id: step.step_id }, stateOf(step));
  const produced = useEvents(runId, { outcome: "produced" }, stateOf(step));
  const names = useMemo(() => namesOf([...produced.events, ...here.events]), [produced.events, here.events]);
  const rows = useMemo(() => itemsOf(here.events, names), [here.events, names]);
  const won = useMemo(() => new Set(winners.map((one) => one.item_id)), [winners]);
  const shown = useMemo(() => firstOf(wanted(rows, chosen), won), [rows, chosen, won]);
  const outcomes = useMemo(() => [...new Set(rows.map((row) => row.outcome ?? ""))].filter(Boolean), [rows]);
  const reasons = useMemo(() => [...new Set(rows.map((row) => row.reason ?? ""))].filter(Boolean), [rows]);
  const set = (next: Chosen) => choose({ ...chosen, step: step.step_id, ...next });
  const { counts } = step;
  const unnamed = (counts.unaccounted ?? 0) + counts.accepted_by_count + counts.rejected_by_count;

  return (
    <Card
      title={`Items at ${step.step_name}`}
      note={
        here.loading
          ? "loading…"
          : shown.length === rows.length
            ? plural(rows.length, "item")
            : `${number(shown.length)} of ${plural(rows.length, "item")}`
      }
      aside={
        <div className={css.filters}>
          <Select
            size="xs"
            w={120}
            aria-label="Outcome"
            placeholder="any outcome"
            clearable
            data={outcomes}
            value={chosen.outcome ?? null}
            onChange={(outcome) => set({ outcome: outcome ?? undefined })}
          />
          {reasons.length > 0 ? (
            <Select
              size="xs"
              w={150}
              aria-label="Reason"
              placeholder="any reason"
              clearable
              searchable
              data={reasons}
              value={chosen.reason ?? null}
              onChange={(reason) => set({ reason: reason ?? undefined })}
            />
          ) : null}
          <TextInput
            size="xs"
            w={150}
            aria-label="Id or name"
            placeholder="id or name"
            value={chosen.find ?? ""}
            onChange={(event) => set({ find: event.currentTarget.value || undefined })}
          />
        </div>
      }
    >
      {here.error ? <Problem error={here.error} /> : null}
      {here.loading && rows.length === 0 ? <Waiting lines={5} /> : null}
      {shown.length > 0 ? (
        <ItemsTable runId={runId} rows={shown} won={won} rules={step.rules} colours={colours} />
      ) : null}
      {!here.loading && shown.length === 0 ? (
        <p className={css.none}>
          {rows.length === 0 ? "No event of this step names an item." : "No item of this step fits."}
        </p>
      ) : null}
      {unnamed > 0 ? (
        <p className={css.none}>
          {plural(unnamed, "item")} came here and no event names them: their fate is not recorded.
        </p>
      ) : null}
      {here.hasMore && !here.loading ? (
        <p className={css.none}>
          The first {number(here.events.length)} events are read.{" "}
          <Button size="compact-xs" variant="default" onClick={here.more}>
            Read more
          </Button>
        </p>
      ) : null}
    </Card>
  );
}
