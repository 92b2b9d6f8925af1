"""Refunds that a person approves days later, in another process: written without X-Ray, then recorded in five lines."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from pathlib import Path

import dxray

PLAIN = """
import json, sys

def propose(orders, limit):
    asked = [order for order in orders if order["amount"] <= limit]
    return asked

def approve(asked, decisions):
    paid = []
    for order in asked:
        if decisions[order["id"]] == "yes":
            paid.append(order["id"])
    return paid

what, file = sys.argv[1:3]
if what == "propose":
    asked = propose(json.load(open(file)), 100)
    json.dump({"asked": asked}, open("waiting.json", "w"))
else:
    waiting = json.load(open("waiting.json"))
    print(json.dumps(approve(waiting["asked"], json.load(open(file)))))
"""

# Lines of the plain program, and what stands in their place.
CHANGES = {
    "import json, sys": "import json, sys, dxray; xray = dxray.XRay('refunds')",
    '    asked = [order for order in orders if order["amount"] <= limit]': (
        '    with xray.run() as run, run.step("limit", "filter") as step: asked = step.filtered(orders, [order '
        'for order in orders if order["amount"] <= limit], "amount_over_limit", key="id"); run.wait()'
    ),
    '    json.dump({"asked": asked}, open("waiting.json", "w"))': (
        '    json.dump({"asked": asked[0], "run": asked[1]}, open("waiting.json", "w"))'
    ),
    "    return asked": "    return asked, run.run_id",
    '    print(json.dumps(approve(waiting["asked"], json.load(open(file)))))': (
        '    with xray.resume(waiting["run"]) as run, run.step("approve", "approve") as step: paid = '
        'approve(waiting["asked"], json.load(open(file))); step.filtered([o["id"] for o in waiting["asked"]], paid, '
        "'refused'); print(json.dumps(paid))"
    ),
}
RECORDED = "\n".join(CHANGES.get(line, line) for line in PLAIN.split("\n"))

ORDERS = [{"id": f"order-{n}", "amount": 15 * n} for n in range(1, 11)]
DECISIONS = {order["id"]: "no" if n % 3 == 0 else "yes" for n, order in enumerate(ORDERS)}


def run(program: str, folder: Path, *argv: str, **env: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "orders.json").write_text(json.dumps(ORDERS))
    (folder / "decisions.json").write_text(json.dumps(DECISIONS))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *argv],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def test_at_most_five_lines_change() -> None:
    changes = list(difflib.ndiff(PLAIN.splitlines(), RECORDED.splitlines()))
    assert sum(line.startswith("+ ") for line in changes) == len(CHANGES) <= 5
    assert sum(line.startswith("- ") for line in changes) <= 5


def test_what_was_approved_days_later_is_explained(tmp_path: Path) -> None:
    env = {"DXRAY_SPOOL_DIR": str(tmp_path / "spool"), "DXRAY_OFFLINE_MODE": "strict"}
    plain, recorded = tmp_path / "plain", tmp_path / "recorded"
    run(PLAIN, plain, "propose", "orders.json")
    expected = json.loads(run(PLAIN, plain, "approve", "decisions.json"))
    with dxray.local(data=tmp_path / "data") as client:
        env["DXRAY_API_URL"] = client.api_url
        run(RECORDED, recorded, "propose", "orders.json", **env)
        (waiting,) = client.runs()
        assert waiting.status == "waiting"
        answers = [client.why(waiting.run_id, one["id"]) for one in ORDERS[:6]]
        assert {answer.verdict for answer in answers} == {"interrupted"}
        assert all("wait" in answer.sentence for answer in answers), answers[0].sentence

    # Days later: the first server and process are gone.
    with dxray.local(data=tmp_path / "data") as client:
        env["DXRAY_API_URL"] = client.api_url
        assert json.loads(run(RECORDED, recorded, "approve", "decisions.json", **env)) == expected
        (done,) = client.runs()
        assert (done.run_id, done.status) == (waiting.run_id, "completed")
        paid = set()
        for order in ORDERS:
            why = client.why(done.run_id, order["id"])
            if order["amount"] > 100:
                assert (why.verdict, why.step_name, why.reason) == ("rejected", "limit", "amount_over_limit")
            elif DECISIONS[order["id"]] == "no":
                assert (why.verdict, why.step_name, why.reason) == ("rejected", "approve", "refused")
            else:
                assert why.verdict == "survived"
                paid.add(order["id"])
        assert paid == set(expected) and 0 < len(paid) < 6
        # No step produced the orders, so nobody can know that this one was not among them.
        never = client.why(done.run_id, "order-99")
        assert never.verdict == "unknown"
        assert never.unknown is not None and never.unknown.cause == "not_recorded"
