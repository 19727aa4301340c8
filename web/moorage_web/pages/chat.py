"""Chat: conversations and the composer. A script streams; without one the page comes again until it is answered."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import MoorageError
from moorage.models import Agent, Conversation
from moorage_web.current import host
from moorage_web.pages import fragment
from moorage_web.pages.agents import model_label

pages = Blueprint("chat", __name__)


@pages.get("/chat")
def chat() -> ResponseReturnValue:
    agents = host().agents.list(limit=200).items
    latest = host().chat.list(limit=1).items
    chosen = next((agent for agent in agents if latest and agent.id == latest[0].agent), None)
    return _page(chosen or (agents[0] if agents else None), None)


@pages.get("/chat/new")
def new() -> ResponseReturnValue:
    if request.args.get("agent"):
        return _page(host().agents.get(request.args["agent"]), None)
    provider, model = request.args.get("provider", ""), request.args.get("model", "")
    agent = _agent_on(provider, model)
    if agent is not None:
        return _page(agent, None)
    found = host().providers.get(provider)
    return render_template("pages/chat_new.html", active="chat", provider=found, model=model)


@pages.post("/chat/new")
def start() -> ResponseReturnValue:
    """Make an agent for a model that has none, and talk to it."""
    provider, model = request.form.get("provider", ""), request.form.get("model", "")
    agent = _agent_on(provider, model)
    if agent is None:
        name = model.rpartition("/")[2].partition(":")[0] or host().providers.get(provider).name
        agent = host().agents.create({"name": name[:120], "llm": {"provider": provider, "model": model}, "tools": []})
    return redirect(f"/chat/new?agent={agent.id}", 303)


@pages.get("/chat/<id>")
def conversation(id: str) -> ResponseReturnValue:
    found = host().chat.get(id)
    agent = _agent_of(found)
    if fragment() == "message":
        ids = [item.id for item in found.messages]
        wanted = request.args.get("id", "")
        messages = found.messages[ids.index(wanted) :] if wanted in ids else ()
        name = agent.name if agent else "Agent"
        return render_template("fragments/message.html", messages=messages, agent_name=name, conversation=found)
    return _page(agent, found)


@pages.post("/chat/<agent>")
def send(agent: str) -> ResponseReturnValue:
    try:
        turn = host().chat.send(agent, request.form.get("message", ""), request.form.get("conversation") or None)
    except MoorageError as error:
        found = request.form.get("conversation")
        return _page(host().agents.get(agent), host().chat.get(found) if found else None, error), error.status
    turn.detach()
    return redirect(f"/chat/{turn.conversation}#end", 303)


@pages.post("/chat/<id>/approve")
def approve(id: str) -> ResponseReturnValue:
    host().chat.approve(id, request.form.get("call", ""), request.form.get("allow") == "true")
    return redirect(f"/chat/{id}#end", 303)


@pages.post("/chat/<id>/stop")
def stop(id: str) -> ResponseReturnValue:
    host().chat.stop(id)
    return redirect(f"/chat/{id}#end", 303)


@pages.post("/chat/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    host().chat.delete(id)
    return redirect("/chat", 303)


def _agent_on(provider: str, model: str) -> Agent | None:
    """An agent that answers with this model of this provider."""
    for agent in host().agents.using(provider):
        if agent.llm.model == model:
            return agent
    return None


def _agent_of(conversation: Conversation) -> Agent | None:
    try:
        return host().agents.get(conversation.agent)
    except MoorageError:
        return None


def _page(agent: Agent | None, conversation: Conversation | None, error: MoorageError | None = None) -> str:
    listed = host().chat.list(limit=30, cursor=request.args.get("cursor"))
    agents = host().agents.list(limit=200).items
    return render_template(
        "pages/chat.html",
        active="chat",
        agent=agent,
        agents=agents,
        agent_names={item.id: item.name for item in agents},
        conversation=conversation,
        conversations=listed.items,
        next=listed.next,
        model=model_label(agent) if agent else None,
        error=error,
        typed=request.form.get("message", ""),
    )
