"""Providers that run on this machine already: offered until they are saved."""

from __future__ import annotations

from moorage import Config, PluginContext, ProviderDraft, ProviderSpec, hookimpl
from tests.conftest import MakeHost

HERE, THERE = "http://127.0.0.1:8081", "http://127.0.0.1:8082"


class Endpoint(Config):
    endpoint: str = HERE
    model: str = "m"


class Finder:
    """A plugin with two types, that finds two servers of the first."""

    def __init__(self) -> None:
        self.drafts = [
            ProviderDraft(type="found", name=f"At {endpoint}", config={"endpoint": endpoint})
            for endpoint in (HERE, THERE)
        ]

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [ProviderSpec(type=type, label=type, config=Endpoint) for type in ("found", "other")]

    @hookimpl
    def discover_providers(self, context: PluginContext) -> list[ProviderDraft]:
        return self.drafts


def test_a_draft_is_gone_once_it_is_saved(make_host: MakeHost) -> None:
    host = make_host(plugins={"finder": Finder()}, only=True)
    assert host.discovering is not None
    host.discovering.join()

    def offered() -> list[object]:
        return [draft.config["endpoint"] for draft in host.providers.discovered()]

    assert offered() == [HERE, THERE]
    host.providers.create("Mine", "found", {})  # its endpoint is the default of its type
    assert offered() == [THERE]
    host.providers.create("Same address, another service", "other", {"endpoint": THERE})
    assert offered() == [THERE]
    saved = host.providers.create("There", "found", {"endpoint": THERE})
    assert offered() == []
    host.providers.delete(saved.id)
    assert offered() == [THERE]
