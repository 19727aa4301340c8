"""Agents: a name, instructions, a model by reference or inline, options and tools."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from moorage.clock import Clock, NewId
from moorage.configs import CheckedConfig, Configs
from moorage.errors import Conflict, FieldError, InvalidInput, Missing, MoorageError, field_errors
from moorage.events import EventBus
from moorage.models import Agent, AgentLLM, Page, Provider
from moorage.plugins import Plugins
from moorage.providers import Providers
from moorage.slugs import slugify
from moorage.store import Store
from moorage.tools import Tools


class Agents:
    """`host.agents`."""

    def __init__(
        self,
        store: Store,
        configs: Configs,
        plugins: Plugins,
        providers: Providers,
        tools: Tools,
        events: EventBus,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._documents = store.collection("agents", Agent)
        self._configs = configs
        self._plugins = plugins
        self._providers = providers
        self._tools = tools
        self._events = events
        self._clock = clock
        self._new_id = new_id
        self._lock = threading.RLock()

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Agent]:
        page = self._documents.query(limit=limit, cursor=cursor)
        return Page(items=tuple(self._shown(agent) for agent in page.items), next=page.next)

    def get(self, id: str) -> Agent:
        """The agent as people see it: secrets of an inline config are masked."""
        return self._shown(self._agent(id))

    def create(self, values: Mapping[str, Any]) -> Agent:
        """Check and save a new agent from `name`, `instructions`, `llm`, `options` and `tools`."""
        now = self._clock()
        with self._lock:
            id = self._new_id("agent")
            agent, config = self._checked({**values, "id": id, "createdAt": now, "updatedAt": now})
            agent = agent.model_copy(update={"slug": slugify(agent.name, self._slugs(), "agent")})
            if config is not None:
                self._configs.save(_owner_of(id), config)
            agent = self._documents.put(agent)
        self._events.publish("agent.saved", id, name=agent.name)
        return self._shown(agent)

    def update(self, id: str, values: Mapping[str, Any], version: int) -> Agent:
        """Replace everything a person may change; Conflict for a stale version."""
        with self._lock:
            old = self._agent(id)
            if version != old.version:
                raise Conflict("This agent was changed in the meantime.", hint="Load it again and repeat the change.")
            fixed = {"id": id, "slug": old.slug, "createdAt": old.created_at, "updatedAt": self._clock()}
            agent, config = self._checked({**values, **fixed, "version": old.version})
            agent = self._documents.put(agent)
            if config is None:
                self._configs.forget(_owner_of(id))
            else:
                self._configs.save(_owner_of(id), config)
        self._events.publish("agent.saved", id, name=agent.name)
        return self._shown(agent)

    def set_llm(self, id: str, llm: Mapping[str, Any]) -> Agent:
        """Replace the `llm` part alone; options that the new type does not know are dropped."""
        with self._lock:
            old = self._agent(id)
            values = old.model_dump(mode="json", by_alias=True, include={"name", "instructions", "options", "tools"})
            try:
                type = self._type(AgentLLM.model_validate(llm))
                known = {info.alias or name for name, info in self._providers.options_model(type).model_fields.items()}
                values["options"] = {key: value for key, value in old.options.items() if key in known}
            except (ValidationError, MoorageError):
                pass  # update names what is wrong with it
            return self.update(id, {**values, "llm": dict(llm)}, old.version)

    def delete(self, id: str) -> None:
        with self._lock:
            agent = self._agent(id)
            self._documents.delete(id)
            self._configs.forget(_owner_of(id))
        self._events.publish("agent.removed", id, name=agent.name)

    def stored(self, id: str) -> Agent:
        return self._agent(id)

    def stored_all(self) -> Sequence[Agent]:
        return self._documents.list()

    def resolve(self, agent: Agent) -> tuple[Provider, BaseModel]:
        """The provider that answers for an agent, with its secrets, and the agent's options as the type's model."""
        llm = agent.llm
        if llm.provider is not None:
            provider = self._providers.resolve(llm.provider, llm.model)
        else:
            config = self._inline_config(llm)
            provider = self._providers.inline(llm.type or "", config, owner=_owner_of(agent.id))
            provider = provider.model_copy(update={"model": llm.model or provider.model})
        options = self._providers.options_model(provider.type).model_validate(agent.options)
        return provider, options

    def using(self, provider: str) -> tuple[Agent, ...]:
        """The agents that point to a saved provider."""
        return tuple(agent for agent in self._documents.list() if agent.llm.provider == provider)

    # -- inside -------------------------------------------------------------------------------------------------

    def _checked(self, values: Mapping[str, Any]) -> tuple[Agent, CheckedConfig | None]:
        try:
            agent = Agent.model_validate(values)
        except ValidationError as error:
            raise InvalidInput("Some fields are not valid.", errors=field_errors(error)) from None
        errors: builtins.list[FieldError] = []
        if not agent.name.strip():
            errors.append(FieldError("name", "is required"))
        unknown = [name for name in agent.tools if name not in self._tools.known()]
        if unknown:
            errors.append(FieldError("tools", f"there is no tool named {', '.join(unknown)}"))
        config = self._check_llm(agent, errors)
        if errors:
            raise InvalidInput("Some fields are not valid.", errors=tuple(errors))
        return agent.model_copy(update={"name": agent.name.strip(), "tools": tuple(dict.fromkeys(agent.tools))}), config

    def _check_llm(self, agent: Agent, errors: builtins.list[FieldError]) -> CheckedConfig | None:
        """Check model reference and options; the checked inline config, None for a saved provider."""
        llm, config = agent.llm, None
        try:
            if llm.provider is not None:
                view = self._providers.get(llm.provider)
                if not (llm.model or view.model):
                    errors.append(FieldError("llm.model", "is required: this provider has no model of its own"))
            else:
                spec = self._spec(llm.type or "")
                config = self._configs.check(
                    spec.config,
                    self._inline_config(llm),
                    owner=_owner_of(agent.id),
                    default_endpoint=spec.default_endpoint,
                    prefix="llm.config",
                )
                if not (llm.model or getattr(config.instance, "model", None)):
                    errors.append(FieldError("llm.model", "is required"))
            self._providers.options_model(self._type(llm)).model_validate(agent.options)
        except Missing:
            errors.append(FieldError("llm.provider", "is not a saved provider"))
        except InvalidInput as error:
            errors.extend(FieldError(_llm_field(item.field), item.message) for item in error.errors)
        except ValidationError as error:
            errors.extend(field_errors(error, "options"))
        except MoorageError as error:
            errors.append(FieldError("llm", str(error)))
        if config is not None:
            # What is stored are the plain values only; `model` stands beside the config.
            agent.llm.config.clear()
            agent.llm.config.update({key: value for key, value in config.plain.items() if key != "model"})
        return config

    def _inline_config(self, llm: AgentLLM) -> dict[str, Any]:
        takes_model = "model" in self._spec(llm.type or "").config.model_fields
        return {**llm.config, "model": llm.model} if takes_model and llm.model else dict(llm.config)

    def _type(self, llm: AgentLLM) -> str:
        return llm.type if llm.type is not None else self._providers.get(llm.provider or "").type

    def _spec(self, type: str) -> Any:
        specs = self._plugins.specs()
        if type not in specs:
            known = ", ".join(sorted(specs))
            raise InvalidInput(
                f"No plugin offers the provider type {type} now.",
                errors=(FieldError("llm.type", f"must be one of {known}"),),
                hint="See the Plugins page for the reason.",
            )
        return specs[type][1]

    def _agent(self, id: str) -> Agent:
        agent = self._documents.get(id)
        if agent is None:
            raise Missing(f"There is no agent {id}.", hint="It may have been removed.")
        return agent

    def _slugs(self) -> set[str]:
        return {agent.slug for agent in self._documents.list()}

    def _shown(self, agent: Agent) -> Agent:
        if agent.llm.type is None or agent.llm.type not in self._plugins.specs():
            return agent
        config = self._configs.shown(self._spec(agent.llm.type).config, agent.llm.config, _owner_of(agent.id))
        return agent.model_copy(update={"llm": agent.llm.model_copy(update={"config": config})})


def _owner_of(id: str) -> str:
    return f"agent:{id}"


def _llm_field(field: str) -> str:
    return "llm.model" if field == "llm.config.model" else field
