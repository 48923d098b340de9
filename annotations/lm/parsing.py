"""From a model's text to a checked answer. Pure; the text is data and nothing in it is ever run.

Strict first: the whole text is one JSON object with exactly the keys asked for. Else tolerant: the last complete JSON
object in the text, with keys and values in other spellings; else, for a single comparison, a verdict at the very end
of the text. Only the end counts, because a model that quotes a response quotes whatever verdict it holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .asking import LETTERS, TIES, Asked, Question, places_of

STRICT, REPAIRED, NONE = "strict", "repaired", ""
MAX_REASON = 20_000
MAX_OBJECTS = 40  # candidates for "the last object" that are tried


@dataclass(frozen=True)
class Parsed:
    """One reply in canonical order. `mode` is how it was read, empty where it was not: `problem` says why.

    comparisons: name -> (signed strength, or 0 for a tie; the tie's name or "").
    scores: name -> value per canonical index of the responses shown.
    """

    mode: str = NONE
    problem: str = ""
    comparisons: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    reason: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.mode)


class _Wrong(ValueError):
    """The candidate is not an answer; the text says why."""


def parse(text: str, asked: Asked, order: str) -> Parsed:
    """Read a reply that saw the responses in this order. Never raises."""
    if not text or not text.strip():
        return Parsed(problem="The reply is empty.")
    try:
        whole = loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        try:
            return _read(whole, asked, order, strict=True)
        except _Wrong:
            pass
    problem = "The reply holds no JSON object."
    for candidate in objects(text):
        try:
            return _read(candidate, asked, order, strict=False)
        except _Wrong as error:
            problem = str(error)
            break  # the last object that looks like an answer decides
    else:
        found = _closing_verdict(text, asked)
        if found is not None:
            return _read({asked.questions[0].name: found}, asked, order, strict=False, reason=text)
    return Parsed(problem=problem)


def loads(text: str) -> object:
    """JSON without NaN, with duplicate keys refused: two verdicts are none."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: Sequence[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def objects(text: str) -> list[dict]:
    """Complete JSON objects that are not inside another one, the last first, if they start in the last part."""
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
    found: list[dict] = []
    position = tried = 0
    starts = [match.start() for match in re.finditer(r"\{", text)]
    if len(starts) > 400:
        starts = starts[-400:]
    for start in starts:
        if start < position:
            continue
        tried += 1
        try:
            value, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = max(position, start + 1)
            continue
        if isinstance(value, dict) and value:
            found.append(value)
    return found[::-1][:MAX_OBJECTS]


def _read(given: dict, asked: Asked, order: str, *, strict: bool, reason: str = "") -> Parsed:
    """The answer in this object. Raises _Wrong."""
    values = given if strict else _unified(given)
    wanted: set[str] = {"reason"} if asked.reason else set()
    comparisons: dict[str, tuple[int, str]] = {}
    scores: dict[str, dict[int, int]] = {}
    places = places_of(order)
    for q in asked.questions:
        wanted.add(q.name)
        value = values.get(q.name)
        if value is None and not strict and len(asked.questions) == 1 and q.kind == "comparison":
            value = next(
                (values[k] for k in ("verdict", "winner", "preference", "answer", "choice") if k in values),
                None,
            )
        if value is None:
            raise _Wrong(f"{q.name} is missing.")
        if q.kind == "comparison":
            strength = values.get(f"{q.name}_strength") if q.high > 1 else 1
            if q.high > 1:
                wanted.add(f"{q.name}_strength")
            comparisons[q.name] = _comparison(q, value, strength, places, strict)
        else:
            scores[q.name] = _scores(q, value, places, strict)
    if strict and set(given) != wanted:
        raise _Wrong("other keys than asked for")
    said = values.get("reason", "")
    if strict and asked.reason and not isinstance(said, str):
        raise _Wrong("reason is no text")
    text = said if isinstance(said, str) and said else reason
    return Parsed(STRICT if strict else REPAIRED, "", comparisons, scores, clean(text)[:MAX_REASON])


def _unified(given: dict) -> dict:
    """Keys in small letters with underscores; an object that only wraps the answer is opened."""
    if len(given) == 1:
        [inner] = given.values()
        if isinstance(inner, dict) and not set(map(str.upper, inner)) <= set(LETTERS):
            given = inner
    return {re.sub(r"[\s-]+", "_", str(key).strip().lower()): value for key, value in given.items()}


def _comparison(
    q: Question, value: object, strength: object, places: tuple[int, ...], strict: bool
) -> tuple[int, str]:
    word = (value if isinstance(value, str) else "") if strict else _side(value)
    if word in TIES and TIES[word] in q.ties:
        return 0, TIES[word]
    if not strict and word == "tie" and q.ties:
        return 0, q.ties[0]
    if word not in ("A", "B"):
        raise _Wrong(f"{q.name}: {str(value)[:40]!r} is not one of the answers.")
    if q.high > 1:
        number = _whole(strength, strict)
        if number is None or not 1 <= number <= q.high:
            if strict:
                raise _Wrong(f"{q.name}_strength: {str(strength)[:40]!r} is not from 1 to {q.high}.")
            number = 1  # a side without a readable strength is the weakest preference
    else:
        number = 1
    shown = 0 if word == "A" else 1
    return (-number if places[shown] < places[1 - shown] else number), ""


def _scores(q: Question, value: object, places: tuple[int, ...], strict: bool) -> dict[int, int]:
    low, high = (1, len(places)) if q.kind == "ranking" else (q.low, q.high)
    letters = LETTERS[: len(places)]
    if not strict and not isinstance(value, dict) and len(places) == 1:
        value = {"A": value}
    if not isinstance(value, dict):
        raise _Wrong(f"{q.name}: expected one value for each of {', '.join(letters)}.")
    given = value if strict else {_letter(str(key)): each for key, each in value.items()}
    if set(given) != set(letters):
        raise _Wrong(f"{q.name}: expected one value for each of {', '.join(letters)}.")
    found = {}
    for shown, letter in enumerate(letters):
        number = _whole(given[letter], strict)
        if number is None or not low <= number <= high:
            raise _Wrong(f"{q.name}: {str(given[letter])[:40]!r} is not from {low} to {high}.")
        found[places[shown]] = number
    if q.kind == "ranking":
        ranks = sorted(found.values())
        proper = [sum(other < rank for other in ranks) + 1 for rank in ranks]
        if ranks != proper or (not q.ties and len(set(ranks)) != len(ranks)):
            raise _Wrong(f"{q.name}: {ranks} are no places.")
    return found


def _whole(value: object, strict: bool) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if strict:
        return None
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(-?\d{1,4})(?:\.0+)?\s*(?:/\s*\d+|out of \d+)?\s*", value)
        return int(match.group(1)) if match else None
    return None


_SIDES = {"a": "A", "b": "B", "1": "A", "2": "B", "first": "A", "second": "B"}
_TIED = {"tie", "equal", "draw", "neither", "both", "same", "c", "0", "tied"}


def _side(value: object) -> str:
    """A, B or a tie's word from `Response A`, `[[B]]`, `option 1`, `tie`; else an empty text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    word = re.sub(r"[\s\[\]\"'*`().:_-]+", " ", str(value)[:60].lower()).strip()
    if word.replace(" ", "_") in TIES:
        return word.replace(" ", "_")
    word = re.sub(r"^(?:the )?(?:response|answer|option|assistant|model|output) ", "", word)
    word = re.sub(r" (?:is better|wins|response|answer)$", "", word)
    return "tie" if word in _TIED else _SIDES.get(word, "")


def _letter(key: str) -> str:
    word = re.sub(r"^(?:response|answer|option)[\s_-]*", "", key.strip().lower())
    return word.upper()


_CLOSING = re.compile(
    r"(?:^|\n|[.!?]\s)[^\n]{0,80}?(?:verdict|winner|answer|result|choice|preference|overall|better response)\b"
    r"[^A-Za-z0-9\n]{0,8}(?:is\s+|:\s*)?[^A-Za-z0-9\n]{0,6}((?:response|option|answer)?\s*(?:[AB]|tie))\b"
    r"[^A-Za-z0-9]{0,8}$",
    re.IGNORECASE,
)


def _closing_verdict(text: str, asked: Asked) -> str | None:
    """The verdict in the last words, where one comparison and nothing else was asked."""
    if len(asked.questions) != 1 or asked.questions[0].kind != "comparison":
        return None
    if "{" in text[-200:]:
        return None  # broken JSON is not prose
    match = _CLOSING.search(text.rstrip()[-200:]) or re.search(
        r"(?:\A|\n)\W{0,6}(\[\[(?:A|B|C)\]\]|(?:response\s+)?(?:A|B)|tie)\W{0,6}$",
        text.rstrip()[-40:],
        re.IGNORECASE,
    )
    return match.group(1) if match else None


def clean(text: str) -> str:
    """A text every database can hold: no NUL, no half surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def probability_second(tokens: Sequence[Mapping], content: str, asked: Asked, order: str) -> float | None:
    """P(second in canonical order better), ties half, from the token probabilities of the main verdict, or None.

    `tokens` is the `logprobs.content` list of a chat completion: [{"token", "logprob", "top_logprobs": [...]}]. The
    verdict's token is found by its place in the text; probabilities of A, B and ties among the alternatives given
    there are brought to sum 1 (as in G-Eval: p_A / (p_A + p_B)).
    """
    q = asked.main
    if q is None or not isinstance(tokens, Sequence):
        return None
    spots = list(re.finditer(rf'"{re.escape(q.name)}"\s*:\s*"', content))
    if not spots:
        return None
    target, position = spots[-1].end(), 0
    for entry in tokens:
        token = entry.get("token") if isinstance(entry, Mapping) else None
        if not isinstance(token, str):
            return None
        if position <= target < position + len(token):
            return _share(entry, token[: target - position], q, order)
        position += len(token)
    return None


def _share(entry: Mapping, lead: str, q: Question, order: str) -> float | None:
    mass = {"A": 0.0, "B": 0.0, "tie": 0.0}
    options = entry.get("top_logprobs")
    options = options if isinstance(options, Sequence) and options else [entry]
    for option in options:
        if not isinstance(option, Mapping) or not isinstance(option.get("token"), str):
            continue
        logprob = option.get("logprob")
        if isinstance(logprob, bool) or not isinstance(logprob, (int, float)) or not logprob <= 1e-6:
            continue
        word = option["token"]
        word = (word[len(lead) :] if lead and word.startswith(lead) else word).strip().strip('"').strip()
        if not word:
            continue
        if word[0] in "AB" and (len(word) == 1 or not word[1].isalpha()):
            mass[word[0]] += math.exp(logprob)
        elif q.ties and any(tie.startswith(word) for tie in ("tie", "both_good", "both_bad")):
            mass["tie"] += math.exp(logprob)
    total = sum(mass.values())
    if total <= 0 or mass["A"] + mass["B"] <= 0:
        return None
    shown_second = (mass["B"] + mass["tie"] / 2) / total
    return shown_second if order.startswith("ab") else 1 - shown_second
