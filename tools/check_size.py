"""Rooms stay small: a Python file has at most 500 lines, a class 300, a function 50.

Run by `make lint`; prints what is over, and fails.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 500
CLASS_LINES = 300
FUNCTION_LINES = 50
FOLDERS = ("src", "sdk", "api", "examples", "bench", "tools", "tests")


def too_large(path: Path, source: str) -> Iterator[str]:
    """Yield a line for each thing in `source` that is over its limit."""
    lines = source.count("\n")
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines, a file has at most {FILE_LINES}"
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if isinstance(node, ast.ClassDef):
            kind, limit = "class", CLASS_LINES
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kind, limit = "function", FUNCTION_LINES
        else:
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > limit:
            yield f"{path}:{node.lineno}: {kind} {node.name} has {length} lines, at most {limit}"


def main() -> int:
    """Check every Python file of the project; 1 when any is over a limit."""
    root = Path(__file__).resolve().parent.parent
    files = sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.py"))
    found = [line for file in files for line in too_large(file.relative_to(root), file.read_text("utf-8"))]
    print("\n".join(found) if found else f"sizes: {len(files)} files, none over a limit")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
