"""One answer of an agent: the model, its tools, again the model, until it ends in exactly one end state.

Whoever iterates `run()` drives the turn: the HTTP response that streams it, or a thread for one that nobody watches.
Stopping the iteration (a browser that leaves) stops the remote.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from moorage.chat.history import ToolCallAssembly
from moorage.errors import MoorageError
from moorage.models import (
    CompletionEvent,
    EndState,
    Finish,
    Message,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolUse,
    Usage,
)
from moorage.plugins.streams import PluginStream
from moorage.tools import ToolRefused, checked_arguments, run_tool

log = logging.getLogger("moorage.chat")
EventType = Literal["start", "text", "reasoning", "tool-call", "tool-result", "usage", "error", "end"]

IDLE_SECONDS = 1.0  # how often a silent turn lets its driver say so; a client that left is noticed then
SAVE_SECONDS = 2.0
MAX_STEPS = 25
MAX_SAME_CALLS = 3
MAX_REPAIRS = 2
MAX_SECONDS = 30 * 60.0
MAX_CHARACTERS = 8 * 1024 * 1024
APPROVAL_SECONDS = 10 * 60.0


@dataclass(slots=True)
class ChatEvent:
    """One event of a turn, as API.md names them."""

    type: EventType
    data: dict[str, Any]


Batch = list[ChatEvent]


@dataclass
class _Step:
    """One call of the model: what came, and how it ended."""

    message: Message
    text: list[str]
    reasoning: list[str]
    calls: ToolCallAssembly
    finish: str | None = None
    usage: Usage | None = None


class _Ended(Exception):
    """The turn is over in this state."""

    def __init__(self, state: EndState, error: str | None = None, hint: str | None = None) -> None:
        super().__init__(state)
        self.state: EndState = state
        self.error = error
        self.hint = hint


class Turn:
    """Made by `Chat.send`. `complete` starts a model call with the transcript so far, `save` keeps a message,
    `new_message` makes the next empty answer, `ended` is called once at the end with the last message."""

    def __init__(
        self,
        *,
        conversation: str,
        tools: tuple[Tool, ...],
        complete: Callable[[], PluginStream[CompletionEvent]],
        new_message: Callable[[], Message],
        save: Callable[[Message], Message],
        ended: Callable[[EndState], None],
    ) -> None:
        self.conversation = conversation
        self._tools = {tool.name: tool for tool in tools}
        self._complete = complete
        self._new_message = new_message
        self._save = save
        self._ended = ended
        self._lock = threading.Condition()
        self._stopped = False
        self._stream: PluginStream[CompletionEvent] | None = None
        self._answers: dict[str, bool] = {}
        self._asked: set[str] = set()
        self._ids: set[str] = set()  # of the calls of this turn: an approval is for one of them only
        self.failure: MoorageError | None = None
        self._seen_calls: Counter[tuple[str, str]] = Counter()
        self._repairs = 0
        self._characters = 0
        self._until = time.monotonic() + MAX_SECONDS
        self._begun = False
        self.finished = threading.Event()
        self._message = new_message()

    def stop(self) -> None:
        """Stop the remote at once; the turn ends as stopped."""
        with self._lock:
            self._stopped = True
            stream = self._stream
            self._lock.notify_all()
        if stream is not None:
            stream.close()

    def approve(self, call: str, allow: bool) -> bool:
        """Answer a tool call that waits for approval; False when none with this id waits."""
        with self._lock:
            if call not in self._asked:
                return False
            self._asked.discard(call)
            self._answers[call] = allow
            self._lock.notify_all()
            return True

    def run(self) -> Iterator[Batch]:
        """Batches of events; an empty one about every second while nothing comes. The last event is `end`."""
        state: EndState = "stopped"
        self._begun = True
        try:
            yield [ChatEvent("start", {"conversation": self.conversation, "message": self._message.id})]
            try:
                yield from self._steps()
                state = "complete"
            except _Ended as end:
                state = end.state
                self._close_message(end)
                if end.error:
                    detail = {"title": "The answer failed", "detail": end.error, "hint": end.hint}
                    yield [ChatEvent("error", detail)]
            except Exception:
                log.exception("a chat turn failed")
                state = "failed"
                own = _Ended("failed", "Moorage itself failed while answering.", "Try again; the log says more.")
                self._close_message(own)
                yield [ChatEvent("error", {"title": "The answer failed", "detail": own.error, "hint": own.hint})]
            yield [ChatEvent("end", {"state": state})]
        finally:
            # Also reached by GeneratorExit: the one who watched has left.
            self.stop()
            try:
                if self._message.state is None:
                    self._close_message(_Ended("stopped"))
                self._ended(state)
            finally:
                self.finished.set()

    def close(self) -> None:
        """Stop the turn; also one that nobody ever began to run."""
        self.stop()
        if not self._begun:
            for _ in self.run():
                pass

    def detach(self) -> None:
        """Let the turn run on a thread of its own, for a page without a stream."""
        threading.Thread(
            target=lambda: [None for _ in self.run()], name=f"turn:{self.conversation}", daemon=True
        ).start()

    # -- the loop -----------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Batch]:
        for _ in range(MAX_STEPS):
            step = yield from self._ask_model()
            calls = step.calls.whole(self._ids)
            if not calls:
                return
            uses = tuple(
                ToolUse(id=call.id, name=call.name, arguments=call.arguments, needs_approval=self._needs_approval(call))
                for call in calls
            )
            self._store(tool_calls=uses)
            for call in calls:
                yield from self._use_tool(call)
            self._message = self._new_message()
        raise _Ended("incomplete", f"The agent stopped after {MAX_STEPS} rounds of tools.", "Ask it to go on.")

    def _ask_model(self) -> Generator[Batch, None, _Step]:
        step = _Step(self._message, [], [], ToolCallAssembly())
        started = saved_at = time.monotonic()
        try:
            with self._lock:
                if self._stopped:
                    raise _Ended("stopped")
                self._stream = stream = self._complete()
            while (batch := stream.take(IDLE_SECONDS)) is not None:
                yield self._events(step, batch)
                if self._stopped:  # the plugin may not hear it, but nobody waits for it any longer
                    raise _Ended("stopped")
                now = time.monotonic()
                if now - saved_at > SAVE_SECONDS and batch:
                    self._keep(step, started)
                    saved_at = now
                if now > self._until or self._characters > MAX_CHARACTERS:
                    raise _Ended("incomplete", "The answer was cut: it went on for too long.")
        except MoorageError as error:
            if self._stopped:
                raise _Ended("stopped") from None
            self.failure = error
            raise _Ended("failed", str(error), error.hint) from None
        finally:
            if self._stream is not None:
                self._stream.close()
            self._keep(step, started)
        if self._stopped:
            raise _Ended("stopped")
        if step.finish is None:
            if step.text or step.reasoning or step.calls:
                raise _Ended("incomplete", None)
            raise _Ended("failed", "The answer ended before it began.", "Try again.")
        complete: dict[str, Any] = {"state": "complete" if step.finish != "length" else "incomplete"}
        if step.finish == "length" and not step.calls:
            raise _Ended("incomplete", None, "The answer reached its length limit.")
        self._store(**complete)
        if step.usage is not None:
            usage = {"inputTokens": step.usage.input_tokens, "outputTokens": step.usage.output_tokens}
            yield [ChatEvent("usage", usage)]
        return step

    def _events(self, step: _Step, batch: list[CompletionEvent]) -> Batch:
        out: Batch = []
        for event in batch:
            if isinstance(event, TextDelta):
                step.text.append(event.text)
                self._characters += len(event.text)
                out.append(ChatEvent("text", {"delta": event.text}))
            elif isinstance(event, ReasoningDelta):
                step.reasoning.append(event.text)
                self._characters += len(event.text)
                out.append(ChatEvent("reasoning", {"delta": event.text}))
            elif isinstance(event, ToolCallDelta):
                self._characters += len(event.arguments)
                step.calls.add(event)
            elif isinstance(event, Usage):
                step.usage = event
            elif isinstance(event, Finish):
                step.finish = event.reason
        return out

    def _keep(self, step: _Step, started: float) -> None:
        usage = step.usage
        self._store(
            content="".join(step.text),
            reasoning="".join(step.reasoning),
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            seconds=round(time.monotonic() - started, 3),
        )

    def _close_message(self, end: _Ended) -> None:
        self._store(state=end.state, error=end.error, hint=end.hint)

    def _store(self, **fields: Any) -> None:
        """Keep the message as it is now. A full disk must not cut off an answer that is on the screen already."""
        message = self._message.model_copy(update=fields)
        try:
            self._message = self._save(message)
        except MoorageError:
            log.exception("a message of %s could not be stored", self.conversation)
            self._message = message

    # -- tools --------------------------------------------------------------------------------------------------

    def _needs_approval(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        return tool is not None and tool.needs_approval

    def _use_tool(self, call: ToolCall) -> Iterator[Batch]:
        needs_approval = self._needs_approval(call)
        if needs_approval:
            with self._lock:
                self._asked.add(call.id)
        shown = {"id": call.id, "name": call.name, "arguments": call.arguments, "needsApproval": needs_approval}
        yield [ChatEvent("tool-call", shown)]
        try:
            tool = self._tools.get(call.name)
            if tool is None:
                raise ToolRefused(
                    f"There is no tool named {call.name!r}. Use one of: {', '.join(self._tools) or 'none'}."
                )
            arguments = checked_arguments(tool, call)
            key = (call.name, call.arguments)
            self._seen_calls[key] += 1
            if self._seen_calls[key] > MAX_SAME_CALLS:
                raise _Ended("incomplete", f"The agent called {call.name} with the same arguments again and again.")
            if needs_approval and not (yield from self._wait_for_approval(call)):
                raise ToolRefused("The person did not allow this call.")
            ok, content = yield from self._run_tool(tool, arguments)
        except ToolRefused as refused:
            ok, content = False, str(refused)
            self._repairs += 1
        self._finish_use(call, ok, content)
        yield [ChatEvent("tool-result", {"id": call.id, "ok": ok, "content": content})]
        if self._repairs > MAX_REPAIRS:
            raise _Ended("incomplete", "The model keeps making tool calls that cannot be run.", "Try a larger model.")

    def _run_tool(self, tool: Tool, arguments: dict[str, Any]) -> Generator[Batch, None, tuple[bool, str]]:
        """Run it on a thread, so that a slow tool neither silences the stream nor holds up a stop."""
        results: list[tuple[bool, str]] = []

        def run() -> None:
            result = run_tool(tool, arguments)
            with self._lock:
                results.append(result)
                self._lock.notify_all()

        threading.Thread(target=run, name=f"turn:{self.conversation}:tool", daemon=True).start()
        while True:
            with self._lock:
                if not results and not self._stopped:
                    self._lock.wait(IDLE_SECONDS)
                if self._stopped:
                    raise _Ended("stopped")
                if results:
                    return results[0]
            yield []

    def _wait_for_approval(self, call: ToolCall) -> Generator[Batch, None, bool]:
        until = time.monotonic() + APPROVAL_SECONDS
        while True:
            with self._lock:
                if call.id not in self._answers and not self._stopped:
                    self._lock.wait(IDLE_SECONDS)
                if self._stopped:
                    raise _Ended("stopped")
                allowed = self._answers.pop(call.id, None)
                late = allowed is None and time.monotonic() > until
                if late:
                    self._asked.discard(call.id)
            if allowed is not None or late:
                return bool(allowed)
            yield []

    def _finish_use(self, call: ToolCall, ok: bool, content: str) -> None:
        uses = tuple(
            use.model_copy(update={"ok": ok, "content": content}) if use.id == call.id else use
            for use in self._message.tool_calls
        )
        self._store(tool_calls=uses)
