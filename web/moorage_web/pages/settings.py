"""Settings: what belongs to the host itself; and the theme, which is the browser's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import InvalidInput, MoorageError
from moorage.models import Preferences
from moorage_web import forms
from moorage_web.current import host
from moorage_web.pages import THEMES

pages = Blueprint("settings", __name__)
YEAR = 365 * 24 * 3600


@pages.get("/settings")
def settings() -> ResponseReturnValue:
    return _page()


@pages.post("/settings")
def save() -> ResponseReturnValue:
    view = host().preferences.view()
    locked = [key for key, source in view.sources.items() if source == "environment"]
    values = forms.parse(_schema(), request.form, prefix="", locked=locked)
    version = request.form.get("version", "")
    try:
        host().preferences.save(values, int(version) if version.isdigit() else None)
    except MoorageError as error:
        return _page(error), error.status
    return redirect("/settings?saved=1", 303)


@pages.post("/settings/theme")
def theme() -> ResponseReturnValue:
    chosen = request.form.get("theme", "")
    back = urlsplit(request.form.get("back") or request.headers.get("Referer", "/"))
    path = back.path if back.path.startswith("/") and not back.path.startswith("//") else "/"
    response = redirect(f"{path}?{back.query}" if back.query else path, 303)
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=YEAR, samesite="Lax")
    return response


def _schema() -> dict[str, Any]:
    """The schema of the settings, where the targets are those of now."""
    schema = Preferences.model_json_schema(by_alias=True)
    names = host().local.names()
    chosen = host().preferences.current.default_target
    known = {**names, **({chosen: f"{chosen} (removed)"} if chosen and chosen not in names else {})}
    target = schema["properties"]["defaultTarget"]
    target["anyOf"] = [{"type": "string", "enum": [*known]}, {"type": "null"}]
    target["labels"] = {"": "The first server that answers, else this machine", **known}
    return schema


def _page(error: MoorageError | None = None) -> str:
    view = host().preferences.view()
    errors = error.errors if isinstance(error, InvalidInput) else ()
    made = forms.fields(
        _schema(),
        view.model_dump(mode="json", by_alias=True),
        prefix="",
        submitted=request.form if error else None,
        errors=errors,
        sources=view.sources,
    )
    return render_template(
        "pages/settings.html",
        active="settings",
        fields=made,
        version=view.version,
        errors=forms.unplaced(made, errors),
        error=error if error is not None and not errors else None,
        saved="saved" in request.args,
        targets=host().local.names(),
        home=host().settings.home,
        app_version=host().version,
    )
