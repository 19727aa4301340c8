"""`moorage chat`: talk to an agent, once or in turn."""

from __future__ import annotations

import sys
from typing import Any

import click

from moorage.cli.connection import Api, Output, api_command
from moorage.cli.names import agent_id

EXIT = {"complete": 0, "incomplete": 3, "stopped": 130, "failed": 3}


@click.command()
@click.argument("agent")
@click.argument("message", required=False)
@click.option("--conversation", help="Go on with this conversation.")
@api_command
def command(agent: str, message: str | None, conversation: str | None, *, api: Api, out: Output) -> None:
    """Talk to AGENT (its id, slug or name). Without MESSAGE, read lines until the end of input.

    Exits with 3 when an answer failed or is incomplete.
    """
    id = agent_id(api, agent)
    if message is not None:
        state, conversation, whole = _ask(api, out, id, message, conversation)
        if out.as_json:
            out.show(whole, str)
        sys.exit(EXIT[state])
    code = 0
    while True:
        try:
            line = click.prompt("you", prompt_suffix="> ") if sys.stdin.isatty() else sys.stdin.readline()
        except click.Abort:
            line = ""
        if not line:
            sys.exit(code)
        if line.strip():
            state, conversation, whole = _ask(api, out, id, line.strip(), conversation)
            if out.as_json:
                out.show(whole, str)
            code = code or EXIT[state]


def _ask(api: Api, out: Output, agent: str, message: str, conversation: str | None) -> tuple[str, str | None, Any]:
    """Print the answer as it comes; (end state, conversation, the answer as JSON)."""
    body = {"message": message, **({"conversation": conversation} if conversation else {})}
    answer: dict[str, Any] = {"text": "", "reasoning": "", "tools": [], "usage": None, "error": None}
    state = "failed"
    for event, data in api.events(f"/api/agents/{agent}/chat", body):
        if event == "start":
            conversation = answer["conversation"] = data["conversation"]
        elif event in ("text", "reasoning"):
            answer[event] += data["delta"]
            if event == "text" and not out.as_json:
                click.echo(data["delta"], nl=False)
        elif event in ("tool-call", "tool-result"):
            answer["tools"].append(data)
            if not out.as_json:
                _tell_tool(out, event, data)
            if data.get("needsApproval") and event == "tool-call":
                allow = sys.stdin.isatty() and click.confirm("Allow this call?")
                api.post(f"/api/conversations/{conversation}/approve", {"call": data["id"], "allow": allow})
        elif event == "usage":
            answer["usage"] = data
        elif event == "error":
            answer["error"] = data
            out.errors.print(f"\n{data['detail']} {data['hint'] or ''}".rstrip(), markup=False)
        elif event == "end":
            state = answer["state"] = data["state"]
    if not out.as_json:
        click.echo()
        if state == "incomplete":
            out.errors.print("The answer is incomplete.")
    return state, conversation, answer


def _tell_tool(out: Output, event: str, data: Any) -> None:
    text = f"{data['name']}({data['arguments']})" if event == "tool-call" else f"→ {data['content'][:500]}"
    out.errors.print(f"[tool] {text}", style="dim", markup=False)
