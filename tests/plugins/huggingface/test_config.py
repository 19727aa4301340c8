"""The forms' models: what they take, what they refuse and in which words."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from moorage.configs import secret_fields
from moorage.errors import field_errors
from moorage_huggingface.config import HuggingFaceProvider, Options, Settings, base_url, origin
from moorage_huggingface.plugin import HuggingFacePlugin


def refused(**values: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        HuggingFaceProvider.model_validate(values)
    return {error.field: error.message for error in field_errors(caught.value)}


def test_settings_have_their_environment_names_and_defaults() -> None:
    assert HuggingFacePlugin().register_config() is Settings
    settings = Settings.model_validate({"hubEndpoint": " https://mirror.example/ "})
    assert settings.hub_endpoint == "https://mirror.example"
    assert settings.router_endpoint == "https://router.huggingface.co"
    names = {name: field["env"] for name, field in Settings.model_json_schema()["properties"].items()}
    assert names == {"token": "HF_TOKEN", "hubEndpoint": "HF_ENDPOINT", "routerEndpoint": "MOORAGE_ROUTER_ENDPOINT"}
    assert list(secret_fields(Settings)) == ["token"]


def test_the_provider_type_is_searched_and_lists_nothing() -> None:
    (spec,) = HuggingFacePlugin().register_provider()
    assert (spec.type, spec.label, spec.search_source) == ("huggingface", "Hugging Face", "huggingface")
    assert spec.capabilities.chat
    assert spec.capabilities.tools
    assert not spec.capabilities.install
    assert HuggingFaceProvider.model_json_schema()["properties"]["model"]["search"] == "huggingface"
    assert list(secret_fields(HuggingFaceProvider)) == ["apiKey"]


def test_a_model_of_the_hub_is_org_and_name() -> None:
    assert HuggingFaceProvider(model=" acme/tiny-GGUF ").model == "acme/tiny-GGUF"
    assert "org/name" in refused(model="tiny")["model"]
    assert "routing" in refused(model="acme/tiny:novita")["model"]
    assert "model" in refused(model="acme/tiny/more")
    assert "model" in refused(model="")


def test_an_endpoint_of_ones_own_calls_its_model_as_it_likes() -> None:
    config = HuggingFaceProvider(model="tgi", endpoint="https://mine.example/v1/")
    assert config.endpoint == "https://mine.example/v1"
    assert HuggingFaceProvider.model_validate({"model": "acme/tiny", "endpoint": " ", "routing": ""}).endpoint is None


def test_routing_is_a_policy_or_a_name() -> None:
    assert HuggingFaceProvider(model="acme/tiny", routing="fireworks-ai").routing == "fireworks-ai"
    assert "fastest" in refused(model="acme/tiny", routing="two words")["routing"]


def test_options_are_what_the_service_takes() -> None:
    options = Options.model_validate({"temperature": 0, "topP": 0.5, "reasoningEffort": "low", "stop": ["END"]})
    assert options.model_dump(exclude_none=True) == {
        "temperature": 0,
        "top_p": 0.5,
        "reasoning_effort": "low",
        "stop": ["END"],
    }
    with pytest.raises(ValidationError):
        Options(temperature=3)


@pytest.mark.parametrize("endpoint", ["http://h", "http://h/", "http://h/v1", "http://h/v1/"])
def test_base_url_ends_in_one_v1(endpoint: str) -> None:
    assert base_url(endpoint) == "http://h/v1"
    assert base_url("http://h/a/v1") == "http://h/a/v1"


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://Router.example") == origin("https://router.example:443/v1")
    assert origin("https://router.example") != origin("http://router.example")
    assert origin("https://router.example") != origin("https://router.example:8443")
    assert origin("https://router.example.evil.example") != origin("https://router.example")
