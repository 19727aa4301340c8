"""The host's own settings, as people change them at run time."""

from __future__ import annotations

from typing import Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator

from moorage.models.base import Model

ValueSource = Literal["default", "file", "environment"]
_HH_MM = r"^([01]\d|2[0-3]):[0-5]\d$"


class QuietHours(Model):
    """No install runs from `from` to `to` (HH:MM in the time zone of the settings)."""

    from_: str = Field(alias="from", pattern=_HH_MM)
    to: str = Field(pattern=_HH_MM)


class Preferences(Model):
    """`bandwidth_limit` in bytes per second; `context_length` in tokens."""

    proxy: str | None = Field(default=None, pattern=r"^https?://\S+$")
    no_proxy: str | None = None
    bandwidth_limit: int | None = Field(default=None, ge=1024)
    quiet_hours: QuietHours | None = None
    time_zone: str = "UTC"
    default_target: str | None = None
    parallel_installs: int = Field(default=3, ge=1, le=16)
    context_length: int = Field(default=4096, ge=256, le=1_048_576)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is not a time zone name; use one such as Europe/Berlin or UTC")
        return value


class PreferencesView(Preferences):
    """The settings in force, where each comes from, and the version to send back with a change."""

    sources: dict[str, ValueSource]
    version: int


__all__ = ["Preferences", "PreferencesView", "QuietHours", "ValueSource"]
