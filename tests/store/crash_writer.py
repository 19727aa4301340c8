"""Run as a process of its own: `python -m tests.store.crash_writer <home>`.

For each line it is sent it forks a writer that opens the store and writes providers and agents until it is killed.
A writer says `pid <pid>`, then `open <notices>`, then each write that has returned, `<collection> <id> <version>` with
the version 0 for one that was removed. When it is dead, this process says `dead <exit code>`.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from moorage.models import Agent, AgentLLM, SavedProvider
from moorage.store.tinydb import TinyDBStore

KEPT = 40  # providers; more would only make the run longer


def write(home: Path, life: int) -> None:
    say(f"pid {os.getpid()}")
    store = TinyDBStore(home, url=None)
    providers = store.collection("providers", SavedProvider)
    agents = store.collection("agents", Agent)
    say(f"open {' '.join(store.notices)}")
    now = datetime.now(UTC)
    for number in count(life * 7):
        name = f"{number % 100}"
        provider = providers.get(f"provider-{name}") or SavedProvider(
            id=f"provider-{name}", name="p", slug=name, type="ollama", config={}, created_at=now, updated_at=now
        )
        config = {"text": "x" * (number % 13 * 50)}  # now longer, now shorter than before
        saved = providers.put(provider.model_copy(update={"config": config}))
        say(f"providers {saved.id} {saved.version}")
        agent = agents.get(f"agent-{name}") or Agent(
            id=f"agent-{name}", name="a", llm=AgentLLM(provider=saved.id), created_at=now, updated_at=now
        )
        kept = agents.put(agent.model_copy(update={"instructions": f"of life {life}"}))
        say(f"agents {kept.id} {kept.version}")
        if providers.count() > KEPT:
            oldest = providers.list()[0]
            providers.delete(oldest.id, version=oldest.version)
            say(f"providers {oldest.id} 0")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def main(home: Path) -> None:
    for life, _ in enumerate(sys.stdin):
        pid = os.fork()
        if pid == 0:
            write(home, life)
        say(f"dead {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
