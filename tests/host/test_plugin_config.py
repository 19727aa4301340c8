"""A plugin's own settings: the environment wins, secrets are masked, and a change is in force at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from moorage.errors import Conflict, InvalidInput, Missing, MoorageError
from moorage.models import Config, SearchQuery
from moorage.plugins.plugin_config import in_force
from tests.conftest import MakeHost
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo, Token
from tests.http.proxy import FakeProxy

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


# A token of the environment and an address that somebody saved


def test_a_token_of_the_environment_is_not_sent_to_a_saved_mirror(make_host: MakeHost, hub: FakeHub) -> None:
    """It was given for the real Hub; the person at the browser has named another place."""
    host = make_host(environment={"HF_TOKEN": TOKEN})
    locked = host.plugins.config(NAME)
    assert (locked.sources["token"], locked.notices) == ("environment", ())
    view = host.plugins.save_config(NAME, {"hubEndpoint": hub.url}, 0)
    assert (view.sources["token"], view.values["token"]["set"]) == ("default", False)
    (notice,) = view.notices
    for word in ("HF_TOKEN is not used", hub.url, "Hub address", "HF_ENDPOINT"):
        assert word in notice
    assert TOKEN not in view.model_dump_json()
    host.search.search(SearchQuery(text="model"))
    host.search.describe(NAME, "a/model")
    assert not [seen for seen in hub.requests if "authorization" in seen.headers]
    # The field is unlocked: a token for that mirror is entered, and used.
    view = host.plugins.save_config(NAME, {"hubEndpoint": hub.url, "token": OTHER}, view.version)
    assert (view.sources["token"], view.values["token"]["hint"], len(view.notices)) == ("file", "…2222", 1)
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {OTHER}"
    # Back at the default address the environment's is in force again, and the mirror's is gone.
    view = host.plugins.save_config(NAME, {"token": view.values["token"]}, view.version)
    assert (view.sources["token"], view.values["token"]["hint"], view.notices) == ("environment", "…1111", ())
    view = host.plugins.save_config(NAME, {"hubEndpoint": hub.url}, view.version)
    assert (view.sources["token"], view.values["token"]["set"]) == ("default", False)


def test_mirror_and_token_may_be_saved_at_once(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host(environment={"HF_TOKEN": TOKEN})
    view = host.plugins.save_config(NAME, {"hubEndpoint": hub.url, "token": OTHER}, 0)
    assert view.sources["token"] == "file"
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {OTHER}"
    with pytest.raises(Conflict, match="token is set by the environment"):
        host.plugins.save_config(NAME, {"token": OTHER}, view.version)


def test_a_mirror_of_the_environment_gets_the_environments_token(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host(environment={"HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.url})
    view = host.plugins.config(NAME)
    assert (view.sources["token"], view.notices) == ("environment", ())
    # A router saved elsewhere would get it too, so it is left out for both.
    with FakeHub() as router:
        view = host.plugins.save_config(NAME, {"routerEndpoint": router.url}, view.version)
        assert (view.sources["token"], len(view.notices)) == ("default", 1)
        assert "MOORAGE_ROUTER_ENDPOINT" in view.notices[0]
        host.search.search(SearchQuery(text="model"))
        assert "authorization" not in hub.requests[-1].headers


def test_what_was_saved_before_the_variable_counts_as_well(make_host: MakeHost, hub: FakeHub, tmp_path: Path) -> None:
    first = make_host(home=tmp_path)
    first.plugins.save_config(NAME, {"hubEndpoint": hub.url}, 0)
    first.close()
    host = make_host(home=tmp_path, environment={"HF_TOKEN": TOKEN})
    assert host.plugins.config(NAME).notices
    host.search.search(SearchQuery(text="model"))
    assert "authorization" not in hub.requests[-1].headers
    host.close()
    # With the address in the environment too, both are the operator's word.
    host = make_host(home=tmp_path, environment={"HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.url})
    assert host.plugins.config(NAME).notices == ()
    host.search.search(SearchQuery(text="model"))
    assert hub.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"


class Places(Config):
    key: SecretStr | None = Field(default=None, json_schema_extra={"env": "PLACE_KEY"})
    endpoint: str = Field(default="https://place.example/v1", title="Address")
    other_endpoint: str | None = None
    note: str = Field(default="", json_schema_extra={"env": "PLACE_NOTE"})


@pytest.mark.parametrize(
    ("saved", "used"),
    [
        ({}, True),
        ({"endpoint": "https://place.example"}, True),
        ({"endpoint": "https://PLACE.example:443/v2"}, True),
        ({"endpoint": ""}, True),
        ({"note": "https://elsewhere.example"}, True),
        ({"endpoint": "http://place.example/v1"}, False),
        ({"endpoint": "https://place.example:8443/v1"}, False),
        ({"endpoint": "https://place.example.evil.example/v1"}, False),
        ({"endpoint": "not an address"}, False),
        ({"otherEndpoint": "https://place.example"}, False),
        ({"other_endpoint": "https://elsewhere.example"}, False),
    ],
)
def test_origins_decide(saved: dict[str, str], used: bool) -> None:
    found = in_force(Places, {"PLACE_KEY": " k ", "PLACE_NOTE": "n"}, saved)
    assert found.values == ({"key": "k", "note": "n"} if used else {"note": "n"})
    assert bool(found.notices) is not used
    assert in_force(Places, {"PLACE_NOTE": "n"}, saved).notices == ()


# Without a restart


def test_another_mirror_is_in_force_at_once(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host(environment={})
    query = SearchQuery(text="model")
    view = host.plugins.save_config(NAME, {"hubEndpoint": hub.url}, 0)
    assert [hit.url for hit in host.search.search(query).results] == [f"{hub.url}/a/model"]
    with FakeHub() as mirror:
        mirror.add(Repo("a/model", {"config.json": b"{}"}), Repo("b/model"))
        asked = len(hub.requests)
        host.plugins.save_config(NAME, {"hubEndpoint": mirror.url}, view.version)
        outcome = host.search.search(query)
        assert {hit.url for hit in outcome.results} == {f"{mirror.url}/a/model", f"{mirror.url}/b/model"}
        assert not outcome.sources[0].cached
        host.search.describe(NAME, "a/model")
        assert len(hub.requests) == asked
        assert len(mirror.requests) == 3


def test_another_proxy_is_in_force_at_once(make_host: MakeHost, hub: FakeHub) -> None:
    host = make_host(environment={"HF_ENDPOINT": "http://hub.example"})
    with pytest.raises(MoorageError):
        host.search.search(SearchQuery(text="model"))
    with FakeProxy({"hub.example": hub.port}) as one, FakeProxy({"hub.example": hub.port}) as two:
        for proxy, text in ((one, "model"), (two, "mode")):
            host.preferences.save({"proxy": proxy.url})
            assert len(host.search.search(SearchQuery(text=text)).results) == 1
            assert len(proxy.lines) == 1
        assert "search=model" in one.lines[0]
        assert "search=mode" in two.lines[0]
