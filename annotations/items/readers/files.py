"""Bytes, lines, text and JSON values from files, plain or gzipped, in bounded memory."""

import codecs
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from . import bombs, parquet
from .checks import Bad, printable, shown
from .records import MAX_LINE, Problem, Record, UnknownFormat

CHUNK = 1 << 18
DAMAGED = (EOFError, OSError, zlib.error)
BOM = codecs.BOM_UTF8


def _once(pairs: list[tuple[str, object]]) -> dict:
    """An object whose keys stand once: of two equal ones nobody can say which is meant."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise Bad(printable(twice), "expected each key once, found this one twice")
    return made


decode_json = json.JSONDecoder(object_pairs_hook=_once).decode
scan_json = json.JSONDecoder(object_pairs_hook=_once).raw_decode
DEEPEST = 100_000  # brackets that are open at once in an element that is passed over
MOST_BLANK = 1_000_000  # lines with nothing on them
SPACE = re.compile(r"[ \t\n\r]*")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}"]', re.DOTALL)


def open_bytes(path) -> BinaryIO:
    """The file's bytes, gzip undone; raises UnknownFormat when it cannot be opened."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return bombs.Gunzip(path) if packed else open(path, "rb")
    except OSError as error:
        raise UnknownFormat(path, f"cannot be read: {error.strerror or error}") from None


def head(path, size: int = 1 << 20) -> bytes:
    """The first `size` bytes, or as many as a damaged file still gives."""
    parts, left = [], size
    with open_bytes(path) as file:
        try:
            while left > 0 and (chunk := file.read1(left)):
                parts.append(chunk)
                left -= len(chunk)
        except DAMAGED as error:
            if not parts:
                raise UnknownFormat(path, f"the gzip file is damaged at its start ({error})") from None
    return b"".join(parts)


def damaged(line: int, error: Exception) -> Problem:
    return Problem(line, "", f"the file is cut or damaged here, nothing after it was read ({error})")


def too_blank(line: int) -> Problem:
    return Problem(line, "", f"more than {MOST_BLANK:,} empty lines; reading stopped here")


def lines(path) -> Iterator[tuple[int, bytes | Problem]]:
    """(1-based number, line without its end); a line over MAX_LINE is a Problem and is passed over."""
    number, held, size, overlong = 1, [], 0, False
    with open_bytes(path) as file:
        start = True
        while True:
            try:
                chunk = file.read1(CHUNK)
            except DAMAGED as error:
                yield number, damaged(number, error)
                return
            if not chunk:
                break
            first, *rest = chunk.split(b"\n")
            if start:
                first, start = first.removeprefix(BOM), False
            for piece in (first, *rest[:-1]) if rest else ():
                if overlong:
                    overlong = False
                else:
                    yield number, b"".join((*held, piece)) if held else piece
                held, size = [], 0
                number += 1
            if overlong:
                size += len(chunk)
                if size > 16 * MAX_LINE and not rest:
                    yield number, Problem(number, "", "the line does not end; reading stopped here")
                    return
                continue
            last = rest[-1] if rest else first
            held.append(last)
            size += len(last)
            if size > MAX_LINE:
                yield number, Problem(number, "", f"expected a line of at most {MAX_LINE >> 20} MB")
                held, overlong = [], True
    if any(held):
        yield number, b"".join(held)


def text_chunks(path) -> Iterator[str]:
    """The file as text; bytes that are not UTF-8 become lone surrogates, which the checks name."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with open_bytes(path) as file:
        start = True
        while chunk := file.read1(CHUNK):
            if start:
                chunk, start = chunk.removeprefix(BOM), False
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def json_rows(path) -> Iterator[tuple[int, object]]:
    """(line, element or row number, value or Problem) of JSON lines, of one JSON list, of Parquet or Arrow."""
    start = head(path, 4096)
    if start.startswith(parquet.SIGNS):
        return parquet.rows(path)
    start = start.removeprefix(BOM).lstrip()
    return list_rows(path) if start.startswith(b"[") else line_rows(path)


def line_rows(path) -> Iterator[tuple[int, object]]:
    blank = 0
    for number, line in lines(path):
        if isinstance(line, Problem):
            yield number, line
            continue
        if not line or line.isspace():
            blank += 1
            if blank > MOST_BLANK:
                yield number, too_blank(number)
                return
            continue
        try:
            value = decode_json(line.decode())
        except Bad as bad:
            value = Problem(number, bad.field, bad.message)
        except (ValueError, RecursionError) as error:
            value = Problem(number, "", complaint(error))
        yield number, value


def complaint(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"expected UTF-8, found the byte 0x{error.object[error.start]:02x} at position {error.start}"
    if isinstance(error, json.JSONDecodeError):
        return f"expected one JSON object: {error.msg} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "expected a JSON object, found one nested too deep"
    return f"expected a JSON object: {str(error)[:80]}"


class ListReader:
    """One JSON list, element by element, holding one chunk or one element at a time."""

    def __init__(self, path):
        self.chunks = text_chunks(path)
        self.buffer = ""
        self.at = 0
        self.ended = False

    def grow(self) -> bool:
        """Read until what is held has doubled; false at the end of the file."""
        parts = [self.buffer[self.at :]]
        self.at, wanted = 0, max(len(parts[0]), 1)
        while wanted > 0 and not self.ended:
            chunk = next(self.chunks, None)
            if chunk is None:
                self.ended = True
            else:
                parts.append(chunk)
                wanted -= len(chunk)
        self.buffer = "".join(parts)
        return not self.ended

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            self.at = SPACE.match(self.buffer, self.at).end()
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if self.ended:
                return ""
            self.grow()

    def element(self):
        """The value that begins here. Raises Bad when it is unreadable, EOFError when it never ends."""
        while True:
            try:
                value, end = scan_json(self.buffer, self.at)
                if end < len(self.buffer) or self.ended:
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self.buffer) - 16
                if self.ended or not cut:
                    self.skip()
                    raise Bad("", f"expected a JSON object: {error.msg}") from None
            except (ValueError, RecursionError) as error:
                self.skip()
                raise Bad("", complaint(error)) from None
            except Bad:
                self.skip()
                raise
            self.more()

    def more(self) -> None:
        if len(self.buffer) - self.at > MAX_LINE:
            raise EOFError(f"expected an element of at most {MAX_LINE >> 20} MB")
        self.grow()

    def skip(self) -> None:
        """Pass over a broken object or list by counting its brackets."""
        if self.buffer[self.at] not in "[{":
            raise EOFError("expected a list of JSON objects")
        depth, seen = 0, self.at
        while True:
            for token in TOKEN.finditer(self.buffer, seen):
                mark = token.group()
                if mark == '"':  # a text that does not end in what is held
                    break
                seen = token.end()
                depth += (mark in "[{") - (mark in "]}")
                if depth > DEEPEST:
                    raise EOFError("expected an element that is not nested so deep")
                if depth == 0 and mark in "]}":
                    self.at = seen
                    return
            if self.ended:
                raise EOFError("the element does not end")
            seen -= self.at  # the buffer begins here once more is read
            self.more()
            seen += self.at


def list_rows(path) -> Iterator[tuple[int, object]]:
    number = 1
    try:
        reader = ListReader(path)
        reader.peek()
        reader.at += 1
        while (mark := reader.peek()) != "]":
            if not mark:
                raise EOFError("the list is not closed")
            try:
                value = reader.element()
            except Bad as bad:
                value = Problem(number, bad.field, bad.message)
            yield number, value
            number += 1
            if reader.peek() == ",":
                reader.at += 1
            elif reader.peek() != "]":
                raise EOFError("expected a comma or the end of the list")
        reader.at += 1
        if reader.peek():
            raise EOFError("expected nothing after the end of the list")
    except DAMAGED as error:
        yield number, damaged(number, error)


def records(
    rows: Iterator[tuple[int, object]], parse: Callable[[dict, int, list[Problem]], Record]
) -> Iterator[Record | Problem]:
    """Parse each row; what is wrong with one row or one judgment does not touch the others."""
    for line, row in rows:
        if type(row) is not dict:
            message = f"expected a JSON object, found {shown(row)}"
            yield row if isinstance(row, Problem) else Problem(line, "", message)
            continue
        problems: list[Problem] = []
        try:
            yield parse(row, line, problems)
        except Bad as bad:
            yield Problem(line, bad.field, bad.message)
        yield from problems


def stem(path) -> str:
    """The file's name without folder, `.gz` and the last suffix."""
    name = Path(path).name
    return Path(name.removesuffix(".gz")).stem
