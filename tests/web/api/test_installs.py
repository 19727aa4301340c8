"""Asking for installs and steering them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.web.api.conftest import Api
from tests.web.api.dock import MODEL, Dock

IMPORT = "/api/llm/models/import"
ASK = {"source": "dock", "model": MODEL}


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    pytest.fail("it did not happen in time")


def state_of(api: Api, id: str) -> str:
    return str(api.get(f"/api/installs/{id}")["state"])


def test_import_twice_is_one_install(api: Api, dock: Dock, target: str) -> None:
    first = api.call("POST", IMPORT, json=ASK)
    assert first.status_code == 202
    install = first.json
    assert first.headers["Location"] == f"/api/installs/{install['id']}"
    assert install["askedBy"] == "api"
    second = api.call("POST", IMPORT, json={**ASK, "file": "tug-Q4_K_M.gguf", "target": target, "road": "pull"})
    assert second.status_code == 200
    assert second.json["id"] == install["id"]
    dock.go.set()
    until(lambda: state_of(api, install["id"]) == "installed")
    assert api.post(IMPORT, ASK, status=200)["id"] == install["id"], "its result is the newest revision"
    assert [m["name"] for m in api.get("/api/local/models")["targets"][0]["models"]] == ["tug:Q4_K_M"]


def test_who_asked(api: Api, target: str) -> None:
    api.post(IMPORT, ASK, headers={"Sec-Fetch-Site": "same-origin"})
    api.post(IMPORT, {**ASK, "quantization": "Q8_0"}, headers={"User-Agent": "moorage-cli"})
    assert {item["askedBy"] for item in api.get("/api/installs")["installs"]} == {"browser", "cli"}


def test_pause_resume_cancel_retry_delete(api: Api, dock: Dock, target: str) -> None:
    id = api.post(IMPORT, ASK)["id"]
    assert api.post(f"/api/installs/{id}/pause")["state"] == "paused"
    api.fields("POST", f"/api/installs/{id}/pause", 409)
    api.fields("POST", f"/api/installs/{id}/retry", 409)
    api.fields("DELETE", f"/api/installs/{id}", 409)
    assert api.post(f"/api/installs/{id}/resume")["state"] in ("queued", "running")
    assert api.post(f"/api/installs/{id}/cancel")["state"] == "cancelled"
    api.fields("POST", f"/api/installs/{id}/cancel", 409)
    assert api.post(f"/api/installs/{id}/retry")["state"] in ("queued", "running")
    dock.go.set()
    until(lambda: state_of(api, id) == "installed")
    assert api.call("DELETE", f"/api/installs/{id}").status_code == 204
    api.fields("GET", f"/api/installs/{id}", 404)


def test_move_and_filter(api: Api, target: str) -> None:
    running = api.post(IMPORT, ASK)["id"]
    queued = api.post(IMPORT, {**ASK, "quantization": "Q8_0"})["id"]
    until(lambda: state_of(api, running) == "running")
    assert api.post(f"/api/installs/{queued}/move", {"to": "front"})["id"] == queued
    api.fields("POST", f"/api/installs/{queued}/move", 409, json={"before": "nowhere"})
    assert list(api.fields("POST", f"/api/installs/{queued}/move", json={})) == ["to"]
    found = api.get("/api/installs?state=queued&state=paused")["installs"]
    assert [item["id"] for item in found] == [queued]
    assert list(api.fields("GET", "/api/installs?state=asleep")) == ["state"]


@pytest.mark.parametrize(
    "when",
    [
        "soon",
        5,
        None,
        "2026-05-21T10:00:00",
        "2001-01-01T00:00:00Z",
        {"window": {"from": "25:00", "to": "06:00"}},
        {"window": {"from": "01:00", "to": "06:00", "days": ["funday"]}},
        {"window": {"from": "01:00", "to": "01:00"}},
        {"window": {"from": "01:00", "to": "06:00", "timeZone": "Mars/Base"}},
        {"window": {"from": "01:00", "to": "06:00"}, "onUpdate": "tell"},
        {"window": {"from": "01:00", "to": "06:00", "until": "never"}},
        {"onUpdate": "explode"},
        {"onUpdate": "tell"},  # nothing is installed that could be watched
        [],
    ],
)
def test_a_bad_when_is_named(api: Api, target: str, when: object) -> None:
    fields = api.fields("POST", IMPORT, json={**ASK, "when": when})
    assert fields
    assert all(field.startswith("when") for field in fields), fields
    assert api.get("/api/installs")["installs"] == []


def test_a_time_is_kept_in_utc(api: Api, target: str) -> None:
    when = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    east = when.astimezone().isoformat()
    made = api.post(IMPORT, {**ASK, "when": east})
    assert made["state"] == "scheduled"
    assert made["when"] == when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_remove_a_model(api: Api, dock: Dock, target: str) -> None:
    dock.installed.append("tug:Q8_0")
    path = f"/api/local/models?target={target}&name=tug:Q8_0"
    assert api.call("DELETE", path).status_code == 204
    api.fields("DELETE", path, 404)
    api.fields("DELETE", "/api/local/models?target=nowhere&name=x", 404)
    assert set(api.fields("DELETE", "/api/local/models")) == {"target", "name"}


def test_a_window_to_come(api: Api, target: str) -> None:
    now = datetime.now(UTC)
    window = {"from": f"{now + timedelta(hours=2):%H:%M}", "to": f"{now + timedelta(hours=3):%H:%M}"}
    made = api.post(IMPORT, {**ASK, "when": {"window": window}})
    assert made["state"] == "scheduled"
    assert made["when"] == {"window": {**window, "days": [], "timeZone": "UTC"}}
    begins = datetime.fromisoformat(made["startsAt"])
    assert timedelta(hours=1, minutes=58) < begins - now <= timedelta(hours=2)
    assert api.get("/api/installs?state=scheduled")["installs"][0]["id"] == made["id"]
    started = api.post(f"/api/installs/{made['id']}/start")
    assert (started["when"], started["startsAt"]) == ("now", None)
    assert started["state"] in ("queued", "running")
    api.fields("POST", f"/api/installs/{made['id']}/start", 409)


def test_a_window_that_is_open(api: Api, target: str) -> None:
    now = datetime.now(UTC)
    window = {"from": f"{now - timedelta(hours=1):%H:%M}", "to": f"{now + timedelta(hours=1):%H:%M}"}
    made = api.post(IMPORT, {**ASK, "when": {"window": window}})
    assert made["state"] in ("queued", "running")


def test_a_stale_click_hits_nothing(api: Api, target: str) -> None:
    install = api.post(IMPORT, ASK)
    path, seen = f"/api/installs/{install['id']}", {"generation": install["generation"]}
    api.post(f"{path}/pause", seen)
    again = api.call("POST", f"{path}/cancel", json=seen)
    assert again.status_code == 409
    assert "paused" in again.json["detail"]
    api.fields("POST", f"{path}/move", 409, json={"to": "front", **seen})
    assert api.get(path)["state"] == "paused"
    assert list(api.fields("POST", f"{path}/resume", json={"generation": "1"})) == ["generation"]
    assert api.post(f"{path}/cancel", {"generation": api.get(path)["generation"]})["state"] == "cancelled"


def test_watching_an_installed_model(api: Api, dock: Dock, target: str) -> None:
    dock.go.set()
    id = api.post(IMPORT, ASK)["id"]
    until(lambda: state_of(api, id) == "installed")
    rule = {"onUpdate": "install", "window": {"from": "01:00", "to": "06:00", "days": ["sun"], "timeZone": "UTC"}}
    watched = api.post(IMPORT, {**ASK, "when": rule}, status=200)
    assert (watched["id"], watched["state"], watched["when"]) == (id, "installed", rule)
    assert api.post(IMPORT, {**ASK, "when": {"onUpdate": "tell"}}, status=200)["when"] == {
        "onUpdate": "tell",
        "window": None,
    }
    assert api.post(f"/api/installs/{id}/on-update", {"when": None})["when"] == "now"
    told = {"onUpdate": "tell", "window": {"from": "01:00", "to": "06:00"}}
    assert list(api.fields("POST", f"/api/installs/{id}/on-update", json={"when": told})) == ["when.window"]


def test_another_time(api: Api, target: str) -> None:
    far, farther = "2098-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"
    install = api.post(IMPORT, {**ASK, "when": far})
    path = f"/api/installs/{install['id']}"
    changed = api.post(f"{path}/reschedule", {"when": farther, "generation": install["generation"]})
    assert (changed["state"], changed["when"], changed["startsAt"]) == ("scheduled", farther, farther)
    api.fields("POST", f"{path}/reschedule", 409, json={"when": far, "generation": install["generation"]})
    assert list(api.fields("POST", f"{path}/reschedule", json={"when": {"onUpdate": "tell"}})) == ["when"]
    assert list(api.fields("POST", f"{path}/reschedule", json={"when": "2001-01-01T00:00:00Z"})) == ["when"]
    api.post(f"{path}/cancel")
    api.fields("POST", f"{path}/reschedule", 409, json={"when": far})


def test_a_window_within_the_quiet_hours_is_refused(api: Api, target: str) -> None:
    def clock(hours: int) -> str:
        return f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}"

    quiet = {"from": clock(2), "to": clock(8)}
    api.put("/api/settings", {**api.get("/api/settings"), "quietHours": quiet})
    inside = {"window": {"from": clock(3), "to": clock(7)}}
    assert list(api.fields("POST", IMPORT, json={**ASK, "when": inside})) == ["when.window"]
    beyond = {"window": {"from": clock(3), "to": clock(10)}}
    assert api.post(IMPORT, {**ASK, "when": beyond})["state"] == "scheduled"


def test_a_target_that_installs_are_for_stays(api: Api, target: str) -> None:
    install = api.post(IMPORT, {**ASK, "when": "2099-01-01T00:00:00Z"})
    api.fields("DELETE", f"/api/llm/providers/{target}", 409)
    api.post(f"/api/installs/{install['id']}/cancel")
    assert api.call("DELETE", f"/api/llm/providers/{target}").status_code == 204


def test_a_timeline(api: Api, dock: Dock, target: str) -> None:
    id = api.post(IMPORT, ASK)["id"]
    api.post(f"/api/installs/{id}/pause")
    entries = api.get(f"/api/installs/{id}/timeline")["entries"]
    assert [entry["state"] for entry in entries][:2] == ["queued", "running"]
    assert entries[-1]["text"] == "Paused."
    api.fields("GET", "/api/installs/nobody/timeline", 404)


def test_what_the_data_directory_holds(api: Api) -> None:
    held = api.get("/api/local/storage")
    assert held["models"] == held["files"] == []
    assert held["other"] > 0, "the store itself"
    assert api.post("/api/local/storage/clean-up")["freed"] == 0
