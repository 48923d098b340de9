"""The one way from untrusted text to HTML: Markdown, code and LaTeX, sanitised and cached.

Raw HTML in a text is shown as text. Images elsewhere are not fetched: their description and a plain link are shown.
Images of the project's own media, `![words](media:name)`, are shown where `with_media` is given their address.
Links keep only http, https and mailto. A single line break stays a line break, as in chat.
"""

import hashlib
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from threading import Lock

import nh3
import structlog
from django.db import DatabaseError, transaction
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from app.web.markdown_math import use_math
from app.web.models import RenderedText

log = structlog.get_logger(__name__)

# Raise when the same text would give other HTML: old cache rows then simply stop being found.
RENDERER_VERSION = "2"
LONGEST_MARKDOWN = 100_000  # characters; longer texts are shown as plain text
DEEPEST = 60  # levels of nested blocks; the parser would drop what lies deeper
LONGEST_HIGHLIGHTED = 20_000  # characters of one code block
MEMORY_BYTES = 16 * 1024 * 1024  # of rendered HTML kept in this process
QUERY_KEYS = 500  # keys asked for in one query

TAGS = frozenset(
    "a blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong "
    "table tbody td th thead tr ul".split()
)
ATTRIBUTES = {"*": {"class"}, "a": {"href", "title"}, "ol": {"start"}}
ATTRIBUTE_VALUES = {
    **{tag: {"dir": {"auto", "ltr", "rtl"}} for tag in TAGS},
    "pre": {"dir": {"auto", "ltr", "rtl"}, "tabindex": {"0"}},
    "div": {"dir": {"auto", "ltr", "rtl"}, "tabindex": {"0"}},
}
SCHEMES = frozenset({"http", "https", "mailto"})
LANGUAGES = frozenset(
    "bash c c++ console cpp cs csharp css csv dart diff docker dockerfile elixir go graphql haskell hcl html "
    "ini java javascript js json jsx julia kotlin latex lua make makefile matlab objective-c ocaml perl php "
    "powershell protobuf py python python3 r rb ruby rs rust scala scheme sh shell sql svg swift tex toml ts "
    "tsx typescript vim xml yaml yml zig zsh".split()
)

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_SAFE_URL = re.compile(r"^(?:https?://|mailto:)[^\s<>\"]", re.IGNORECASE)
MEDIA_NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
_MEDIA_URL = re.compile(rf"media:({MEDIA_NAME})")
# Only our own renderer writes this class, and texts cannot: raw HTML in them is escaped.
_MEDIA_SPAN = re.compile(
    rf'<span class="img-off img-media">(?:Image: ([^<]*)|Image) \(media:({MEDIA_NAME})\)</span>'
)
_FORMATTER = HtmlFormatter(nowrap=True)
_OWN_DIRECTION = frozenset({"paragraph_open", "heading_open", "td_open", "th_open"})
_GIVEN_DIRECTION = frozenset({"bullet_list_open", "ordered_list_open", "blockquote_open", "table_open"})


def render_markdown(text: str) -> SafeString:
    """Render one untrusted text to safe HTML; pure, and total over every ``str``.

    Texts above ``LONGEST_MARKDOWN`` characters come out as escaped, preformatted text.
    """
    text = _NOT_TEXT.sub("\ufffd", text)
    if len(text) > LONGEST_MARKDOWN:
        return _render_plain(
            text,
            f"Longer than {LONGEST_MARKDOWN:,} characters: shown without formatting.",
        )
    try:
        html = _MARKDOWN.render(text)
    except _TooDeepError:
        return _render_plain(text, f"Nested more than {DEEPEST} levels deep: shown without formatting.")
    return mark_safe(_CLEANER.clean(html))  # noqa: S308 - just sanitised


def render_many(texts: Sequence[str]) -> list[SafeString]:
    """Render texts in order through the cache: at most one query where all were seen before."""
    keys = [_cache_key(text) for text in texts]
    found = _memory.get_many(keys)
    missing = list(dict.fromkeys(key for key in keys if key not in found))
    if missing:
        stored: dict[str, str] = {}
        for start in range(0, len(missing), QUERY_KEYS):
            some = missing[start : start + QUERY_KEYS]
            stored.update(RenderedText.objects.filter(pk__in=some).values_list("pk", "html"))
        fresh = {}
        for key, text in zip(keys, texts, strict=True):
            if key not in found and key not in stored and key not in fresh:
                fresh[key] = render_markdown(text)
        _store(fresh)
        found |= {key: mark_safe(html) for key, html in stored.items()} | fresh  # noqa: S308 - stored sanitised
        _memory.put_many({key: found[key] for key in missing})
    return [found[key] for key in keys]


def prerender(texts: Iterable[str], *, batch: int = 200) -> int:
    """Fill the cache for texts that pages will show; returns how many were rendered anew."""
    made = 0
    waiting: dict[str, str] = {}
    for text in texts:
        waiting[_cache_key(text)] = text
        if len(waiting) >= batch:
            made += _render_missing(waiting)
            waiting = {}
    return made + _render_missing(waiting)


def render_messages(prompt: str | list[dict]) -> list[dict]:
    """Render a prompt, a string or chat messages, as ``[{"role", "html"}]``; a string is a user's turn."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    html = render_many([message_text(message) for message in messages])
    return [
        {"role": str(message.get("role") or "user"), "html": each}
        for message, each in zip(messages, html, strict=True)
    ]


def plain_text(html: str) -> str:
    """The text content of rendered HTML, as a browser's `textContent` gives it before mathematics is typeset.

    Offsets of marked parts of a response count its code points.
    """
    reader = _TextContent()
    reader.feed(html.replace("\r\n", "\n").replace("\r", "\n"))
    reader.close()
    return "".join(reader.parts)


class _TextContent(HTMLParser):
    """Collects text; like browsers it drops a line break right after `<pre>`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._after_pre = False

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self._after_pre = tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._after_pre = False

    def handle_data(self, data: str) -> None:
        self.parts.append(data[1:] if self._after_pre and data.startswith("\n") else data)
        self._after_pre = False


def message_text(message: dict) -> str:
    """Give a chat message's text; content may be a string or a list of text parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n\n".join(
            str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content
        )
    return "" if content is None else str(content)


class _TooDeepError(Exception):
    """Blocks are nested so deeply that the parser would leave text out."""


class _Memory:
    """Recently used HTML of this process, bounded by its size in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._entries: OrderedDict[str, SafeString] = OrderedDict()
        self._lock = Lock()

    def get_many(self, keys: Iterable[str]) -> dict[str, SafeString]:
        found = {}
        with self._lock:
            for key in keys:
                if key in self._entries:
                    self._entries.move_to_end(key)
                    found[key] = self._entries[key]
        return found

    def put_many(self, entries: dict[str, SafeString]) -> None:
        with self._lock:
            for key, html in entries.items():
                if key in self._entries or self._cost(html) > self._limit // 8:
                    continue
                self._entries[key] = html
                self._size += self._cost(html)
            while self._size > self._limit:
                self._size -= self._cost(self._entries.popitem(last=False)[1])

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._size = 0

    @staticmethod
    def _cost(html: str) -> int:
        return 4 * len(html) + 200


_memory = _Memory(MEMORY_BYTES)


def _cache_key(text: str) -> str:
    return hashlib.sha256(f"{RENDERER_VERSION}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _render_missing(texts: dict[str, str]) -> int:
    """Render and store the texts whose keys are not stored yet."""
    have: set[str] = set()
    keys = list(texts)
    for start in range(0, len(keys), QUERY_KEYS):
        some = keys[start : start + QUERY_KEYS]
        have.update(RenderedText.objects.filter(pk__in=some).values_list("pk", flat=True))
    fresh = {key: render_markdown(text) for key, text in texts.items() if key not in have}
    _store(fresh)
    return len(fresh)


def _store(fresh: dict[str, SafeString]) -> None:
    """Keep rendered texts; a database that is busy or read-only must not stop a person from reading."""
    rows = [
        RenderedText(key=key, html=html) for key, html in fresh.items() if len(html) <= 8 * LONGEST_MARKDOWN
    ]
    if not rows:
        return
    try:
        with transaction.atomic():
            RenderedText.objects.bulk_create(rows, ignore_conflicts=True)
    except DatabaseError as error:
        log.warning("rendered_text_not_stored", texts=len(rows), error=str(error))


def _render_plain(text: str, note: str) -> SafeString:
    return mark_safe(  # noqa: S308 - every part is escaped
        f'<p class="plain-note">{escape(note)}</p><pre class="plain" dir="auto">{escape(text)}</pre>'
    )


def _highlight(code: str, language: str) -> str | None:
    """Give Pygments spans for a known language, or None to show the code plain."""
    if language not in LANGUAGES or len(code) > LONGEST_HIGHLIGHTED:
        return None
    try:
        return highlight(code, get_lexer_by_name(language, stripnl=False), _FORMATTER)
    except ClassNotFound:
        return None


def _render_fence(self: object, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
    token = tokens[idx]
    language = (token.info.split() or [""])[0].lower()
    code = _highlight(token.content, language) or escapeHtml(token.content)
    return f'<pre dir="ltr" tabindex="0"><code>{code}</code></pre>\n'


def _render_code_inline(self: object, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
    return f'<code dir="ltr">{escapeHtml(tokens[idx].content)}</code>'


def _render_image(self: object, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
    """Describe an image instead of fetching it."""
    token = tokens[idx]
    words = escapeHtml(f"Image: {token.content}" if token.content else "Image")
    source = str(token.attrGet("src") or "")
    if _MEDIA_URL.fullmatch(source):
        return f'<span class="img-off img-media">{words} ({source})</span>'
    address = escapeHtml(source)
    shown = f'<a href="{address}">{address}</a>' if source.lower().startswith("http") else address
    return f'<span class="img-off">{words} ({shown})</span>'


def with_media(html: SafeString, base: str) -> SafeString:
    """Show the images of a project's own media in rendered HTML; `base` is the address their names are added to.

    Everything else, and HTML without such images, comes back as it was.
    """
    if "img-media" not in html:
        return html

    def image(match: re.Match) -> str:
        words = (match[1] or "").replace('"', "&quot;")
        text = match[0].partition(">")[2].removesuffix("</span>").replace('"', "&quot;")
        return (
            f'<img src="{base}{match[2]}" alt="{words}" data-text="{text}" loading="lazy" decoding="async">'
        )

    return mark_safe(_MEDIA_SPAN.sub(image, html))  # noqa: S308 - sanitised, and the parts are escaped text


def _render_table_open(self: object, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
    direction = ' dir="rtl"' if tokens[idx].attrGet("dir") == "rtl" else ""
    return f'<div class="table-scroll" tabindex="0"><table{direction}>\n'


def _render_table_close(self: object, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
    return "</table></div>\n"


def _direct_blocks(state: StateCore) -> None:
    """Give each block its reading direction, and table cells their alignment as a class."""
    open_blocks: list[Token] = []  # containers that still wait for their first strong character
    for token in state.tokens:
        if token.nesting == 1 and token.level >= DEEPEST - 1:
            raise _TooDeepError
        if token.type in _OWN_DIRECTION:
            token.attrSet("dir", "auto")
        if token.type in ("td_open", "th_open") and (style := token.attrs.pop("style", None)):
            token.attrSet("class", f"align-{str(style).removeprefix('text-align:')}")
        if token.type in _GIVEN_DIRECTION:
            open_blocks.append(token)
        elif token.type == "inline" and open_blocks:
            strong = next(
                (
                    letter
                    for character in token.content[:200]
                    if (letter := unicodedata.bidirectional(character)) in ("L", "R", "AL")
                ),
                None,
            )
            if strong:
                if strong != "L":
                    for block in open_blocks:
                        block.attrSet("dir", "rtl")
                open_blocks = []


def _build_markdown() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": DEEPEST}
    md = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    use_math(md)
    md.validateLink = lambda url: bool(_SAFE_URL.match(url) or _MEDIA_URL.fullmatch(url))  # type: ignore[method-assign]
    md.core.ruler.push("direct_blocks", _direct_blocks)
    md.add_render_rule("fence", _render_fence)
    md.add_render_rule("code_block", _render_fence)
    md.add_render_rule("code_inline", _render_code_inline)
    md.add_render_rule("image", _render_image)
    md.add_render_rule("table_open", _render_table_open)
    md.add_render_rule("table_close", _render_table_close)
    return md


_MARKDOWN = _build_markdown()
_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    attributes=ATTRIBUTES,
    tag_attribute_values=ATTRIBUTE_VALUES,
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes=set(SCHEMES),
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)
