"""The stream of what happens, health and numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from werkzeug.test import TestResponse

from tests.web.api.conftest import ORIGIN, Api
from tests.web.api.sse import Heard, heard


def listen(api: Api, **headers: str) -> tuple[TestResponse, Iterator[bytes]]:
    response = api.app.test_client().get("/api/events", base_url=ORIGIN, headers=headers)
    assert response.content_type == "text/event-stream"
    return response, response.iter_encoded()


def wait_for(chunks: Iterator[bytes], type: str) -> list[Heard]:
    events: list[Heard] = []
    while not any(event.type == type for event in events):
        events += heard(next(chunks))
    return events


def test_events_come_and_can_be_resumed(api: Api) -> None:
    response, chunks = listen(api)
    assert next(chunks) == b"retry: 1000\n\n"
    provider = api.post("/api/llm/providers", {"name": "Tide", "type": "scripted"})
    [saved] = wait_for(chunks, "provider.saved")
    assert saved.data["about"] == provider["id"]
    assert saved.data["type"] == "provider.saved"
    assert saved.data["id"] == saved.id
    response.close()

    api.delete(f"/api/llm/providers/{provider['id']}")
    response, chunks = listen(api, **{"Last-Event-ID": str(saved.id)})
    [removed] = wait_for(chunks, "provider.removed")
    assert removed.id == saved.id + 1, "nothing was missed and nothing came twice"
    response.close()


def test_a_comment_when_nothing_happens(api: Api) -> None:
    response, chunks = listen(api, **{"Last-Event-ID": "rubbish"})
    next(chunks)
    began = time.monotonic()
    assert next(chunks).startswith(b":")
    assert time.monotonic() - began < 2.0
    response.close()


def test_who_leaves_is_forgotten(api: Api) -> None:
    bus: Any = api.host.events
    before = len(bus._subscriptions)
    response, _ = listen(api)
    assert len(bus._subscriptions) == before + 1
    response.close()
    api.call("HEAD", "/api/events").close()
    assert len(bus._subscriptions) == before


def test_the_stream_ends_with_the_host(api: Api) -> None:
    _, chunks = listen(api)
    next(chunks)
    api.host.events.close()
    assert list(chunks) == []


def test_healthz(api: Api) -> None:
    assert api.get("/healthz") == {"status": "ok", "version": api.host.version}


def test_readyz(api: Api) -> None:
    response = api.call("GET", "/readyz")
    assert response.status_code == 200
    lines = response.text.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["store", "scheduler", "plugins"]
    assert all(": ok" in line for line in lines)
    as_json = api.get("/readyz", headers={"Accept": "application/json"})
    assert as_json["ok"] is True
    assert set(as_json["parts"]) == {"store", "scheduler", "plugins"}
    api.host.installs.close()
    response = api.call("GET", "/readyz")
    assert response.status_code == 503
    assert "scheduler: failed" in response.text


def test_metrics(api: Api) -> None:
    api.post("/api/llm/providers", {"name": "Tide", "type": "scripted"})
    text = api.call("GET", "/metrics").text
    assert 'moorage_events_total{type="provider.saved"} 1.0' in text
    assert 'moorage_plugins{state="ready"} 2.0' in text
    assert f'moorage_info{{version="{api.host.version}"}} 1.0' in text
    assert api.call("GET", "/metrics").status_code == 200, "two answers do not share a registry"
