"""`moorage search`: live results from every source."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from moorage.cli.connection import Api, ApiFailed, Output, api_command
from moorage.cli.model_words import choice_text, served_text
from moorage.cli.search_options import search_options
from moorage.cli.tables import count, table

NOTHING = "No model matches. Try fewer words or filters."
AT_ONCE = 4  # details; a source gets no more at a time


@click.command()
@search_options
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--cursor", help="The next page: the cursor that --json printed.")
@click.option(
    "--where", is_flag=True, help="Say where each can run: providers with prices, and a file for each target."
)
@api_command
def command(query: dict[str, Any], limit: int, cursor: str | None, where: bool, *, api: Api, out: Output) -> None:
    """Search for models."""
    outcome = api.get("/api/llm/models/search", limit=limit, cursor=cursor, **query)
    for status in outcome["sources"]:
        for sentence in (status["error"], status["hint"], status["notice"], _few_left(status["allowance"])):
            if sentence:
                out.errors.print(f"{status['source']}: {sentence}", markup=False)
    if where:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcome["details"] = list(pool.map(lambda hit: _detail(api, hit), outcome["results"]))
    out.show(outcome, _where if where else _rows)
    if outcome["looser"]:
        out.errors.print(f"Shorter: {', or '.join(outcome['looser'])}", markup=False)
    elif outcome["next"]:
        out.errors.print("There are more: raise --limit, or take the cursor that --json prints.", markup=False)


def _detail(api: Api, hit: Any) -> Any:
    """What is known of one model, or in `error` why nothing is."""
    try:
        return api.get("/api/llm/models/detail", source=hit["source"], id=hit["id"], revision=hit["revision"])
    except ApiFailed as error:
        return {"source": hit["source"], "id": hit["id"], "error": f"{error} {error.hint or ''}".strip()}


def _few_left(allowance: Any) -> str | None:
    if not allowance or allowance["limit"] is None or allowance["remaining"] * 10 > allowance["limit"]:
        return None
    wait = f", more in {allowance['resetsIn']:.0f} s" if allowance["resetsIn"] is not None else ""
    return f"{allowance['remaining']} of {allowance['limit']} requests are left{wait}."


def _where(outcome: Any) -> str:
    blocks = []
    for detail in outcome["details"]:
        lines = [detail["id"]]
        if "error" in detail:
            lines.append(f"  {detail['error']}")
        else:
            lines.append(f"  API: {served_text(detail['servedBy']) or 'no provider serves it'}")
            lines += [f"  {choice_text(choice)}" for choice in detail["targets"]]
        blocks.append("\n".join(lines))
    return "\n".join(blocks) or NOTHING


def _rows(outcome: Any) -> Any:
    return table(
        ("model", "parameters", "downloads", "likes", "licence", "GGUF", "gated", "served by"),
        (
            (
                hit["id"],
                count(hit["parameters"]),
                count(hit["downloads"]),
                count(hit["likes"]),
                hit["license"],
                "yes" if hit["hasGguf"] else "",
                hit["gated"] or "",
                ", ".join(item["provider"] for item in hit["servedBy"] or () if item["status"] in (None, "live")),
            )
            for hit in outcome["results"]
        ),
        right=("parameters", "downloads", "likes"),
        whole="model",
        empty=NOTHING,
    )
