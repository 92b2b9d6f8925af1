import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { pipelines } from "../api/queries";
import { FirstSteps } from "../runs/FirstSteps";
import { Problem } from "../shell/Problem";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { PipelineHealth } from "./PipelineHealth";
import { PipelinesTable } from "./PipelinesTable";

/** The pipelines with their health; with one named in the address, that one. */
export function PipelinesPage() {
  const { pipeline } = useSearch({ from: "/pipelines" });
  const asked = useQuery({ ...pipelines, refetchInterval: 10_000 });
  useTitle(pipeline ?? "Pipelines");
  if (asked.error && !asked.data) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!asked.data) return <Waiting />;
  const found = asked.data.pipelines;
  if (found.length === 0) return <FirstSteps q="" clear={() => undefined} />;
  if (pipeline !== undefined)
    return <PipelineHealth key={pipeline} name={pipeline} about={found.find((one) => one.pipeline === pipeline)} />;
  return (
    <>
      <h1 style={{ margin: "18px 0 14px" }}>Pipelines</h1>
      <PipelinesTable pipelines={found} />
    </>
  );
}
