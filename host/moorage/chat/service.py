"""Conversations: who said what, and starting and stopping an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from moorage.agents import Agents
from moorage.chat.history import messages_for
from moorage.chat.turn import Turn
from moorage.clock import Clock, NewId
from moorage.errors import Conflict, FieldError, InvalidInput, Missing
from moorage.events import EventBus
from moorage.models import Agent, CompletionEvent, CompletionRequest, Conversation, EndState, Message, Page
from moorage.plugins import Plugins
from moorage.plugins.streams import PluginStream
from moorage.providers import Providers
from moorage.store import Collection, Store
from moorage.tools import Tools

MESSAGE_LENGTH = 4_000_000
TITLE_LENGTH = 60


class Chat:
    """`host.chat`."""

    def __init__(
        self,
        store: Store,
        agents: Agents,
        providers: Providers,
        plugins: Plugins,
        tools: Tools,
        events: EventBus,
        clock: Clock,
        new_id: NewId,
        context_length: Callable[[], int],
    ) -> None:
        self._store = store
        self._conversations = store.collection("conversations", Conversation)
        self._agents = agents
        self._providers = providers
        self._plugins = plugins
        self._tools = tools
        self._events = events
        self._clock = clock
        self._new_id = new_id
        self._context_length = context_length
        self._lock = threading.Lock()
        self._turns: dict[str, Turn] = {}

    def send(self, agent_id: str, text: str, conversation_id: str | None = None) -> Turn:
        """Store the message and prepare the answer; the caller drives `turn.run()` or calls `turn.detach()`.

        InvalidInput for an empty message, Conflict while the conversation is still being answered.
        """
        if not text.strip() or len(text) > MESSAGE_LENGTH:
            raise InvalidInput("The message is empty or too long.", errors=(FieldError("message", "is required"),))
        agent = self._agents.stored(agent_id)
        provider, options = self._agents.resolve(agent)
        if not provider.model:
            raise InvalidInput(
                "This agent has no model.", errors=(FieldError("llm.model", "is required"),), refused=True
            )
        conversation = self._open(agent, text, conversation_id)
        model, tools = provider.model, self._tools.given(agent.tools)
        transcript = self._transcript(conversation.id)
        with self._lock:
            if conversation.id in self._turns:
                raise Conflict("This conversation is still being answered.", hint="Wait for the answer, or stop it.")
            transcript.put(self._message("user", content=text))

            def complete() -> PluginStream[CompletionEvent]:
                told = messages_for(agent.instructions, transcript.list())
                request = CompletionRequest(
                    provider=provider,
                    model=model,
                    messages=told,
                    tools=tools,
                    options=options,
                    context_length=self._context_length(),
                )
                return self._plugins.complete(request)

            turn = Turn(
                conversation=conversation.id,
                tools=tools,
                complete=complete,
                new_message=lambda: transcript.put(self._message("assistant", model=model)),
                save=transcript.put,
                ended=self._on_end(conversation.id, provider.id),
            )
            self._turns[conversation.id] = turn
        self._events.publish("chat.started", conversation.id, agent=agent.id)
        return turn

    def stop(self, conversation_id: str) -> bool:
        """Stop the answer of this conversation; False when none is running."""
        self._conversation(conversation_id)
        turn = self._turns.get(conversation_id)
        if turn is None:
            return False
        turn.stop()
        return True

    def approve(self, conversation_id: str, call: str, allow: bool) -> None:
        self._conversation(conversation_id)
        turn = self._turns.get(conversation_id)
        if turn is None or not turn.approve(call, allow):
            raise Conflict("No tool call with this id waits for approval.", hint="It may have been answered already.")

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Conversation]:
        """Newest first, without their messages."""
        page = self._conversations.query(order_by="updated_at", descending=True, limit=limit, cursor=cursor)
        return Page(items=tuple(self._marked(item) for item in page.items), next=page.next)

    def get(self, id: str) -> Conversation:
        """One conversation with its messages."""
        conversation = self._marked(self._conversation(id))
        messages = tuple(self._settled(message, conversation.active) for message in self._transcript(id).list())
        return conversation.model_copy(update={"messages": messages})

    def delete(self, id: str) -> None:
        self._conversation(id)
        turn = self._turns.get(id)
        if turn is not None:
            turn.stop()
            turn.finished.wait(5.0)
        self._conversations.delete(id)
        self._store.drop(f"transcripts/{id}")

    def close(self) -> None:
        turns = list(self._turns.values())
        for turn in turns:
            turn.stop()
        for turn in turns:
            turn.finished.wait(2.0)

    # -- inside -------------------------------------------------------------------------------------------------

    def _open(self, agent: Agent, text: str, conversation_id: str | None) -> Conversation:
        now = self._clock()
        if conversation_id is not None:
            conversation = self._conversation(conversation_id)
            if conversation.agent != agent.id:
                raise InvalidInput(
                    "This conversation is with another agent.",
                    errors=(FieldError("conversation", "belongs to another agent"),),
                )
            return self._conversations.put(conversation.model_copy(update={"updated_at": now}))
        title = " ".join(text.split())
        title = title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"
        return self._conversations.put(
            Conversation(id=self._new_id("conversation"), agent=agent.id, title=title, created_at=now, updated_at=now)
        )

    def _on_end(self, conversation_id: str, provider_id: str) -> Callable[[EndState], None]:
        def ended(state: EndState) -> None:
            with self._lock:
                self._turns.pop(conversation_id, None)
            if state == "complete" and provider_id:
                self._providers.mark_used(provider_id)
            self._events.publish("chat.ended", conversation_id, state=state)

        return ended

    def _message(self, role: str, **fields: object) -> Message:
        values = {"id": self._new_id("message"), "role": role, "created_at": self._clock(), **fields}
        return Message.model_validate(values)

    def _transcript(self, id: str) -> Collection[Message]:
        return self._store.collection(f"transcripts/{id}", Message)

    def _conversation(self, id: str) -> Conversation:
        conversation = self._conversations.get(id)
        if conversation is None:
            raise Missing(f"There is no conversation {id}.", hint="It may have been removed.")
        return conversation

    def _marked(self, conversation: Conversation) -> Conversation:
        return conversation.model_copy(update={"active": conversation.id in self._turns})

    @staticmethod
    def _settled(message: Message, active: bool) -> Message:
        """An answer without an end state that nobody is working on was cut off by the end of the process."""
        if message.role == "assistant" and message.state is None and not active:
            note = {"state": "incomplete", "error": "Moorage ended while this was being answered."}
            return message.model_copy(update=note)
        return message
