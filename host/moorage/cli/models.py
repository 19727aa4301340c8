"""`moorage models`: what is installed on each target."""

from __future__ import annotations

from typing import Any

import click

from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.model_words import detail_text
from moorage.cli.names import target_id
from moorage.cli.tables import size, table


@click.group(cls=Noun)
def command() -> None:
    """Local models: list and remove; show what a model has at its source."""


@command.command("list")
@api_command
def list_models(*, api: Api, out: Output) -> None:
    """The models on every target."""
    answer = api.get("/api/local/models")
    for target in answer["targets"]:
        if not target["ok"]:
            out.errors.print(f"{target['target']}: {target['error']}", markup=False)
    out.show(answer, _rows)


@command.command("remove")
@click.argument("name")
@click.option("--target", default="builtin", show_default=True, help="The target: its id, slug or name.")
@api_command
def remove(name: str, target: str, *, api: Api, out: Output) -> None:
    """Remove an installed model from its target."""
    id = target_id(api, target)
    api.delete("/api/local/models", target=id, name=name)
    out.show({"removed": name, "target": id}, lambda _: f"{name} was removed from {target}.")


@command.command("show")
@click.argument("model")
@click.option("--source", default="huggingface", show_default=True)
@click.option("--target", help="Judge the files for this target: its id, slug or name.")
@click.option("--context-length", type=click.IntRange(256), help="Judge the files with so many tokens in mind.")
@api_command
def show(model: str, source: str, target: str | None, context_length: int | None, *, api: Api, out: Output) -> None:
    """Where a model is served, its gate, its files, and where they fit."""
    id = target_id(api, target) if target else None
    out.show(
        api.get("/api/llm/models/detail", source=source, id=model, target=id, contextLength=context_length), detail_text
    )


def _rows(answer: Any) -> Any:
    return table(
        ("target", "model", "size", "quantisation", "context", "can", "loaded"),
        (
            (
                target["target"],
                model["name"],
                size(model["size"]),
                model["quantization"],
                model["contextLength"],
                ", ".join(model["capabilities"] or ()),
                "yes" if model["loaded"] else "",
            )
            for target in answer["targets"]
            for model in target["models"]
        ),
        right=("size", "context"),
        whole="model",
        empty="No models are installed yet. Find one: moorage search --gguf, then: moorage install",
    )
