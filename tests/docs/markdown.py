"""The documents, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "README.md"
DOCUMENTS = [
    README,
    CHECKOUT / "ARCHITECTURE.md",
    CHECKOUT / "CONTRIBUTING.md",
    *sorted((CHECKOUT / "docs").glob("*.md")),
]
REFERENCE = [README, *sorted((CHECKOUT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is written in, its text, and where it stands."""

    language: str
    text: str
    where: str


def blocks(language: str) -> list[Block]:
    """All blocks of one language, in README and docs."""
    return [
        Block(found[1], found[2], f"{path.name}:{path.read_text()[: found.start()].count(chr(10)) + 1}")
        for path in REFERENCE
        for found in _BLOCK.finditer(path.read_text())
        if found[1] == language
    ]


def reference() -> str:
    """The text of README and docs."""
    return "\n".join(path.read_text() for path in REFERENCE)


def code_words() -> set[str]:
    """Every word in README and docs that stands in code: between backticks, or in a block."""
    text = reference()
    code = " ".join([*(found[2] for found in _BLOCK.finditer(text)), *re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))])
    return {*re.findall(r"[\w/{}.-]+", code), *re.findall(r"\w+", code)}
