"""The host's own settings."""

from __future__ import annotations

from moorage.models import PreferencesView, QuietHours
from moorage_web.arguments import Body, check_unchanged
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("settings")


class SettingsChange(Body):
    """All settings as GET gave them; null is the default. `sources` is read-only, `version` must be the newest."""

    proxy: str | None
    no_proxy: str | None
    bandwidth_limit: int | None
    quiet_hours: QuietHours | None
    time_zone: str
    default_target: str | None
    parallel_installs: int
    installs_per_target: int = 1
    context_length: int
    version: int
    sources: dict[str, str] | None = None


@api.get("/api/settings", answer=PreferencesView)
def get_settings() -> PreferencesView:
    """The settings in force, and where each value comes from."""
    return host().preferences.view()


@api.put("/api/settings", body=SettingsChange, answer=PreferencesView)
def save_settings(body: SettingsChange) -> PreferencesView:
    """Replace the settings; one that the environment sets cannot be changed."""
    current = host().preferences.view()
    if body.version == current.version:
        sent = body.model_dump(by_alias=True, exclude_unset=True, include={"sources"})
        check_unchanged(sent, current.model_dump(mode="json", by_alias=True))
    return host().preferences.save(body.model_dump(by_alias=True, exclude={"version", "sources"}), body.version)
