"""The HTTP API, one file per noun: a view parses, makes one call on a service, and answers."""

from __future__ import annotations

from flask import Blueprint


def blueprints() -> list[Blueprint]:
    from moorage_web.api import (
        agents,
        catalog,
        completions,
        conversations,
        document,
        events,
        health,
        installs,
        local,
        models,
        plugins,
        providers,
        saved_searches,
        settings,
        tokens,
    )

    nouns = (
        models,
        catalog,
        providers,
        local,
        installs,
        saved_searches,
        agents,
        conversations,
        settings,
        plugins,
        events,
        tokens,
        completions,
        health,
        document,
    )
    return [noun.api.blueprint for noun in nouns]
