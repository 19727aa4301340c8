"""class Host: opens and closes everything, and nothing else. Its attributes are the services."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from moorage import __version__
from moorage.access import Access
from moorage.agents import Agents
from moorage.catalog import CatalogService
from moorage.chat import Chat
from moorage.clock import Clock, NewId, random_id, utc_now
from moorage.configs import Configs
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.fit import Headers, TargetMemory
from moorage.gateway import Gateway
from moorage.health import Health
from moorage.http import HttpDoor, ProxySettings
from moorage.installs import Installs
from moorage.installs.planner import Planner
from moorage.installs.stored_queue import StoredQueue
from moorage.installs.targets import Targets
from moorage.keys import Keys
from moorage.local import LocalModels
from moorage.plugins import Discover, Plugins
from moorage.plugins.discovery import installed
from moorage.preferences import PreferencesService
from moorage.providers import Providers
from moorage.saved_searches import SavedSearches
from moorage.schedule import Recurring, SchedulerTimer, Span, Timer, span_at
from moorage.search import Search
from moorage.secrets import SecretStore
from moorage.settings import Settings
from moorage.settings import environment as process_environment
from moorage.storage import StorageService
from moorage.store.tinydb import TinyDBStore
from moorage.suitability import Suitability
from moorage.tools import Tools


class Host:
    """Everything that Moorage is, without a face. Several can live in one process, each with its own home.

    Use `Host.open(settings)`, and `close()` it. DataDirLocked is raised when another process holds the home.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        url: str | None,
        discover: Discover,
        environment: Mapping[str, str],
        clock: Clock,
        new_id: NewId,
        timer: Timer | None = None,
    ) -> None:
        self.settings = settings
        self.version = __version__
        self.discovering: threading.Thread | None = None
        home = settings.home
        self.store = TinyDBStore(home, url=url)
        self.secrets = SecretStore(home, settings.secret_key)
        self.events = EventBus(clock)
        self.preferences = PreferencesService(
            self.store, self.events, self.secrets, environment, lambda id: id in self.local.names()
        )
        configs = Configs(self.secrets)

        def proxy() -> ProxySettings:
            current = self.preferences.current
            return ProxySettings(current.proxy, current.no_proxy)

        def context_length() -> int:
            return self.preferences.current.context_length

        self.door = HttpDoor(proxy=proxy, user_agent=f"moorage/{__version__}")
        self.plugins = Plugins(
            settings=settings,
            store=self.store,
            configs=configs,
            door=self.door,
            events=self.events,
            clock=clock,
            discover=discover,
            environment=environment,
            known_secrets=self.secrets.known_values,
        )
        self.catalog = CatalogService(self.plugins, self.events)
        self.search = Search(self.plugins, self.events)
        self.keys = Keys(self.plugins, clock)
        self.providers = Providers(self.store, configs, self.plugins, self.events, clock, new_id, context_length)
        self.tools = Tools(self.plugins, clock, lambda: self.preferences.current.time_zone)
        self.agents = Agents(self.store, configs, self.plugins, self.providers, self.tools, self.events, clock, new_id)

        self.chat = Chat(
            self.store,
            self.agents,
            self.providers,
            self.plugins,
            self.tools,
            self.events,
            clock,
            new_id,
            context_length,
        )
        self.local = LocalModels(self.providers, self.plugins, self.preferences, self.events, home)
        self.downloader = Downloader(self.door, home / "models", rate=lambda: self.preferences.current.bandwidth_limit)
        queue = StoredQueue(self.store, clock)

        def limits() -> tuple[str, ...]:
            current = self.preferences.current
            set_here = (("a bandwidth limit", current.bandwidth_limit), ("quiet hours", current.quiet_hours))
            return tuple(name for name, value in set_here if value is not None)

        self.suitability = Suitability(
            self.search,
            self.providers,
            self.plugins,
            self.local,
            Headers(self.door),
            TargetMemory(self.providers, self.plugins),
            context_length,
            limits,
        )
        self.planner = Planner(
            self.search,
            self.providers,
            self.plugins,
            self.local,
            self.downloader,
            home,
            self.suitability,
            limits,
            queue.promised,
        )

        def quiet(moment: datetime) -> Span | None:
            current = self.preferences.current
            hours = current.quiet_hours
            if hours is None or hours.from_ == hours.to:
                return None
            return span_at(hours.from_, hours.to, ZoneInfo(current.time_zone), moment)

        self.storage = StorageService(home, self.downloader, self.local, queue)
        self.timer = timer or SchedulerTimer(clock)
        self.installs = Installs(
            queue,
            self.planner,
            self.plugins,
            Targets(self.local, self.providers, self.plugins),
            self.search,
            self.downloader,
            self.events,
            self.timer,
            Recurring(self.store, self.timer, clock),
            clock,
            new_id,
            lambda: self.preferences.current,
            quiet,
            self.storage.tidy,
        )
        self.saved_searches = SavedSearches(
            self.store,
            self.plugins,
            self.search,
            self.suitability,
            self.local,
            self.installs,
            self.events,
            self.timer,
            clock,
            new_id,
            lambda: self.preferences.current.time_zone,
        )
        self.local.on_removed = self.installs.model_removed
        self.local.is_brought = self.installs.brings
        self.providers.installs_on = self.installs.wanted_on
        self.preferences.on_change(lambda _: self.installs.settings_changed())
        self.gateway = Gateway(self.agents, self.providers, self.plugins, self.local, self.tools, clock, context_length)
        self.access = Access(self.store, home, settings.access_password(), clock)
        self.health = Health(self.store, home, self.plugins, lambda: self.installs.running)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        url: str | None = None,
        discover: Discover = installed,
        environment: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
        new_id: NewId = random_id,
        timer: Timer | None = None,
        works: bool = True,
    ) -> Self:
        """Open the home, load the plugins, and go on with the installs that were running.

        Without `works` installs can be looked at and steered, and none begins or goes on.

        `url` is where this process serves it; other processes that want the home are told. `timer` stands in for the
        wall clock's, together with `clock`.
        """
        given = process_environment() if environment is None else environment
        host = cls(settings, url=url, discover=discover, environment=given, clock=clock, new_id=new_id, timer=timer)
        try:
            host.plugins.load_all()
            host.providers.add_presets()
            host.plugins.on_change(host.providers.add_presets)
            host.catalog.review()
            if works:
                host.installs.open()
                host.saved_searches.open()
        except BaseException:
            host.close()
            raise
        host.discovering = threading.Thread(target=host.providers.discover, name="discover", daemon=True)
        host.discovering.start()
        return host

    def close(self) -> None:
        """Stop what runs, and let go of the home."""
        self.chat.close()
        self.timer.close()
        self.saved_searches.close()
        self.installs.close()
        self.plugins.close()
        self.events.close()
        if self.discovering is not None:
            self.discovering.join(2.0)
        self.door.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
