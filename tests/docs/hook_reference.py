"""docs/hooks.md, written from the hooks themselves. `python -m tests.docs.hook_reference` writes the file anew."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

from moorage import hookspecs

REFERENCE = Path(__file__).parents[2] / "docs" / "hooks.md"
INTRODUCTION = """\
# Hooks

{module}

This page is written from the docstrings in `moorage/hookspecs.py`. [Writing plugins](plugins.md) shows the hooks at
work; the types they take and return are exported by `moorage`, each with a docstring of its own.
"""


def signatures() -> dict[str, str]:
    """Hook name to its exact signature, as an author would write it: without `self`, with all annotations."""
    found = {}
    for node in _hooks():
        arguments = ast.arguments(
            posonlyargs=[],
            args=[argument for argument in node.args.args if argument.arg != "self"],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        assert node.returns is not None, node.name
        found[node.name] = f"{node.name}({ast.unparse(arguments)}) -> {ast.unparse(node.returns)}"
    return found


def render() -> str:
    """The whole page."""
    parts = [INTRODUCTION.format(module=inspect.getdoc(hookspecs))]
    docstrings = {node.name: ast.get_docstring(node) or "" for node in _hooks()}
    for name, signature in signatures().items():
        parts.append(f"## `{signature}`\n\n{_markdown(docstrings[name])}\n")
    return "\n".join(parts)


def _hooks() -> list[ast.FunctionDef]:
    hooks = ast.parse(textwrap.dedent(inspect.getsource(hookspecs.Hooks))).body[0]
    assert isinstance(hooks, ast.ClassDef)
    return [node for node in hooks.body if isinstance(node, ast.FunctionDef)]


def _markdown(docstring: str) -> str:
    """A docstring with its indented examples as fenced blocks."""
    paragraphs = docstring.split("\n\n")
    return "\n\n".join(
        f"```python\n{textwrap.dedent(text)}\n```" if text.startswith("    ") else text for text in paragraphs
    )


if __name__ == "__main__":
    REFERENCE.write_text(render())
