"""`import dxray` happens in every host process, so it loads nothing that the host did not ask for."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "dxray.server",
    "dxray.cli",
    "dxray.client",
    "duckdb",
    "fastapi",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "rich",
    "starlette",
    "typer",
    "urllib3",  # 100 ms: the shipper thread imports it
    "uvicorn",
)


def modules_after(statement: str) -> set[str]:
    """Return the names in sys.modules after `statement` in a fresh process."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("statement", ["import dxray", "from dxray import XRay"])
def test_import_loads_no_server_no_database_and_no_web_framework(statement: str) -> None:
    assert modules_after(statement) & set(HEAVY) == set()
