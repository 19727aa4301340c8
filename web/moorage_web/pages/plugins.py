"""Plugins: state, origin, failures, and each plugin's own settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import InvalidInput, MoorageError
from moorage.models import KeyCheck
from moorage_web import forms
from moorage_web.current import host

pages = Blueprint("plugins", __name__)


@pages.get("/plugins")
def plugins() -> ResponseReturnValue:
    return _page()


@pages.post("/plugins/<name>/<any(enable, disable):act>")
def switch(name: str, act: str) -> ResponseReturnValue:
    getattr(host().plugins, act)(name)
    return redirect(f"/plugins#plugin-{name}", 303)


@pages.post("/plugins/<name>/config")
def configure(name: str) -> ResponseReturnValue:
    view = host().plugins.config(name)
    locked = [key for key, source in view.sources.items() if source == "environment"]
    values = forms.parse(view.schema_, request.form, prefix=f"{name}.values", locked=locked)
    version = request.form.get("version", "")
    try:
        host().plugins.save_config(name, values, int(version) if version.isdigit() else None)
    except MoorageError as error:
        return _page(name, error), error.status
    return redirect(f"/plugins?saved={name}#plugin-{name}", 303)


@pages.post("/plugins/<name>/check-key")
def check_key(name: str) -> ResponseReturnValue:
    try:
        return _page(checked=(name, host().keys.check(name)))
    except MoorageError as error:
        return _page(checked=(name, error)), error.status


def _page(
    failed: str | None = None,
    error: MoorageError | None = None,
    checked: tuple[str, KeyCheck | MoorageError | None] | None = None,
) -> str:
    views = host().plugins.list()
    return render_template(
        "pages/plugins.html",
        active="plugins",
        plugins=views,
        settings={
            view.name: _settings(view.name, error if view.name == failed else None) for view in views if view.has_config
        },
        violations=host().catalog.view().violations,
        failed=failed,
        error=error,
        saved=request.args.get("saved"),
        checked=checked,
        known=host().keys.known,
    )


def _settings(name: str, error: MoorageError | None) -> dict[str, Any]:
    view = host().plugins.config(name)
    errors = error.errors if isinstance(error, InvalidInput) else ()
    prefix = f"{name}.values"  # several such forms stand on one page: their ids must differ
    named = [type(item)(f"{name}.{item.field}", item.message) for item in errors]
    made = forms.fields(
        view.schema_,
        view.values,
        prefix=prefix,
        submitted=request.form if error else None,
        errors=named,
        sources=view.sources,
    )
    errors_above = forms.unplaced(made, named)
    return {"fields": made, "version": view.version, "errors": errors_above, "notices": view.notices}
