"""Does it run, is it well, and numbers for a monitoring system."""

from __future__ import annotations

from flask import Response, request

from moorage.models import HealthPart, Model
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("health")
PLAIN = "text/plain; charset=utf-8"


class Alive(Model):
    status: str
    version: str


class PartView(Model):
    ok: bool
    detail: str


class Ready(Model):
    ok: bool
    parts: dict[str, PartView]


@api.get("/healthz", answer=Alive)
def healthz() -> Alive:
    """The process answers."""
    return Alive(status="ok", version=host().version)


@api.get("/readyz", answer=Ready, also=(503,))
def readyz() -> Response:
    """One line per part: store, scheduler, plugins; as JSON for who asks for JSON. 503 while one is not well."""
    parts = host().health.parts()
    status = 200 if all(part.ok for part in parts) else 503
    if request.accept_mimetypes.best == "application/json":
        shown = {part.name: PartView(ok=part.ok, detail=part.detail) for part in parts}
        body = Ready(ok=status == 200, parts=shown).model_dump_json(by_alias=True)
        return Response(body, status, content_type="application/json")
    return Response("".join(_line(part) for part in parts), status, content_type=PLAIN)


@api.get("/metrics", media="text/plain")
def metrics() -> Response:
    """Numbers in the text format of Prometheus."""
    from moorage_web.metrics import CONTENT_TYPE, exposition  # the library is loaded when somebody asks

    return Response(exposition(host()), content_type=CONTENT_TYPE)


def _line(part: HealthPart) -> str:
    return f"{part.name}: {'ok' if part.ok else 'failed'} ({part.detail})\n"
