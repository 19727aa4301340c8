"""Agents, and talking to them."""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import Field

from moorage.models import Agent, AgentLLM, Model
from moorage_web.arguments import Body, Line, Name, Paging, check_unchanged
from moorage_web.current import host
from moorage_web.operations import MEGABYTE, Answer, Routes
from moorage_web.streams import EVENT_STREAM, chat_response

api = Routes("agents")
CHAT_LIMIT = 8 * MEGABYTE


class AgentList(Model):
    agents: tuple[Agent, ...]
    next: str | None


class NewAgent(Body):
    name: Name
    instructions: str = ""
    llm: AgentLLM
    options: dict[str, Any] = Field(default_factory=dict)
    tools: tuple[Line, ...] = ()


class AgentChange(Body):
    """The whole agent as GET gave it; `id`, `slug` and times stay as they are, `version` must be the newest."""

    name: Name
    instructions: str
    llm: AgentLLM
    options: dict[str, Any]
    tools: tuple[Line, ...]
    version: int
    id: str = ""
    slug: str = ""
    created_at: str = ""
    updated_at: str = ""


class Say(Body):
    """`conversation` goes on with one; without it a new one begins."""

    message: str
    conversation: Line | None = None


@api.get("/api/agents", query=Paging, answer=AgentList)
def list_agents(query: Paging) -> AgentList:
    """All agents, oldest first."""
    page = host().agents.list(limit=query.limit, cursor=query.cursor)
    return AgentList(agents=page.items, next=page.next)


@api.post("/api/agents", body=NewAgent, answer=Agent, status=201)
def create_agent(body: NewAgent) -> Answer:
    """Save an agent; its llm names a saved provider, or a type with a model."""
    agent = host().agents.create(_values(body))
    return Answer(agent, 201, {"Location": f"/api/agents/{agent.id}"})


@api.get("/api/agents/<id:agent_id>", answer=Agent)
def get_agent(agent_id: str) -> Agent:
    """One agent; secrets of an inline config are masked."""
    return host().agents.get(agent_id)


@api.put("/api/agents/<id:agent_id>", body=AgentChange, answer=Agent)
def update_agent(agent_id: str, body: AgentChange) -> Agent:
    """Replace an agent."""
    current = host().agents.get(agent_id)
    if body.version == current.version:
        sent = body.model_dump(by_alias=True, exclude_unset=True, include={"id", "slug", "created_at", "updated_at"})
        check_unchanged(sent, current.model_dump(mode="json", by_alias=True))
    return host().agents.update(agent_id, _values(body), body.version)


@api.put("/api/agents/<id:agent_id>/llm", body=AgentLLM, answer=AgentLLM)
def update_llm(agent_id: str, body: AgentLLM) -> AgentLLM:
    """Replace the llm part alone; options that the new type does not know are dropped."""
    return host().agents.set_llm(agent_id, body.model_dump(by_alias=True)).llm


@api.delete("/api/agents/<id:agent_id>")
def delete_agent(agent_id: str) -> None:
    """Forget an agent; its conversations stay."""
    host().agents.delete(agent_id)


@api.post("/api/agents/<id:agent_id>/chat", body=Say, body_limit=CHAT_LIMIT, media=EVENT_STREAM)
def chat(agent_id: str, body: Say) -> Response:
    """Say something. Events: start, text, reasoning, tool-call, tool-result, usage, error, and one end, always last."""
    return chat_response(host().chat.send(agent_id, body.message, body.conversation))


def _values(body: NewAgent | AgentChange) -> dict[str, Any]:
    return body.model_dump(by_alias=True, include={"name", "instructions", "llm", "options", "tools"})
