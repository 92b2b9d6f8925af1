"""Write openapi.json: what the page's types are made of. Run by `npm run types` after a change of the API."""

from __future__ import annotations

import json
from pathlib import Path

from dxray.server.app import create_app
from dxray.server.settings import Settings

found = create_app(Settings()).openapi()
found["info"]["version"] = ""  # a release changes no type
Path(__file__).with_name("openapi.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
