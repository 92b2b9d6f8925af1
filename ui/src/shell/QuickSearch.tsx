import { Combobox, TextInput, useCombobox } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { itemsByName } from "../api/queries";
import { plural } from "../logic/format";
import { quoted } from "../logic/filter";
import css from "./QuickSearch.module.css";
import { useKeys } from "./useKeys";

const RUN_ID = /^run_[0-9a-f]{32}$/;

/** Runs and items, from everywhere: `/`. */
export function QuickSearch() {
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  const [settled] = useDebouncedValue(text.trim(), 200);
  const box = useCombobox();
  const navigate = useNavigate();
  const found = useQuery(itemsByName(settled));
  useKeys({ "/": () => field.current?.focus() });
  const { dropdownOpened, selectFirstOption } = box;
  useEffect(() => {
    if (dropdownOpened) selectFirstOption(); // what was found since comes first
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [found.data, dropdownOpened]);

  function go(option: string) {
    const [kind, rest] = [option.slice(0, option.indexOf(":")), option.slice(option.indexOf(":") + 1)];
    setText("");
    box.closeDropdown();
    field.current?.blur();
    if (kind === "run") void navigate({ to: "/runs/$runId", params: { runId: rest } });
    else if (kind === "item") void navigate({ to: "/items", search: { id: rest } });
    else if (kind === "name") void navigate({ to: "/items", search: { name: rest } });
    else void navigate({ to: "/runs", search: { q: quoted(rest) } });
  }

  const items = settled ? (found.data?.items.slice(0, 8) ?? []) : [];
  return (
    <Combobox store={box} onOptionSubmit={go} withinPortal={false} position="bottom-end" width={380}>
      <Combobox.Target>
        <TextInput
          ref={field}
          className={css.field ?? ""}
          size="xs"
          aria-label="Search runs and items"
          placeholder="Search runs and items"
          value={text}
          rightSection={<kbd>/</kbd>}
          rightSectionPointerEvents="none"
          onChange={(event) => {
            setText(event.currentTarget.value);
            box.openDropdown();
            box.selectFirstOption();
          }}
          onFocus={() => text && box.openDropdown()}
          onBlur={() => box.closeDropdown()}
        />
      </Combobox.Target>
      <Combobox.Dropdown hidden={!text.trim()}>
        <Combobox.Options mah={420} className={css.options ?? ""}>
          {RUN_ID.test(text.trim()) ? (
            <Combobox.Option value={`run:${text.trim()}`}>Open run {text.trim()}</Combobox.Option>
          ) : null}
          {items.map((item) => (
            <Combobox.Option key={item.item_id} value={`item:${item.item_id}`}>
              {item.name ?? item.item_id}{" "}
              <span className="faint">
                <span className="mono">{item.item_id}</span> · {plural(item.runs, "run")}
              </span>
            </Combobox.Option>
          ))}
          {items.length > 1 ? (
            <Combobox.Option value={`name:${settled}`}>All items named like “{settled}”</Combobox.Option>
          ) : null}
          <Combobox.Option value={`q:${text.trim()}`}>
            Runs with <b>{text.trim()}</b> in their texts
          </Combobox.Option>
          <Combobox.Option value={`item:${text.trim()}`}>
            Item with the id <b className="mono">{text.trim()}</b>
          </Combobox.Option>
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}
