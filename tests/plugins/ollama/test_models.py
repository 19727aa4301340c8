"""What servers list, old and new, and which servers are found running."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moorage import BadAnswer, PluginContext, Provider, TargetFacts
from moorage_ollama import discover
from moorage_ollama.config import OllamaProvider, OllamaSettings
from moorage_ollama.mapping import parameters
from moorage_ollama.plugin import OllamaPlugin
from tests.plugins.ollama.conftest import ScriptedOllama

RECORDED = Path(__file__).parents[4] / "shared/data/ollama"


def test_a_recorded_list(
    ollama: ScriptedOllama, plugin: OllamaPlugin, provider: Provider, context: PluginContext
) -> None:
    ollama.models = json.loads((RECORDED / "ollama-dashboard/api_tags.json").read_text())["models"]
    ollama.loaded = [row["name"] for row in _recorded_ps()]
    models = {model.name: model for model in plugin.list_models(provider, context)}
    first = models["gpt-oss:20b"]
    assert (first.size, first.quantization, first.parameters) == (13793441244, "MXFP4", 20_900_000_000)
    assert first.context_length == 131072
    assert first.capabilities == ("completion", "tools", "thinking")
    assert first.modified_at == datetime(2026, 7, 31, 3, 44, 53, 992406, UTC)
    assert models["gemma4:31b"].context_length is None
    assert models["nomic-embed-text:latest"].capabilities == ("embedding",)
    assert [name for name, model in models.items() if model.loaded] == ["ornith:35b", "gemma4:12b"]
    assert not ollama.seen("POST", "/api/show")  # the list said it all


def _recorded_ps() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((RECORDED / "ollama-dashboard/api_ps_loaded.json").read_text())["models"]
    return rows


@pytest.mark.parametrize(
    ("endpoint", "here"),
    [("http://127.0.0.1:11434", True), ("http://localhost:80", True), ("http://192.0.2.1:11434", False)],
)
def test_what_is_known_of_a_server_without_asking_it(plugin: OllamaPlugin, endpoint: str, here: bool) -> None:
    provider = Provider(id="p", name="Ollama", type="ollama", config=OllamaProvider(endpoint=endpoint))
    assert plugin.describe_target(provider) == TargetFacts(here=here)


def test_an_old_server_is_asked_model_by_model_and_only_once(
    ollama: ScriptedOllama, plugin: OllamaPlugin, provider: Provider, context: PluginContext
) -> None:
    ollama.loaded = None  # no /api/ps yet
    ollama.models = [{"name": f"m{n}:latest", "digest": f"d{n}", "details": None} for n in range(9)]
    info = {"general.architecture": "llama", "llama.context_length": 2048, "tokenizer.ggml.tokens": None}
    ollama.shown = {
        f"m{n}:latest": {"capabilities": ["completion"], "model_info": info, "license": "x" * 10_000} for n in range(8)
    }
    models = plugin.list_models(provider, context)
    assert [model.capabilities for model in models] == [("completion",)] * 8 + [None]  # m8 cannot be shown
    assert models[0].context_length == 2048
    assert models[0].loaded is None
    assert len(ollama.seen("POST", "/api/show")) == 9
    plugin.list_models(provider, context)
    assert len(ollama.seen("POST", "/api/show")) == 10  # only m8 again


def test_a_model_of_the_cloud_has_no_size_here(
    ollama: ScriptedOllama, plugin: OllamaPlugin, provider: Provider, context: PluginContext
) -> None:
    ollama.models = [
        {
            "name": "big:cloud",
            "size": 301,
            "digest": "d",
            "modified_at": "0001-01-01T00:00:00Z",
            "details": {"families": None, "parameter_size": "", "quantization_level": ""},
            "capabilities": ["completion"],
            "remote_host": "https://ollama.com",
            "remote_model": "big",
        }
    ]
    (model,) = plugin.list_models(provider, context)
    assert model.size is None
    assert "cloud" in (model.label or "")
    assert model.modified_at is None
    assert model.quantization is None


@pytest.mark.parametrize("answer", [{"object": "list"}, {"version": 3}, "hello"])
def test_another_kind_of_server_is_no_ollama(ollama: ScriptedOllama, context: PluginContext, answer: Any) -> None:
    ollama.version = answer
    assert discover.running_servers(context.http, ollama.url) == [] or ollama.port == 11434


def test_a_list_that_is_none(
    ollama: ScriptedOllama, plugin: OllamaPlugin, provider: Provider, context: PluginContext
) -> None:
    ollama.models = [{"no": "name"}]
    with pytest.raises(BadAnswer, match="does not answer as Ollama"):
        plugin.list_models(provider, context)


def test_a_running_server_is_found_at_ollama_host(
    ollama: ScriptedOllama, plugin: OllamaPlugin, context: PluginContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "DEFAULT_ENDPOINT", "http://127.0.0.1:1")  # whatever runs on the tester's machine
    settings = OllamaSettings(host=f"0.0.0.0:{ollama.port}")
    (draft,) = plugin.discover_providers(replace(context, config=settings))
    assert draft.config == {"endpoint": ollama.url}
    assert draft.name == f"Ollama at 127.0.0.1:{ollama.port}"


def test_a_running_server_is_found_at_the_usual_address(
    ollama: ScriptedOllama, plugin: OllamaPlugin, context: PluginContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "DEFAULT_ENDPOINT", ollama.url)
    settings = OllamaSettings(host=ollama.url)
    (draft,) = plugin.discover_providers(replace(context, config=settings))
    assert (draft.name, draft.config) == ("Ollama", {"endpoint": ollama.url})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7.6B", 7_600_000_000),
        ("137M", 137_000_000),
        ("2.81T", 2_810_000_000_000),
        ("116829156672", 116_829_156_672),
        ("", None),
        ("8x7B", None),
    ],
)
def test_the_size_of_a_model_is_read_from_free_text(text: str, number: int | None) -> None:
    assert parameters(text) == number
