"""A Moorage with much in it: 50 plugins, 1,000 providers, 10,000 installs in the history and 1,000 scheduled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.site import site

from benchmarks.store import install
from moorage import CatalogEntry, Config, ProviderSpec, hookimpl
from moorage.models import Conversation, Install, Message, WhenWindow, Window
from moorage.models.providers import SavedProvider
from moorage.plugins.discovery import Candidate, installed
from moorage.store.files import CollectionDatabase
from moorage.store.tinydb import TinyDBStore

PLUGINS, PROVIDERS, INSTALLS, SCHEDULED, MESSAGES = 50, 1_000, 10_000, 1_000, 40
DAY = timedelta(days=1)
START = datetime(2026, 5, 21, 10, 0, tzinfo=UTC)
TEXT = "A paragraph of an answer with **bold words**, `code`, and a list:\n\n- one\n- two\n\n```python\nprint(1)\n```\n"


class PluginSettings(Config):
    address: str = "http://127.0.0.1:8000"
    retries: int = 3


class EndpointConfig(Config):
    model: str = "some-model"
    endpoint: str = "http://127.0.0.1:8000/v1"


class Plugin:
    """A plugin with settings, a provider type of its own, and suggestions for it."""

    def __init__(self, number: int) -> None:
        self.type = f"service-{number}"

    @hookimpl
    def register_config(self) -> type[Config]:
        return PluginSettings

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [ProviderSpec(type=self.type, label=f"Service {self.type}", config=EndpointConfig)]

    @hookimpl
    def model_catalog(self) -> dict[str, list[CatalogEntry]]:
        return {self.type: [CatalogEntry(model=f"model-{size}b") for size in range(5)]}


def discover() -> list[Candidate]:
    """The installed plugins and 50 more."""
    more = [Plugin(number) for number in range(PLUGINS)]
    return [*installed(), *(_candidate(f"plugin-{at}", plugin) for at, plugin in enumerate(more))]


def _candidate(name: str, plugin: Plugin) -> Candidate:
    return Candidate(name=name, api_version=1, load=lambda: plugin, distribution="benchmarks", version="1.0")


@contextmanager
def crowd(home: Path, hub: str) -> Iterator[tuple[str, list[str]]]:
    """Serve it; gives its address and the path of every page, of each kind one."""
    fill(home)
    with site(home, {"HF_ENDPOINT": hub, "MOORAGE_ROUTER_ENDPOINT": hub}, discover=discover) as served:
        host = served.host
        agent = host.agents.create({"name": "Bench", "llm": {"type": "service-1", "model": "m"}}).id
        conversation = Conversation(id="talk", agent=agent, title="Talk", created_at=START, updated_at=START)
        host.store.collection("conversations", Conversation).put(conversation)
        messages = host.store.collection("transcripts/talk", Message)
        for number in range(MESSAGES):
            role, state = ("assistant", "complete") if number % 2 else ("user", None)
            value = {"id": f"m{number}", "role": role, "state": state, "content": TEXT * 3, "created_at": START}
            messages.put(Message.model_validate(value))
        yield (
            served.url,
            [
                "/",
                "/chat",
                f"/chat/new?agent={agent}",
                "/chat/talk",
                "/agents",
                "/agents/new",
                f"/agents/{agent}",
                "/models",
                "/models?q=pilot",
                "/installs",
                "/installs?section=scheduled",
                "/installs/install-7",
                "/settings/llm",
                "/settings/llm/new",
                "/settings/llm/new?type=service-7",
                "/settings/llm/provider-7",
                "/plugins",
                "/settings",
            ],
        )


def fill(home: Path) -> None:
    """Write the collections whole, since 11,000 durable writes one by one would take minutes."""
    TinyDBStore(home, url=None).close()
    documents = {
        "providers": [_provider(number) for number in range(PROVIDERS)],
        "installs": [*map(_settled, range(INSTALLS)), *map(_scheduled, range(INSTALLS, INSTALLS + SCHEDULED))],
    }
    for name, items in documents.items():
        with CollectionDatabase(home / "store" / f"{name}.json") as database:
            database.storage.write({"documents": {item.id: item.model_dump(mode="json") for item in items}})


def _settled(number: int) -> Install:
    """None that would run: pages are measured, not downloads."""
    made = install(number)
    return made.model_copy(update={"state": "installed" if number % 20 else "failed"})


def _scheduled(number: int) -> Install:
    """Half of them at a time, half in a window."""
    tomorrow = datetime.now(UTC) + timedelta(hours=20, seconds=number)
    window = WhenWindow(window=Window(from_=f"{tomorrow:%H:%M}", to=f"{tomorrow - DAY / 2:%H:%M}", time_zone="UTC"))
    when = tomorrow if number % 2 else window
    changes = {"state": "scheduled", "when": when, "starts_at": tomorrow, "finished_at": None}
    return install(number).model_copy(update=changes)


def _provider(number: int) -> SavedProvider:
    at = START + timedelta(seconds=number)
    return SavedProvider(
        id=f"provider-{number}",
        version=1,
        name=f"Provider {number}",
        slug=f"provider-{number}",
        type=f"service-{number % PLUGINS}",
        config={"model": f"model-{number % 7}b", "endpoint": f"http://127.0.0.1:{20_000 + number}/v1"},
        created_at=at,
        updated_at=at,
    )
