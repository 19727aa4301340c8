"""From a model to fields, and from what was typed back to a config that the model accepts."""

from __future__ import annotations

from datetime import time
from typing import Any, Literal

import pytest
from pydantic import Field, HttpUrl, SecretStr
from werkzeug.datastructures import MultiDict

from moorage.errors import FieldError
from moorage.models import Preferences
from moorage.models.base import Model
from moorage_web import forms
from tests.web.samples import SampleConfig

SCHEMA = SampleConfig.model_json_schema(by_alias=True)


def by_key(found: list[forms.Field]) -> dict[str, forms.Field]:
    return {item.key: item for item in found}


def typed(**values: Any) -> MultiDict[str, str]:
    return MultiDict({f"config.{key}": value for key, value in values.items()})


def test_every_kind_of_field() -> None:
    found = by_key(forms.fields(SCHEMA, search_source="huggingface"))
    assert {key: item.kind for key, item in found.items()} == {
        "model": "model",
        "apiKey": "secret",
        "routing": "select",
        "endpoint": "text",
        "temperature": "number",
        "stream": "checkbox",
        "stop": "lines",
        "days": "choices",
    }
    assert found["model"].required
    assert found["model"].search == "huggingface"
    assert found["apiKey"].label == "API key"
    assert found["apiKey"].name == "config.apiKey"
    assert found["apiKey"].id == "config-apiKey"
    assert [item.value for item in found["routing"].options] == ["", "fastest", "cheapest"]
    assert (found["temperature"].minimum, found["temperature"].maximum) == (0, 2)
    assert found["temperature"].placeholder == "0.7"
    assert found["stream"].value is True
    assert [item.key for item in found.values() if item.advanced] == ["endpoint", "stop"]


def test_a_saved_secret_is_never_in_the_page() -> None:
    found = by_key(forms.fields(SCHEMA, {"apiKey": {"set": True, "hint": "…abcd"}}))
    assert found["apiKey"].secret == forms.Secret(True, "…abcd")
    assert found["apiKey"].value == ""
    again = by_key(forms.fields(SCHEMA, {}, submitted=typed(apiKey="sk-typed")))
    assert again["apiKey"].value == ""


def test_parsed_values_have_their_types_and_validate() -> None:
    form = typed(model=" a/b ", temperature="0.2", stop="one\r\n\r\n two \n", routing="fastest", stream="on")
    form.setlist("config.days", ["mon", "wed"])
    config = forms.parse(SCHEMA, form)
    assert config == {
        "model": "a/b",
        "routing": "fastest",
        "temperature": 0.2,
        "stream": True,
        "stop": ["one", "two"],
        "days": ["mon", "wed"],
    }
    assert SampleConfig.model_validate(config).temperature == 0.2


def test_empty_fields_are_left_out_and_an_empty_checkbox_is_false() -> None:
    assert forms.parse(SCHEMA, typed(model="", apiKey="", temperature=" ")) == {"stream": False, "days": []}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"apiKey": ""}, "absent"),
        ({"apiKey": "", "apiKey.clear": "on"}, None),
        ({"apiKey": "new", "apiKey.clear": "on"}, "new"),
    ],
)
def test_a_secret_is_kept_cleared_or_replaced(form: dict[str, str], expected: str | None) -> None:
    assert forms.parse(SCHEMA, typed(**form)).get("apiKey", "absent") == expected


def test_what_was_typed_is_still_there_with_its_error() -> None:
    form = typed(model="", temperature="warm", stop="a\nb")
    errors = [
        FieldError("config.temperature", "Input should be a valid number"),
        FieldError("config.stop.1", "is too long"),
        FieldError("config.model", "is required"),
        FieldError("name", "is required"),
    ]
    found = forms.fields(SCHEMA, {"temperature": 0.7, "stream": True}, submitted=form, errors=errors)
    named = by_key(found)
    assert forms.parse(SCHEMA, form)["temperature"] == "warm"
    assert named["temperature"].value == "warm"
    assert named["temperature"].error == "Input should be a valid number."
    assert named["stop"].value == "a\nb"
    assert named["stop"].error == "Is too long."
    assert named["stream"].value is False
    assert [item.field for item in forms.unplaced(found, errors)] == ["name"]


def test_values_of_the_environment_are_locked_and_not_sent() -> None:
    class Settings(Model):
        token: SecretStr | None = Field(default=None, json_schema_extra={"env": "HF_TOKEN"})
        verbose: bool = False

    schema = Settings.model_json_schema(by_alias=True)
    found = by_key(forms.fields(schema, {}, sources={"token": "environment", "verbose": "environment"}))
    assert found["token"].locked == "Set by the environment variable HF_TOKEN. Change it there and restart."
    assert forms.parse(schema, typed(token="x"), locked=("token", "verbose")) == {}


def test_objects_inside_are_groups_and_come_back_nested() -> None:
    schema = Preferences.model_json_schema(by_alias=True)
    found = by_key(forms.fields(schema, {"quietHours": {"from": "22:00", "to": "06:00"}}, prefix=""))
    assert found["quietHours.from"].value == "22:00"
    assert found["quietHours.from"].group == "Quiet hours"
    form = MultiDict({"quietHours.from": "23:00", "quietHours.to": "05:00", "parallelInstalls": "2", "timeZone": "UTC"})
    config = forms.parse(schema, form, prefix="")
    assert config["quietHours"] == {"from": "23:00", "to": "05:00"}
    assert Preferences.model_validate(config).parallel_installs == 2
    assert "quietHours" not in forms.parse(schema, MultiDict({"timeZone": "UTC"}), prefix="")


class Odd(Model):
    """Shapes that a stranger's plugin may bring."""

    ports: list[int] = Field(default_factory=list)
    headers: dict[str, str] = Field(default_factory=dict)
    size: int | str = "big"
    level: Literal[1, 2] = 1
    fast: bool | None = None
    at: time | None = None
    page: HttpUrl | None = None
    notes: str = Field(default="", json_schema_extra={"multiline": True})
    inner: Odd | None = None


def test_odd_shapes_go_round() -> None:
    schema = Odd.model_json_schema(by_alias=True)
    properties = {"properties": schema["$defs"]["Odd"]["properties"], "$defs": schema["$defs"]}
    kinds = {item.key: item.kind for item in forms.fields(properties) if "." not in item.key}
    assert kinds == {
        "ports": "lines",
        "headers": "json",
        "size": "text",
        "level": "select",
        "fast": "select",
        "at": "text",
        "page": "url",
        "notes": "textarea",
    }
    form = typed(
        ports="80\n443", headers='{"a": "b"}', size="7", level="2", fast="false", notes=" a\r\nb", page="https://a.b"
    )
    config = forms.parse(properties, form)
    assert config == {
        "ports": [80, 443],
        "headers": {"a": "b"},
        "size": "7",
        "level": 2,
        "fast": False,
        "notes": " a\nb",
        "page": "https://a.b",
    }
    assert forms.parse(properties, typed(headers="{no", ports="x"))["headers"] == "{no"


def test_a_form_goes_round_unchanged() -> None:
    saved = {
        "model": "a/b",
        "temperature": 1.5,
        "stream": False,
        "stop": ["x", "y"],
        "routing": "cheapest",
        "days": ["tue"],
    }
    form: MultiDict[str, str] = MultiDict()
    for item in forms.fields(SCHEMA, saved):
        if isinstance(item.value, tuple):
            form.setlist(item.name, list(item.value))
        elif isinstance(item.value, str):
            form[item.name] = item.value
        elif item.value:
            form[item.name] = "on"
    assert forms.parse(SCHEMA, form) == saved
