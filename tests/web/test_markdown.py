"""Nothing that a model says can run, load, or leave its place."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_web.markdown import render

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<style>@import 'http://evil.example/x.css'</style>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<form action=http://evil.example><input name=q></form>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<base href=http://evil.example/>",
    "<div style='background:url(http://evil.example)'>x</div>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x](/settings/llm/p1/remove)",
    "[x](//evil.example/x)",
    "[x](http://a.example/\"onmouseover=\"alert(1))",
    "[x](http://a.example 'title\" onmouseover=\"alert(1)')",
    "<javascript:alert(1)>",
    "![x](http://evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "![x\"onerror=\"alert(1)](http://evil.example/a.png)",
    "![a](javascript:alert(1))",
    "[![x](http://evil.example/p.png)](javascript:alert(1))",
    "[a]: javascript:alert(1)\n\n[a]",
    "[a]: http://evil.example 'x\" onload=\"alert(1)'\n\n![a]",
    "```\"><script>alert(1)</script>\ncode\n```",
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "| <img src=x onerror=alert(1)> | b |\n|---|---|\n| [x](javascript:1) | ![y](http://evil.example/z) |",
    "# <img src=x onerror=alert(1)>",
    "<!-- --!><img src=x onerror=alert(1)> -->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php echo 1 ?><img src=x onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\x00<script>alert(1)</script>",
]  # fmt: skip
TAGS = {
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
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"href", "rel", "class", "tabindex", "type", "data-copy", "start", "title"}


class Inspector(HTMLParser):
    """Reads the HTML as a browser would, and refuses whatever is not on the list."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, (tag, name)
            if name == "href":
                assert (value or "").lower().startswith(("http://", "https://", "mailto:")), value
                assert dict(attrs)["rel"] == "noopener nofollow"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def inspect(html: str) -> None:
    parser = Inspector()
    parser.feed(html)
    parser.close()


@pytest.mark.parametrize("text", ATTACKS)
def test_attacks_are_only_text(text: str) -> None:
    inspect(render(text))


@given(
    st.lists(st.sampled_from([*ATTACKS, "*", "_", "[", "](", ")", "<", ">", "`", "\n", " ", "a", "|", "&", "\\", "!"]))
)
def test_mixtures_of_attacks_are_only_text(parts: list[str]) -> None:
    inspect(render("".join(parts)))


def test_what_it_can_do() -> None:
    html = render(
        "# Title\n\n**bold** [b](https://x.example) <c@d.example> ![alt](http://x.example/p.png)\n\n5. five\n"
    )
    assert "<h3>Title</h3>" in html
    assert '<a href="https://x.example" rel="noopener nofollow">b</a>' in html
    assert '<a href="mailto:c@d.example" rel="noopener nofollow">' in html
    assert '<a href="http://x.example/p.png" rel="noopener nofollow">alt</a>' in html
    assert '<ol start="5">' in html
    assert "<img" not in html


def test_code_has_its_language_and_a_button_to_copy() -> None:
    html = render("```python\nprint('<b>')\n```")
    assert 'class="language-python"' in html
    assert "print('&lt;b&gt;')" in html
    assert "data-copy" in html
    assert '<pre tabindex="0">' in html


def test_deep_nesting_and_long_text_end() -> None:
    inspect(render("> " * 3000 + "x"))
    inspect(render("[" * 5000))
    inspect(render("*a " * 20_000))
