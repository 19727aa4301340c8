"""The host's settings, the plugins and their settings, tokens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import MakeHost
from tests.web.api.conftest import Api
from tests.web.api.dock import Dock

KEY = "key-of-nobody-in-particular-abcd"


def test_put_what_get_gave(api: Api) -> None:
    view = api.get("/api/settings")
    assert view["version"] == 0
    assert set(view["sources"].values()) == {"default"}
    changed = api.put("/api/settings", {**view, "timeZone": "Europe/Berlin", "bandwidthLimit": 5000})
    assert (changed["timeZone"], changed["bandwidthLimit"], changed["version"]) == ("Europe/Berlin", 5000, 1)
    assert changed["sources"]["timeZone"] == "file"
    api.fields("PUT", "/api/settings", 409, json={**view, "timeZone": "UTC"})
    assert api.get("/api/settings") == changed


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timeZone": "Mars/Base"}, "timeZone"),
        ({"timeZone": "Europe"}, "timeZone"),
        ({"timeZone": "../zoneinfo/UTC"}, "timeZone"),
        ({"timeZone": None}, "timeZone"),
        ({"parallelInstalls": 0}, "parallelInstalls"),
        ({"parallelInstalls": "3"}, "parallelInstalls"),
        ({"parallelInstalls": True}, "parallelInstalls"),
        ({"contextLength": 4096.5}, "contextLength"),
        ({"quietHours": {"from": "25:00", "to": "06:00"}}, "quietHours.from"),
        ({"proxy": "socks5://x"}, "proxy"),
        ({"defaultTarget": "nowhere"}, "defaultTarget"),
        ({"sources": {}}, "sources"),
        ({"hackers": 1}, "hackers"),
    ],
)
def test_a_bad_setting_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    view = api.get("/api/settings")
    assert list(api.fields("PUT", "/api/settings", json={**view, **change})) == [field]
    assert api.get("/api/settings") == view


def test_the_login_of_a_proxy_is_never_shown(make_host: MakeHost) -> None:
    given = "http://ada:hunter2-and-more@127.0.0.1:3128"
    saved = Api(make_host(plugins={"dock": Dock()}, only=True))
    view = saved.put("/api/settings", {**saved.get("/api/settings"), "proxy": given})
    assert view["proxy"] == "http://…@127.0.0.1:3128"
    assert saved.put("/api/settings", {**view, "contextLength": 8192})["proxy"] == view["proxy"]
    assert saved.host.preferences.current.proxy == given
    assert "hunter2" not in str(saved.get("/api/settings"))


def test_put_needs_the_whole_object(api: Api) -> None:
    fields = api.fields("PUT", "/api/settings", json={"version": 0})
    # `installsPerTarget` came later than the others: who does not know it leaves it at its default.
    assert set(fields) == set(api.get("/api/settings")) - {"version", "sources", "installsPerTarget"}


def test_what_the_environment_sets_stays(make_host: MakeHost) -> None:
    api = Api(make_host(plugins={"dock": Dock()}, only=True, environment={"HTTPS_PROXY": "http://proxy:3128"}))
    view = api.get("/api/settings")
    assert view["proxy"] == "http://proxy:3128"
    assert view["sources"]["proxy"] == "environment"
    problem = api.put("/api/settings", {**view, "proxy": "http://other:3128"}, status=409)
    assert "HTTPS_PROXY" in problem["detail"]
    assert api.put("/api/settings", {**view, "contextLength": 8192})["contextLength"] == 8192


def test_plugins(api: Api) -> None:
    plugins = {item["name"]: item for item in api.get("/api/plugins")["plugins"]}
    assert plugins["dock"]["state"] == "ready"
    assert plugins["dock"]["firstParty"] is False
    assert "search_models" in plugins["dock"]["hooks"]
    assert api.post("/api/plugins/dock/disable")["state"] == "disabled"
    assert "dock" not in [item["type"] for item in api.get("/api/llm/provider-types")["providerTypes"]]
    assert api.post("/api/plugins/dock/enable")["state"] == "ready"
    api.fields("POST", "/api/plugins/nobody/enable", 404)


def test_plugin_config(api: Api) -> None:
    path = "/api/plugins/dock/config"
    view = api.get(path)
    assert view["values"] == {"token": {"set": False, "hint": None}, "mirrorEndpoint": "https://dock.example"}
    assert "mirrorEndpoint" in view["schema"]["properties"]
    saved = api.put(path, {**view, "values": {**view["values"], "token": KEY}})
    assert saved["values"]["token"] == {"set": True, "hint": "…abcd"}
    assert saved["sources"] == {"token": "file", "mirrorEndpoint": "default"}, "a default sent back is no choice"
    assert KEY not in api.call("GET", path).text
    kept = api.put(path, saved)
    assert kept["values"]["token"]["set"] is True
    api.fields("PUT", path, 409, json=saved)
    assert list(api.fields("PUT", path, json={**kept, "values": {"nonsense": 1}})) == ["values.nonsense"]
    assert list(api.fields("PUT", path, json={**kept, "schema": {}})) == ["schema"]
    assert set(api.fields("PUT", path, json={})) == {"values", "version"}
    assert api.put(path, {**kept, "values": {"token": None}})["values"]["token"]["set"] is False
    api.fields("GET", "/api/plugins/scripted/config", 404)


def test_tokens(api: Api) -> None:
    made = api.post("/api/tokens", {"name": "script"}, status=201)
    assert made["token"].startswith(f"mrg_{made['id']}_")
    listed = api.get("/api/tokens")["tokens"]
    assert listed == [{key: made[key] for key in ("id", "name", "createdAt")}]
    assert api.call("DELETE", f"/api/tokens/{made['id']}").status_code == 204
    api.fields("DELETE", f"/api/tokens/{made['id']}", 404)
    assert list(api.fields("POST", "/api/tokens", json={"name": " "})) == ["name"]
