import { Button, Menu } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { Icon } from "./Icon";

interface Props {
  /** Address of the same answer on the server, with its query. */
  api: string;
  /** The call of `dxray.Client` that gives it, e.g. `why("run_1", "B1")`. */
  python: string;
  /** What is posted; without it the answer is got. */
  body?: unknown;
  json: unknown;
}

/** Take an answer along: its link, its JSON, or the call that gives it again. */
export function CopyMenu({ api, python, body, json }: Props) {
  const board = useClipboard({ timeout: 1200 });
  const server = window.location.origin;
  const choices: [string, () => string][] = [
    ["Link to this page", () => window.location.href],
    ["JSON of the answer", () => JSON.stringify(json, null, 2)],
    ["curl", () => `curl ${shell(server + api)}${body === undefined ? "" : ` -d ${shell(JSON.stringify(body))}`}`],
    ["Python", () => `import dxray\n\nclient = dxray.Client(${JSON.stringify(server)})\nprint(client.${python})`],
  ];
  return (
    <Menu position="bottom-end" withinPortal={false}>
      <Menu.Target>
        <Button
          size="compact-sm"
          variant="default"
          fw={500}
          leftSection={<Icon name={board.copied ? "check" : "share"} />}
        >
          {board.copied ? "Copied" : "Copy"}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {choices.map(([name, text]) => (
          <Menu.Item key={name} onClick={() => board.copy(text())}>
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function shell(text: string): string {
  return /^[\w:/.?=&%-]+$/.test(text) && !/[?&]/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
