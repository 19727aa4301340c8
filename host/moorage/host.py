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
from moorage.gateway import Gateway
from moorage.health import Health
from moorage.http import HttpDoor, ProxySettings
from moorage.installs import Installs
from moorage.installs.planner import Planner
from moorage.installs.queue import InstallQueue
from moorage.installs.quiet import Quiet, quiet_at
from moorage.local import LocalModels
from moorage.plugins import Discover, Plugins
from moorage.plugins.discovery import installed
from moorage.preferences import PreferencesService
from moorage.providers import Providers
from moorage.search import Search
from moorage.secrets import SecretStore
from moorage.settings import Settings
from moorage.settings import environment as process_environment
from moorage.store.tinydb import TinyDBStore
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
        self.planner = Planner(
            self.search,
            self.providers,
            self.plugins,
            self.local,
            self.downloader,
            home,
            context_length,
        )

        def quiet(moment: datetime) -> Quiet | None:
            current = self.preferences.current
            hours = current.quiet_hours
            return quiet_at(hours, ZoneInfo(current.time_zone), moment) if hours is not None else None

        self.installs = Installs(
            InstallQueue(self.store, clock),
            self.planner,
            self.plugins,
            self.downloader,
            self.events,
            clock,
            new_id,
            lambda: self.preferences.current.parallel_installs,
            context_length,
            quiet,
            self.local.forget,
            self.local.lacks,
        )
        self.local.on_removed = self.installs.tidy
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
    ) -> Self:
        """Open the home, load the plugins, and go on with the installs that were running.

        `url` is where this process serves it; other processes that want the home are told.
        """
        given = process_environment() if environment is None else environment
        host = cls(settings, url=url, discover=discover, environment=given, clock=clock, new_id=new_id)
        try:
            host.plugins.load_all()
            host.providers.add_presets()
            host.plugins.on_change(host.providers.add_presets)
            host.catalog.review()
            host.installs.open()
        except BaseException:
            host.close()
            raise
        host.discovering = threading.Thread(target=host.providers.discover, name="discover", daemon=True)
        host.discovering.start()
        return host

    def close(self) -> None:
        """Stop what runs, and let go of the home."""
        self.chat.close()
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
