"""A plugin's own settings: where the values come from, and how they are shown and changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from moorage.configs import Configs, endpoint_fields, secret_fields
from moorage.errors import Conflict, MoorageError
from moorage.http import origin
from moorage.models import Document, PluginConfigView
from moorage.store import Store

Source = Literal["default", "file", "environment"]


class StoredPluginConfig(Document):
    """The plain values of one plugin's settings; `id` is the plugin's name."""

    values: dict[str, Any]


def environment_values(model: type[BaseModel], environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment sets, by JSON field name (`json_schema_extra={"env": "NAME"}`)."""
    found = {}
    for name, info in model.model_fields.items():
        variable = _variable(info)
        if variable is not None and environment.get(variable, "").strip():
            found[info.alias or name] = environment[variable].strip()
    return found


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment sets and is in force; `notices` say which of its secrets are not used, and why."""

    values: Mapping[str, str]
    notices: tuple[str, ...] = ()


def in_force(model: type[BaseModel], environment: Mapping[str, str], saved: Mapping[str, Any]) -> Environment:
    """What the environment sets beside the `saved` values.

    A secret of the environment was given for the endpoints that the environment or the defaults name. Where a person
    has saved another one, it stays out: it must not be sent there.
    """
    found = environment_values(model, environment)
    secrets = [key for key in secret_fields(model) if key in found]
    moved = {
        key: saved.get(key) or saved.get(name)
        for key, name in endpoint_fields(model).items()
        if key not in found and _is_elsewhere(model, name, saved.get(key) or saved.get(name))
    }
    if not secrets or not moved:
        return Environment(found)
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    places = " and ".join(
        f"{address}, which is saved here as {fields[key].title or key}" for key, address in moved.items()
    )
    names = " and ".join(filter(None, (_variable(fields[key]) for key in moved)))
    way_out = "Enter one that was" + (f", or set the address by {names} too." if names else ".")
    return Environment(
        {key: value for key, value in found.items() if key not in secrets},
        tuple(f"{_variable(fields[key])} is not used: it was not given for {places}. {way_out}" for key in secrets),
    )


def _is_elsewhere(model: type[BaseModel], name: str, saved: Any) -> bool:
    """Whether a saved endpoint is of another origin than the default."""
    if saved in (None, ""):
        return False
    default = model.model_fields[name].default
    try:
        return not isinstance(default, str) or origin(str(saved)) != origin(default)
    except MoorageError:
        return True


def _variable(info: FieldInfo) -> str | None:
    extra = info.json_schema_extra
    variable = extra.get("env") if isinstance(extra, dict) else None
    return variable if isinstance(variable, str) else None


class PluginConfigs:
    """The environment wins over what was saved: an operator's word, see docs/adr."""

    def __init__(self, store: Store, configs: Configs, environment: Mapping[str, str]) -> None:
        self._documents = store.collection("plugin_config", StoredPluginConfig)
        self._configs = configs
        self._environment = environment

    def load(self, name: str, model: type[BaseModel]) -> BaseModel:
        """The settings in force; InvalidInput names what is missing or wrong."""
        stored = self._documents.get(name)
        plain = dict(stored.values) if stored else {}
        forced = in_force(model, self._environment, plain).values
        return self._configs.check(
            model,
            {**plain, **forced},
            owner=self._owner(name),
            prefix="values",
        ).instance

    def view(self, name: str, model: type[BaseModel]) -> PluginConfigView:
        stored = self._documents.get(name)
        plain = dict(stored.values) if stored else {}
        environment = in_force(model, self._environment, plain)
        forced = environment.values
        values: dict[str, Any] = {}
        sources: dict[str, Source] = {}
        secret = secret_fields(model)
        shown = self._configs.shown(model, plain, self._owner(name))
        for field, info in model.model_fields.items():
            key = info.alias or field
            if key in forced:
                sources[key] = "environment"
                values[key] = _mask(forced[key]) if key in secret else forced[key]
            elif key in secret:
                sources[key] = "file" if shown[key]["set"] else "default"
                values[key] = shown[key]
            elif key in plain:
                sources[key], values[key] = "file", plain[key]
            else:
                sources[key], values[key] = "default", info.get_default(call_default_factory=False)
        return PluginConfigView(
            schema_=self._configs.schema(model),
            values=values,
            sources=sources,
            version=stored.version if stored else 0,
            notices=environment.notices,
        )

    def save(self, name: str, model: type[BaseModel], values: Mapping[str, Any], version: int | None) -> None:
        """Check and store; Conflict when `version` is stale or when the environment sets a changed field."""
        stored = self._documents.get(name)
        if version is not None and version != (stored.version if stored else 0):
            raise Conflict(
                "These settings were changed in the meantime.", hint="Load them again and repeat the change."
            )
        forced = in_force(model, self._environment, values).values
        current = self.view(name, model).values
        for key in forced:
            given = values.get(key)
            if given not in (None, "") and not isinstance(given, dict) and given != current[key]:
                raise Conflict(
                    f"{key} is set by the environment and cannot be changed here.",
                    hint="Change the environment variable and restart.",
                )
        wanted = {key: value for key, value in values.items() if key not in forced}
        checked = self._configs.check(model, wanted, owner=self._owner(name), environment=forced, prefix="values")
        defaults = {info.alias or name: info.get_default() for name, info in model.model_fields.items()}
        plain = {key: value for key, value in checked.plain.items() if value is not None and value != defaults.get(key)}
        # What was saved under a value of the environment comes back when that is taken away.
        kept = stored.values if stored else {}
        plain |= {key: kept[key] for key in forced if key in kept}
        document = StoredPluginConfig(id=name, version=stored.version if stored else 0, values=plain)
        self._documents.put(document)
        self._configs.save(self._owner(name), checked)

    @staticmethod
    def _owner(name: str) -> str:
        return f"plugin:{name}"


def _mask(value: str) -> dict[str, Any]:
    text = SecretStr(value).get_secret_value()
    return {"set": True, "hint": f"…{text[-4:]}" if len(text) >= 12 else "…"}
