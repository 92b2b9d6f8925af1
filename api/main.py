"""A door: `cd api && uvicorn main:app --reload`. The house is src/dxray/server/app.py."""

from dxray.server.app import create_app

app = create_app()
