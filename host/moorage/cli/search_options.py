"""The filters of a search as options of a command, the same wherever a search is named."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option("--source", multiple=True, help="Ask this source only; may be given again."),
    click.option("--gguf", is_flag=True, help="Only models that have a GGUF file."),
    click.option("--app", type=click.Choice(["ollama", "llama.cpp"]), help="Only models that run in this."),
    click.option("--task", help="Such as text-generation."),
    click.option("--author"),
    click.option("--license", help="Such as apache-2.0."),
    click.option("--language", help="Such as de."),
    click.option("--gated/--open", default=None, help="Only gated, or only open models."),
    click.option("--min-parameters", help="Such as 1B."),
    click.option("--max-parameters", help="Such as 4B."),
    click.option("--served-by", help="An inference provider's name, or all."),
    click.option("--sort", type=click.Choice(["downloads", "likes", "trending", "created", "updated"])),
)


def search_options(function: F) -> F:
    """Words and filters, handed on as `query`: what was given, by the names of the API."""

    @wraps(function)
    def wrapper(
        words: tuple[str, ...],
        source: tuple[str, ...],
        gguf: bool,
        min_parameters: str | None,
        max_parameters: str | None,
        served_by: str | None,
        app: str | None,
        task: str | None,
        author: str | None,
        license: str | None,
        language: str | None,
        gated: bool | None,
        sort: str | None,
        **others: Any,
    ) -> Any:
        given: dict[str, Any] = {
            "q": " ".join(words) or None,
            "source": list(source) or None,
            "format": "gguf" if gguf else None,
            "app": app,
            "task": task,
            "author": author,
            "license": license,
            "language": language,
            "gated": gated,
            "minParameters": min_parameters,
            "maxParameters": max_parameters,
            "servedBy": served_by,
            "sort": sort,
        }
        return function(query={key: value for key, value in given.items() if value is not None}, **others)

    made: Any = wrapper
    for option in reversed(OPTIONS):
        made = option(made)
    return click.argument("words", nargs=-1)(made)  # type: ignore[no-any-return]  # click keeps the callable
