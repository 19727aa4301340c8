"""The settings that people change at run time: defaults, what was saved, and what the environment decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from moorage.configs import field_errors
from moorage.errors import Conflict, FieldError, InvalidInput
from moorage.events import EventBus
from moorage.models import Document, Preferences, PreferencesView
from moorage.models.settings import ValueSource
from moorage.store import Store

# The names other tools use come last: ours wins where both are set.
ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "proxy": ("MOORAGE_PROXY", "HTTPS_PROXY", "https_proxy"),
    "noProxy": ("MOORAGE_NO_PROXY", "NO_PROXY", "no_proxy"),
    "bandwidthLimit": ("MOORAGE_BANDWIDTH_LIMIT",),
    "timeZone": ("MOORAGE_TIME_ZONE",),
    "defaultTarget": ("MOORAGE_DEFAULT_TARGET",),
    "parallelInstalls": ("MOORAGE_PARALLEL_INSTALLS",),
    "contextLength": ("MOORAGE_CONTEXT_LENGTH",),
}
KEYS = {info.alias or name: name for name, info in Preferences.model_fields.items()}


class StoredPreferences(Document):
    values: dict[str, Any]


class PreferencesService:
    """`host.preferences`."""

    def __init__(
        self,
        store: Store,
        events: EventBus,
        environment: Mapping[str, str],
        is_target: Callable[[str], bool] = lambda id: True,
    ) -> None:
        self._documents = store.collection("settings", StoredPreferences)
        self._events = events
        self._is_target = is_target
        self._forced_by = {
            key: name
            for key, names in ENVIRONMENT.items()
            for name in reversed(names)
            if environment.get(name, "").strip()
        }
        self._forced = {key: environment[name].strip() for key, name in self._forced_by.items()}
        self._changed: list[Callable[[Preferences], None]] = []
        self._current = self._read()

    @property
    def current(self) -> Preferences:
        """The settings in force."""
        return self._current

    def view(self) -> PreferencesView:
        stored = self._documents.get("host")
        saved = stored.values if stored else {}
        sources: dict[str, ValueSource] = {
            key: "environment" if key in self._forced else "file" if key in saved else "default" for key in KEYS
        }
        return PreferencesView(**dict(self._current), sources=sources, version=stored.version if stored else 0)

    def save(self, values: Mapping[str, Any], version: int | None = None) -> PreferencesView:
        """Store the whole object. Conflict for a stale version or a value that the environment sets."""
        stored = self._documents.get("host")
        if version is not None and version != (stored.version if stored else 0):
            raise Conflict("The settings were changed in the meantime.", hint="Load them again and repeat the change.")
        given = {key: value for key, value in values.items() if value not in ("",)}
        try:
            checked = Preferences.model_validate(given)
        except ValidationError as error:
            raise InvalidInput("Some settings are not valid.", errors=field_errors(error)) from None
        target = checked.default_target
        if target is not None and target != self._current.default_target and not self._is_target(target):
            wrong = FieldError("defaultTarget", "is not a saved provider that can install models")
            raise InvalidInput("Some settings are not valid.", errors=(wrong,))
        wanted = checked.model_dump(mode="json", by_alias=True)
        now = self._current.model_dump(mode="json", by_alias=True)
        for key, name in self._forced_by.items():
            if key in given and wanted[key] != now[key]:
                raise Conflict(
                    f"{key} is set by the environment ({name}) and cannot be changed here.",
                    hint="Change the environment variable and restart.",
                )
        defaults = Preferences().model_dump(mode="json", by_alias=True)
        plain = {key: value for key, value in wanted.items() if key not in self._forced and value != defaults[key]}
        # What was saved under a value of the environment comes back when that is taken away.
        kept = stored.values if stored else {}
        plain |= {key: kept[key] for key in self._forced if key in kept}
        self._documents.put(StoredPreferences(id="host", version=stored.version if stored else 0, values=plain))
        self._current = self._read()
        for listener in self._changed:
            listener(self._current)
        self._events.publish("settings.saved", "host")
        return self.view()

    def on_change(self, listener: Callable[[Preferences], None]) -> None:
        self._changed.append(listener)

    def _read(self) -> Preferences:
        stored = self._documents.get("host")
        try:
            return Preferences.model_validate({**(stored.values if stored else {}), **self._forced})
        except ValidationError as error:
            named = ((self._forced_by.get(item.field, item.field), item.message) for item in field_errors(error))
            wrong = "; ".join(f"{name} {message}" for name, message in named)
            raise InvalidInput(
                f"The settings cannot be used: {wrong}.", hint="Correct or remove the environment variable."
            ) from None
