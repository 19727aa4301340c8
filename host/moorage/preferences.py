"""The settings that people change at run time: defaults, what was saved, and what the environment decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr, ValidationError

from moorage.errors import Conflict, FieldError, InvalidConfig, InvalidInput, field_errors
from moorage.events import EventBus
from moorage.http import origin, split_proxy
from moorage.models import Document, Preferences, PreferencesView
from moorage.models.settings import ValueSource
from moorage.secrets import SecretStore
from moorage.store import Store

# The names other tools use come last: ours wins where both are set.
ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "proxy": ("MOORAGE_PROXY", "HTTPS_PROXY", "https_proxy"),
    "noProxy": ("MOORAGE_NO_PROXY", "NO_PROXY", "no_proxy"),
    "bandwidthLimit": ("MOORAGE_BANDWIDTH_LIMIT",),
    "timeZone": ("MOORAGE_TIME_ZONE",),
    "defaultTarget": ("MOORAGE_DEFAULT_TARGET",),
    "parallelInstalls": ("MOORAGE_PARALLEL_INSTALLS",),
    "installsPerTarget": ("MOORAGE_INSTALLS_PER_TARGET",),
    "contextLength": ("MOORAGE_CONTEXT_LENGTH",),
}
OWNER = "settings"
MASK = "…"
KEYS = {info.alias or name: name for name, info in Preferences.model_fields.items()}


class StoredPreferences(Document):
    values: dict[str, Any]


class PreferencesService:
    """`host.preferences`."""

    def __init__(
        self,
        store: Store,
        events: EventBus,
        secrets: SecretStore,
        environment: Mapping[str, str],
        is_target: Callable[[str], bool] = lambda id: True,
    ) -> None:
        self._documents = store.collection("settings", StoredPreferences)
        self._events = events
        self._secrets = secrets
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
        values = {**dict(self._current), "proxy": _masked(self._current.proxy)}
        return PreferencesView(**values, sources=sources, version=stored.version if stored else 0)

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
        proxy, userinfo = _split(checked.proxy)
        target = checked.default_target
        if target is not None and target != self._current.default_target and not self._is_target(target):
            wrong = FieldError("defaultTarget", "is not a saved provider that can install models")
            raise InvalidInput("Some settings are not valid.", errors=(wrong,))
        wanted = checked.model_dump(mode="json", by_alias=True)
        now = self._current.model_dump(mode="json", by_alias=True) | {"proxy": _masked(self._current.proxy)}
        for key, name in self._forced_by.items():
            if key in given and wanted[key] != now[key]:
                raise Conflict(
                    f"{key} is set by the environment ({name}) and cannot be changed here.",
                    hint="Change the environment variable and restart.",
                )
        wanted["proxy"] = proxy
        defaults = Preferences().model_dump(mode="json", by_alias=True)
        plain = {key: value for key, value in wanted.items() if key not in self._forced and value != defaults[key]}
        # What was saved under a value of the environment comes back when that is taken away.
        kept = stored.values if stored else {}
        plain |= {key: kept[key] for key in self._forced if key in kept}
        if "proxy" not in self._forced:
            self._keep_login(proxy, userinfo)
        self._documents.put(StoredPreferences(id="host", version=stored.version if stored else 0, values=plain))
        self._current = self._read()
        for listener in self._changed:
            listener(self._current)
        self._events.publish("settings.saved", "host")
        return self.view()

    def _keep_login(self, proxy: str | None, userinfo: str | None) -> None:
        """The proxy's user and password are a secret, bound to the proxy they were given for."""
        if proxy is not None and userinfo == MASK and self._secrets.origins(OWNER, "proxy") == (origin(proxy),):
            return
        self._secrets.delete(OWNER)
        if proxy is not None and userinfo is not None and userinfo != MASK:
            self._secrets.set(OWNER, "proxy", SecretStr(userinfo), (origin(proxy),))

    def on_change(self, listener: Callable[[Preferences], None]) -> None:
        self._changed.append(listener)

    def _read(self) -> Preferences:
        stored = self._documents.get("host")
        values = {**(stored.values if stored else {}), **self._forced}
        try:
            current = Preferences.model_validate(values)
            proxy, userinfo = _split(current.proxy)
        except (ValidationError, InvalidInput) as error:
            errors = field_errors(error) if isinstance(error, ValidationError) else error.errors
            named = ((self._forced_by.get(item.field, item.field), item.message.rstrip(".")) for item in errors)
            wrong = "; ".join(f"{name} {message}" for name, message in named)
            raise InvalidInput(
                f"The settings cannot be used: {wrong}.", hint="Correct or remove the environment variable."
            ) from None
        if proxy is not None and userinfo is None and "proxy" not in self._forced:
            login = self._secrets.get(OWNER, "proxy", (origin(proxy),))
            userinfo = login.get_secret_value() if login is not None else None
        if proxy is None or userinfo is None:
            return current
        for part in (userinfo, unquote(userinfo.partition(":")[2])):
            if part:
                self._secrets.notice(part)
        scheme, _, place = proxy.partition("://")
        return current.model_copy(update={"proxy": f"{scheme}://{userinfo}@{place}"})


def _split(proxy: str | None) -> tuple[str | None, str | None]:
    if proxy is None:
        return None, None
    try:
        return split_proxy(proxy)
    except InvalidConfig as error:
        reason = str(error).removeprefix("This web address ")
        raise InvalidInput(
            "Some settings are not valid.", errors=(FieldError("proxy", reason),), hint=error.hint
        ) from None


def _masked(proxy: str | None) -> str | None:
    """The proxy without its login: `http://…@proxy.example.org:3128`."""
    plain, userinfo = _split(proxy)
    if plain is None or userinfo is None:
        return plain
    scheme, _, place = plain.partition("://")
    return f"{scheme}://{MASK}@{place}"
