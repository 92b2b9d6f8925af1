"""What several commands take, and how they refuse."""

from __future__ import annotations

from typing import Annotated

import typer

ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url", metavar="URL", envvar="DXRAY_API_URL", help="The server; http://localhost:8000 if not given."
    ),
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", metavar="KEY", envvar="DXRAY_API_KEY", help="The key it asks for.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, as the API gives it.")]
Pipeline = Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only of this pipeline.")]
Query = Annotated[
    str | None,
    typer.Option("--q", "-q", metavar="FILTER", help="A filter, such as 'status:failed input.category:\"cases\"'."),
]
_WHEN = "Such as 2h, 7d or 2026-11-23T10:00:00Z."
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Of runs started since. {_WHEN}")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help=f"Of runs started before. {_WHEN}")]
Step = Annotated[str | None, typer.Option("--step", metavar="NAME", help="Only at the steps of this name.")]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="At most so many.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or 'last' for the newest.", show_default=False)]


class Refusal(Exception):
    """A command that cannot do what it was asked. The message is one line that says what to do."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
