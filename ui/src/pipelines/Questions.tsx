import { Link } from "@tanstack/react-router";

const QUESTIONS = ["whatif", "rules", "stability", "blame", "explain"] as const;

/** What can be asked of one pipeline. */
export function Questions({ pipeline }: { pipeline: string }) {
  return QUESTIONS.map((question) => (
    <Link key={question} to="/ask" search={{ question, pipeline }} className="link" style={{ marginRight: 10 }}>
      {question === "whatif" ? "what-if" : question}
    </Link>
  ));
}
