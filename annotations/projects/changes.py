"""What differs between two versions of a task, in words, and whether answers to the older one still hold. Pure.

A change is breaking where an answer that was right under the older version may be wrong or missing under the newer
one; everything else is additive. `is_breaking` may err on the careful side, never on the other: without a breaking
change, what an old answer says about the questions still asked passes the newer version's check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import wording
from .schemas import Definition

REASONS = {"cannot_judge": "cannot judge", "skip": "skip", "flag": "flag"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `question` is its name, empty for what concerns the whole task."""

    words: str
    breaking: bool = False
    question: str = ""


def changes(before: Definition, after: Definition) -> list[Change]:
    """The differences from `before` to `after`, questions in their new order; empty where both ask the same."""
    found = list(_whole(before, after))
    old = {question.name: question for question in before.questions}
    new = {question.name: question for question in after.questions}
    for name, question in new.items():
        if name not in old:
            how = "required" if question.required else "optional"
            found.append(Change(f"New question, {how}: “{question.label}”.", question.required, name))
        else:
            found += _question(old[name], question, before, after)
    for name, question in old.items():
        if name not in new:
            found.append(Change(f"No longer asked: “{question.label}”. Its answers stay.", False, name))
    if _keeps_rewrite_of_best(before, after) and _deciders(before) != _deciders(after):
        found.append(Change("Which response is the best, to be rewritten, follows from other answers.", True))
    stay = [name for name in old if name in new]
    if stay != [name for name in new if name in old]:
        found.append(Change("The questions stand in another order."))
    return found


def _keeps_rewrite_of_best(before: Definition, after: Definition) -> bool:
    old, new = (
        {question.name for question in each.of_kind("rewrite") if question.of == "best"}
        for each in (before, after)
    )
    return bool(old & new)


def _deciders(definition: Definition) -> list[tuple]:
    """The questions that say which response is the best (`judging.free_answers.best_responses`)."""
    ranking, compared, rated = (definition.of_kind(kind) for kind in ("ranking", "comparison", "rating"))
    compared = [question for question in compared if question.name == "overall"] or compared
    return [(question.name, question.when) for kind in (ranking, compared, rated) for question in kind[:1]]


def is_breaking(before: Definition, after: Definition) -> bool:
    """Whether an answer to `before` may not hold under `after`."""
    return any(change.breaking for change in changes(before, after))


def _whole(before: Definition, after: Definition) -> Iterator[Change]:
    if before.title != after.title:
        yield Change(f"The title is “{after.title}” instead of “{before.title}”.")
    if before.layout != after.layout:
        yield Change(
            "Responses stand " + ("below" if after.layout == "stacked" else "beside") + " each other."
        )
    if before.responses != after.responses:
        fewer = after.responses.min > before.responses.min or after.responses.max < before.responses.max
        yield Change(
            f"For items with {wording.responses_words(after)} instead of {wording.responses_words(before)}.",
            fewer,
        )
    for key, words in REASONS.items():
        yield from _options(
            getattr(before, key), getattr(after, key), f"Reasons to {words}", removal_breaks=False
        )


def _question(old, new, before: Definition, after: Definition) -> Iterator[Change]:
    """What differs in one question that both versions ask."""
    name, said = new.name, f"“{new.label}”"
    if old.kind != new.kind:
        yield Change(f"{said} is a {new.kind} question instead of a {old.kind} question.", True, name)
        return
    for key, words in (
        ("label", f"{said} was “{old.label}”."),
        ("help", f"{said}: the explanation is another."),
    ):
        if getattr(old, key) != getattr(new, key):
            yield Change(words, False, name)
    if old.required != new.required:
        yield Change(f"{said} is {'required' if new.required else 'optional'} now.", new.required, name)
    if old.when != new.when:
        was, now = wording.condition_words(before, old.when), wording.condition_words(after, new.when)
        yield Change(f"{said} is asked {now or 'always'} instead of {was or 'always'}.", new.required, name)
    for change in _answers(old, new, said):
        yield Change(change.words, change.breaking, name)


def _answers(old, new, said: str) -> Iterator[Change]:
    kind = new.kind
    if kind == "comparison":
        if old.scale_max != new.scale_max:
            yield Change(f"{said} has {new.scale_max} strengths instead of {old.scale_max}.", True)
        elif old.words != new.words:
            yield Change(f"{said}: the strengths are called otherwise.")
        yield from _ties(old.ties, new.ties, said)
    elif kind == "rating":
        if (old.min, old.max) != (new.min, new.max):
            yield Change(f"{said} goes from {new.min} to {new.max} instead of {old.min} to {old.max}.", True)
        elif old.words != new.words:
            yield Change(f"{said}: the values are called otherwise.")
    elif kind == "ranking" and old.ties != new.ties:
        yield Change(f"{said}: ties are {'allowed' if new.ties else 'not allowed'} now.", not new.ties)
    if kind in {"choice", "text"} and old.per_response != new.per_response:
        yield Change(f"{said} is asked {'of each response' if new.per_response else 'once'} now.", True)
    if kind == "choice" and old.multiple != new.multiple:
        yield Change(
            f"{said}: {'several options' if new.multiple else 'one option'} may be chosen now.", True
        )
    if kind in {"choice", "span"}:
        yield from _options(old.options, new.options, said, removal_breaks=True)
    if kind == "span" and old.note != new.note:
        yield Change(
            f"{said} {'asks' if new.note else 'does not ask'} for a note to each part now.", old.note
        )
    if kind == "text":
        if (old.min_chars, old.max_chars) != (new.min_chars, new.max_chars):
            narrower = new.min_chars > old.min_chars or new.max_chars < old.max_chars
            yield Change(f"{said}: {new.min_chars:,} to {new.max_chars:,} characters now.", narrower)
        if old.chips != new.chips:
            yield Change(f"{said}: other chips.")
    if kind == "rewrite" and old.of != new.of:
        which = "the best response" if new.of == "best" else "any response"
        yield Change(f"{said} starts from {which} now.", new.of == "best")


def _ties(old: tuple, new: tuple, said: str) -> Iterator[Change]:
    for tie in new:
        if tie not in old:
            yield Change(f"{said}: “{wording.TIES[tie]}” can be answered now.")
    for tie in old:
        if tie not in new:
            yield Change(f"{said}: “{wording.TIES[tie]}” cannot be answered any more.", True)


def _options(old: tuple, new: tuple, said: str, *, removal_breaks: bool) -> Iterator[Change]:
    was = {option.value: option.label for option in old}
    now = {option.value: option.label for option in new}
    for value, label in now.items():
        if value not in was:
            yield Change(f"{said}: “{label}” can be chosen now.")
        elif was[value] != label:
            yield Change(f"{said}: “{was[value]}” reads “{label}” now.")
    for value, label in was.items():
        if value not in now:
            yield Change(f"{said}: “{label}” cannot be chosen any more.", removal_breaks)
    if [value for value in was if value in now] != [value for value in now if value in was]:
        yield Change(f"{said}: the options stand in another order.")
