"""What changed between two wordings, also where the words are a model's and made to take long."""

import time

import pytest

from annotations.criteria.diffs import wording_diff


def test_what_was_taken_out_and_put_in_is_told_apart():
    found = wording_diff("Prefer the kind one.", "Prefer the short one.")
    assert [one for one in found if one[0] != "same"] == [("out", "kind"), ("in", "short")]


@pytest.mark.parametrize("n", [290, 1490, 20_000])
def test_words_that_are_all_alike_take_no_time_and_lose_nothing(n):
    old, new = "Begin " + "a " * n + "end", "Begin " + "a b " * (n // 2) + "end"
    before = time.process_time()
    found = wording_diff(old, new)
    assert time.process_time() - before < 3
    for text, other in ((old, "in"), (new, "out")):
        assert "".join(part for kind, part in found if kind != other).split() == text.split()
