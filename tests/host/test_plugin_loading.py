"""Plugins that cannot be used: refused one by one, with the reason, while everything else goes on."""

from __future__ import annotations

import io
import logging
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from moorage import (
    AuthFailed,
    CatalogEntry,
    CompletionRequest,
    Config,
    MoorageError,
    ProviderPreset,
    ProviderSpec,
    SearchPage,
    SearchQuery,
    TextDelta,
    hookimpl,
)
from moorage.errors import Missing, PluginFailed
from moorage.host import Host
from moorage.http import RedactingFilter
from moorage.plugins.discovery import Candidate
from moorage.plugins.record import BREAKER_FAILURES
from moorage.settings import Settings
from tests.conftest import MakeHost, candidate


def module(**functions: Callable[..., Any]) -> types.ModuleType:
    """A plugin module with these hooks, marked."""
    made = types.ModuleType("plugin_under_test")
    for name, function in functions.items():
        setattr(made, name, hookimpl(function))
    return made


def state(host: Host, name: str) -> tuple[str, str]:
    view = host.plugins.get(name)
    return view.state, f"{view.error} {view.hint}"


class Good(Config):
    model: str = "m"


def good_provider() -> list[ProviderSpec]:
    return [ProviderSpec(type="good", label="Good", config=Good)]


async def async_hook() -> None: ...


def misspelt() -> list[ProviderSpec]:
    return []


def keyword_only(*, query: SearchQuery) -> None: ...


def unknown_argument(query: SearchQuery, surprise: int) -> None: ...


REFUSED = [
    ("misspelt", module(register_providers=misspelt), "Did you mean register_provider?"),
    ("async", module(register_config=async_hook), "async function"),
    ("keyword", module(search_models=keyword_only), "keyword-only"),
    ("argument", module(search_models=unknown_argument), "surprise"),
    ("empty", types.ModuleType("empty"), "implements no hook"),
    ("wrong-type", module(register_provider=lambda: ["x"]), "list of ProviderSpec"),
    ("wrong-config", module(register_config=lambda: {"a": 1}), "pydantic model"),
    ("raises", module(register_provider=lambda: 1 / 0), "ZeroDivisionError"),
]


@pytest.mark.parametrize(("name", "plugin", "reason"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_refused_with_the_reason(make_host: MakeHost, name: str, plugin: object, reason: str) -> None:
    host = make_host(plugins={name: plugin, "good": module(register_provider=good_provider)}, only=True)
    found, why = state(host, name)
    assert found == "failed"
    assert reason in why
    assert host.plugins.get(name).last_failures
    assert state(host, "good")[0] == "ready"


def test_a_wrapper_is_refused(make_host: MakeHost) -> None:
    made = types.ModuleType("wraps")

    def register_provider() -> Iterator[None]:
        yield

    made.register_provider = hookimpl(wrapper=True)(register_provider)  # type: ignore[attr-defined]
    host = make_host(plugins={"wraps": made}, only=True)
    assert state(host, "wraps")[0] == "failed"
    assert "wrapper" in state(host, "wraps")[1]


def test_failing_import_keeps_the_traceback(tmp_path: Path) -> None:
    def load() -> object:
        raise ImportError("libfoo.so: cannot open shared object file")

    broken = Candidate(name="broken", api_version=1, load=load, distribution="d", version="1")
    with Host.open(Settings(home=tmp_path), discover=lambda: [broken], environment={}) as host:
        view = host.plugins.get("broken")
        assert view.state == "failed"
        assert "libfoo.so" in (view.error or "")
        assert "Traceback" in (view.last_failures[0].trace or "")


def test_another_api_version_is_not_imported(tmp_path: Path) -> None:
    def load() -> object:
        raise AssertionError("it was imported")

    future = Candidate(name="future", api_version=2, load=load)
    with Host.open(Settings(home=tmp_path), discover=lambda: [future], environment={}) as host:
        found, why = state(host, "future")
        assert found == "incompatible"
        assert "v2" in why
        assert "v1" in why


def test_a_hanging_import_does_not_hold_up_the_start(tmp_path: Path) -> None:
    release = threading.Event()

    def load() -> object:
        threading.current_thread().name = "hang-import"
        release.wait(30)
        return module(register_provider=good_provider)

    stuck = Candidate(name="stuck", api_version=1, load=load)
    started = time.monotonic()
    others = [candidate("good", module(register_provider=good_provider))]
    with Host.open(Settings(home=tmp_path), discover=lambda: [stuck, *others], environment={}) as host:
        assert time.monotonic() - started < 5.0
        assert state(host, "stuck")[0] == "failed"
        assert "did not finish loading" in state(host, "stuck")[1]
        assert state(host, "good")[0] == "ready"
        release.set()


def test_two_plugins_cannot_have_one_provider_type(make_host: MakeHost) -> None:
    plugins = {"a": module(register_provider=good_provider), "b": module(register_provider=good_provider)}
    host = make_host(plugins=plugins, only=True)
    assert state(host, "a")[0] == "ready"
    found, why = state(host, "b")
    assert found == "failed"
    assert "plugin a" in why


def test_a_strangers_plugin_cannot_take_a_type_of_ours(make_host: MakeHost) -> None:
    def take() -> list[ProviderSpec]:
        return [ProviderSpec(type="huggingface", label="Mine", config=Good)]

    host = make_host(plugins={"aaa": module(register_provider=take)})
    assert state(host, "aaa")[0] == "failed"
    assert host.plugins.specs()["huggingface"][0] == "huggingface"


def test_switching_off_and_on_again_is_remembered(make_host: MakeHost, tmp_path: Path) -> None:
    plugins: dict[str, object] = {"good": module(register_provider=good_provider)}
    host = make_host(plugins=plugins, only=True, home=tmp_path)
    assert host.plugins.disable("good").state == "disabled"
    assert "good" not in host.plugins.specs()
    host.close()
    host = make_host(plugins=plugins, only=True, home=tmp_path)
    assert state(host, "good")[0] == "disabled"
    assert host.plugins.enable("good").state == "ready"
    assert "good" in host.plugins.specs()
    with pytest.raises(Missing):
        host.plugins.enable("nobody")


def test_safe_mode_loads_our_own_only(make_host: MakeHost) -> None:
    host = make_host(plugins={"good": module(register_provider=good_provider)}, safe_mode=True)
    assert state(host, "good")[0] == "disabled"
    assert "Safe mode" in state(host, "good")[1]
    assert state(host, "huggingface")[0] == "ready"


def test_required_settings_are_a_state_of_their_own(make_host: MakeHost) -> None:
    class Needs(Config):
        url: str

    def search_models(query: SearchQuery, context: Any) -> SearchPage:
        return SearchPage(results=(), notice=context.config.url)

    plugin = module(register_config=lambda: Needs, search_models=search_models)
    host = make_host(plugins={"needs": plugin}, only=True)
    assert state(host, "needs")[0] == "needs-config"
    assert "url is required" in state(host, "needs")[1]
    host.plugins.save_config("needs", {"url": "http://x"}, 0)
    assert state(host, "needs")[0] == "ready"
    assert host.search.search(SearchQuery(text="x")).sources[0].notice == "http://x"


def test_calls_are_contained(make_host: MakeHost) -> None:
    """One that raises, one that returns nonsense, one that hangs: each is named, and the good one answers."""
    release = threading.Event()

    def hang(query: SearchQuery) -> None:
        threading.current_thread().name = "hang-search"
        release.wait(60)

    plugins: dict[str, object] = {
        "bad": module(search_models=lambda query: 1 / 0),
        "nonsense": module(search_models=lambda query: "what"),
        "hangs": module(search_models=hang),
        "works": module(search_models=lambda query: SearchPage(results=())),
    }
    host = make_host(plugins=plugins, only=True)
    from moorage.plugins import hooks

    deadline = {**hooks.SECONDS, "search_models": 0.3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hooks, "SECONDS", deadline)
        outcome = host.search.search(SearchQuery(text="x"))
        told = {status.source: status for status in outcome.sources}
        assert told["works"].ok
        assert "ZeroDivisionError" in (told["bad"].error or "")
        assert "not SearchPage" in (told["nonsense"].error or "")
        assert "did not answer within 0.3 s" in (told["hangs"].error or "")
        again = {s.source: s for s in host.search.search(SearchQuery(text="y")).sources}
        assert "still busy" in (again["hangs"].error or "")
        assert "ZeroDivisionError" in (host.plugins.get("bad").last_failures[0].trace or "")
        release.set()


def test_repeated_failures_open_the_breaker(make_host: MakeHost) -> None:
    calls = []

    def fail(query: SearchQuery) -> None:
        calls.append(query)
        raise RuntimeError("no")

    host = make_host(plugins={"bad": module(search_models=fail)}, only=True)
    for number in range(8):
        with pytest.raises(Exception, match=r"no|left alone"):
            host.search.search(SearchQuery(text=str(number)))
    assert len(calls) == 5
    with pytest.raises(PluginFailed, match="left alone"):
        host.plugins.search_models("bad", SearchQuery(text="z"))


def test_events_come_in_order_and_a_slow_listener_delays_nobody(make_host: MakeHost) -> None:
    got: list[str] = []
    enough = threading.Event()
    release = threading.Event()

    def listen(event: Any) -> None:
        got.append(event.type)
        if event.type == "settings.saved":
            enough.set()

    def stuck(event: Any) -> None:
        threading.current_thread().name = "hang-on-event"
        release.wait(30)

    def bad(event: Any) -> None:
        raise RuntimeError("never mind")

    plugins: dict[str, object] = {
        "a": module(on_event=listen),
        "b": module(on_event=stuck),
        "c": module(on_event=bad),
        "good": module(register_provider=good_provider),
    }
    host = make_host(plugins=plugins, only=True)
    started = time.monotonic()
    made = host.providers.create("One", "good", {})
    host.providers.delete(made.id)
    host.preferences.save({"contextLength": 8192})
    assert time.monotonic() - started < 1.0
    assert enough.wait(5)
    assert [kind for kind in got if not kind.startswith("plugin.")] == [
        "provider.saved",
        "provider.removed",
        "settings.saved",
    ]
    release.set()


def test_two_hosts_live_in_one_test(make_host: MakeHost, tmp_path: Path) -> None:
    plugin = module(register_provider=good_provider)
    one = make_host(home=tmp_path / "1", plugins={"good": plugin}, only=True)
    two = make_host(home=tmp_path / "2", plugins={"good": plugin}, only=True)
    one.providers.create("Mine", "good", {})
    assert [view.name for view in one.providers.list().items] == ["Mine"]
    assert two.providers.list().items == ()


def test_a_catalog_for_a_searched_type_is_a_violation(make_host: MakeHost) -> None:
    def catalog() -> dict[str, list[CatalogEntry]]:
        return {"huggingface": [CatalogEntry(model="acme/sneaky")], "good": [CatalogEntry(model="fine")]}

    plugin = module(model_catalog=catalog, register_provider=good_provider)
    host = make_host(plugins={"sneaky": plugin})
    subscription = host.events.subscribe(after=0)
    view = host.catalog.view()
    assert view.catalog["huggingface"] == ()
    assert [entry.model for entry in view.catalog["good"]] == ["fine"]
    assert [(v.plugin, v.provider_type) for v in view.violations] == [("sneaky", "huggingface")]
    assert "acme/sneaky" not in view.model_dump_json()
    kinds = set()
    for event in subscription:
        kinds.add((event.type, event.about))
        if event.type == "catalog.violated":
            break
    assert ("catalog.violated", "sneaky") in kinds
    # Also without the policy plugin nothing gets in.
    host.plugins.disable("catalog")
    assert host.catalog.view().catalog["huggingface"] == ()


def test_a_generator_is_contained_too(make_host: MakeHost) -> None:
    def complete(request: CompletionRequest) -> Iterator[Any]:
        yield from ()
        raise KeyError("lost")

    host = make_host(plugins={"good": module(register_provider=good_provider, complete=complete)}, only=True)
    result = host.providers.test(type="good", config={})
    assert not result.ok
    assert result.error is not None
    assert "KeyError" in result.error.message
    assert "KeyError" in (host.plugins.get("good").last_failures[0].trace or "")


def test_enabling_a_plugin_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    release = threading.Event()

    def load() -> object:
        threading.current_thread().name = "hang-import"
        release.wait(30)
        return module(register_provider=good_provider)

    stuck = Candidate(name="stuck", api_version=1, load=load)
    settings = Settings(home=tmp_path, disabled_plugins="")
    with Host.open(settings, discover=list, environment={}) as host:
        host.plugins._discover = lambda: [stuck]
        host.plugins._records["stuck"] = host.plugins._new_record(stuck)
        host.plugins._records["stuck"].state = "disabled"
        started = time.monotonic()
        enabling = threading.Thread(target=host.plugins.enable, args=("stuck",))
        enabling.start()
        assert host.plugins.list()
        enabling.join(6)
        assert not enabling.is_alive()
        assert "did not finish loading" in state(host, "stuck")[1]
        assert host.plugins.disable("stuck").state == "disabled"
        assert time.monotonic() - started < 6
        release.set()


KEY = "key-that-nobody-may-see-0123"


class Secretive(Config):
    model: str = "m"
    api_key: SecretStr | None = None


@pytest.mark.parametrize("error", [RuntimeError, AuthFailed], ids=["bug", "refusal"])
def test_a_key_in_an_exception_is_shown_to_nobody(make_host: MakeHost, error: type[Exception]) -> None:
    def specs() -> list[ProviderSpec]:
        return [ProviderSpec(type="secretive", label="S", config=Secretive)]

    def complete(request: CompletionRequest) -> Iterator[Any]:
        yield from ()
        raise error(f"401 for {request.provider.config.api_key.get_secret_value()}")

    def list_models(provider: Any) -> list[Any]:
        raise error(f"401 for {provider.config.api_key.get_secret_value()}")

    plugin = module(register_provider=specs, complete=complete, list_models=list_models)
    host = make_host(plugins={"secretive": plugin}, only=True)
    provider = host.providers.create("P", "secretive", {"apiKey": KEY})
    agent = host.agents.create({"name": "A", "llm": {"provider": provider.id}})
    seen = [host.providers.test(id=provider.id).model_dump_json()]
    seen += [str(event.data) for batch in host.chat.send(agent.id, "Hi").run() for event in batch]
    with pytest.raises(MoorageError) as caught:
        host.providers.models(provider.id)
    seen += [str(caught.value), *(view.model_dump_json() for view in host.plugins.list())]
    assert any("401 for" in text for text in seen)
    assert not [text for text in seen if KEY in text]
    for path in host.settings.home.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_a_failing_listener_does_not_close_the_plugin(make_host: MakeHost) -> None:
    enough = threading.Event()
    heard = []

    def listen(event: Any) -> None:
        heard.append(event)
        if len(heard) > BREAKER_FAILURES:  # the one before was dealt with
            enough.set()
        raise RuntimeError("never mind")

    plugin = module(on_event=listen, search_models=lambda query: SearchPage(results=()))
    host = make_host(plugins={"a": plugin}, only=True)
    for _ in range(BREAKER_FAILURES + 1):
        host.events.publish("settings.saved", "host")
    assert enough.wait(5)
    assert len(host.plugins.get("a").last_failures) >= BREAKER_FAILURES
    assert host.search.search(SearchQuery(text="x")).sources[0].ok


def test_a_preset_comes_with_its_plugin(make_host: MakeHost, tmp_path: Path) -> None:
    def with_preset() -> list[ProviderSpec]:
        preset = ProviderPreset(id="ready-made", name="Ready made")
        return [ProviderSpec(type="good", label="Good", config=Good, preset=preset)]

    host = make_host(home=tmp_path, plugins={"good": module(register_provider=good_provider)}, only=True)
    host.plugins.disable("good")
    host.close()
    host = make_host(home=tmp_path, plugins={"good": module(register_provider=with_preset)}, only=True)
    assert host.providers.list().items == ()
    assert host.plugins.enable("good").state == "ready"
    assert [item.id for item in host.providers.list().items] == ["ready-made"]


class Slow:
    """A plugin whose import waits from the second time on; `closed` tells that it was let go again."""

    def __init__(self) -> None:
        self.waits = False
        self.entered = threading.Event()
        self.release = threading.Event()
        self.closed = threading.Event()
        self.candidate = Candidate(name="slow", api_version=1, load=self.load)

    def load(self) -> object:
        if self.waits:
            self.entered.set()
            threading.current_thread().name = "hang-import"
            self.release.wait(30)
        made = module(register_provider=good_provider)
        made.close = self.closed.set  # type: ignore[attr-defined]
        return made


def test_switched_off_while_it_loads_it_stays_off(tmp_path: Path) -> None:
    slow = Slow()
    with Host.open(Settings(home=tmp_path), discover=lambda: [slow.candidate], environment={}) as host:
        host.plugins.disable("slow")
        slow.waits = True
        slow.closed.clear()
        enabling = threading.Thread(target=host.plugins.enable, args=("slow",))
        enabling.start()
        assert slow.entered.wait(5)
        assert host.plugins.disable("slow").state == "disabled"
        slow.release.set()
        enabling.join(5)
        assert slow.closed.wait(5)
        assert state(host, "slow")[0] == "disabled"
        assert "good" not in host.plugins.specs()
        assert host.plugins.enable("slow").state == "ready"


def test_given_up_it_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    with Host.open(Settings(home=tmp_path), discover=lambda: [slow.candidate], environment={}) as host:
        host.plugins.disable("slow")
        slow.waits = True
        slow.closed.clear()
        with monkeypatch.context() as patch:
            patch.setattr("moorage.plugins.registry.LOAD_SECONDS", 0.05)
            assert "did not finish loading" in (host.plugins.enable("slow").error or "")
        slow.release.set()
        assert slow.closed.wait(5), "what came too late is let go"
        host.plugins.disable("slow")
        assert host.plugins.enable("slow").state == "ready"


def test_a_key_that_is_only_tried_is_shown_to_nobody(make_host: MakeHost) -> None:
    def complete(request: CompletionRequest) -> Iterator[Any]:
        yield from ()
        raise RuntimeError(f"401 for {request.provider.config.api_key.get_secret_value()}")

    def specs() -> list[ProviderSpec]:
        return [ProviderSpec(type="secretive", label="S", config=Secretive)]

    host = make_host(plugins={"secretive": module(register_provider=specs, complete=complete)}, only=True)
    result = host.providers.test(type="secretive", config={"apiKey": KEY}).model_dump_json()
    assert "401 for" in result
    assert KEY not in result + host.plugins.get("secretive").model_dump_json()


@pytest.mark.parametrize("hears", [True, False])
def test_disabling_ends_what_runs(make_host: MakeHost, hears: bool) -> None:
    release = threading.Event()

    def complete(request: CompletionRequest, context: Any) -> Iterator[Any]:
        threading.current_thread().name = "hang-complete"
        yield TextDelta("more")
        while not release.wait(0.01):
            if hears and context.cancelled():
                return

    host = make_host(plugins={"good": module(register_provider=good_provider, complete=complete)}, only=True)
    agent = host.agents.create({"name": "A", "llm": {"type": "good", "model": "m"}})
    events = []
    for batch in host.chat.send(agent.id, "Hi").run():
        events += batch
        if any(event.type == "text" for event in batch):
            host.plugins.disable("good")
    release.set()
    assert [event.type for event in events[-2:]] == ["error", "end"]
    assert "was switched off" in events[-2].data["detail"]


@pytest.mark.parametrize("error", [RuntimeError, AuthFailed], ids=["bug", "refusal"])
def test_a_key_of_the_settings_is_shown_to_nobody(make_host: MakeHost, error: type[Exception]) -> None:
    """Found in a search, by an event and at a load; in what people see and in what is logged."""

    class Own(Config):
        token: SecretStr | None = None

    heard = threading.Event()
    starts = []

    def search_models(query: SearchQuery, context: Any) -> SearchPage:
        raise error(f"401 for {context.config.token.get_secret_value()}")

    def on_event(event: Any) -> None:
        if event.type == "search.finished":
            heard.set()
            raise error(f"401 for {KEY}")

    def register_config() -> type[Config]:
        starts.append(1)
        if len(starts) > 1:
            raise error(f"401 for {KEY}")
        return Own

    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    plugin = module(search_models=search_models, on_event=on_event, register_config=register_config)
    plugins: dict[str, object] = {"own": plugin, "other": module(search_models=lambda query: SearchPage(results=()))}
    host = make_host(plugins=plugins, only=True)
    handler.addFilter(RedactingFilter(host.secrets.known_values))
    logging.getLogger("moorage").addHandler(handler)
    try:
        host.plugins.save_config("own", {"token": KEY}, 0)
        subscription = host.events.subscribe(after=0)
        told = host.search.search(SearchQuery(text="x")).sources
        assert heard.wait(5)
        host.plugins.disable("own")
        assert host.plugins.enable("own").state == "failed"
        host.preferences.save({"contextLength": 8192})
    finally:
        logging.getLogger("moorage").removeHandler(handler)
    seen = [logged.getvalue(), *(view.model_dump_json() for view in host.plugins.list()), *map(str, told)]
    for event in subscription:
        seen.append(event.model_dump_json())
        if event.type == "settings.saved" and event.about == "host":
            break
    assert sum("401 for" in text for text in seen) >= 3
    assert not [text for text in seen if KEY in text]
