"""The judging page's actions and their keys: the defaults, what a person changed, and what is refused; pure.

A key is written as the browser names it (`KeyboardEvent.key`): one printable character, letters small, or one of
`NAMED`. Digits answer the marked question and can be switched off, but belong to no other action, so a question's
own keys never meet an action's. A person's changes are `{action: key}`, "" for an action that is switched off.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext, gettext_lazy, pgettext_lazy

OFF = ""
DIGITS = "digits"
NAMED = {"Enter": "Enter", "ArrowLeft": "←", "ArrowRight": "→"}
RESERVED = {
    " ": gettext_lazy("the space bar presses what has the focus"),
    "Tab": gettext_lazy("Tab moves the focus"),
    "Escape": gettext_lazy("Escape leaves a field or closes what is open"),
    "ArrowUp": gettext_lazy("↑ scrolls"),
    "ArrowDown": gettext_lazy("↓ scrolls"),
    "PageUp": gettext_lazy("Page up scrolls"),
    "PageDown": gettext_lazy("Page down scrolls"),
    "Home": gettext_lazy("Home scrolls"),
    "End": gettext_lazy("End scrolls"),
    "Backspace": gettext_lazy("Backspace edits texts"),
    "Delete": gettext_lazy("Delete edits texts"),
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the keyboard can do: `key` is the default, `words` the line of the cheat sheet, `alone` that line
    where the item has one response."""

    name: str
    key: str
    words: str
    group: str
    alone: str = ""


ANSWER, FINISH, READ = (
    pgettext_lazy("keys", "Answer"),
    pgettext_lazy("keys", "Finish"),
    pgettext_lazy("keys", "Read"),
)
ACTIONS = (
    Action(
        DIGITS,
        "1…9",
        gettext_lazy("Answer the marked question: choices from left to right, ratings by value"),
        ANSWER,
    ),
    Action("left", "ArrowLeft", gettext_lazy("Comparison: one step towards the left"), ANSWER),
    Action("right", "ArrowRight", gettext_lazy("Comparison: one step towards the right"), ANSWER),
    Action("tie", "t", gettext_lazy("Tie"), ANSWER),
    Action("both_bad", "b", gettext_lazy("Both bad"), ANSWER),
    Action("justification", "j", gettext_lazy("Write why; Esc leaves the field"), ANSWER),
    Action("mark", "m", gettext_lazy("Mark the selected part of a response"), ANSWER),
    Action("next_question", "e", gettext_lazy("Next question"), ANSWER),
    Action("previous_question", "q", gettext_lazy("Previous question"), ANSWER),
    Action("submit", "Enter", gettext_lazy("Submit; inside a text Ctrl + Enter"), FINISH),
    Action("undo", "z", gettext_lazy("Take the last judgment back to correct it"), FINISH),
    Action("cannot_judge", "u", gettext_lazy("Cannot judge, then a number for the reason"), FINISH),
    Action("skip", "s", gettext_lazy("Skip, then a number for the reason"), FINISH),
    Action("flag", "f", gettext_lazy("Flag, then a number for the reason"), FINISH),
    Action("prompt", "p", gettext_lazy("Go to the prompt; again: fold it"), READ),
    Action(
        "pane_1",
        "a",
        gettext_lazy("Response A; then ↑ ↓ to scroll"),
        READ,
        alone=gettext_lazy("The response; then ↑ ↓ to scroll"),
    ),
    Action("pane_2", "d", gettext_lazy("Response B"), READ),
    Action("pane_3", "w", gettext_lazy("Response C"), READ),
    Action("pane_4", "r", gettext_lazy("Response D"), READ),
    Action("pane_5", "x", gettext_lazy("Response E"), READ),
    Action("pane_6", "c", gettext_lazy("Response F"), READ),
    Action("pane_7", "v", gettext_lazy("Response G"), READ),
    Action("pane_8", "n", gettext_lazy("Response H"), READ),
    Action("layout", "l", gettext_lazy("Responses side by side or stacked"), READ),
    Action("guidelines", "g", gettext_lazy("Guidelines"), READ),
    Action("help", "?", gettext_lazy("Keys and help"), READ),
)
BY_NAME = {action.name: action for action in ACTIONS}
DEFAULTS = {action.name: action.key for action in ACTIONS}


def normal(key: str) -> str:
    """The key as the page compares it: letters small, one composed character, names of keys as they are."""
    key = unicodedata.normalize("NFC", key)
    if key.strip() in NAMED:
        return key.strip()
    if len(key) > 1:
        key = key.strip()
    return key.lower() if len(key) == 1 and len(key.lower()) == 1 else key


def _complaint(action: str, key: str) -> str:
    """Why this key cannot be this action's, or ""."""
    if key == OFF:
        return ""
    if action == DIGITS:
        return "" if key == DEFAULTS[DIGITS] else gettext("the digits can be on or off, not another key")
    if key in RESERVED:
        return gettext("{why}; choose another key").format(why=RESERVED[key])
    if key in NAMED:
        return ""
    if len(key) != 1 or not key.isprintable():
        return gettext("{key} is not a key; give one character, or Enter, ArrowLeft, ArrowRight").format(
            key=repr(key[:20])
        )
    if unicodedata.category(key) == "Nd":
        return gettext("digits answer the questions; choose another key")
    if unicodedata.category(key).startswith("M"):
        return gettext("that is an accent without a letter; choose another key")
    return ""


def check(keys: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with `{action: key}` laid over the defaults: `{action: complaint}`, empty if nothing is.

    A clash is named from both sides.
    """
    errors = {name: gettext("there is no such action") for name in keys if name not in BY_NAME}
    chosen = {**DEFAULTS, **{name: normal(key) for name, key in keys.items() if name in BY_NAME}}
    holders: dict[str, list[str]] = {}
    for name, key in chosen.items():
        if complaint := _complaint(name, key):
            errors[name] = complaint
        elif key != OFF:
            holders.setdefault(key, []).append(name)
    for key, names in holders.items():
        for name in names:
            others = [str(BY_NAME[other].words) for other in names if other != name]
            if others:
                errors[name] = gettext("{key} is also the key of {actions}").format(
                    key=shown(key),
                    actions=", ".join(gettext("“{action}”").format(action=each) for each in others),
                )
    return errors


def changes(keys: Mapping[str, str]) -> dict[str, str]:
    """What of `{action: key}` differs from the defaults, normal. Raises ValueError where `check` complains."""
    errors = check(keys)
    if errors:
        raise ValueError("; ".join(f"{name}: {complaint}" for name, complaint in errors.items()))
    return {name: normal(key) for name, key in keys.items() if normal(key) != DEFAULTS[name]}


def of(preferences: object) -> dict[str, str]:
    """Every action's key for a person with these `User.preferences`; what makes no sense there is ignored."""
    stored = preferences.get("keys") if isinstance(preferences, dict) else None
    if not isinstance(stored, dict):
        return dict(DEFAULTS)
    known = {name: key for name, key in stored.items() if name in BY_NAME and isinstance(key, str)}
    return dict(DEFAULTS) if check(known) else {**DEFAULTS, **known}


def shown(key: str) -> str:
    """The key as it is written on a cap."""
    return NAMED.get(key, key)


def sheet(keys: Mapping[str, str]) -> list[tuple[str, list[tuple[str, Action]]]]:
    """The cheat sheet of these keys, `[(group, [(cap, action)])]`, without what is switched off."""
    groups: dict[str, list[tuple[str, Action]]] = {}
    for action in ACTIONS:
        if keys[action.name] != OFF:
            groups.setdefault(str(action.group), []).append((shown(keys[action.name]), action))
    return list(groups.items())
