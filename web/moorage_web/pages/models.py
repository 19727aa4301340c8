"""Local models: what is on each target, and search limited to what can be installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from flask import Blueprint, redirect, request, stream_template
from flask.typing import ResponseReturnValue

from moorage.errors import Missing, MoorageError
from moorage.models import Install, Storage
from moorage_web.current import host
from moorage_web.pages import Lazy, finding, fragment

pages = Blueprint("models", __name__)
FIXED = {"format": "gguf"}
PATIENCE = 2.5  # seconds that the page, and the search below, wait for a server that does not answer


@pages.get("/models")
def models() -> ResponseReturnValue:
    kind = fragment()
    if kind in finding.FRAGMENTS:
        return finding.fragment(kind, finding.page("/models", fixed=FIXED))
    return _page()


@pages.post("/models/remove")
def remove() -> ResponseReturnValue:
    try:
        host().local.remove(request.form.get("target", ""), request.form.get("name", ""))
    except MoorageError as error:
        return _page(error), error.status
    return redirect("/models", 303)


@pages.post("/models/clean-up")
def clean_up() -> ResponseReturnValue:
    try:
        freed = host().storage.clean()
    except MoorageError as error:
        return _page(error), error.status
    return redirect(f"/models?freed={freed}#disk", 303)


def _page(error: MoorageError | None = None) -> str | Iterator[str]:
    local, storage = host().local, host().storage
    freed = request.args.get("freed", "")
    return stream_template(
        "pages/models.html",
        active="models",
        targets=Lazy(lambda: local.targets(PATIENCE)),
        storage=Lazy(storage.view),
        wanting=_wanting,
        target_names=local.names(),
        freed=int(freed) if freed.isdigit() else None,
        error=error,
        find=finding.page("/models", fixed=FIXED),
    )


def _wanting(storage: Storage) -> dict[str, Install]:
    """The installs that the files which are shown may belong to, by id; one may have been removed at this moment."""
    found = {}
    for id in dict.fromkeys(id for file in storage.files for id in file.installs):
        with suppress(Missing):
            found[id] = host().installs.get(id)
    return found
