"""`dxray mcp`."""

from __future__ import annotations

from importlib import import_module

from dxray.cli.options import ApiKey, ApiUrl, Refusal
from dxray.client import Client
from dxray.integrations.adapter import needed


def mcp(api_url: ApiUrl = None, api_key: ApiKey = None) -> None:
    """Answer an assistant over MCP, with tools that only read.

    The assistant starts it: its settings name the command dxray and the argument mcp.
    """
    try:
        needed("mcp.server.mcpserver", "mcp")
    except ImportError as error:
        raise Refusal(str(error)) from None
    with Client(api_url, api_key) as client:
        import_module("dxray.mcp").serve(client)
