import { Button, Popover, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Refused } from "../api/client";
import { views } from "../api/queries";
import type { SavedView, Source } from "../api/types";
import { removeView, renameView, saveView, type View } from "../api/views";
import { plain } from "../logic/format";
import { ViewLine } from "./ViewLine";
import css from "./SavedViews.module.css";

/** The filters that were saved under a name: to be opened, and changed. */
export function SavedViews({ source, q, change }: { source: Source; q: string; change: (q: string) => void }) {
  const [opened, setOpened] = useState(false);
  const { data } = useQuery(views);
  const saved = data?.views.filter((one) => one.source === source) ?? [];
  const current = saved.find((one) => one.q === q);
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      position="bottom-end"
      width={380}
      withinPortal={false}
      trapFocus
      returnFocus
      shadow="md"
    >
      <Popover.Target>
        <Button variant="default" className={css.target ?? ""} onClick={() => setOpened(!opened)}>
          <span className="cut">{current ? plain(current.name) : "Views"}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Saved views" className={css.menu ?? ""}>
        <Menu
          source={source}
          q={q}
          saved={saved}
          open={(view) => {
            setOpened(false);
            change(view.q);
          }}
        />
      </Popover.Dropdown>
    </Popover>
  );
}

type Act =
  | { kind: "save" | "replace"; view: View }
  | { kind: "rename"; view: SavedView; to: string }
  | { kind: "delete"; view: SavedView };

function done(act: Act): Promise<unknown> {
  if (act.kind === "rename") return renameView(act.view, act.to);
  if (act.kind === "delete") return removeView(act.view.name);
  return saveView(act.view, act.kind === "replace");
}

interface MenuProps {
  source: Source;
  q: string;
  saved: SavedView[];
  open: (view: SavedView) => void;
}

function Menu({ source, q, saved, open }: MenuProps) {
  const cache = useQueryClient();
  const [name, setName] = useState("");
  const acting = useMutation({
    mutationFn: done,
    onSuccess: (_, act) => {
      if (act.kind === "save" || act.kind === "replace") setName("");
    },
    onSettled: () => cache.invalidateQueries({ queryKey: views.queryKey }),
  });
  const { variables: act, error } = acting;
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // What was pressed is gone: the keys stay here, Escape among them.
    if (document.activeElement === document.body) menu.current?.focus();
  });
  const taken = error instanceof Refused && error.status === 409 && act?.kind === "save" ? act : null;
  const already = saved.some((one) => one.q === q);

  function save(event: FormEvent) {
    event.preventDefault();
    if (name.trim() && q) acting.mutate({ kind: "save", view: { name: name.trim(), source, q, note: null } });
  }

  return (
    <div ref={menu} tabIndex={-1} className={css.all}>
      {saved.length === 0 ? <p className="mut">No view is saved yet: a view is a filter with a name.</p> : null}
      <ul className={css.list}>
        {saved.map((view) => (
          <ViewLine
            key={view.name}
            view={view}
            here={view.q === q}
            open={() => open(view)}
            rename={(to) => acting.mutate({ kind: "rename", view, to })}
            replace={
              q && !already
                ? () => acting.mutate({ kind: "replace", view: { name: view.name, source, q, note: view.note } })
                : null
            }
            remove={() => acting.mutate({ kind: "delete", view })}
          />
        ))}
      </ul>
      <div role="status" className={css.said}>
        {acting.isSuccess && act ? <Done act={act} back={(view) => acting.mutate({ kind: "save", view })} /> : null}
      </div>
      {error ? (
        <div role="alert" className={css.wrong}>
          {plain(error.message)}. {error instanceof Refused && error.fix && !taken ? plain(error.fix) : null}
          {taken ? (
            <button type="button" className="asLink" onClick={() => acting.mutate({ ...taken, kind: "replace" })}>
              Replace it
            </button>
          ) : null}
        </div>
      ) : null}
      {q && !already ? (
        <form className={css.save} onSubmit={save}>
          <TextInput
            size="xs"
            aria-label="Name of the view"
            data-autofocus // or the first view takes the focus, and the Enter, of whoever types at once
            placeholder="Name for the current filter"
            maxLength={80}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" size="xs" disabled={!name.trim()} loading={acting.isPending}>
            Save
          </Button>
        </form>
      ) : null}
      {q ? null : <p className="faint">Type a filter, and it can be saved here.</p>}
    </div>
  );
}

/** What was done, and the way back from a deletion. */
function Done({ act, back }: { act: Act; back: (view: SavedView) => void }) {
  if (act.kind !== "delete") {
    const words = { save: "Saved", replace: "Replaced", rename: "Renamed" };
    return <span>{`${words[act.kind]} ${plain(act.kind === "rename" ? act.to : act.view.name)}.`}</span>;
  }
  return (
    <span>
      Deleted {plain(act.view.name)}.{" "}
      <button type="button" className="asLink" onClick={() => back(act.view)}>
        Undo
      </button>
    </span>
  );
}
