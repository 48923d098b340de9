import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routing.features import text as module
from routing.features.argument import ARGUMENT_NAMES, argument_features
from routing.features.text import STYLE_NAMES, TextFeatures, clip_text, hashed_ngrams, style_features


def test_style_counts_are_exact():
    row = dict(zip(STYLE_NAMES, style_features(["Why 42?\n* the the *"])[0], strict=True))
    assert row == {
        "log_words": np.log1p(6),
        "log_chars": np.log1p(19),
        "log_newlines": np.log1p(1),
        "log_question_marks": np.log1p(1),
        "log_digits": np.log1p(2),
        "log_asterisks": np.log1p(2),
        "refusal": 0.0,
        "type_token_ratio": 4 / 6,
    }


def test_counts_of_argument_are_exact():
    text = "Because you say so, I agree!!! See www.example.org: soooo wonderful"
    row = dict(zip(ARGUMENT_NAMES, argument_features([text])[0], strict=True))
    assert row == {
        "log_sentences": np.log1p(3),  # "!!!" and the two full stops of the address
        "log_words_per_sentence": np.log1p(10 / 3),
        "log_commas": np.log1p(1),
        "log_connectives": np.log1p(1),
        "log_exclamation_marks": np.log1p(3),
        "log_first_person": np.log1p(1),
        "log_second_person": np.log1p(1),
        "log_links": np.log1p(1),
        "log_stretched_letters": np.log1p(3),  # "!!!", "www" and "ooo"
        "characters_per_word": 58 / 10,
        "capitals": 3 / 51,
        "begins_with_capital": 1.0,
        "long_words": 4 / 10,
    }
    assert np.all(np.isfinite(argument_features(["", "   ", "…"])))


def test_refusals_are_recognised():
    texts = [
        "I'm sorry, no.",
        "I cannot help with that.",
        "It won’t do.",
        "Sure, here it is.",
        "A sorrel horse.",
    ]
    assert style_features(texts)[:, STYLE_NAMES.index("refusal")].tolist() == [1, 1, 1, 0, 0]


def test_empty_texts_have_finite_features_and_no_ngrams():
    assert style_features([""]).tolist() == [[0.0] * 8]
    assert hashed_ngrams([""]).nnz == 0
    assert hashed_ngrams([]).shape == (0, 2**18)


def test_long_texts_keep_head_and_tail_within_the_budget():
    long = "head " + "x" * 10_000_000 + " tail"
    clipped = clip_text(long)
    assert len(clipped) == module.MAX_CHARS + 1
    assert clipped.startswith("head ")
    assert clipped.endswith(" tail")
    assert style_features([long])[0, 1] == np.log1p(len(long))


def test_standardised_style_has_mean_zero_and_unit_spread_and_survives_constant_features():
    texts = ["one", "two words", "three whole words?"]
    style = TextFeatures.fit(texts).style(texts)
    assert np.allclose(style.mean(axis=0), 0)
    assert np.allclose(style[:, :2].std(axis=0), 1)
    assert np.all(style[:, 4] == 0)


@given(st.lists(st.text(st.characters(), max_size=60), max_size=6))
def test_any_text_gives_the_same_bounded_rows_alone_and_in_a_batch(texts):
    together = hashed_ngrams(texts, 64)
    norms = np.sqrt(np.asarray(together.multiply(together).sum(axis=1))).ravel()
    assert np.all((norms == 0) | np.isclose(norms, 1))
    assert np.all(np.isfinite(style_features(texts)))
    for i, one in enumerate(texts):
        assert (hashed_ngrams([one], 64) != together[i]).nnz == 0
        assert np.array_equal(style_features([one])[0], style_features(texts)[i])
