"""Conversations: transcripts, and steering the answer that is being given."""

from __future__ import annotations

from moorage.models import Conversation, Model
from moorage_web.arguments import Body, Line, Paging
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("conversations")


class ConversationList(Model):
    conversations: tuple[Conversation, ...]
    next: str | None


class Approval(Body):
    call: Line
    allow: bool


class Stopped(Model):
    """`stopped` is false where nothing was being answered."""

    stopped: bool


@api.get("/api/conversations", query=Paging, answer=ConversationList)
def list_conversations(query: Paging) -> ConversationList:
    """All conversations, newest first, without their messages."""
    page = host().chat.list(limit=query.limit, cursor=query.cursor)
    return ConversationList(conversations=page.items, next=page.next)


@api.get("/api/conversations/<id:conversation_id>", answer=Conversation)
def get_conversation(conversation_id: str) -> Conversation:
    """One conversation with its messages."""
    return host().chat.get(conversation_id)


@api.delete("/api/conversations/<id:conversation_id>")
def delete_conversation(conversation_id: str) -> None:
    """Remove a conversation; an answer that is being given is stopped first."""
    host().chat.delete(conversation_id)


@api.post("/api/conversations/<id:conversation_id>/approve", body=Approval)
def approve(conversation_id: str, body: Approval) -> None:
    """Allow or deny a tool call that waits."""
    host().chat.approve(conversation_id, body.call, body.allow)


@api.post("/api/conversations/<id:conversation_id>/stop", answer=Stopped)
def stop(conversation_id: str) -> Stopped:
    """Stop the answer, the remote included."""
    return Stopped(stopped=host().chat.stop(conversation_id))
