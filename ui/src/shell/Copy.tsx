import { ActionIcon, CopyButton } from "@mantine/core";
import { Icon } from "./Icon";

export function Copy({ text, what }: { text: string; what: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          onClick={copy}
          aria-label={copied ? "Copied" : `Copy ${what}`}
          title={`Copy ${what}`}
        >
          <Icon name={copied ? "check" : "copy"} />
        </ActionIcon>
      )}
    </CopyButton>
  );
}
