"""Answers beyond comparisons and scores: choices, texts, marked parts, rewrites. Pure: their check and their order.

A value's form is in `projects.schemas`. Stored values name responses by canonical index; `rearranged` gives the same
value by displayed place, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.utils.translation import gettext as _

from app.web.numbers import grouped

KINDS = ("choice", "text", "span", "rewrite")
MOST_SPANS = 200
LONGEST_QUOTE = 20_000
LONGEST_NOTE = 2_000
LONGEST_REWRITE = 100_000
SPAN_KEYS = frozenset(("response", "start", "end", "quote", "label", "note"))

TextOf = Callable[[int], str]
"""A response's text as a person sees it (`rendering.plain_text`), by canonical index."""


def is_given(value: object) -> bool:
    """Whether a value says anything: not for None, empty texts, and lists of nothing but these."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, (list, tuple)):
        return any(is_given(part) for part in value)
    return value is not None


def problems(question, value: object, n_responses: int, text_of: TextOf | None = None) -> list[str]:
    """What is wrong with the value of a question of KINDS that was asked, in words; nothing if it is right.

    Total over every JSON value. Without `text_of` the offsets of marked parts are not held against the texts.
    """
    if not is_given(value):
        return [_("answer this question")] if question.required else []
    if question.kind in {"choice", "text"} and question.per_response:
        return _of_each_response(question, value, n_responses)
    if question.kind == "choice":
        return _choice(question, value)
    if question.kind == "text":
        return _text(question, value)
    if question.kind == "span":
        return _spans(question, value, n_responses, text_of)
    return _rewrite(value, n_responses)


def nothing(question) -> str | list:
    """What stands for a response about which nothing was said, in the list of a `per_response` question."""
    return [] if question.kind == "choice" and question.multiple else ""


def _of_each_response(question, value: object, n_responses: int) -> list[str]:
    if not isinstance(value, list) or len(value) != n_responses:
        return [_("expected a list of {n}, one for each response").format(n=n_responses)]
    found: list[str] = []
    for part in value:
        if is_given(part):
            found += _choice(question, part) if question.kind == "choice" else _text(question, part)
        elif part != nothing(question):
            found.append(_("{given}: expected an answer, or nothing").format(given=_shown(part)))
        elif question.required:
            found.append(_("answer for every response"))
    return list(dict.fromkeys(found))


def _choice(question, value: object) -> list[str]:
    options = {option.value for option in question.options}
    chosen = value if isinstance(value, list) else [value]
    if isinstance(value, list) != question.multiple or not all(
        isinstance(part, str) and part in options for part in chosen
    ):
        words = (
            _("{given}: expected some of the options")
            if question.multiple
            else _("{given}: expected one of the options")
        )
        return [words.format(given=_shown(value))]
    if len(set(chosen)) != len(chosen):
        return [_("an option was chosen twice")]
    return []


def _text(question, value: object) -> list[str]:
    if not isinstance(value, str):
        return [_("{given}: expected a text").format(given=_shown(value))]
    if not question.min_chars <= len(value) <= question.max_chars:
        return [
            _("{n} characters: expected {low} to {high}").format(
                n=grouped(len(value)), low=grouped(question.min_chars), high=grouped(question.max_chars)
            )
        ]
    return []


def _spans(question, value: object, n_responses: int, text_of: TextOf | None) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(span, dict) for span in value):
        return [_("expected a list of marked parts")]
    if len(value) > MOST_SPANS:
        return [
            _("{n} marked parts; at most {most} are stored").format(n=grouped(len(value)), most=MOST_SPANS)
        ]
    labels = {option.value for option in question.options}
    found: list[str] = []
    seen: set[tuple] = set()
    for number, span in enumerate(value, start=1):
        words = _span(question, span, labels, n_responses, text_of)
        key = tuple(span.get(part) for part in ("response", "start", "end", "label"))
        if not words and key in seen:
            words = _("marked twice with the same label")
        if words:
            found.append(_("part {number}: {words}").format(number=number, words=words))
        else:
            seen.add(key)
    return found[:10]


def _span(question, span: dict, labels: set, n_responses: int, text_of: TextOf | None) -> str:
    if span.keys() - SPAN_KEYS or SPAN_KEYS - {"note"} - span.keys():
        return _("expected response, start, end, quote, label and, if you like, note")
    if not _is_index(span["response"], n_responses):
        return _("response {given}: the item has {n}").format(given=_shown(span["response"]), n=n_responses)
    start, end = span["start"], span["end"]
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        return _("from {start} to {end}: expected 0 <= start < end").format(
            start=_shown(start), end=_shown(end)
        )
    if not isinstance(span["label"], str) or span["label"] not in labels:
        return _("{given}: expected one of the labels").format(given=_shown(span["label"]))
    note = span.get("note", "")
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        return _("expected a note of at most {most} characters").format(most=grouped(LONGEST_NOTE))
    if note and not question.note:
        return _("this question asks for no note")
    quote = span["quote"]
    if not isinstance(quote, str) or not quote or len(quote) > LONGEST_QUOTE:
        return _("expected a quote of 1 to {most} characters").format(most=grouped(LONGEST_QUOTE))
    if text_of is not None:
        text = text_of(span["response"])
        if end > len(text):
            return _("ends at {end}: the response has {n} characters").format(
                end=grouped(end), n=grouped(len(text))
            )
        if text[start:end] != quote:
            return _("the quote is not what stands there; mark it again")
    return ""


def _rewrite(value: object, n_responses: int) -> list[str]:
    if not isinstance(value, dict) or value.keys() != {"response", "text"}:
        return [_("expected the response it starts from, and a text")]
    if not _is_index(value["response"], n_responses):
        return [
            _("response {given}: the item has {n}").format(given=_shown(value["response"]), n=n_responses)
        ]
    text = value["text"]
    if not isinstance(text, str) or not text.strip():
        return [_("write the better text")]
    if len(text) > LONGEST_REWRITE:
        return [
            _("{n} characters; at most {most} are stored").format(
                n=grouped(len(text)), most=grouped(LONGEST_REWRITE)
            )
        ]
    return []


def _is_index(value: object, n_responses: int) -> bool:
    return type(value) is int and 0 <= value < n_responses


def _shown(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 60 else words[:59] + "…"


def rearranged(question, value, order: Sequence[int]):
    """The same value with responses named otherwise: entry `i` of the result is about what `order[i]` was.

    With the presented order it turns a canonical value into a displayed one; with the inverse, back. Marked parts
    come sorted by response and place. The value has the form that `problems` accepts.
    """
    if question.kind in {"choice", "text"}:
        return [value[index] for index in order] if question.per_response else value
    place = {index: at for at, index in enumerate(order)}
    if question.kind == "span":
        return sorted_spans({**span, "response": place[span["response"]]} for span in value)
    return {**value, "response": place[value["response"]]}


def sorted_spans(spans: Iterable[dict]) -> list[dict]:
    """Marked parts in reading order."""
    return sorted(spans, key=lambda span: (span["response"], span["start"], span["end"], span["label"]))


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation that takes back `order`."""
    back = [0] * len(order)
    for at, index in enumerate(order):
        back[index] = at
    return back


def best_responses(definition, answer, n_responses: int) -> set[int]:
    """The responses that may be the best one by this answer; all of them where it does not say.

    The ranking decides, else of a pair the comparison named `overall` or the first one, else the first rating.
    """
    names: dict[str, list[str]] = {}
    for question in definition.questions:
        names.setdefault(question.kind, []).append(question.name)
    ranks = _scores(answer, names.get("ranking"))
    if ranks:
        return {response for response, rank in ranks.items() if rank == min(ranks.values())}
    if n_responses == 2 and "comparison" in names:
        main = "overall" if "overall" in names["comparison"] else names["comparison"][0]
        given = next((c for c in answer.comparisons if c.aspect == main), None)
        if given is not None:
            if given.preference is None:
                return {0, 1}
            return {given.first if given.preference < 0 else given.second}
    ratings = _scores(answer, names.get("rating"))
    if ratings:
        return {response for response, value in ratings.items() if value == max(ratings.values())}
    return set(range(n_responses))


def _scores(answer, names: list[str] | None) -> dict[int, float]:
    """The scores of the first of these attributes by response."""
    return {s.response: s.value for s in answer.scores if names and s.attribute == names[0]}
