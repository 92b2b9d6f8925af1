import { ActionIcon, Combobox, TextInput, useCombobox } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, useRef, useState } from "react";
import { pipelines } from "../api/queries";
import type { Source } from "../api/types";
import { goesOn, narrowed, quoted, replaced, widened, wordAt, wordsOf } from "../logic/filter";
import { plain, plural } from "../logic/format";
import { Icon } from "../shell/Icon";
import css from "./FilterBar.module.css";
import { SavedViews } from "./SavedViews";
import { useSuggestions } from "./useSuggestions";

/** The filter, in the one grammar, with what could be typed next. It is in the address. */
export function FilterBar({ source, q, change }: { source: Source; q: string; change: (q: string) => void }) {
  const [typed, setTyped] = useState({ q, text: q, caret: q.length });
  // The address has moved on: to what is typed here, or to something else.
  if (typed.q !== q) setTyped(typed.text.trim() === q ? { ...typed, q } : { q, text: q, caret: q.length });
  const { text, caret } = typed;
  const field = useRef<HTMLInputElement>(null);
  const box = useCombobox({ onDropdownClose: () => box.resetSelectedOption() });
  const word = wordAt(text, caret);
  const offered = useSuggestions(source, text, word, box.dropdownOpened);
  const open = box.dropdownOpened && offered.length > 0;

  function type(next: string, at: number) {
    setTyped({ q, text: next, caret: at });
  }
  function take(option: string) {
    const next = replaced(text, word, option);
    type(next.q, next.caret);
    box.resetSelectedOption();
    if (!goesOn(option)) {
      box.closeDropdown();
      change(next.q.trim());
    }
    requestAnimationFrame(() => field.current?.setSelectionRange(next.caret, next.caret));
  }
  function pressed(event: KeyboardEvent) {
    const at = box.getSelectedOptionIndex();
    if (event.key === "Enter" && !(open && at >= 0)) {
      box.closeDropdown();
      change(text.trim());
    } else if (event.key === "Tab" && !event.shiftKey && open && word.text !== "") {
      const option = offered[Math.max(0, at)];
      event.preventDefault();
      if (option) take(option.text);
    }
  }

  return (
    <>
      <div className={css.line}>
        <Combobox store={box} onOptionSubmit={take} withinPortal={false} position="bottom-start">
          <Combobox.Target withExpandedAttribute autoComplete="off">
            <TextInput
              ref={field}
              className={css.field ?? ""}
              aria-label={`Filter of ${source}`}
              aria-autocomplete="list"
              placeholder='pipeline:competitor_selection rejection_rate:>0.9 since:7d "laptop stand"'
              classNames={{ input: css.input ?? "" }}
              spellCheck={false}
              autoCapitalize="off"
              leftSection={<Icon name="search" />}
              rightSection={
                text ? (
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    size="sm"
                    aria-label="Clear the filter"
                    onClick={() => {
                      type("", 0);
                      change("");
                      field.current?.focus();
                    }}
                  >
                    <Icon name="close" />
                  </ActionIcon>
                ) : null
              }
              value={text}
              onChange={({ currentTarget: { value, selectionStart } }) => {
                type(value, selectionStart ?? value.length);
                box.openDropdown();
                box.resetSelectedOption();
              }}
              onSelect={({ currentTarget: { selectionStart } }) => {
                if (selectionStart !== null && selectionStart !== caret) type(text, selectionStart);
              }}
              onBlur={() => box.closeDropdown()}
              onKeyDown={pressed}
            />
          </Combobox.Target>
          <Combobox.Dropdown hidden={!open} className={css.menu ?? ""}>
            <Combobox.Options aria-label="What could be typed next" className={css.options ?? ""} mah={360}>
              {offered.map((one) => (
                <Combobox.Option key={one.text} value={one.text} className={css.option ?? ""}>
                  <span className="mono">{plain(one.text)}</span> <small>{one.hint}</small>
                </Combobox.Option>
              ))}
            </Combobox.Options>
          </Combobox.Dropdown>
        </Combobox>
        <SavedViews source={source} q={q} change={change} />
      </div>
      <p className="visually-hidden" role="status">
        {open ? plural(offered.length, "suggestion") : ""}
      </p>
      <Quick q={q} change={change} />
    </>
  );
}

/** Conditions that are often asked for, to be switched on and off. */
function Quick({ q, change }: { q: string; change: (q: string) => void }) {
  const { data: known } = useQuery(pipelines);
  const said = new Set(wordsOf(q).map((word) => word.text));
  const quick = [
    ...(known?.pipelines ?? []).slice(0, 4).map((one) => `pipeline:${quoted(one.pipeline)}`),
    "label:bad",
    "status:failed",
    "rejection_rate:>0.9",
    "since:1h",
  ];
  return (
    <div className={css.quick} role="group" aria-label="Often asked">
      {quick.map((condition) => (
        <button
          key={condition}
          type="button"
          aria-pressed={said.has(condition)}
          onClick={() => change(said.has(condition) ? widened(q, condition) : narrowed(q, condition))}
        >
          {plain(condition)}
        </button>
      ))}
    </div>
  );
}
