"""`on_event` with a context: settings and HTTP for what a plugin does about an event, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from moorage import Config, Event, PluginContext, Unreachable, hookimpl
from moorage.host import Host
from moorage.plugins import hooks
from tests.conftest import MakeHost
from tests.fakes.server import Exchange, FakeServer

SECONDS = 10.0


class Place(FakeServer):
    """Takes messages; with `stalls` it never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.stalls = False
        self.arrived = threading.Event()
        self.route("POST", "/", self._take)

    def _take(self, exchange: Exchange) -> None:
        self.arrived.set()
        if self.stalls:
            exchange.sleep(60)
        exchange.json(200, {})


class Settings(Config):
    url: str


class Teller:
    """Posts the id of each `settings.saved` of the host to the address in its settings."""

    def __init__(self) -> None:
        self.contexts: list[PluginContext] = []
        self.heard: list[Event] = []
        self.errors: list[Exception] = []
        self.done = threading.Event()

    @hookimpl
    def register_config(self) -> type[Config]:
        return Settings

    @hookimpl
    def on_event(self, context: PluginContext, event: Event) -> None:
        self.heard.append(event)
        if event.type != "settings.saved" or event.about != "host":
            return
        self.contexts.append(context)
        try:
            context.http.request("POST", context.config.url, json={"id": event.id})
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            self.done.set()


def host_of(make_host: MakeHost, **plugins: object) -> Host:
    return make_host(plugins=plugins, only=True)


def failures(host: Host, name: str) -> list[str]:
    """What is shown of it, once there is something."""
    until = time.monotonic() + SECONDS
    while not host.plugins.get(name).last_failures:
        assert time.monotonic() < until
        time.sleep(0.01)
    return [f"{failure.hook}: {failure.message}" for failure in host.plugins.get(name).last_failures]


def test_it_has_the_settings_and_the_http_of_its_plugin(make_host: MakeHost) -> None:
    teller = Teller()
    with Place() as place:
        host = host_of(make_host, teller=teller)
        host.plugins.save_config("teller", {"url": place.url})
        event = host.events.publish("settings.saved", "host")
        assert teller.done.wait(SECONDS)
        assert [seen.json for seen in place.seen("POST", "/")] == [{"id": event.id}]
        (context,) = teller.contexts
        assert (context.plugin, context.deadline, context.cancelled()) == ("teller", hooks.SECONDS["on_event"], False)
        assert context.data_dir.is_dir()
        assert host.plugins.get("teller").last_failures == ()


def test_without_its_settings_it_hears_nothing(make_host: MakeHost) -> None:
    teller = Teller()
    with Place() as place:
        host = host_of(make_host, teller=teller)
        assert host.plugins.get("teller").state == "needs-config"
        missed = host.events.publish("settings.saved", "host")
        time.sleep(0.1)
        host.plugins.save_config("teller", {"url": place.url})
        host.events.publish("settings.saved", "host")
        assert teller.done.wait(SECONDS)
        assert len(place.requests) == 1
        assert missed not in teller.heard


def test_its_http_has_a_deadline_of_which_only_the_plugin_knows(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.plugins.registry.SECONDS", {**hooks.SECONDS, "on_event": 0.3})
    teller = Teller()
    with Place() as place:
        place.stalls = True
        host = host_of(make_host, teller=teller)
        host.plugins.save_config("teller", {"url": place.url})
        began = time.monotonic()
        host.events.publish("settings.saved", "host")
        assert time.monotonic() - began < 0.2
        assert teller.done.wait(SECONDS)
        assert isinstance(teller.errors[0], Unreachable)
        (shown,) = failures(host, "teller")
        assert shown.startswith("on_event: ")
        assert "within 0.3 s" in shown
        place.stalls = False
        teller.done.clear()
        host.events.publish("settings.saved", "host")
        assert teller.done.wait(SECONDS), "the next event is delivered"
        assert len(teller.errors) == 1


def test_switched_off_it_is_stopped_in_the_middle_and_hears_no_more(make_host: MakeHost) -> None:
    teller = Teller()
    with Place() as place:
        place.stalls = True
        host = host_of(make_host, teller=teller)
        host.plugins.save_config("teller", {"url": place.url})
        for _ in range(3):
            host.events.publish("settings.saved", "host")
        assert place.arrived.wait(SECONDS)
        began = time.monotonic()
        host.plugins.disable("teller")
        assert teller.done.wait(SECONDS)
        assert time.monotonic() - began < 3.0
        assert teller.contexts[0].cancelled()
        time.sleep(0.1)
        assert len(place.requests) == 1
        assert host.plugins.get("teller").last_failures == ()


def test_a_bug_is_shown_with_its_trace(make_host: MakeHost) -> None:
    class Bad:
        @hookimpl
        def on_event(self, event: Any, context: Any) -> None:
            raise KeyError(event.type)

    host = host_of(make_host, bad=Bad())
    host.events.publish("settings.saved", "host")
    assert "on_event: KeyError: 'plugin.loaded'" in failures(host, "bad")
    assert "Traceback" in (host.plugins.get("bad").last_failures[0].trace or "")
