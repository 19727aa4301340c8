"""`when` of an install in a request of the API."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from moorage.errors import FieldError, InvalidInput, field_errors
from moorage.models import When, WhenUpdated, WhenWindow

_WHEN: TypeAdapter[When] = TypeAdapter(When)


def _when(value: Any) -> When:
    """One error instead of one for each kind of time there is; a wrong window says what is wrong with it."""
    try:
        if isinstance(value, dict):
            kind = WhenUpdated if "onUpdate" in value else WhenWindow
            return kind.model_validate_json(orjson.dumps(value), strict=True)
        return _WHEN.validate_json(orjson.dumps(value), strict=True)
    except ValidationError as error:
        errors = field_errors(error, "when") if isinstance(value, dict) else ()
        text = "must be now, a time such as 2026-05-21T01:00:00Z, a window, or onUpdate"
        raise InvalidInput("This is not a time to install at.", errors=errors or (FieldError("when", text),)) from None


WhenField = Annotated[When, BeforeValidator(_when)]
