"""Configs with secrets: checked by the plugin's own model, stored apart, and shown without the secrets.

Used for saved providers, for an agent's inline model and for a plugin's own settings. The rules:

- plain values are stored as given (camelCase), defaults stay the model's;
- a secret is kept when left out, removed when null, replaced by text;
- a secret belongs to the origins of the config's endpoints (fields named or ending in `endpoint`): when those change
  and the secret is not given anew, it is dropped.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin
from weakref import WeakKeyDictionary

from pydantic import BaseModel, SecretStr, ValidationError

from moorage.errors import FieldError, InvalidInput, MoorageError, field_errors
from moorage.http import check_url, origin
from moorage.secrets import SecretStore


def secret_fields(model: type[BaseModel]) -> dict[str, str]:
    """The secret fields of a model: JSON name to Python name."""
    return {
        info.alias or name: name for name, info in model.model_fields.items() if _mentions(info.annotation, SecretStr)
    }


def secret_values(config: BaseModel | None) -> set[str]:
    """The secrets that a config holds, wherever they came from."""
    held = [getattr(config, name) for name in type(config).model_fields] if config is not None else []
    return {value.get_secret_value() for value in held if isinstance(value, SecretStr)} - {""}


def _mentions(annotation: Any, wanted: type) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_mentions(part, wanted) for part in get_args(annotation))
    return annotation is wanted


def _is_mask(value: Any) -> bool:
    """A secret as `shown` has it, sent back unchanged."""
    return isinstance(value, dict) and isinstance(value.get("set"), bool) and set(value) <= {"set", "hint"}


def endpoint_fields(model: type[BaseModel]) -> dict[str, str]:
    return {info.alias or name: name for name, info in model.model_fields.items() if name.endswith("endpoint")}


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """A config that its model accepts: `instance` with secrets in it, `plain` for the store, and what to do to the
    secrets: `new` to set, `dropped` names to delete."""

    instance: BaseModel
    plain: dict[str, Any]
    new: dict[str, SecretStr]
    dropped: tuple[str, ...]
    origins: tuple[str, ...]


class Configs:
    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets
        self._schemas: WeakKeyDictionary[type[BaseModel], dict[str, Any]] = WeakKeyDictionary()

    def schema(self, model: type[BaseModel]) -> dict[str, Any]:
        """The JSON schema of a config, made once for each model: pages show those of every provider type."""
        if model not in self._schemas:
            self._schemas[model] = model.model_json_schema()
        return self._schemas[model]

    def check(
        self,
        model: type[BaseModel],
        values: Mapping[str, Any],
        *,
        owner: str | None = None,
        default_endpoint: str | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: str = "config",
    ) -> CheckedConfig:
        """Check `values` (as a person sent them), together with the secrets that `owner` has already.

        Raises InvalidInput with every wrong field; changes nothing.
        """
        secret = secret_fields(model)
        plain = {key: value for key, value in values.items() if key not in secret}
        errors = [
            FieldError(f"{prefix}.{key}", "must be text")
            for key in secret
            if not isinstance(values.get(key), str | None) and not _is_mask(values[key])
        ]
        new = {key: SecretStr(values[key].strip()) for key in secret if isinstance(values.get(key), str)}
        new = {key: value for key, value in new.items() if value.get_secret_value()}
        for value in new.values():
            self._secrets.notice(value.get_secret_value())  # tried now, saved perhaps never: still not to be shown
        removed = [key for key in secret if key in values and values[key] in (None, "")]
        errors += _endpoint_errors(model, plain, prefix)
        if errors:
            raise InvalidInput("Some fields are not valid.", errors=tuple(errors))
        origins = self._origins(model, {**plain, **(environment or {})}, default_endpoint)
        kept: dict[str, SecretStr] = {}
        if owner is not None:
            for key in secret:
                if key not in new and key not in removed:
                    held = self._secrets.get(owner, key, origins)
                    if held is not None:
                        kept[key] = held
                    elif self._given_elsewhere(owner, key, self._origins(model, plain, default_endpoint)):
                        removed.append(key)
        merged = {**(environment or {}), **plain, **kept, **new}
        try:
            instance = model.model_validate(merged)
        except ValidationError as error:
            raise InvalidInput("Some fields are not valid.", errors=field_errors(error, prefix)) from None
        return CheckedConfig(instance, plain, new, tuple(removed), origins)

    def save(self, owner: str, checked: CheckedConfig) -> None:
        """Write the secrets of a checked config."""
        for key in checked.dropped:
            self._secrets.delete(owner, key)
        for key, value in checked.new.items():
            self._secrets.set(owner, key, value, checked.origins)

    def shown(self, model: type[BaseModel], plain: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """The config as people may see it: a secret is `{"set": true, "hint": "…abcd"}` or `{"set": false}`."""
        described = self._secrets.describe(owner)
        masks = {key: described.get(key, {"set": False, "hint": None}) for key in secret_fields(model)}
        return {**plain, **masks}

    def forget(self, owner: str) -> None:
        self._secrets.delete(owner)

    def _given_elsewhere(self, owner: str, key: str, origins: tuple[str, ...]) -> bool:
        """Whether a saved secret is for other origins than the config names.

        One that fits what is saved is only out of use while the environment names other endpoints.
        """
        given = self._secrets.origins(owner, key)
        return bool(given) and sorted(given) != sorted(origins)

    def _origins(
        self, model: type[BaseModel], plain: Mapping[str, Any], default_endpoint: str | None
    ) -> tuple[str, ...]:
        found = []
        for key, name in sorted(endpoint_fields(model).items()):
            value = plain.get(key) or plain.get(name) or model.model_fields[name].default or default_endpoint
            if isinstance(value, str):
                found.append(origin(value))
        if not found and default_endpoint:
            found.append(origin(default_endpoint))
        return tuple(found)


def _endpoint_errors(model: type[BaseModel], plain: Mapping[str, Any], prefix: str) -> Sequence[FieldError]:
    errors = []
    for key in endpoint_fields(model):
        value = plain.get(key)
        if value in (None, ""):
            continue
        try:
            if not isinstance(value, str):
                raise InvalidInput("must be a web address such as http://127.0.0.1:11434")
            check_url(value, "provider")
        except MoorageError as error:
            errors.append(FieldError(f"{prefix}.{key}", str(error)))
    return errors
