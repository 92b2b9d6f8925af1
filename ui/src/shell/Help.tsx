import { Modal } from "@mantine/core";

const KEYS: [string, string][] = [
  ["/", "search runs and items"],
  ["j  k", "next, previous row"],
  ["Enter", "open the row"],
  ["x", "choose the row, to compare two"],
  ["c", "compare the two that are chosen"],
  ["← →", "on the picture of times: a stretch; Enter puts it into the filter"],
  ["?", "this help"],
];

export function Help({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal
      opened={opened}
      onClose={close}
      title="Keys, and the filter"
      lockScroll={false}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <table className="plain">
        <tbody>
          {KEYS.map(([key, what]) => (
            <tr key={key}>
              <td>
                <kbd>{key}</kbd>
              </td>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="mut">Words of a filter stand with blanks between; all must hold:</p>
      <pre>
        {
          'pipeline:competitor_selection status:completed\nstep:filter rejection_rate:>0.9 since:7d\ninput.category:"phone cases" -label:good\n"laptop stand"'
        }
      </pre>
      <p className="mut">A word without a field is searched for in the recorded texts. A minus in front means not.</p>
    </Modal>
  );
}
