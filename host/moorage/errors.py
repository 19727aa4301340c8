"""Every error that has a meaning here.

    MoorageError
    ├── RemoteError            what plugins raise about the service they speak to
    │   ├── Unreachable          retried: no answer, 5xx, a stall
    │   ├── RateLimited          retried after `retry_after` seconds
    │   ├── AuthFailed           asks the person: key missing, wrong or without permission
    │   ├── Gated                asks the person: licence or access request, see `url`
    │   ├── CreditsGone          asks the person: the account has nothing left to pay with
    │   ├── NotFound             no such model, file or revision
    │   ├── BadAnswer            the service broke its own protocol
    │   │   └── NotGguf            a file that should be a GGUF file is something else
    │   ├── DiskFull             no room where the model should go
    │   ├── Unsupported          the service or the model cannot do this
    │   └── InvalidConfig        the saved settings cannot work
    │       └── RedirectRefused    the service sent us on to another address, which was not followed
    ├── InvalidInput           a request that names its wrong fields (400, or 422 for a refused plan)
    ├── Missing                no such object here (404)
    ├── Conflict               a stale version, or a state that does not allow it (409)
    ├── Cancelled              the person or the host stopped it
    ├── PluginFailed           a bug, a hang or an open breaker in a plugin (502)
    └── StoreError             the data directory cannot be trusted or written
        └── DataDirLocked        another process holds it

Class attributes say what the host does: `retryable`, `status` (HTTP), `exit_code` (CLI), `part` (which part of a
provider test failed). Messages say what happened; `hint` says what to do next. Neither ever holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ValidationError

_SHOULD = re.compile(r"^(Input|String|Value|List|Tuple|Dictionary|Number|URL) should ")  # how pydantic speaks
Part = Literal["host", "key", "model", "credits", "answer"]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: `field` is its dotted path in the words of the request."""

    field: str
    message: str


def field_errors(error: ValidationError, prefix: str = "") -> tuple[FieldError, ...]:
    """Pydantic's errors with dotted camelCase paths and sentences that do not repeat the input."""
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"] if not str(part).startswith(("function-", "tagged-")))
        message = _SHOULD.sub("must ", item["msg"].removeprefix("Value error, ")).partition(" after validation")[0]
        if item["type"] == "extra_forbidden":
            message = "is not a known field"
        elif item["type"] == "missing":
            message = "is required"
        found.append(FieldError(".".join(filter(None, (prefix, path))), message))
    return tuple(found)


class MoorageError(Exception):
    """Base of all errors with a meaning; `str(error)` is the sentence for the person."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    part: ClassVar[Part] = "answer"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class RemoteError(MoorageError):
    """A service that a plugin speaks to said no, or said nothing."""

    code = "remote-error"
    title = "The service could not do this"
    status = 502
    exit_code = 3


class Unreachable(RemoteError):
    """No answer: no connection, a 5xx, a cut or a stall. The host tries again."""

    code = "unreachable"
    title = "The service does not answer"
    retryable = True
    part = "host"


class RateLimited(RemoteError):
    """Too many requests; `retry_after` is the time to wait in seconds, None where the service does not say."""

    code = "rate-limited"
    title = "The service asks us to wait"
    status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class AuthFailed(RemoteError):
    """The key is missing, wrong, or lacks a permission."""

    code = "auth-failed"
    title = "The key was not accepted"
    part = "key"


class Gated(RemoteError):
    """Access must be asked for, or a licence accepted, at `url`."""

    code = "gated"
    title = "Access must be granted first"
    status = 403
    part = "key"

    def __init__(self, message: str, *, url: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.url = url


class CreditsGone(RemoteError):
    """The account has nothing left to pay with."""

    code = "credits-gone"
    title = "The credits are used up"
    status = 402
    part = "credits"


class NotFound(RemoteError):
    """The service has no such model, file or revision."""

    code = "not-found"
    title = "The service does not have this"
    status = 404
    part = "model"


class BadAnswer(RemoteError):
    """The service broke its own protocol, or sent something that is not what it announced."""

    code = "bad-answer"
    title = "The answer could not be understood"


class NotGguf(BadAnswer):
    """The file is no readable GGUF."""

    code = "not-a-gguf"
    title = "The file is not a model"
    status = 422
    part = "model"


class DiskFull(RemoteError):
    """There is no room where the model should go."""

    code = "disk-full"
    title = "There is not enough room"
    status = 507


class Unsupported(RemoteError):
    """The service or the model cannot do this, and trying again would not help."""

    code = "unsupported"
    title = "This is not supported"
    status = 422
    part = "model"


class InvalidConfig(RemoteError):
    """The saved settings cannot work, such as an address that may not be reached."""

    code = "invalid-config"
    title = "The settings cannot work"
    status = 422
    part = "host"


class RedirectRefused(InvalidConfig):
    """The service sent us on to another origin, `location`, which was not followed; `headers` are of its answer."""

    def __init__(self, message: str, *, location: str, headers: Mapping[str, str], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.location = location
        self.headers = headers


class InvalidInput(MoorageError):
    """A request that cannot be taken; nothing was changed.

    Source: RFC 9457 leaves the member for field errors open; API.md calls it `errors`.
    """

    code = "invalid-input"
    title = "The request is not valid"
    status = 400
    exit_code = 2

    def __init__(
        self, message: str, *, errors: tuple[FieldError, ...] = (), hint: str | None = None, refused: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.errors = errors
        # 400: the request itself is wrong; 422: it is well formed, but what it asks for cannot be done.
        self.http_status = 422 if refused else 400


class Missing(MoorageError):
    code = "missing"
    title = "Not found"
    status = 404
    exit_code = 4


class Conflict(MoorageError):
    code = "conflict"
    title = "It has changed in the meantime"
    status = 409
    exit_code = 5


class Cancelled(MoorageError):
    """The person or the host stopped the call."""

    code = "cancelled"
    title = "Stopped"
    status = 409


class PluginFailed(MoorageError):
    """A plugin raised what it should not, missed its deadline, or is held off after repeated failures."""

    code = "plugin-failed"
    title = "A plugin failed"
    status = 502
    exit_code = 3

    def __init__(self, plugin: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.plugin = plugin


class StoreError(MoorageError):
    code = "store-error"
    title = "The data directory needs attention"
    exit_code = 6


class DataDirLocked(StoreError):
    code = "data-dir-locked"
    title = "The data directory is in use"
    exit_code = 7
