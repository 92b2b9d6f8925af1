import { Button, Select, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import type { ItemRow, Step, StepItems } from "../api/types";
import { itemsFilter, unknownKey } from "../logic/items";
import { number, plural } from "../logic/format";
import { Card } from "../shell/Card";
import { Problem } from "../shell/Problem";
import { Waiting } from "../shell/Waiting";
import css from "./Items.module.css";
import { ItemsTable } from "./ItemsTable";
import type { Chosen } from "./RunPage";
import { stateOf } from "./stateOf";
import { type Asked, PAGE, useItems } from "./useItems";
import { useTyped } from "./useTyped";

interface Props {
  runId: string;
  step: Step;
  winners: ItemRow[];
  colours: Map<string, string>;
  chosen: Chosen & { sort?: string | undefined };
  choose: (next: Chosen & { sort?: string | undefined }) => void;
}

const FIRST: readonly [number, number] = [0, PAGE - 1];
const NOTHING: string[] = [];

/** The items of a step with their outcome, reason, score and evidence: all of them, in any order. */
export function ItemsCard({ runId, step, winners, colours, chosen, choose }: Props) {
  const [[first, last], setRange] = useState(FIRST);
  const [keys, setKeys] = useState(NOTHING);
  const { outcome, reason, find, sort } = chosen;
  const q = itemsFilter(find, keys);
  const asked: Asked = useMemo(
    () => ({ step_id: step.step_id, outcome, reason, q, sort }),
    [step.step_id, outcome, reason, q, sort],
  );
  const items = useItems(runId, asked, first, last, stateOf(step));
  const { head } = items;
  // What may be compared is known with the first answer. It stays while there is none: else no question would stay.
  const known = head?.evidence_keys.map((one) => one.key) ?? keys;
  if (known.join("\n") !== keys.join("\n")) setKeys(known);
  const won = useMemo(() => new Set(winners.map((one) => one.item_id)), [winners]);
  const unknown = unknownKey(find, known);
  const set = (next: Partial<Props["chosen"]>) => choose({ ...chosen, step: step.step_id, ...next });
  const [typed, type] = useTyped(find ?? "", (text) => set({ find: text || undefined }));
  const compared = head?.evidence_keys.find((one) => one.kind === "number" && !/[\s:"<>=]/.test(one.key));

  return (
    <Card
      title={`Items at ${step.step_name}`}
      note={noteOf(head)}
      aside={
        <div className={css.filters}>
          <Select
            size="xs"
            aria-label="Outcome"
            placeholder="any outcome"
            clearable
            data={options(head?.outcomes, outcome)}
            value={outcome ?? null}
            onChange={(next) => set({ outcome: next ?? undefined })}
          />
          {reason || Object.keys(head?.reasons ?? {}).length > 0 ? (
            <Select
              size="xs"
              aria-label="Reason"
              placeholder="any reason"
              clearable
              searchable
              data={options(head?.reasons, reason)}
              value={reason ?? null}
              onChange={(next) => set({ reason: next ?? undefined })}
            />
          ) : null}
          <TextInput
            size="xs"
            aria-label="Id or name"
            placeholder={compared ? `id, name or ${compared.key} > 1` : "id or name"}
            value={typed}
            onChange={(event) => type(event.currentTarget.value)}
          />
        </div>
      }
    >
      {items.error ? <Problem error={items.error} again={items.again} /> : null}
      {head === undefined && !items.error ? <Waiting lines={5} /> : null}
      {head && head.total > 0 ? (
        <ItemsTable
          runId={runId}
          items={items}
          head={head}
          question={JSON.stringify(asked)}
          sort={sort}
          setSort={(next) => set({ sort: next })}
          setRange={setRange}
          won={won}
          rules={step.rules}
          colours={colours}
        />
      ) : null}
      {head && head.total === 0 ? (
        <p className={css.none}>
          {head.of === 0 ? (
            "No event of this step names an item."
          ) : (
            <>
              No item of this step fits.{" "}
              {unknown ? (
                <>
                  No evidence here is called <code>{unknown.key}</code>
                  {unknown.near ? (
                    <>
                      ; did you mean{" "}
                      <button
                        type="button"
                        className="asLink"
                        onClick={() => set({ find: find?.replace(unknown.key, unknown.near ?? "") })}
                      >
                        {unknown.near}
                      </button>
                      ?
                    </>
                  ) : (
                    "."
                  )}{" "}
                </>
              ) : null}
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => set({ outcome: undefined, reason: undefined, find: undefined })}
              >
                Show all {number(head.of)}
              </Button>
            </>
          )}
        </p>
      ) : null}
      {head?.unknown ? <p className={css.none}>Not known: {head.unknown.detail}.</p> : null}
    </Card>
  );
}

function noteOf(head: StepItems | undefined): string {
  if (head === undefined) return "loading…";
  return head.total === head.of ? plural(head.of, "item") : `${number(head.total)} of ${plural(head.of, "item")}`;
}

/** What there is, with how many have it; what was chosen stays, also where nothing has it. */
function options(counts: Record<string, number> | undefined, chosen: string | undefined) {
  const known = Object.entries(counts ?? {}).map(([value, n]) => ({ value, label: `${value} ${number(n)}` }));
  return chosen && counts?.[chosen] === undefined ? [{ value: chosen, label: chosen }, ...known] : known;
}
