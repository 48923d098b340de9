"""Untrusted text becomes safe, faithful HTML, whatever it holds."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.web import rendering
from app.web.models import RenderedText
from app.web.rendering import (
    LONGEST_MARKDOWN,
    TAGS,
    prerender,
    render_many,
    render_markdown,
    render_messages,
)
from tests.web.xss import load_payloads

ATTRIBUTES = {"class", "dir", "href", "title", "target", "rel", "start", "tabindex"}
VOID = {"br", "hr"}


class Checker(HTMLParser):
    """Reads HTML as a browser's tokeniser does and notes everything that is not allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.wrong.append(f"tag {tag}")
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.wrong.append(f"attribute {name}")
            if name == "href":
                if not (value or "").lower().startswith(("http://", "https://", "mailto:")):
                    self.wrong.append(f"href {value}")
                if dict(attrs).get("rel") != "noopener noreferrer nofollow":
                    self.wrong.append("link without rel")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"unbalanced {tag}")

    def handle_comment(self, data: str) -> None:
        self.wrong.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.wrong.append("declaration")

    def handle_data(self, data: str) -> None:
        self.text += data


def check(text: str) -> Checker:
    checker = Checker()
    checker.feed(render_markdown(text))
    checker.close()
    assert checker.wrong == []
    assert checker.open == []
    return checker


def test_the_corpus_is_large_enough_and_without_repeats():
    payloads = load_payloads()
    assert len(payloads) == len(set(payloads)) >= 60


@pytest.mark.parametrize("payload", load_payloads())
def test_hostile_text_gives_only_allowed_html(payload):
    check(payload)
    check(f"before {payload} after")
    check(f"> - {payload}\n\n{payload}")


@pytest.mark.parametrize("payload", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>x</b>"])
def test_raw_html_is_shown_as_it_was_written(payload):
    assert check(payload).text.strip() == payload


WORDS = r"""< > </ script img onerror= " ' ` ``` $ $$ \( \[ [x]( ) ]( ![ javascript: https://a.b/ &#60; &lt; | |-|
** ~~ {{ {% <!-- --> <![CDATA[ style= svg \begin{align}"""
FRAGMENTS = st.sampled_from([*WORDS.split(), "\n", "\n\n", "> ", "- ", "\x00", "\ud800", "א", " "])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=6)), max_size=40).map("".join))
def test_output_never_leaves_the_allow_list(text):
    check(text)


def test_any_string_renders_with_no_character_that_a_database_refuses():
    html = render_markdown("a\x00b\ud800c")
    assert html == '<p dir="auto">a\ufffdb\ufffdc</p>\n'
    html.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** and *i* and ~~s~~", '<p dir="auto"><strong>b</strong> and <em>i</em> and <s>s</s></p>\n'),
        ("one\ntwo", '<p dir="auto">one<br>\ntwo</p>\n'),
        ("costs $5 and $6", '<p dir="auto">costs $5 and $6</p>\n'),
        ("$x$ is 5", '<p dir="auto"><span class="math inline" dir="ltr">x</span> is 5</p>\n'),
        ("$a_b<c$", '<p dir="auto"><span class="math inline" dir="ltr">a_b&lt;c</span></p>\n'),
        ("\\(a*b*c\\)", '<p dir="auto"><span class="math inline" dir="ltr">a*b*c</span></p>\n'),
        ("$$\nx\n= 1\n$$", '<span class="math block" dir="ltr">x\n= 1</span>\n'),
        ("\\[\na\n+ b\n\\]", '<span class="math block" dir="ltr">a\n+ b</span>\n'),
        ("`$x$`", '<p dir="auto"><code dir="ltr">$x$</code></p>\n'),
        ("\\$5 and \\$6", '<p dir="auto">$5 and $6</p>\n'),
        (
            "\\begin{align}\na&=b\n\\end{align}",
            '<span class="math block" dir="ltr">\\begin{align}a&amp;=b\\end{align}</span>\n',
        ),
        (
            "![cat](https://a.b/c.png)",
            '<p dir="auto"><span class="img-off">Image: cat (<a href="https://a.b/c.png" target="_blank" rel="noopener noreferrer nofollow">https://a.b/c.png</a>)</span></p>\n',
        ),
        ("```nonsense\na<b\n```", '<pre dir="ltr" tabindex="0"><code>a&lt;b\n</code></pre>\n'),
        ("- שלום\n- two", '<ul dir="rtl">\n<li>שלום</li>\n<li>two</li>\n</ul>\n'),
        (
            "[x](https://a.b)",
            '<p dir="auto"><a href="https://a.b" target="_blank" rel="noopener noreferrer nofollow">x</a></p>\n',
        ),
    ],
)
def test_text_renders_as_meant(text, html):
    assert render_markdown(text) == html


def test_tables_carry_alignment_as_classes():
    html = render_markdown("| a | b |\n|:-|-:|\n| 1 | 2 |")
    assert '<th dir="auto" class="align-left">a</th>' in html
    assert '<td dir="auto" class="align-right">2</td>' in html
    assert html.startswith('<div class="table-scroll" tabindex="0"><table>')
    assert "style" not in html


def test_code_of_a_known_language_is_coloured_by_classes():
    html = render_markdown("```python\nreturn 1\n```")
    assert '<span class="k">return</span> <span class="mi">1</span>' in html


def test_very_long_text_is_shown_whole_and_plain():
    text = "<b>&" * 2_500_000  # 10 MB
    checker = check(text)
    assert checker.text.endswith(text)


HALF = LONGEST_MARKDOWN // 2
PATHOLOGICAL = {
    "brackets": "[" * 2 * HALF,
    "images": "![" * HALF,
    "links": "[a](" * (HALF // 2),
    "quotes": "> " * HALF,
    "bullets": "- " * HALF,
    "nested list": "".join("  " * i + "- a\n" for i in range(300)),
    "display math": "\\[\n" * (HALF // 2),
    "inline math": "\\(" * HALF,
    "dollars": "$a " * HALF,
    "double dollars": "$$\n" * (HALF // 2),
    "emphasis": "*a_" * HALF,
    "backticks": "`" * HALF + " " + "`" * (HALF - 2),
    "tags": "<a " * HALF,
    "code": "```python\n" + "'''" * 6000,
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_pathological_text_stays_bounded(name):
    started = time.process_time()
    check(PATHOLOGICAL[name][: LONGEST_MARKDOWN - 1])
    assert time.process_time() - started < 10


@pytest.mark.parametrize("opening", ["> ", "- ", "1. "])
def test_deeply_nested_words_are_not_lost(opening):
    assert "deep words" in check(opening * 500 + "deep words").text


@pytest.mark.django_db
def test_the_cache_asks_once_and_keeps_order(django_assert_num_queries):
    rendering._memory.clear()
    texts = ["*one*", "two", "*one*", "three\x00"]
    first = render_many(texts)
    assert first == [render_markdown(text) for text in texts]
    assert RenderedText.objects.count() == 3
    with django_assert_num_queries(0):
        assert render_many(texts) == first
    rendering._memory.clear()
    with django_assert_num_queries(1):
        assert render_many(texts) == first


@pytest.mark.django_db
def test_another_renderer_version_renders_anew(monkeypatch):
    rendering._memory.clear()
    render_many(["*x*"])
    monkeypatch.setattr(rendering, "RENDERER_VERSION", "other")
    render_many(["*x*"])
    assert RenderedText.objects.count() == 2


@pytest.mark.django_db
def test_prerender_counts_only_new_texts():
    assert prerender(["a", "b", "a"]) == 2
    assert prerender(["a", "b", "c"], batch=2) == 1


@pytest.mark.django_db
def test_messages_keep_their_roles_and_parts():
    prompt = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "*hi*"}, {"type": "text", "text": "you"}]},
        {"role": "assistant", "content": None},
    ]
    assert render_messages(prompt) == [
        {"role": "system", "html": '<p dir="auto">be kind</p>\n'},
        {"role": "user", "html": '<p dir="auto"><em>hi</em></p>\n<p dir="auto">you</p>\n'},
        {"role": "assistant", "html": ""},
    ]
    assert render_messages("x") == [{"role": "user", "html": '<p dir="auto">x</p>\n'}]


def test_the_memory_is_bounded_in_bytes():
    memory = rendering._Memory(10_000)
    for number in range(100):
        memory.put_many({str(number): "x" * 200})
    assert memory._size <= 10_000
    assert list(memory.get_many(["99", "0"])) == ["99"]
