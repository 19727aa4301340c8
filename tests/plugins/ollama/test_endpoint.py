from __future__ import annotations

import pytest

from moorage_ollama.config import OllamaProvider
from moorage_ollama.endpoint import endpoint_of


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("", "http://127.0.0.1:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:11434"),
        ("[::]:9000", "http://[::1]:9000"),
        ("::1", "http://[::1]:11434"),
        ("[2001:db8::5]", "http://[2001:db8::5]:11434"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("HTTP://box:1234", "http://box:1234"),
        ("box.lan/prefix", "http://box.lan:11434/prefix"),
        ("box:99999", "http://box:11434"),
        ("box:no-port", "http://box:11434"),
        ('  "box:1234" ', "http://box:1234"),
        ("'0.0.0.0'", "http://127.0.0.1:11434"),
    ],
)
def test_every_form_of_ollama_host_becomes_an_address_to_connect_to(host: str, endpoint: str) -> None:
    assert endpoint_of(host) == endpoint


@pytest.mark.parametrize(
    "given", ["http://box:11434", "http://box:11434/", " http://box:11434/v1/ ", "http://box:11434/api"]
)
def test_the_address_of_either_api_names_the_server(given: str) -> None:
    assert OllamaProvider(endpoint=given).endpoint == "http://box:11434"


def test_an_empty_address_is_the_usual_one_and_an_empty_model_is_none() -> None:
    config = OllamaProvider.model_validate({"endpoint": "", "model": "  "})
    assert config.endpoint == "http://127.0.0.1:11434"
    assert config.model is None
