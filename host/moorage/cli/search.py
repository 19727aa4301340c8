"""`moorage search`: live results from every source."""

from __future__ import annotations

from typing import Any

import click

from moorage.cli.connection import Api, Output, api_command
from moorage.cli.search_options import search_options
from moorage.cli.tables import count, table


@click.command()
@search_options
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--cursor", help="The next page: the cursor that --json printed.")
@api_command
def command(query: dict[str, Any], limit: int, cursor: str | None, *, api: Api, out: Output) -> None:
    """Search for models."""
    outcome = api.get("/api/llm/models/search", limit=limit, cursor=cursor, **query)
    for status in outcome["sources"]:
        for sentence in (status.get("error"), status.get("notice")):
            if sentence:
                out.errors.print(f"{status['source']}: {sentence}", markup=False)
    out.show(outcome, _rows)


def _rows(outcome: Any) -> Any:
    return table(
        ("model", "parameters", "downloads", "likes", "licence", "GGUF", "gated"),
        (
            (
                hit["id"],
                count(hit["parameters"]),
                count(hit["downloads"]),
                count(hit["likes"]),
                hit["license"],
                "yes" if hit["hasGguf"] else "",
                hit["gated"] or "",
            )
            for hit in outcome["results"]
        ),
        right=("parameters", "downloads", "likes"),
        whole="model",
        empty="No model matches. Try fewer words or filters.",
    )
