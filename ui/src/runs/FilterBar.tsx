import { ActionIcon, Combobox, TextInput, useCombobox } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useRef, useState } from "react";
import { pipelines, views } from "../api/queries";
import { quoted, replaced, suggestions, wordAt } from "../logic/filter";
import { Icon } from "../shell/Icon";
import css from "./FilterBar.module.css";

const NONE: readonly string[] = [];

/** The filter, in the one grammar, with what could be typed next. It is in the address. */
export function FilterBar({ q, change }: { q: string; change: (q: string) => void }) {
  const [text, setText] = useState(q);
  const [caret, setCaret] = useState(q.length);
  const field = useRef<HTMLInputElement>(null);
  const box = useCombobox({ onDropdownClose: () => box.resetSelectedOption() });
  const { data: known } = useQuery(pipelines);
  const { data: saved } = useQuery(views);

  const values = useMemo(
    () => ({
      pipeline: known?.pipelines.map((one) => one.pipeline) ?? NONE,
      step: known?.pipelines.flatMap((one) => (one.worst_step ? [one.worst_step.step_name] : [])) ?? NONE,
      view: saved?.views.filter((one) => one.source === "runs").map((one) => one.name) ?? NONE,
    }),
    [known, saved],
  );
  const word = wordAt(text, caret);
  const offered = suggestions(word.text, { ...values, step_name: values.step });

  function take(option: string) {
    const next = replaced(text, word, option);
    setText(next.q);
    setCaret(next.caret);
    if (!option.endsWith(":") && !option.endsWith(".")) {
      box.closeDropdown();
      change(next.q.trim());
    }
    requestAnimationFrame(() => field.current?.setSelectionRange(next.caret, next.caret));
  }
  const quick = [
    ...values.pipeline.slice(0, 4).map((name) => `pipeline:${quoted(name)}`),
    "label:bad",
    "status:failed",
    "rejection_rate:>0.9",
    "since:1h",
  ];

  return (
    <>
      <Combobox store={box} onOptionSubmit={take} withinPortal={false} position="bottom-start">
        <Combobox.Target>
          <TextInput
            ref={field}
            aria-label="Filter of runs"
            placeholder='pipeline:competitor_selection rejection_rate:>0.9 since:7d "laptop stand"'
            classNames={{ input: css.input ?? "" }}
            leftSection={<Icon name="search" />}
            rightSection={
              text ? (
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  size="sm"
                  aria-label="Clear the filter"
                  onClick={() => (setText(""), change(""))}
                >
                  <Icon name="close" />
                </ActionIcon>
              ) : null
            }
            value={text}
            onChange={(event) => {
              setText(event.currentTarget.value);
              setCaret(event.currentTarget.selectionStart ?? event.currentTarget.value.length);
              box.openDropdown();
              box.resetSelectedOption();
            }}
            onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? text.length)}
            onBlur={() => box.closeDropdown()}
            onKeyDown={(event) => {
              if (event.key === "Enter" && box.getSelectedOptionIndex() < 0) {
                box.closeDropdown();
                change(text.trim());
              } else if (event.key === "Tab" && offered[0] && box.dropdownOpened) {
                event.preventDefault();
                take(offered[0].text);
              }
            }}
          />
        </Combobox.Target>
        <Combobox.Dropdown hidden={offered.length === 0}>
          <Combobox.Options>
            {offered.map((one) => (
              <Combobox.Option key={one.text} value={one.text}>
                <span className="mono">{one.text}</span> <span className="faint">{one.hint}</span>
              </Combobox.Option>
            ))}
          </Combobox.Options>
        </Combobox.Dropdown>
      </Combobox>
      <div className={css.quick} role="group" aria-label="Often asked">
        {quick.map((condition) => {
          const on = ` ${q} `.includes(` ${condition} `);
          const next = on ? ` ${q} `.replace(` ${condition} `, " ").trim() : `${q} ${condition}`.trim();
          return (
            <button key={condition} type="button" aria-pressed={on} onClick={() => change(next)}>
              {condition}
            </button>
          );
        })}
      </div>
    </>
  );
}
