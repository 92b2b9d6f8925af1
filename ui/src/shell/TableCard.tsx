import type { ReactNode } from "react";
import { Card } from "./Card";
import { Scroll } from "./Scroll";

export interface Column<Row> {
  /** Said above the column. Where no column says one, the table has no head. */
  head?: ReactNode;
  /** Figures stand at the right. */
  num?: boolean;
  nowrap?: boolean;
  cell: (row: Row, at: number) => ReactNode;
  title?: (row: Row) => string | undefined;
}

interface Props<Row> {
  title?: ReactNode;
  note?: ReactNode;
  aside?: ReactNode;
  /** What the table is called where it has no title, and where it scrolls. */
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  keyOf: (row: Row) => string;
  /** The most pixels it is high. */
  most?: number;
  isOn?: (row: Row) => boolean;
  /** What stands below the table. */
  children?: ReactNode;
}

/** A card that is a table; where there are no rows and nothing below, there is none. */
export function TableCard<Row>(props: Props<Row>) {
  const { title, note, aside, label, rows, columns, keyOf, most, isOn, children } = props;
  if (rows.length === 0 && !children) return null;
  const headed = columns.some((one) => one.head !== undefined);
  return (
    <Card title={title} note={note} aside={aside} {...(typeof title === "string" ? {} : { label })}>
      <Scroll label={label} {...(most === undefined ? {} : { most })}>
        <table className="plain" aria-label={label}>
          {headed ? (
            <thead>
              <tr>
                {columns.map((one, at) => (
                  <th key={at} className={one.num ? "num" : undefined}>
                    {one.head}
                  </th>
                ))}
              </tr>
            </thead>
          ) : null}
          <tbody>
            {rows.map((row, place) => (
              <tr key={keyOf(row)} className={isOn?.(row) ? "on" : undefined}>
                {columns.map((one, at) => (
                  <td key={at} className={classes(one)} title={one.title?.(row)}>
                    {one.cell(row, place)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {children}
    </Card>
  );
}

function classes(column: { num?: boolean; nowrap?: boolean }): string | undefined {
  return [column.num && "num", column.nowrap && "nowrap"].filter(Boolean).join(" ") || undefined;
}
