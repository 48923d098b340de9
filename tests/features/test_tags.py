"""HyPER's tags, corrected: the counts of the bug report, equal edges everywhere, right unions, missing allowed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.features import encoders, tags


def test_there_are_ninety_tags_with_names_of_their_own():
    assert len(tags.TEXTUAL_NAMES) == 27
    assert len(tags.DESCRIPTIVE_NAMES) == 63
    assert len(set(tags.NAMES)) == 90
    assert "rouge::min_val=0.33|max_val=0.67" in tags.NAMES
    assert "analyzer_closed_set::feature_name=subject_of_expertise|constraints=Law" in tags.NAMES
    assert "analyzer_open_set::feature_name=format_constraints|check_for_existence=1" in tags.NAMES


def test_lengths_are_ranked_over_the_whole_pool_not_inside_the_human_subset():
    """600 items sent to people, all from the shortest fifth of 3,000: 600/0/0 (the released code counts 200/202/198)."""
    lengths = np.random.default_rng(0).permutation(3000).astype(float)
    found = tags.textual({"prompt_len": lengths}, 3000)
    people = lengths < 600
    columns = [i for i, name in enumerate(tags.TEXTUAL_NAMES) if name.startswith("prompt_len")]
    assert found[people][:, columns].sum(axis=0).tolist() == [600, 0, 0]


def test_values_on_edges_have_exactly_one_tag_and_missing_ones_none():
    values = np.array([0.0, 1 / 3, 0.33, 2 / 3, 0.67, 1.0, np.nan])
    assert tags.bins(values).tolist() == [0, 1, 0, 2, 2, 2, -1]
    assert tags.textual({"rouge": values}, 7).sum(axis=1).tolist() == [1] * 6 + [0]
    with pytest.raises(ValueError, match="0 to 1"):
        tags.bins(np.array([1.2]))
    with pytest.raises(ValueError, match="no such score"):
        tags.textual({"bleu": values}, 7)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_every_known_score_sets_one_tag(values):
    found = tags.textual({"rouge": np.array(values), "len_longer": np.array(values)}, len(values))
    assert found.sum(axis=1).tolist() == [2] * len(values)


def test_entities_are_words_and_unions_count_both_sides():
    a, b = (
        tags.entities("We met the Dalai Lama in Leather Town."),
        tags.entities("He saw Leather Town and 3 Cats."),
    )
    assert a == {"dalai lama", "leather town"}
    assert b == {"leather town", "3", "cats"} or b == {"leather town", "3 cats", "3"} or "leather town" in b
    assert tags.overlap({"x", "y", "z"}, {"x"}) == pytest.approx(1 / 3)
    assert tags.overlap(set(), set()) == 1.0


def test_rouge_counts_words_with_multiplicity():
    assert tags.rouge1("a a b".split(), "a b b".split()) == pytest.approx(2 / 3)
    assert tags.rouge1([], []) == 1.0
    assert tags.rouge1(["a"], []) == 0.0


def test_descriptive_tags_take_words_lists_and_nothing():
    found = tags.descriptive(
        [
            {
                "subject_of_expertise": ["law", "Journalism, media studies and communication"],
                "safety_concern": "Moderate",
            },
            {
                "format_constraints": [],
                "type_of_in_context_material": ["table"],
                "open_endedness": "unheard of",
            },
            None,
        ]
    )
    names = [[n for n, on in zip(tags.DESCRIPTIVE_NAMES, row, strict=True) if on] for row in found]
    assert [n.rpartition("=")[2] for n in names[0]] == [
        "Journalism", "Law", "Media studies and communication", "moderate",
    ]  # fmt: skip
    assert names[1] == ["analyzer_open_set::feature_name=type_of_in_context_material|check_for_existence=1"]
    assert names[2] == []


def test_scores_of_texts_leave_out_what_needs_a_model():
    found = tags.text_scores(["p q"], ["a b c"], ["a"], cosine=np.array([0.4]))
    assert "bertscore" not in found
    assert [found[name][0] for name in (*tags.RANKED, "cosine_sim")] == [2, 1, 3, 2, 0.4]
    assert tags.textual(found, 1).sum() == 7


def test_encoders_share_an_interface_and_name_what_is_wrong(tmp_path):
    small = encoders.encoder("hashing-4096")
    rows = small.encode(["the same text", "the same text", ""])
    assert small.name == "hashing-4096"
    np.testing.assert_allclose(encoders.cosine(rows, rows), [1, 1, 0])
    with pytest.raises(ValueError, match="hashing-K"):
        encoders.encoder("hashing-0")
    with pytest.raises(ValueError, match="expected the folder"):
        encoders.encoder(str(tmp_path / "missing"))
