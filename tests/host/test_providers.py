"""Saved providers and agents: checked by the plugin's model, secrets apart and bound to where they were given for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage import CompletionEvent, CompletionRequest, CreditsGone, Finish, PluginContext, TextDelta, Unreachable
from moorage.errors import Conflict, InvalidInput, Missing
from moorage.host import Host
from tests.conftest import MakeHost
from tests.host.scripted import Scripted, words

KEY = "key-of-nobody-in-particular-abcd"


@pytest.fixture
def plugin() -> Scripted:
    return Scripted()


@pytest.fixture
def host(make_host: MakeHost, plugin: Scripted) -> Host:
    return make_host(plugins={"scripted": plugin}, only=True)


def wrong_fields(error: InvalidInput) -> dict[str, str]:
    return {item.field: item.message for item in error.errors}


def test_create_get_update_delete(host: Host) -> None:
    made = host.providers.create(" Mine ", "scripted", {"model": "m", "apiKey": KEY})
    assert (made.name, made.slug, made.version) == ("Mine", "mine", 1)
    assert made.config["apiKey"] == {"set": True, "hint": "…abcd"}
    changed = host.providers.update(made.id, "Other", {"model": "n"}, 1)
    assert (changed.name, changed.slug, changed.model) == ("Other", "mine", "n")
    assert changed.config["apiKey"]["set"], "a secret that is left out is kept"
    with pytest.raises(Conflict):
        host.providers.update(made.id, "Late", {"model": "x"}, 1)
    host.providers.delete(made.id)
    with pytest.raises(Missing):
        host.providers.get(made.id)


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"model": 5}, "config.model", "string"),
        ({"nonsense": 1}, "config.nonsense", "is not a known field"),
        ({"apiKey": 7}, "config.apiKey", "must be text"),
        ({"endpoint": "file:///etc/passwd"}, "config.endpoint", "http"),
        ({"endpoint": "http://169.254.169.254/"}, "config.endpoint", ""),
        ({"endpoint": "http://user:pw@host/"}, "config.endpoint", ""),
        ({"endpoint": "http://127.0.0.1:22/"}, "config.endpoint", ""),
        ({"endpoint": 5}, "config.endpoint", "web address"),
    ],
)
def test_bad_config_names_the_field_and_saves_nothing(
    host: Host, config: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        host.providers.create("X", "scripted", config)
    assert message in wrong_fields(caught.value)[field]
    assert host.providers.list().items == ()


def test_unknown_type_and_empty_name(host: Host) -> None:
    with pytest.raises(InvalidInput) as caught:
        host.providers.create("X", "nobody", {})
    assert "scripted" in wrong_fields(caught.value)["type"]
    with pytest.raises(InvalidInput) as caught:
        host.providers.create("  ", "scripted", {})
    assert "name" in wrong_fields(caught.value)


def test_another_origin_drops_the_key(host: Host) -> None:
    made = host.providers.create("X", "scripted", {"endpoint": "http://127.0.0.1:8999/a", "apiKey": KEY})
    same = host.providers.update(made.id, "X", {"endpoint": "http://127.0.0.1:8999/b"}, 1)
    assert same.config["apiKey"]["set"]
    moved = host.providers.update(made.id, "X", {"endpoint": "http://127.0.0.1:8998/"}, 2)
    assert not moved.config["apiKey"]["set"]
    assert host.providers.resolve(made.id).config.api_key is None
    back = host.providers.update(made.id, "X", {"endpoint": "http://127.0.0.1:8999/"}, 3)
    assert not back.config["apiKey"]["set"], "it is gone, not hidden"


def test_a_key_is_removed_by_null_and_never_shown(host: Host, tmp_path: Path) -> None:
    made = host.providers.create("X", "scripted", {"apiKey": KEY})
    assert host.providers.resolve(made.id).config.api_key.get_secret_value() == KEY
    assert KEY not in repr(host.providers.resolve(made.id))
    for path in host.settings.home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    gone = host.providers.update(made.id, "X", {"apiKey": None}, 1)
    assert not gone.config["apiKey"]["set"]


def test_test_completes_once_and_saves_nothing(host: Host, plugin: Scripted) -> None:
    result = host.providers.test(type="scripted", config={"model": "m"})
    assert (result.ok, result.model, result.reply) == (True, "m", "Hello there.")
    assert plugin.requests[0].max_tokens is not None
    assert host.providers.list().items == ()


def failing(error: Exception) -> Any:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        raise error
        yield

    return answer


def quiet(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    yield Finish("stop")


def cut(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    yield from ()


def never_ending(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    while not context.cancelled():
        yield TextDelta("word ")


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (failing(Unreachable("No.")), "host"),
        (failing(CreditsGone("No.")), "credits"),
        (quiet, "answer"),
        (cut, "answer"),
        (never_ending, None),
    ],
    ids=["host", "credits", "quiet", "cut", "never-ending"],
)
def test_test_names_the_part_that_failed(make_host: MakeHost, answer: Any, part: str | None) -> None:
    host = make_host(plugins={"scripted": Scripted(answer)}, only=True)
    result = host.providers.test(type="scripted", config={})
    assert (result.error.part if result.error else None) == part


def test_unsaved_values_with_the_saved_key(host: Host, plugin: Scripted) -> None:
    made = host.providers.create("X", "scripted", {"apiKey": KEY})
    host.providers.test(id=made.id, type="scripted", config={"model": "other"})
    asked = plugin.requests[-1]
    assert asked.model == "other"
    assert asked.provider.config.api_key.get_secret_value() == KEY
    host.providers.test(id=made.id, config={"endpoint": "http://127.0.0.1:8998/"})
    assert plugin.requests[-1].provider.config.api_key is None, "another origin gets no saved key"


def test_the_preset_is_there_and_stays(make_host: MakeHost) -> None:
    host = make_host()
    assert host.providers.get("builtin").preset
    with pytest.raises(Conflict):
        host.providers.delete("builtin")


def test_agents_check_everything(host: Host) -> None:
    body: dict[str, Any] = {
        "name": "",
        "llm": {"type": "scripted", "model": "m", "config": {"nonsense": 1}},
        "options": {"temperature": "hot"},
        "tools": ["nobody"],
    }
    with pytest.raises(InvalidInput) as caught:
        host.agents.create(body)
    assert "name" in wrong_fields(caught.value)
    body["name"] = "A"
    with pytest.raises(InvalidInput) as caught:
        host.agents.create(body)
    assert {"llm.config.nonsense", "tools"} <= set(wrong_fields(caught.value))
    assert host.agents.list().items == ()
    for llm in ({}, {"provider": "x", "type": "scripted"}, {"provider": "nobody"}, {"type": "nobody"}):
        with pytest.raises(InvalidInput) as caught:
            host.agents.create({"name": "A", "llm": llm})
        assert any(field.startswith("llm") for field in wrong_fields(caught.value)), llm


def test_an_agent_follows_its_saved_provider(host: Host) -> None:
    provider = host.providers.create("P", "scripted", {"model": "one"})
    agent = host.agents.create({"name": "A", "llm": {"provider": provider.id}, "options": {"temperature": 0.5}})
    host.providers.update(provider.id, "P", {"model": "two"}, 1)
    resolved, options = host.agents.resolve(host.agents.stored(agent.id))
    assert resolved.model == "two"
    assert options.model_dump()["temperature"] == 0.5
    assert [item.id for item in host.agents.using(provider.id)] == [agent.id]


def test_an_inline_key_is_a_secret_too(host: Host) -> None:
    agent = host.agents.create({"name": "A", "llm": {"type": "scripted", "model": "m", "config": {"apiKey": KEY}}})
    assert agent.llm.config["apiKey"] == {"set": True, "hint": "…abcd"}
    resolved, _ = host.agents.resolve(host.agents.stored(agent.id))
    assert resolved.config.api_key.get_secret_value() == KEY
    body = agent.model_dump(mode="json", by_alias=True)
    kept = host.agents.update(agent.id, {k: body[k] for k in ("name", "instructions", "llm", "options", "tools")}, 1)
    assert kept.llm.config["apiKey"]["set"]
    with pytest.raises(Conflict):
        host.agents.update(agent.id, {"name": "B", "llm": body["llm"]}, 1)
    moved = host.agents.set_llm(
        agent.id, {"type": "scripted", "model": "m", "config": {"endpoint": "http://127.0.0.1:1234"}}
    )
    assert not moved.llm.config["apiKey"]["set"]
    host.agents.delete(agent.id)
    with pytest.raises(Missing):
        host.agents.get(agent.id)


def test_slugs_are_unique(host: Host) -> None:
    slugs = [host.agents.create({"name": "Ön & Off", "llm": {"type": "scripted", "model": "m"}}).slug for _ in range(3)]
    assert slugs == ["on-off", "on-off-2", "on-off-3"]


def test_answers_mark_the_provider_as_used(make_host: MakeHost) -> None:
    host = make_host(plugins={"scripted": Scripted(words("ok"))}, only=True)
    provider = host.providers.create("P", "scripted", {})
    agent = host.agents.create({"name": "A", "llm": {"provider": provider.id}})
    assert host.providers.get(provider.id).last_used_at is None
    for _ in host.chat.send(agent.id, "x").run():
        pass
    used = host.providers.get(provider.id)
    assert used.last_used_at is not None
    assert used.version == 1, "an open form must not become stale by a chat"


def test_a_token_survives_a_start_with_another_endpoint(make_host: MakeHost, tmp_path: Path) -> None:
    """The environment names a mirror for a while: the token goes unused, and is there again afterwards."""
    host = make_host(home=tmp_path)
    host.plugins.save_config("huggingface", {"token": KEY}, 0)
    host.close()
    mirror = {"HF_ENDPOINT": "http://127.0.0.1:8999"}
    host = make_host(home=tmp_path, environment=mirror)
    assert host.plugins._loaded_configs["huggingface"].token is None, "a mirror never gets it"
    host.plugins.save_config("huggingface", {"routerEndpoint": "https://router.example.org"}, 1)
    host.close()
    host = make_host(home=tmp_path)
    held = host.plugins._loaded_configs["huggingface"]
    assert held.token is None, "the router has changed with the token saved for another"
    host.plugins.save_config("huggingface", {"token": KEY, "routerEndpoint": "https://router.example.org"}, 2)
    assert host.plugins._loaded_configs["huggingface"].token.get_secret_value() == KEY


def test_a_token_given_for_a_mirror_of_the_environment_is_used_there(make_host: MakeHost) -> None:
    host = make_host(environment={"HF_ENDPOINT": "http://127.0.0.1:8999"})
    host.plugins.save_config("huggingface", {"token": KEY}, 0)
    assert host.plugins._loaded_configs["huggingface"].token.get_secret_value() == KEY


def test_what_was_saved_comes_back_without_the_environment(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(home=tmp_path)
    host.preferences.save({"timeZone": "Europe/Berlin"})
    host.close()
    host = make_host(home=tmp_path, environment={"MOORAGE_TIME_ZONE": "UTC"})
    host.preferences.save({"contextLength": 8192})
    host.close()
    current = make_host(home=tmp_path).preferences.current
    assert (current.time_zone, current.context_length) == ("Europe/Berlin", 8192)
