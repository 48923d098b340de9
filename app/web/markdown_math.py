"""Markdown rules for LaTeX: ``$…$``, ``$$…$$``, ``\\(…\\)``, ``\\[…\\]`` and ``\\begin{align}…\\end{align}``.

The rules only mark the source as ``<span class="math">``; typesetting happens in the browser. Every
search for a closing delimiter is bounded, so that a text full of opening ones stays linear.
"""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

LONGEST_INLINE = 2_000
LONGEST_BLOCK_LINES = 100
ENVIRONMENT = re.compile(r"\\begin\{((?:equation|align|gather|alignat|multline|cases|[pbvBV]?matrix)\*?)\}")


def use_math(md: MarkdownIt) -> None:
    """Add the inline and block rules and their renderers to a parser."""
    md.inline.ruler.before("escape", "math_inline", _inline_math)
    md.block.ruler.before(
        "fence",
        "math_block",
        _block_math,
        {"alt": ["paragraph", "reference", "blockquote", "list"]},
    )
    md.add_render_rule("math_inline", _render_math)
    md.add_render_rule("math_block", _render_math)


def _render_math(self: object, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
    """Give the escaped source in a span that the browser typesets."""
    token = tokens[idx]
    kind = "block" if token.meta["display"] else "inline"
    newline = "\n" if token.type == "math_block" else ""
    return f'<span class="math {kind}" dir="ltr">{escapeHtml(token.content)}</span>{newline}'


def _inline_math(state: StateInline, silent: bool) -> bool:
    """Parse math inside a paragraph, after Pandoc's rule that keeps "$5 and $6" text."""
    src, start, end = state.src, state.pos, state.posMax
    two = src[start : start + 2]
    if two == "$$":
        opening, closing, display = "$$", "$$", True
    elif two == "\\(":
        opening, closing, display = two, "\\)", False
    elif two == "\\[":
        opening, closing, display = two, "\\]", True
    elif two[:1] == "$":
        opening, closing, display = "$", "$", False
    else:
        return False
    first = start + len(opening)
    limit = min(end, first + LONGEST_INLINE)
    found = _find_closing(src, closing, first, limit)
    if found < 0:
        return False
    content = src[first:found]
    if not content.strip():
        return False
    if opening == "$" and not _dollars_hold_math(src, start, first, found):
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = content.strip()
        token.markup = opening
        token.meta = {"display": display}
    state.pos = found + len(closing)
    return True


def _dollars_hold_math(src: str, start: int, first: int, found: int) -> bool:
    """Say whether single dollars enclose math: no space inside them, no digit right outside."""
    before = src[start - 1] if start else ""
    after = src[found + 1 : found + 2]
    return not (
        src[first].isspace()
        or src[found - 1].isspace()
        or after.isdigit()
        or before.isdigit()
        or after == "$"
    )


def _find_closing(src: str, closing: str, first: int, limit: int) -> int:
    """Find an unescaped closing delimiter in ``src[first:limit]``, or -1."""
    found = src.find(closing, first, limit)
    while found >= 0:
        slashes = 0
        while found - slashes > first and src[found - slashes - 1] == "\\":
            slashes += 1
        if slashes % 2 == 0:
            return found
        found = src.find(closing, found + 1, limit)
    return -1


def _block_math(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Parse display math that begins a line and ends at the end of a line at most 100 lines below."""
    if state.is_code_block(start_line):
        return False
    begin = state.bMarks[start_line] + state.tShift[start_line]
    first_line = state.src[begin : state.eMarks[start_line]]
    two = first_line[:2]
    keep = False
    if two == "$$":
        opening, closing = "$$", "$$"
    elif two == "\\[":
        opening, closing = "\\[", "\\]"
    elif match := ENVIRONMENT.match(first_line):
        opening, closing, keep = match[0], f"\\end{{{match[1]}}}", True
    else:
        return False

    parts: list[str] = []
    line, text = start_line, first_line[len(opening) :]
    while True:
        stripped = text.rstrip()
        if stripped.endswith(closing):
            parts.append(stripped[: -len(closing)])
            break
        if closing in text:
            return False
        parts.append(text)
        line += 1
        if line >= min(end_line, start_line + LONGEST_BLOCK_LINES) or state.sCount[line] < state.blkIndent:
            return False
        text = state.src[state.bMarks[line] : state.eMarks[line]]
        if opening != closing and opening in text:
            return False
    content = "\n".join(parts).strip()
    if not content:
        return False
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.block = True
    token.content = f"{opening}{content}{closing}" if keep else content
    token.markup = opening
    token.map = [start_line, line + 1]
    token.meta = {"display": True}
    state.line = line + 1
    return True
