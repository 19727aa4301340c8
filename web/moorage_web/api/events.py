"""What happens, as it happens."""

from __future__ import annotations

from flask import Response, request

from moorage_web.current import host
from moorage_web.operations import Routes
from moorage_web.streams import EVENT_STREAM, events_response

api = Routes("events")


@api.get("/api/events", media=EVENT_STREAM)
def events() -> Response:
    """Events of the host from now on; with Last-Event-ID also those missed since, as far as they are kept."""
    last = request.headers.get("Last-Event-ID", "")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
    return events_response(host().events.subscribe(after=after))
