"""The host's own settings, as people change them at run time."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from moorage.models.base import Model

ValueSource = Literal["default", "file", "environment"]
_HH_MM = r"^([01]\d|2[0-3]):[0-5]\d$"


class QuietHours(Model):
    """No install runs from `from` to `to` (HH:MM in the time zone of the settings)."""

    from_: str = Field(
        alias="from",
        pattern=_HH_MM,
        description="From here on no install runs.",
        json_schema_extra={"control": "time"},
    )
    to: str = Field(pattern=_HH_MM, description="Here those that wait go on.", json_schema_extra={"control": "time"})


class Preferences(Model):
    """`bandwidth_limit` in bytes per second; `context_length` in tokens."""

    proxy: str | None = Field(
        default=None,
        description="Everything that leaves this machine goes through it, such as http://proxy.example:3128.",
    )
    no_proxy: str | None = Field(
        default=None,
        title="Hosts without the proxy",
        description="Names and addresses that are reached directly, with commas between them.",
    )
    bandwidth_limit: int | None = Field(
        default=None,
        ge=1024,
        title="Bandwidth limit, in bytes per second",
        description="For all downloads together: 5000000 is 5 MB/s. Empty is no limit.",
    )
    quiet_hours: QuietHours | None = Field(default=None, title="Quiet hours")
    time_zone: str = Field(
        default="UTC",
        title="Time zone",
        description="For the times on these pages and the quiet hours: a name such as Europe/Berlin, or UTC.",
    )
    default_target: str | None = Field(
        default=None,
        title="Install on",
        description="The target that is chosen at first in an install.",
    )
    parallel_installs: int = Field(
        default=3,
        ge=1,
        le=16,
        title="Installs at the same time",
        description="On all targets together; the rest waits in the queue.",
    )
    installs_per_target: int = Field(
        default=1,
        ge=1,
        le=8,
        title="Installs at the same time on one target",
        description="More than one share the same line and the same disk.",
    )
    context_length: int = Field(
        default=4096,
        ge=256,
        le=1_048_576,
        title="Context length, in tokens",
        description="What installed models are run and measured with. Twice the length needs more memory.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)  # asks for one; a list of all would be read from the disk each time
        except (KeyError, ValueError, OSError):  # not found, no name at all, a directory such as Europe
            raise ValueError("is not a time zone name; use one such as Europe/Berlin or UTC") from None
        return value


class PreferencesView(Preferences):
    """The settings in force, where each comes from, and the version to send back with a change."""

    sources: dict[str, ValueSource]
    version: int


__all__ = ["Preferences", "PreferencesView", "QuietHours", "ValueSource"]
