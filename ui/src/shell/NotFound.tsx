import { Link } from "@tanstack/react-router";
import { Blank } from "./Blank";

export function NotFound() {
  return (
    <Blank title="There is no such page">
      <Link className="link" to="/runs">
        All runs, newest first
      </Link>
    </Blank>
  );
}
