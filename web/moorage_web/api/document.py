"""The API's own description."""

from __future__ import annotations

import orjson
from flask import Response, current_app

from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("document")


@api.get("/api/openapi.json", status=200)
def openapi() -> Response:
    """This document."""
    from moorage_web.openapi import document  # built only for who asks

    return Response(orjson.dumps(document(current_app, host().version)), content_type="application/json")
