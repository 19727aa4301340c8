"""Conversations and the tool loop: `service.py` is `host.chat`, `turn.py` one answer, `history.py` what is told."""

from moorage.chat.service import Chat as Chat
from moorage.chat.turn import ChatEvent as ChatEvent
from moorage.chat.turn import Turn as Turn
