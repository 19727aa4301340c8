"""A plugin's own settings: the environment wins, secrets are masked, and a change is in force at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.errors import Conflict, InvalidInput, Missing
from moorage.models import SearchQuery
from tests.conftest import MakeHost
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo, Token

TOKEN = "hf_first_token_of_these_tests_1111"
OTHER = "hf_second_token_of_these_tests_2222"
NAME = "huggingface"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.tokens = {TOKEN: Token("one"), OTHER: Token("two")}
        running.add(Repo("a/model", {"config.json": b"{}"}))
        yield running


def test_a_secret_is_masked_and_kept(make_host: MakeHost, hub: FakeHub, tmp_path: Path) -> None:
    host = make_host(environment={"HF_ENDPOINT": hub.url}, home=tmp_path)
    view = host.plugins.save_config(NAME, {"token": TOKEN}, 0)
    assert (view.values["token"], view.sources["token"]) == ({"set": True, "hint": "…1111"}, "file")
    assert TOKEN not in view.model_dump_json()
    # Sent back masked, or left out, it stays; null removes it.
    view = host.plugins.save_config(NAME, {"token": view.values["token"]}, view.version)
    view = host.plugins.save_config(NAME, {}, view.version)
    assert view.values["token"]["set"] is True
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    host.close()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    host = make_host(environment={"HF_ENDPOINT": hub.url}, home=tmp_path)
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    view = host.plugins.save_config(NAME, {"token": None}, host.plugins.config(NAME).version)
    assert (view.values["token"]["set"], view.sources["token"]) == (False, "default")
    host.search.search(SearchQuery(text="model"))
    assert "authorization" not in hub.requests[-1].headers


def test_the_environment_wins(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host(environment={"HF_ENDPOINT": f" {hub.url} ", "HF_TOKEN": TOKEN})
    view = host.plugins.config(NAME)
    assert view.sources == {"token": "environment", "hubEndpoint": "environment", "routerEndpoint": "default"}
    assert view.values["hubEndpoint"] == hub.url
    assert view.values["token"] == {"set": True, "hint": "…1111"}
    for change in ({"token": OTHER}, {"hubEndpoint": "http://127.0.0.1:65527"}):
        with pytest.raises(Conflict, match="environment"):
            host.plugins.save_config(NAME, change, 0)
    # A form sends back what it was shown.
    saved = host.plugins.save_config(NAME, view.values, 0)
    assert saved.sources == view.sources
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_new_token_forgets_what_was_found(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host(environment={"HF_ENDPOINT": hub.url})
    query = SearchQuery(text="model")
    host.search.search(query)
    assert host.search.search(query).sources[0].cached
    asked = len(hub.requests)
    host.plugins.save_config(NAME, {"token": TOKEN}, 0)
    assert not host.search.search(query).sources[0].cached
    assert len(hub.requests) == asked + 1


def test_another_endpoint_drops_the_token(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host()
    host.plugins.save_config(NAME, {"hubEndpoint": hub.url, "token": TOKEN}, 0)
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    with FakeHub() as mirror:
        mirror.add(Repo("a/model", {"config.json": b"{}"}))
        view = host.plugins.save_config(NAME, {"hubEndpoint": mirror.url}, 1)
        assert view.values["token"]["set"] is False
        host.search.search(SearchQuery(text="model"))
        assert "authorization" not in mirror.requests[-1].headers
    # Going back does not bring it back: it was given for one place and is gone.
    view = host.plugins.save_config(NAME, {"hubEndpoint": hub.url}, 2)
    assert view.values["token"]["set"] is False


def test_what_is_wrong_is_named(make_host: MakeHost) -> None:
    host = make_host()
    for values, field in (
        ({"hubEndpoint": "no address"}, "values.hubEndpoint"),
        ({"hubEndpoint": "ftp://127.0.0.1"}, "values.hubEndpoint"),
        ({"token": 5}, "values.token"),
        ({"colour": "blue"}, "values.colour"),
    ):
        with pytest.raises(InvalidInput) as refused:
            host.plugins.save_config(NAME, values, 0)
        assert refused.value.errors[0].field == field
    assert host.plugins.config(NAME).version == 0
    with pytest.raises(Missing):
        host.plugins.config("nobody")
    with pytest.raises(Missing):
        host.plugins.config("catalog")
    host.plugins.save_config(NAME, {"routerEndpoint": "http://127.0.0.1:65527"}, 0)
    with pytest.raises(Conflict):
        host.plugins.save_config(NAME, {}, 0)
