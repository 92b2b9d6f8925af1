import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { itemById, itemsByName } from "../api/queries";
import { plain, titled } from "../logic/format";
import { Blank } from "../shell/Blank";
import { CopyMenu } from "../shell/CopyMenu";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { DidYouMean } from "./DidYouMean";
import { FateTable } from "./FateTable";
import { NamedTable } from "./NamedTable";

const ROWS = 300;

/** An item across runs, by its id or its name. */
export function ItemsPage() {
  const { id, name } = useSearch({ from: "/items" });
  const byId = useQuery({ ...itemById(id ?? "", ROWS), enabled: id !== undefined });
  const byName = useQuery({ ...itemsByName(name ?? "", ROWS), enabled: id === undefined && name !== undefined });
  const asked = id === undefined ? byName : byId;
  const answer = asked.data;
  useTitle(`Item ${id ?? name ?? ""}`);
  if (id === undefined && name === undefined)
    return <Blank title="Which item?">Type / and its id or a part of its name.</Blank>;
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!answer) return <Waiting lines={10} />;
  const [only] = answer.items;
  const title = id === undefined ? `Items named like “${name}”` : (only?.name ?? id);
  const query = id === undefined ? `name=${encodeURIComponent(name ?? "")}` : `id=${encodeURIComponent(id)}`;
  return (
    <>
      <div className="crumb">
        items / <span className="mono cut">{plain(id ?? name ?? "")}</span>
        <span className="space" />
        <CopyMenu
          api={`/items?${query}`}
          python={id === undefined ? `items(name=${JSON.stringify(name)})` : `items(${JSON.stringify(id)})`}
          json={answer}
        />
      </div>
      <h1>
        <bdi>{titled(title)}</bdi>
      </h1>
      <Say sentence={answer.sentence} unknown={answer.unknown}>
        <DidYouMean found={answer.did_you_mean} />
      </Say>
      <div className="column">
        <NamedTable answer={answer} />
        <FateTable answer={answer} />
      </div>
    </>
  );
}
