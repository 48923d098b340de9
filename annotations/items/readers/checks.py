"""Hand-written checks of single values; each raises Bad with the field and what was expected."""

import math
from datetime import UTC, datetime
from uuid import UUID

from .records import MAX_ID, MAX_NAME, MAX_RESPONSES, MAX_TEXT, ResponseRecord

MAX_NUMBER = 1e15
MAX_DEPTH = 32  # nesting of free JSON (meta, answers)
MAX_MS = 10 * 366 * 24 * 3600 * 1000


class Bad(Exception):
    """A value that is not what its field needs."""

    def __init__(self, field: str, message: str):
        super().__init__(field, message)
        self.field = field
        self.message = message

    def within(self, where: str) -> "Bad":
        """The same complaint seen from one level further out."""
        return Bad(join(where, self.field), self.message)


def join(where: str, field: str) -> str:
    if not where or not field:
        return where or field
    return f"{where}{field}" if field.startswith("[") else f"{where}.{field}"


def shown(value) -> str:
    """A value as a person reads it in a message: JSON words, at most about 50 characters."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return ascii_short(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return str(value)[:50]


def ascii_short(value: str) -> str:
    quoted = repr(value[:40])
    return quoted if len(value) <= 40 else f"{quoted}… ({len(value):,} characters)"


def text(value, field: str, limit: int = MAX_TEXT) -> str:
    """The value, a string that every database and browser can hold."""
    if type(value) is not str:
        raise Bad(field, f"expected text, found {shown(value)}")
    if len(value) > limit:
        raise Bad(field, f"expected at most {limit:,} characters, found {len(value):,}")
    if "\x00" in value:
        raise Bad(field, f"holds a NUL character at position {value.index(chr(0))}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            what = "bytes that are not UTF-8" if 0xDC80 <= code <= 0xDCFF else "a lone surrogate"
            raise Bad(field, f"holds {what} at position {error.start}") from None
    return value


def optional_text(value, field: str, limit: int = MAX_TEXT) -> str | None:
    return None if value is None else text(value, field, limit)


def name(value, field: str, limit: int = MAX_NAME) -> str:
    """A short, non-empty text."""
    if not text(value, field, limit).strip():
        raise Bad(field, "expected a name, found an empty text")
    return value


def identifier(value, field: str) -> str | None:
    """An id as text; whole numbers are accepted, nothing and empty text mean no id."""
    if value is None or value == "":
        return None
    if type(value) is int:
        value = str(value)
    return text(value, field, MAX_ID)


def number(value, field: str, low: float | None = None, high: float | None = None) -> float:
    """A finite number inside [low, high]; a bound of None is open."""
    if type(value) is not int and type(value) is not float:
        raise Bad(field, f"expected a number, found {shown(value)}")
    if type(value) is float:
        if not math.isfinite(value):
            raise Bad(field, f"expected a finite number, found {value}")
        value += 0.0  # -0.0 becomes 0.0
    if not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise Bad(field, "expected a number of at most 15 digits")
    if (low is not None and value < low) or (high is not None and value > high):
        scale = f"{'…' if low is None else low} to {'…' if high is None else high}"
        raise Bad(field, f"expected a number from {scale}, found {shown(value)}")
    return value


def whole(value, field: str, low: int | None = None, high: int | None = None) -> int:
    """A whole number inside [low, high]; 2.0 is accepted as 2."""
    value = number(value, field, low, high)
    if value != int(value):
        raise Bad(field, f"expected a whole number, found {shown(value)}")
    return int(value)


def scale(value, field: str) -> tuple[float | None, float | None]:
    """`[min, max]`, either of them null when that side is open."""
    if value is None:
        return None, None
    if not isinstance(value, list) or len(value) != 2:
        raise Bad(field, f"expected [min, max], found {shown(value)}")
    low, high = (None if bound is None else number(bound, field) for bound in value)
    if low is not None and high is not None and low > high:
        raise Bad(field, f"expected min <= max, found [{low}, {high}]")
    return low, high


def milliseconds(value, field: str) -> int | None:
    return None if value is None else whole(value, field, 0, MAX_MS)


def flag(value, field: str) -> bool | None:
    if value is not None and type(value) is not bool:
        raise Bad(field, f"expected true or false, found {shown(value)}")
    return value


def uuid(value, field: str) -> str | None:
    if value is None:
        return None
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise Bad(field, f"expected a UUID, found {shown(value)}") from None


def moment(value, field: str) -> datetime | None:
    """An ISO 8601 time, with UTC assumed when it names no zone; `… UTC` at the end is accepted."""
    if value is None:
        return None
    try:
        if value.endswith(" UTC"):
            value = f"{value[:-4]}+00:00"
        found = datetime.fromisoformat(value)
        if found.tzinfo is UTC:
            return found
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, AttributeError, TypeError, OverflowError):
        raise Bad(field, f"expected a time such as 2026-01-31T12:00:00Z, found {shown(value)}") from None


def plain(value, field: str, depth: int = 0):
    """Free JSON (meta, answers): every text sound, every number finite, not too deep."""
    kind = type(value)
    if kind is str:
        text(value, field)
    elif kind is float:
        if not -MAX_NUMBER < value < MAX_NUMBER:
            number(value, field)
    elif kind is dict or kind is list:
        if depth >= MAX_DEPTH:
            raise Bad(field, f"nested deeper than {MAX_DEPTH} levels")
        for key, entry in enumerate(value) if kind is list else value.items():
            try:
                if kind is dict:
                    text(key, "")
                plain(entry, "", depth + 1)
            except Bad as bad:
                raise bad.within(f"[{key}]" if kind is list else printable(key)).within(field) from None
    return value


def printable(key: str) -> str:
    """A key of the file as part of a field's name in a message."""
    return key[:40] if key.isprintable() else repr(key[:40])[1:-1]


def meta_object(value, field: str) -> dict:
    if value is None:
        return {}
    if type(value) is not dict:
        raise Bad(field, f"expected an object, found {shown(value)}")
    return plain(value, field)


def entries(value, field: str) -> list:
    """A list, where nothing at all means an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Bad(field, f"expected a list, found {shown(value)}")
    return value


def with_extras(meta: dict, row: dict, known: frozenset) -> dict:
    """`meta` and the row's unknown keys in one object; a clash keeps both (`key_row`)."""
    extras = row.keys() - known
    if not extras:
        return meta
    meta = dict(meta)
    for key in row:
        if key in extras:
            plain(row[key], printable(text(key, printable(key))))
            meta[f"{key}_row" if key in meta else key] = row[key]
    return meta


def prompt_of(value, field: str = "prompt") -> str | list[dict]:
    """A text, or chat messages with role and content."""
    if type(value) is str:
        return text(value, field)
    if not isinstance(value, list) or not value:
        raise Bad(field, f"expected text or a list of messages, found {shown(value)}")
    for index, message in enumerate(value):
        at = f"{field}[{index}]"
        if type(message) is not dict:
            raise Bad(at, f"expected a message with role and content, found {shown(message)}")
        name(message.get("role"), f"{at}.role")
        text(message.get("content"), f"{at}.content")
        if len(message) > 2:
            plain(message, at)
    return value


def one_turn(prompt: str | list[dict]) -> str | list[dict]:
    """The text of a prompt that is one message of a user; any other prompt as it is."""
    if isinstance(prompt, list) and len(prompt) == 1 and prompt[0].keys() == {"role", "content"}:
        return prompt[0]["content"] if prompt[0]["role"] == "user" else prompt
    return prompt


def conversation(value, field: str) -> list[dict]:
    """A list of messages with role and content; content given in parts is joined, other keys are not kept."""
    if isinstance(value, list):
        value = [_said(message) if type(message) is dict else message for message in value]
    if isinstance(value, str):
        raise Bad(field, "expected a list of messages, found text")
    return prompt_of(value, field)


def _said(message: dict) -> dict:
    content = message.get("content")
    if isinstance(content, list) and all(type(part) is dict for part in content):
        texts = [part.get("text") for part in content if part.get("type", "text") == "text"]
        if all(type(part) is str for part in texts):
            content = "\n\n".join(texts)
    return {"role": message.get("role"), "content": content}


def responses_of(texts: list[tuple[str, str]], models: tuple[str, ...] = ()) -> tuple[ResponseRecord, ...]:
    """Responses from (field, text) pairs and, where known, the models that wrote them."""
    count(len(texts), "responses")
    models = models if len(models) == len(texts) else ("",) * len(texts)
    return tuple(
        ResponseRecord(text(value, field), model) for (field, value), model in zip(texts, models, strict=True)
    )


def count(found: int, field: str) -> None:
    if not 1 <= found <= MAX_RESPONSES:
        raise Bad(field, f"expected 1 to {MAX_RESPONSES} responses, found {found}")
