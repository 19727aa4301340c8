"""`moorage search`: live results from every source."""

from __future__ import annotations

from typing import Any

import click

from moorage.cli.connection import Api, Output, api_command
from moorage.cli.tables import count, table


@click.command()
@click.argument("words", nargs=-1)
@click.option("--source", multiple=True, help="Ask this source only; may be given again.")
@click.option("--gguf", is_flag=True, help="Only models that have a GGUF file.")
@click.option("--app", type=click.Choice(["ollama", "llama.cpp"]), help="Only models that run in this.")
@click.option("--task", help="Such as text-generation.")
@click.option("--author")
@click.option("--license", help="Such as apache-2.0.")
@click.option("--language", help="Such as de.")
@click.option("--gated/--open", default=None, help="Only gated, or only open models.")
@click.option("--min-parameters", help="Such as 1B.")
@click.option("--max-parameters", help="Such as 4B.")
@click.option("--served-by", help="An inference provider's name, or all.")
@click.option("--sort", type=click.Choice(["downloads", "likes", "trending", "created", "updated"]))
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--cursor", help="The next page: the cursor that --json printed.")
@api_command
def command(
    words: tuple[str, ...],
    source: tuple[str, ...],
    gguf: bool,
    min_parameters: str | None,
    max_parameters: str | None,
    served_by: str | None,
    gated: bool | None,
    *,
    api: Api,
    out: Output,
    **filters: Any,
) -> None:
    """Search for models."""
    outcome = api.get(
        "/api/llm/models/search",
        q=" ".join(words) or None,
        source=list(source) or None,
        format="gguf" if gguf else None,
        gated=None if gated is None else str(gated).lower(),
        minParameters=min_parameters,
        maxParameters=max_parameters,
        servedBy=served_by,
        **filters,
    )
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
