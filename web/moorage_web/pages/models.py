"""Local models: what is on each target, and search limited to what can be installed."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, redirect, request, stream_template
from flask.typing import ResponseReturnValue

from moorage.errors import MoorageError
from moorage_web.current import host
from moorage_web.pages import Lazy, finding, fragment

pages = Blueprint("models", __name__)
FIXED = {"format": "gguf"}
PATIENCE = 2.5  # seconds that the page, and the search below, wait for a server that does not answer


@pages.get("/models")
def models() -> ResponseReturnValue:
    kind = fragment()
    if kind in ("results", "panel"):
        return finding.fragment(kind, "/models", fixed=FIXED)
    return _page()


@pages.post("/models/remove")
def remove() -> ResponseReturnValue:
    try:
        host().local.remove(request.form.get("target", ""), request.form.get("name", ""))
    except MoorageError as error:
        return _page(error), error.status
    return redirect("/models", 303)


def _page(error: MoorageError | None = None) -> str | Iterator[str]:
    proofs = {
        (install.target, install.model_name): install.proof
        for install in reversed(host().installs.list(("installed",)).items)
        if install.proof is not None
    }
    values = finding.context("/models", fixed=FIXED)
    local = host().local
    targets = Lazy(lambda: local.targets(PATIENCE))
    return stream_template("pages/models.html", active="models", targets=targets, proofs=proofs, error=error, **values)
