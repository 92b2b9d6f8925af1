import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { newest } from "../api/queries";
import { quoted } from "../logic/filter";
import { Card } from "../shell/Card";
import { Problem } from "../shell/Problem";
import { Scroll } from "../shell/Scroll";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";
import { PickLine } from "./PickLine";

const SHOWN = 30;

interface Props {
  a: string;
  b: string;
  pipeline: string | undefined;
  take: (next: { a?: string; b?: string }) => void;
}

/** The other run is still to be chosen: the newest of the same pipeline, or an id. */
export function PickRun({ a, b, pipeline, take }: Props) {
  const known = a || b;
  const [typed, setTyped] = useState("");
  const asked = useQuery(newest(pipeline ? `pipeline:${quoted(pipeline)}` : ""));
  const pick = (id: string) => take(a ? { a, b: id } : { a: id, ...(b ? { b } : {}) });
  return (
    <>
      <h1 style={{ margin: "18px 0 14px" }}>
        {known ? (
          <>
            Compare <span className="mono">{known}</span> with
          </>
        ) : (
          "Compare: choose the first run"
        )}
      </h1>
      <Card title="Its id">
        <Section>
          <form
            className="row"
            onSubmit={(event) => {
              event.preventDefault();
              if (typed.trim()) pick(typed.trim());
            }}
          >
            <TextInput
              size="xs"
              w={340}
              aria-label="Id of the run"
              placeholder="run_…"
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
            />
            <Button size="xs" type="submit">
              {known ? "Compare" : "Take it"}
            </Button>
          </form>
        </Section>
      </Card>
      <div style={{ height: 18 }} />
      <Card title={pipeline ? `The newest runs of ${pipeline}` : "The newest runs"}>
        {asked.error ? <Problem error={asked.error} /> : null}
        {asked.isPending ? <Waiting /> : null}
        <Scroll label="Runs" most={520}>
          <table className="plain">
            <tbody>
              {asked.data?.runs
                .filter((row) => row.run_id !== known)
                .slice(0, SHOWN)
                .map((row) => (
                  <PickLine key={row.run_id} row={row} pick={() => pick(row.run_id)} />
                ))}
            </tbody>
          </table>
        </Scroll>
      </Card>
    </>
  );
}
