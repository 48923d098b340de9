"""One registry of actions and keys: no two share one, a clash is named, digits belong to the questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.projects import keymap


def test_the_usual_keys_are_those_of_the_design_and_no_two_are_the_same():
    assert keymap.check({}) == {}
    caps = "".join(key for key in keymap.DEFAULTS.values() if len(key) == 1)
    assert len(set(caps)) == len(caps)
    assert [keymap.DEFAULTS[name] for name in ("tie", "both_bad", "cannot_judge", "skip", "flag")] == [
        *"tbusf"
    ]
    assert [keymap.DEFAULTS[name] for name in ("prompt", "pane_1", "pane_2", "justification")] == [*"padj"]
    assert [keymap.DEFAULTS[name] for name in ("submit", "undo", "help", "guidelines")] == [
        "Enter",
        "z",
        "?",
        "g",
    ]
    assert [keymap.DEFAULTS[name] for name in ("next_question", "previous_question")] == ["e", "q"]


def test_a_clash_is_refused_and_named_on_both_sides():
    assert keymap.check({"tie": "F"}) == {
        "tie": "f is also the key of “Flag, then a number for the reason”",
        "flag": "f is also the key of “Tie”",
    }
    assert keymap.check({"tie": "f", "flag": "t"}) == {}
    assert keymap.check({"tie": "f", "flag": ""}) == {}
    with pytest.raises(ValueError, match="is also the key of “Tie”"):
        keymap.changes({"skip": "t"})


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("1", "digits answer the questions; choose another key"),
        ("٣", "digits answer the questions; choose another key"),
        (" ", "the space bar presses what has the focus; choose another key"),
        ("Tab", "Tab moves the focus; choose another key"),
        ("ArrowUp", "↑ scrolls; choose another key"),
        ("F5", "'F5' is not a key; give one character, or Enter, ArrowLeft, ArrowRight"),
        ("ab", "'ab' is not a key; give one character, or Enter, ArrowLeft, ArrowRight"),
        ("\x07", "'\\x07' is not a key; give one character, or Enter, ArrowLeft, ArrowRight"),
        ("\u0301", "that is an accent without a letter; choose another key"),
    ],
)
def test_reserved_keys_are_refused_with_the_reason(key, complaint):
    assert keymap.check({"tie": key}) == {"tie": complaint}


def test_unknown_actions_and_other_keys_for_the_digits_are_refused():
    assert keymap.check({"explode": "x"}) == {"explode": "there is no such action"}
    assert keymap.check({"digits": "k"}) == {"digits": "the digits can be on or off, not another key"}


def test_only_what_differs_is_kept_and_read_back():
    kept = keymap.changes({"tie": "Ж", "flag": "", "skip": "s", "submit": "Enter", "digits": ""})
    assert kept == {"tie": "ж", "flag": "", "digits": ""}
    keys = keymap.of({"keys": kept, "theme": "dark"})
    assert {name: key for name, key in keys.items() if key != keymap.DEFAULTS[name]} == kept
    shown = [action.words for _, rows in keymap.sheet(keys) for _, action in rows]
    assert "Tie" in shown
    assert not any(words.startswith("Flag") for words in shown)


@pytest.mark.parametrize("stored", [None, [], {}, {"keys": 3}, {"keys": {"tie": "f"}}, {"keys": {"tie": 4}}])
def test_stored_nonsense_gives_the_usual_keys(stored):
    assert keymap.of(stored) == keymap.DEFAULTS


@given(st.dictionaries(st.sampled_from(sorted(keymap.BY_NAME)), st.text(max_size=3), max_size=8))
def test_whatever_passes_the_check_leaves_every_key_to_one_action(keys):
    if keymap.check(keys):
        return
    after = keymap.of({"keys": keymap.changes(keys)})
    used = [key for key in after.values() if key]
    assert len(set(used)) == len(used)
    assert not any(key.isdecimal() for name, key in after.items() if name != keymap.DIGITS)
