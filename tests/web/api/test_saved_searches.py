"""Saved searches and news over the API."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.host import Host
from tests.conftest import MakeHost
from tests.host.pond import Pond
from tests.web.api.conftest import Api

PATH = "/api/saved-searches"
QUERY = {"q": "duck", "format": "gguf", "minParameters": "3B", "gated": False, "sort": "likes"}


@pytest.fixture
def pond() -> Pond:
    made = Pond()
    made.add("duck-0")
    return made


@pytest.fixture
def host(make_host: MakeHost, pond: Pond) -> Host:
    return make_host(plugins={"pond": pond}, only=True)


@pytest.fixture
def search(api: Api) -> dict[str, Any]:
    made: dict[str, Any] = api.post(PATH, {"name": "Ducks", "query": QUERY})
    return made


def test_create_and_read(api: Api) -> None:
    response = api.call("POST", PATH, json={"name": "Ducks", "query": QUERY, "rule": {"maxPerDay": 2}})
    assert response.status_code == 201
    made = response.json
    assert response.headers["Location"] == f"{PATH}/{made['id']}"
    assert made["query"] == {
        "q": "duck",
        "source": [],
        "format": "gguf",
        "app": None,
        "task": None,
        "author": None,
        "license": None,
        "language": None,
        "gated": False,
        "minParameters": 3_000_000_000,
        "maxParameters": None,
        "servedBy": None,
        "sort": "likes",
    }
    assert made["rule"] == {"target": None, "maxPerDay": 2, "maxBytes": None, "tightToo": False, "window": None}
    assert (made["daily"], made["unread"], made["news"], made["version"]) == (True, 0, [], 1)
    assert made["lastRunAt"]
    assert made["nextRunAt"] > made["lastRunAt"]
    assert api.get(f"{PATH}/{made['id']}") == made
    listed = api.get(PATH)["savedSearches"]
    assert listed == [{key: value for key, value in made.items() if key != "news"}]
    assert "seen" not in response.text


def test_the_parameters_are_those_of_a_search(api: Api, pond: Pond) -> None:
    api.post(PATH, {"name": "Ducks", "query": {**QUERY, "source": ["pond"], "maxParameters": 8 * 10**9}})
    asked = pond.queries[-2]
    assert (asked.text, asked.format, asked.gated, asked.sort) == ("duck", "gguf", False, "likes")
    assert (asked.min_parameters, asked.max_parameters) == (3 * 10**9, 8 * 10**9)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "query"}),
        ({"name": "", "query": QUERY}, {"name"}),
        ({"name": "a\nb", "query": QUERY}, {"name"}),
        ({"name": "a", "query": {}}, {"query.q"}),
        ({"name": "a", "query": {"q": "a", "limit": 5}}, {"query.limit"}),
        ({"name": "a", "query": {"q": "a", "cursor": "x"}}, {"query.cursor"}),
        ({"name": "a", "query": {"q": "a", "sort": "beauty"}}, {"query.sort"}),
        ({"name": "a", "query": {"q": "a", "format": "zip"}}, {"query.format"}),
        ({"name": "a", "query": {"q": "a", "gated": "yes"}}, {"query.gated"}),
        ({"name": "a", "query": {"q": "a", "minParameters": "lots"}}, {"query.minParameters"}),
        ({"name": "a", "query": {"q": "a", "minParameters": -1}}, {"query.minParameters"}),
        ({"name": "a", "query": {"minParameters": "4B", "maxParameters": "1B"}}, {"query.minParameters"}),
        ({"name": "a", "query": {"q": "a", "source": ["sea"]}}, {"query.source"}),
        ({"name": "a", "query": QUERY, "seen": []}, {"seen"}),
        ({"name": "a", "query": QUERY, "daily": "yes"}, {"daily"}),
        ({"name": "a", "query": QUERY, "rule": {"perDay": 1}}, {"rule.perDay"}),
        ({"name": "a", "query": QUERY, "rule": {"maxPerDay": 21}}, {"rule.maxPerDay"}),
        ({"name": "a", "query": QUERY, "rule": {"maxBytes": "8GB"}}, {"rule.maxBytes"}),
        ({"name": "a", "query": QUERY, "rule": {"target": "nobody"}}, {"rule.target"}),
        ({"name": "a", "query": QUERY, "rule": {"window": {"from": "1", "to": "06:00"}}}, {"rule.window.from"}),
    ],
)
def test_a_bad_one_names_its_fields(api: Api, body: dict[str, Any], fields: set[str]) -> None:
    assert set(api.fields("POST", PATH, json=body)) == fields
    assert api.get(PATH)["savedSearches"] == []


def test_put_what_get_gave(api: Api, pond: Pond, search: dict[str, Any]) -> None:
    path = f"{PATH}/{search['id']}"
    pond.add("duck-1")
    api.post(f"{path}/run")
    changed = api.put(path, {**search, "name": "Ducklings", "rule": {"maxPerDay": 3, "tightToo": True}})
    assert (changed["name"], changed["version"], changed["rule"]["maxPerDay"]) == ("Ducklings", 2, 3)
    assert [find["id"] for find in changed["news"]] == ["duck-1"], "a look in between is no change"
    assert api.put(path, changed)["version"] == 3
    assert list(api.fields("PUT", path, 409, json={**search, "name": "Late"})) == []
    for key, value in (("id", "other"), ("createdAt", "2001-01-01T00:00:00Z"), ("updatedAt", "rubbish")):
        assert list(api.fields("PUT", path, json={**api.get(path), key: value})) == [key]
    assert set(api.fields("PUT", path, json={})) == {"name", "query", "daily", "rule", "version"}


def test_run_read_and_news(api: Api, pond: Pond, search: dict[str, Any]) -> None:
    path = f"{PATH}/{search['id']}"
    pond.add("duck-1")
    found = api.post(f"{path}/run")
    [find] = found["news"]
    assert (find["source"], find["id"], find["read"], find["install"]) == ("pond", "duck-1", False, None)
    assert find["foundAt"] == found["lastRunAt"]
    [item] = api.get("/api/news")["news"]
    assert (item["kind"], item["search"], item["searchName"], item["find"]) == ("find", search["id"], "Ducks", find)
    pond.add("duck-2")
    api.post(f"{path}/run", {})
    read = api.post(f"{path}/read", {"until": find["foundAt"]})
    assert [(item["id"], item["read"]) for item in read["news"]] == [("duck-2", False), ("duck-1", True)]
    assert api.post(f"{path}/read")["unread"] == 0
    assert api.get("/api/news") == {"news": [], "next": None}
    assert list(api.fields("POST", f"{path}/read", json={"until": "yesterday"})) == ["until"]


def test_news_have_pages(api: Api, pond: Pond, search: dict[str, Any]) -> None:
    pond.add(*(f"duck-{number}" for number in range(1, 6)))
    api.post(f"{PATH}/{search['id']}/run")
    seen, cursor = [], ""
    while True:
        page = api.get(f"/api/news?limit=2{cursor}")
        seen += [item["find"]["id"] for item in page["news"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == [f"duck-{number}" for number in range(1, 6)]
    assert list(api.fields("GET", "/api/news?cursor=rubbish")) == ["cursor"]
    assert list(api.fields("GET", "/api/news?limit=0")) == ["limit"]


def test_delete(api: Api, search: dict[str, Any]) -> None:
    path = f"{PATH}/{search['id']}"
    assert api.call("DELETE", path).status_code == 204
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/run"), ("POST", "/read")):
        api.fields(method, path + more, 404)


def test_an_install_that_its_rule_asked_for(api: Api, pond: Pond) -> None:
    made = api.post(PATH, {"name": "Ducks", "query": QUERY, "rule": {"target": "pond-shore"}})
    pond.add("duck-1", "duck-2")
    first, second = api.post(f"{PATH}/{made['id']}/run")["news"]
    assert api.get(f"/api/installs/{first['install']}")["askedBy"] == "schedule"
    assert (first["file"], first["target"]) == ("Q4_K_M.gguf", "pond-shore")
    assert (second["skipped"], second["waits"]) == ("The limit of 1 a day is reached.", True)
