import { Link } from "@tanstack/react-router";
import { Card } from "../shell/Card";
import { Section } from "../shell/Section";

interface Props {
  pipeline: string;
  stability: string | undefined;
  rules: string | undefined;
}

/** What the questions over its runs answer, in a sentence each, and where the rest of the answer is. */
export function Findings({ pipeline, stability, rules }: Props) {
  const said = [
    { question: "rules", title: "Rules", sentence: rules },
    { question: "stability", title: "Stability", sentence: stability },
  ].filter((one) => one.sentence);
  if (said.length === 0) return null;
  return (
    <Card label="What stands out">
      {said.map(({ question, title, sentence }) => (
        <Section key={question} title={title}>
          {sentence}{" "}
          <Link to="/ask" search={{ question, pipeline }} className="link">
            the whole answer
          </Link>
        </Section>
      ))}
    </Card>
  );
}
