import { ActionIcon, TextInput } from "@mantine/core";
import { useState } from "react";
import type { SavedView } from "../api/types";
import { plain } from "../logic/format";
import { Icon } from "../shell/Icon";
import css from "./SavedViews.module.css";

interface Props {
  view: SavedView;
  here: boolean;
  open: () => void;
  rename: (to: string) => void;
  /** Puts the current filter in its place; null where there is none, or it is saved already. */
  replace: (() => void) | null;
  remove: () => void;
}

/** For a field that takes the place of the button that was pressed. */
function focus(field: HTMLInputElement | null) {
  field?.select();
}

/** One saved view, and what can be done with it. */
export function ViewLine({ view, here, open, rename, replace, remove }: Props) {
  const [name, setName] = useState<string | null>(null);
  const shown = plain(view.name);
  if (name !== null) {
    return (
      <li>
        <form
          className={css.save}
          onSubmit={(event) => {
            event.preventDefault();
            setName(null);
            if (name.trim() && name.trim() !== view.name) rename(name.trim());
          }}
        >
          <TextInput
            size="xs"
            aria-label={`New name of ${shown}`}
            maxLength={80}
            ref={focus}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit" className="asLink">
            Rename
          </button>
        </form>
      </li>
    );
  }
  return (
    <li className={css.view}>
      <button type="button" className={css.open} aria-current={here ? "true" : undefined} onClick={open}>
        <b>{shown}</b>
        <span className="mono mut" title={plain(view.q)}>
          {plain(view.q)}
        </span>
        {view.note ? <span className="mut">{plain(view.note)}</span> : null}
      </button>
      <span className={css.acts}>
        {replace ? (
          <button type="button" className="asLink" onClick={replace} title="Save the current filter under this name">
            Replace<span className="visually-hidden"> {shown} with the current filter</span>
          </button>
        ) : null}
        <button type="button" className="asLink" onClick={() => setName(view.name)}>
          Rename<span className="visually-hidden"> {shown}</span>
        </button>
        <ActionIcon variant="subtle" color="gray" size="sm" aria-label={`Delete ${shown}`} onClick={remove}>
          <Icon name="close" />
        </ActionIcon>
      </span>
    </li>
  );
}
