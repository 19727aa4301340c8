"""Posts a webhook when an install has ended or waits for a person, or when a newer revision was found."""

from typing import Any

from pydantic import Field, SecretStr, field_validator

from moorage import BadAnswer, Config, Event, MoorageError, PluginContext, hookimpl

SECONDS = 5.0  # a webhook that takes longer is given up
KEPT = 1000  # models of installs that are remembered
LONGEST = 500
ASKS_THE_PERSON = ("sign-in", "disk")  # an install that waits for the network goes on by itself
# Texts of strangers reach the chat: none of them may make a link there, or call everybody.
HARMLESS = str.maketrans({"<": "(", ">": ")", "@": "(at)"})


class NotifyConfig(Config):
    """The plugin's own settings.

    Whoever knows a webhook can post to it, so all of it is a secret: encrypted, and never shown again. It is not bound
    to an endpoint field, because the place that it goes to is a part of it.
    """

    webhook: SecretStr = Field(
        title="Webhook",
        description="The address that your chat service gave you for incoming messages",
        json_schema_extra={"env": "MOORAGE_NOTIFY_WEBHOOK"},
    )
    installed: bool = Field(default=True, title="Tell of a model that was installed")
    failed: bool = Field(default=True, title="Tell of an install that failed")
    waiting: bool = Field(default=True, title="Tell of an install that waits for a sign-in, or for room on the disk")
    updated: bool = Field(default=True, title="Tell of a newer revision of an installed model")

    @field_validator("webhook")
    @classmethod
    def is_an_address(cls, webhook: SecretStr) -> SecretStr:
        if not webhook.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("must be a web address that begins with https:// or http://")
        return webhook


class NotifyPlugin:
    TITLE = "Notify"

    def __init__(self) -> None:
        self._models: dict[str, str] = {}  # by install: one that fails or waits does not say which model it is

    @hookimpl
    def register_config(self) -> type[Config]:
        return NotifyConfig

    @hookimpl
    def on_event(self, event: Event, context: PluginContext) -> None:
        facts = {name: clean(value) for name, value in event.data.items() if isinstance(value, str)}
        if event.type == "install.started" and "model" in facts:
            self._remember(event.about, facts["model"])
        facts.setdefault("model", self._models.get(event.about, ""))
        text = sentence(event.type, facts)
        if text is None or not getattr(context.config, event.type.removeprefix("install.")):
            return
        fixed = {"text": text, "event": event.type, "install": clean(event.about), "at": event.at.isoformat()}
        post({**facts, **fixed}, context)

    def _remember(self, install: str, model: str) -> None:
        self._models[install] = model
        if len(self._models) > KEPT:
            del self._models[next(iter(self._models))]


def sentence(kind: str, facts: dict[str, str]) -> str | None:
    """What is said about an event; None about one that is nobody's concern."""
    model = facts["model"] or "A model"
    message = facts.get("message", "no reason was given.")
    if kind == "install.installed":
        said = f"{model} was installed."
    elif kind == "install.failed":
        said = f"{model} could not be installed: {message}"
    elif kind == "install.waiting" and facts.get("reason") in ASKS_THE_PERSON:
        said = f"{model} waits for you ({facts['reason']}): {message}"
    elif kind == "install.updated":
        said = f"A newer revision of {model} was found."
        if facts.get("rule") == "install":
            said += " It will be installed."
    else:
        return None
    return " ".join(said.split()).translate(HARMLESS)


def post(body: dict[str, Any], context: PluginContext) -> None:
    """Send it, once: a message that may have arrived is not sent again. What goes wrong is shown with the plugin."""
    try:
        webhook = context.config.webhook.get_secret_value()
        status = context.http.request("POST", webhook, json=body, timeout=SECONDS).status
        if not 200 <= status < 300:
            raise BadAnswer(f"The webhook answered {status}.")
    except MoorageError as error:
        context.log.warning("%s of %s was not told: %s", body["event"], body["install"], error)
        raise
    context.log.info("%s of %s was told", body["event"], body["install"])


def clean(text: str) -> str:
    """Of a sensible length, and without the halves of characters that no JSON can carry."""
    return text[:LONGEST].encode("utf-8", "replace").decode()
