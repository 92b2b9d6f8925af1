"""A model screens candidates and says why: `python -m examples.model_filter`.

    pip install -e ".[server,openai]"
    dxray serve

The client is OpenAI's own; its transport is answered here by a rule of words, so it runs without a key. X-Ray's lines
end in `# X-Ray`. Then ask why a candidate was dropped: `dxray why RUN c3`.
"""

from __future__ import annotations

import json

import httpx2
from openai import OpenAI
from pydantic import BaseModel

import dxray  # X-Ray
from dxray.integrations.model_calls import decisions  # X-Ray

CANDIDATES = {
    "c1": "Slim leather case for the phone",
    "c2": "Phone stand of oak",
    "c3": "Laptop stand, aluminium",
    "c4": "Silicone case for a phone, black",
}


class Entry(BaseModel):
    id: str
    reason: str


class Screened(BaseModel):
    kept: list[Entry]
    dropped: list[Entry]


def answer(request: httpx2.Request) -> httpx2.Response:
    """What stands in for the model: it keeps what is for a phone."""
    candidates = json.loads(json.loads(request.content)["messages"][-1]["content"])
    parted: dict[str, list[dict[str, str]]] = {"kept": [], "dropped": []}
    for key, title in candidates.items():
        fits = "phone" in title.lower()
        words = "made for a phone" if fits else "not made for a phone"
        parted["kept" if fits else "dropped"].append({"id": key, "reason": words})
    message = {"role": "assistant", "content": json.dumps(parted)}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}
    whole = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "rules",
        "choices": [choice],
        "usage": usage,
    }
    return httpx2.Response(200, json=whole)


def screen(client: OpenAI) -> Screened:
    done = client.chat.completions.parse(
        model="rules",
        messages=[
            {"role": "system", "content": "Keep what is an accessory of a phone. Give a reason for each."},
            {"role": "user", "content": json.dumps(CANDIDATES)},
        ],
        response_format=Screened,
    )
    parsed = done.choices[0].message.parsed
    assert parsed is not None
    decisions(dxray.current_step(), parsed, among=CANDIDATES)  # X-Ray
    return parsed


def main() -> None:
    client = OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))
    dxray.instrument_openai()  # X-Ray
    with dxray.XRay("screening").run() as run, run.step("screen", step_type="filter"):  # X-Ray
        print([entry.id for entry in screen(client).kept])


if __name__ == "__main__":
    main()
