"""How the process itself is set up: environment variables with the prefix MOORAGE_, and the options of the CLI.

What people change at run time is in `preferences.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from moorage.errors import InvalidInput, field_errors

DEFAULT_PORT = 8642
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings(BaseSettings):
    """Read once when the process starts; an argument wins over the environment."""

    model_config = SettingsConfigDict(env_prefix="MOORAGE_", extra="ignore", frozen=True)

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("moorage", appauthor=False)))
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    password: SecretStr | None = None
    password_file: Path | None = None
    secret_key: SecretStr | None = None
    allowed_hosts: str = ""
    safe_mode: bool = False
    disabled_plugins: str = ""
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "INFO"

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def extra_hosts(self) -> tuple[str, ...]:
        """The names under which this server may be called besides those of the loopback interface."""
        return tuple(name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip())

    def access_password(self) -> SecretStr | None:
        """The password that opens the server, or None where it is open to this machine only."""
        if self.password is not None and self.password.get_secret_value():
            return self.password
        if self.password_file is not None:
            try:
                text = self.password_file.read_text().strip()
            except OSError as error:
                raise InvalidInput(
                    f"The password file cannot be read: {error.strerror}.", hint="Check MOORAGE_PASSWORD_FILE."
                ) from None
            return SecretStr(text) if text else None
        return None

    def check_bind(self) -> None:
        """InvalidInput when the server would be open to the network without a password and allowed hosts."""
        if self.is_loopback:
            return
        lacking = []
        if self.access_password() is None:
            lacking.append("a password (MOORAGE_PASSWORD or MOORAGE_PASSWORD_FILE)")
        if not self.extra_hosts:
            lacking.append("the host names it is called by (MOORAGE_ALLOWED_HOSTS)")
        if lacking:
            raise InvalidInput(
                f"Moorage will not listen on {self.host} without {' and '.join(lacking)}.",
                hint="Set them, or leave --host and MOORAGE_HOST out to serve this machine only.",
            )

    @property
    def blocked_plugins(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.disabled_plugins.split(",") if name.strip())


def environment() -> dict[str, str]:
    """The environment of this process, read where a Host is opened and passed on from there."""
    return dict(os.environ)


def load_settings(**given: Any) -> Settings:
    """Settings from the environment, with the arguments that are not None on top; InvalidInput names a wrong one."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"MOORAGE_{item.field.upper()} {item.message}" for item in field_errors(error))
        raise InvalidInput(
            f"The settings cannot be used: {wrong}.", hint="Correct the environment variable or the option."
        ) from None
