import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { itemById, itemsByName } from "../api/queries";
import { ago, exactTime, number, plural, shortId } from "../logic/format";
import { Blank } from "../shell/Blank";
import { Card } from "../shell/Card";
import { CopyMenu } from "../shell/CopyMenu";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { OUTCOME } from "../shell/tones";
import { Scroll } from "../shell/Scroll";
import { useNow } from "../shell/useNow";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { DidYouMean } from "./DidYouMean";

const ROWS = 300;

/** An item across runs, by its id or its name. */
export function ItemsPage() {
  const { id, name } = useSearch({ from: "/items" });
  const now = useNow(30_000);
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
        items / <span className="mono">{id ?? name}</span>
        <span className="space" />
        <CopyMenu
          api={`/items?${query}`}
          python={id === undefined ? `items(name=${JSON.stringify(name)})` : `items(${JSON.stringify(id)})`}
          json={answer}
        />
      </div>
      <h1>{title}</h1>
      <Say sentence={answer.sentence} unknown={answer.unknown}>
        <DidYouMean found={answer.did_you_mean} />
      </Say>
      <div className="column">
        {answer.items.length > 1 ? (
          <Card title="Items" note={plural(answer.items.length, "item")}>
            <Scroll label="Items" most={300}>
              <table className="plain">
                <tbody>
                  {answer.items.map((one) => (
                    <tr key={one.item_id}>
                      <td>
                        <Link to="/items" search={{ id: one.item_id }} className="link">
                          {one.name ?? one.item_id}
                        </Link>
                      </td>
                      <td className="mono faint">{one.item_id}</td>
                      <td className="num">{plural(one.runs, "run")}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        ) : null}
        {answer.runs.length > 0 ? (
          <Card
            title="In each run, newest first"
            note={
              answer.total > answer.runs.length
                ? `the first ${number(answer.runs.length)} of ${number(answer.total)}`
                : plural(answer.total, "row")
            }
          >
            <Scroll label="Items">
              <table className="plain">
                <thead>
                  <tr>
                    <th>run</th>
                    <th>pipeline</th>
                    <th>item</th>
                    <th>last outcome</th>
                    <th>reason</th>
                    <th>at</th>
                    <th className="num">score</th>
                    <th>when</th>
                  </tr>
                </thead>
                <tbody>
                  {answer.runs.map((one) => (
                    <tr key={`${one.run_id} ${one.item_id}`}>
                      <td>
                        <Link
                          to="/runs/$runId/item"
                          params={{ runId: one.run_id }}
                          search={{ item: one.item_id }}
                          className="link mono"
                        >
                          {shortId(one.run_id)}
                        </Link>
                      </td>
                      <td>{one.pipeline}</td>
                      <td>{one.name ?? one.item_id}</td>
                      <td>
                        {one.outcome ? (
                          <Pill tone={OUTCOME[one.outcome] ?? "neutral"}>{one.outcome}</Pill>
                        ) : (
                          <Pill title={one.unknown?.detail}>unknown</Pill>
                        )}
                      </td>
                      <td>{one.reason ?? <span className="faint">–</span>}</td>
                      <td>{one.step_name}</td>
                      <td className="num">{number(one.score)}</td>
                      <td className="mut nowrap" title={exactTime(one.started_at)}>
                        {ago(one.started_at, now)}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        ) : null}
      </div>
    </>
  );
}
