"""Markdown that a model, a tool or a stranger wrote, as HTML that can neither run nor load anything.

Two lines of defence: markdown-it with raw HTML off and images turned into links, then nh3 with a short list of what
may remain. Source of the attack list in the tests: the OWASP XSS filter evasion sheet, and CommonMark's own edge cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

_SCHEMES = {"http", "https", "mailto"}
_TAGS = {
    *(
        "p",
        "span",
        "br",
        "hr",
        "em",
        "strong",
        "s",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "a",
        "div",
        "button",
    ),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href"},
    "ol": {"start"},
    "code": {"class"},
    "div": {"class", "tabindex"},
    "button": {"class", "type", "data-copy"},
}
_COPY = '<button type="button" class="button button-quiet button-small needs-js" data-copy>Copy</button>'


class Renderer(RendererHTML):
    """Headings one level below the page's own, code with a copy button, tables that scroll, images as links."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        source = escape(str(tokens[idx].attrs.get("src", "")))
        text = escape(self.renderInlineAsText(tokens[idx].children or [], options, env) or "picture")
        inside_link = sum(token.nesting for token in tokens[:idx] if token.type.startswith("link_"))
        return str(text) if inside_link else f'<a href="{source}">{text}</a>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        words = tokens[idx].info.split()
        language = "".join(letter for letter in words[0] if letter.isalnum() or letter in "+#-") if words else ""
        css = f' class="language-{escape(language)}"' if language else ""
        head = f"<p><span>{escape(language) or 'Code'}</span>{_COPY}</p>"
        return f'<div class="code">{head}<pre><code{css}>{escape(tokens[idx].content)}</code></pre></div>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return self.fence(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="table" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"


def render(text: str) -> Markup:
    """Safe HTML for a page; never raises for any text."""
    html = nh3.clean(
        _parser().render(text.replace("\x00", "")),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener nofollow",
        # A block of code may scroll sideways, so it can be reached by keyboard.
        set_tag_attribute_values={"pre": {"tabindex": "0"}},
        attribute_filter=_filtered,
    )
    return Markup(html)  # noqa: S704 - this is the one place that makes strangers' text HTML, after nh3


def _filtered(tag: str, attribute: str, value: str) -> str | None:
    """Links are absolute: a model has no business pointing into this application."""
    if attribute == "href" and not value.lower().startswith(("http://", "https://", "mailto:")):
        return None
    return value


@cache
def _parser() -> MarkdownIt:
    """Reading only: the parser keeps nothing between two texts."""
    parser: MarkdownIt = MarkdownIt("commonmark", {"html": False}, renderer_cls=Renderer)
    parser.enable(["table", "strikethrough"])
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    return parser


def _heading(renderer: Any, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[idx]
    level = min(6, int(token.tag[1:]) + 2)
    return f"<h{level}>" if token.nesting == 1 else f"</h{level}>\n"
