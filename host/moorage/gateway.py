"""Agents and saved providers as one list of models, for programs that speak to a model and know nothing of ours.

An agent is `agent/<slug>`, a model of a saved provider `<provider slug>/<model>`. Nothing is stored: the caller brings
the whole conversation each time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from moorage.agents import Agents
from moorage.chat.history import messages_for
from moorage.chat.turn import ChatEvent, Turn
from moorage.clock import Clock
from moorage.errors import FieldError, InvalidInput, Missing, RemoteError, field_errors
from moorage.local import LocalModels
from moorage.models import (
    Agent,
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    Finish,
    GatewayModel,
    Message,
    Provider,
    ReasoningDelta,
    TextDelta,
    Tool,
    Usage,
)
from moorage.plugins import Plugins
from moorage.plugins.streams import PluginStream
from moorage.providers import Providers
from moorage.tools import Tools

AGENT = "agent"
PATIENCE = 3.0  # seconds that a list of models waits for the targets


class Completion(Protocol):
    """A running completion. Always close it."""

    def take(self, timeout: float | None = None) -> list[CompletionEvent] | None:
        """What is ready, waiting up to `timeout` seconds; an empty list after it, None at the end. Raises errors."""
        ...

    def close(self) -> None: ...


class Gateway:
    """`host.gateway`."""

    def __init__(
        self,
        agents: Agents,
        providers: Providers,
        plugins: Plugins,
        local: LocalModels,
        tools: Tools,
        clock: Clock,
        context_length: Callable[[], int],
    ) -> None:
        self._agents = agents
        self._providers = providers
        self._plugins = plugins
        self._local = local
        self._tools = tools
        self._clock = clock
        self._context_length = context_length

    def models(self) -> tuple[GatewayModel, ...]:
        """Every agent, every saved provider's own model, and what is installed on the targets that answer."""
        found = {
            f"{AGENT}/{agent.slug}": GatewayModel(
                id=f"{AGENT}/{agent.slug}", owner=AGENT, description=agent.name, created_at=agent.created_at
            )
            for agent in self._agents.list().items
        }
        installed = {target.target: [model.name for model in target.models] for target in self._local.targets(PATIENCE)}
        for view in self._providers.list().items:
            names = [view.model] if view.model else []
            for name in dict.fromkeys([*names, *installed.get(view.id, ())]):
                id = f"{view.slug}/{name}"
                found[id] = GatewayModel(id=id, owner=view.type, description=view.name, created_at=view.created_at)
        return tuple(found.values())

    def model(self, id: str) -> GatewayModel:
        """One of `models`, or any other model of a saved provider. Missing where there is no such agent or provider."""
        slug, name = _split(id)
        if slug == AGENT:
            agent = self._agent(name)
            return GatewayModel(id=id, owner=AGENT, description=agent.name, created_at=agent.created_at)
        saved = self._providers.with_slug(slug)
        if saved is None:
            raise _no_model(id)
        return GatewayModel(id=id, owner=saved.type, description=saved.name, created_at=saved.created_at)

    def complete(
        self,
        id: str,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        """Start a completion. `tools` are the caller's own: calls of them are handed back, never run here.

        An agent uses its own tools where the caller brings none, except those that a person must allow.
        """
        slug, name = _split(id)
        instructions, own = "", tuple[Tool, ...]()
        if slug == AGENT:
            agent = self._agent(name)
            provider, agent_options = self._agents.resolve(agent)
            given = {**agent_options.model_dump(exclude_unset=True), **(options or {})}
            instructions = agent.instructions
            if not tools:
                own = tuple(tool for tool in self._tools.given(agent.tools) if not tool.needs_approval)
        else:
            provider, given = self._provider(id, slug, name), dict(options or {})
        if not provider.model:
            raise InvalidInput("No model is set.", errors=(FieldError("model", "has no model of its own"),))
        request = CompletionRequest(
            provider=provider,
            model=provider.model,
            messages=(*messages_for(instructions, ()), *messages),
            tools=own or tuple(tools),
            options=self._options(provider.type, given),
            max_tokens=max_tokens,
            context_length=self._context_length(),
        )
        completion: Completion = (
            _AgentLoop(self._plugins, request, self._clock) if own else self._plugins.complete(request)
        )
        if not provider.id:
            return completion
        return _Noticed(completion, lambda: self._providers.mark_used(provider.id))

    # -- inside -------------------------------------------------------------------------------------------------

    def _agent(self, slug: str) -> Agent:
        for agent in self._agents.stored_all():
            if agent.slug == slug:
                return agent
        raise _no_model(f"{AGENT}/{slug}")

    def _provider(self, id: str, slug: str, model: str) -> Provider:
        saved = self._providers.with_slug(slug)
        if saved is None or not model:
            raise _no_model(id)
        return self._providers.resolve(saved.id, model)

    def _options(self, type: str, given: Mapping[str, Any]) -> BaseModel:
        model = self._providers.options_model(type)
        unknown = [name for name in given if name not in model.model_fields]
        if unknown:
            raise InvalidInput(
                f"{unknown[0]} cannot be set for this model.",
                errors=tuple(FieldError(name, "cannot be set for this model") for name in unknown),
            )
        names = {name: model.model_fields[name].alias or name for name in given}
        try:
            return model.model_validate({names[name]: value for name, value in given.items()})
        except ValidationError as error:
            raise InvalidInput("Some options are not valid.", errors=field_errors(error)) from None


class _Noticed:
    """A completion that tells when its answer has come to its end."""

    def __init__(self, completion: Completion, answered: Callable[[], None]) -> None:
        self._completion = completion
        self._answered = answered
        self.close = completion.close

    def take(self, timeout: float | None = None) -> list[CompletionEvent] | None:
        batch = self._completion.take(timeout)
        if any(isinstance(event, Finish) for event in batch or ()):
            self._answered()
        return batch


class _AgentLoop:
    """An agent that runs its own tools, without a conversation: its turn's events as completion events."""

    def __init__(self, plugins: Plugins, request: CompletionRequest, clock: Clock) -> None:
        self._answers: list[Message] = []
        told = request.messages

        def save(message: Message) -> Message:
            self._answers = [message if kept.id == message.id else kept for kept in self._answers]
            return message

        def new_message() -> Message:
            message = Message(id=str(len(self._answers)), role="assistant", created_at=clock())
            self._answers.append(message)
            return message

        def complete() -> PluginStream[CompletionEvent]:
            messages = (*told, *messages_for("", self._answers))
            return plugins.complete(request.model_copy(update={"messages": messages}))

        self._turn = Turn(
            conversation="",
            tools=request.tools,
            complete=complete,
            new_message=new_message,
            save=save,
            ended=lambda state: None,
        )
        self._events = self._run()

    def take(self, timeout: float | None = None) -> list[CompletionEvent] | None:
        """The turn wakes up about every second, whatever `timeout` is."""
        return next(self._events, None)

    def close(self) -> None:
        self._events.close()
        self._turn.close()

    def _run(self) -> Generator[list[CompletionEvent], None, None]:
        tokens = [0, 0]
        for batch in self._turn.run():
            events = [event for item in batch for event in self._translated(item, tokens)]
            if events or not batch:  # what says nothing here, such as the start, must not pass for an answer
                yield events

    def _translated(self, event: ChatEvent, tokens: list[int]) -> Iterator[CompletionEvent]:
        if event.type == "text":
            yield TextDelta(event.data["delta"])
        elif event.type == "reasoning":
            yield ReasoningDelta(event.data["delta"])
        elif event.type == "usage":
            tokens[0] += event.data["inputTokens"] or 0
            tokens[1] += event.data["outputTokens"] or 0
        elif event.type == "error":
            raise self._turn.failure or RemoteError(event.data["detail"], hint=event.data["hint"])
        elif event.type == "end":
            yield Usage(tokens[0], tokens[1])
            yield Finish("stop" if event.data["state"] == "complete" else "length")


def _split(id: str) -> tuple[str, str]:
    slug, _, name = id.partition("/")
    return slug, name


def _no_model(id: str) -> Missing:
    return Missing(f"There is no model {id}.", hint="GET /v1/models lists them.")
