"""The feature table: computed once per content, found again, whole after crashes, equal to computing anew."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.features import pairs, table


def sha(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


TEXTS = [("p", "a b", "c"), ("q?", "same", "same"), ("r", "1 2 3", "x\ny")]
HASHES = [sha(*row) for row in TEXTS]


def filled(folder):
    found = table.FeatureTable.load(folder)
    found.add(table.keys(HASHES), table.compute(*zip(*TEXTS, strict=True), [False, True, False]))
    return found


def test_rows_come_back_as_they_were_computed(tmp_path):
    filled(tmp_path).save()
    again = table.FeatureTable.load(tmp_path)
    wanted = table.keys([HASHES[2], HASHES[0], HASHES[2]])
    rows = again.rows(wanted)
    plain, signed = pairs.pair_statistics(*zip(*(TEXTS[i] for i in (2, 0, 2)), strict=True))
    np.testing.assert_array_equal(rows[:, : len(pairs.NAMES)], plain)
    np.testing.assert_array_equal(rows[:, len(pairs.NAMES) : -1], signed)
    assert rows[:, -1].tolist() == [0, 0, 0]
    assert again.rows(table.keys([HASHES[1]]))[0, -1] == 1


def test_only_what_is_missing_is_asked_for_and_each_content_once(tmp_path):
    found = filled(tmp_path)
    new = sha("new")
    wanted = table.keys([HASHES[0], new, HASHES[1], new])
    assert found.missing(wanted).tolist() == [1]
    with pytest.raises(KeyError, match="2 of 4"):
        found.rows(wanted)
    assert table.FeatureTable.load(tmp_path / "none").missing(wanted).tolist() == [0, 1, 2]


def test_texts_are_read_only_for_what_is_missing(tmp_path):
    found, asked = filled(tmp_path), []

    def texts(positions):
        asked.append(positions.tolist())
        return ["n"], ["x"], ["y z"], [False]

    hashes = [HASHES[0], sha("new"), HASHES[1], sha("new")]
    rows = found.read_through(hashes, texts)
    assert asked == [[1]]
    np.testing.assert_array_equal(rows[1], rows[3])
    found.save()
    np.testing.assert_array_equal(found.read_through(hashes, texts), rows)
    assert asked == [[1]]


def test_parts_are_joined_and_a_torn_one_is_computed_again(tmp_path):
    for i in range(table.MAX_PARTS + 3):
        found = table.FeatureTable.load(tmp_path)
        found.add(table.keys([sha(str(i))]), table.compute([str(i)], ["a"], ["b"], [False]))
        found.save()
    folder = tmp_path / table.VERSION
    assert len(list(folder.glob("*.parquet"))) <= 4
    assert len(table.FeatureTable.load(tmp_path)) == table.MAX_PARTS + 3
    (folder / "torn.parquet").write_bytes(b"PAR1 half")
    (folder / ".crashed.part").write_bytes(b"half")
    assert len(table.FeatureTable.load(tmp_path)) == table.MAX_PARTS + 3


def test_hashes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="sha256"):
        table.keys(["abcd"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=30))
def test_any_digest_is_found_again_also_with_zero_bytes_at_its_end(digests):
    found = table.FeatureTable(folder=None)
    wanted = table.keys([digest.hex() for digest in digests])
    missing = found.missing(wanted)
    assert len(missing) == len(set(digests))
    values = np.arange(len(missing) * len(table.COLUMNS), dtype=np.float32).reshape(len(missing), -1)
    found.add(wanted[missing], values)
    assert not len(found.missing(wanted))
    by_digest = {digests[i]: values[k] for k, i in enumerate(missing)}
    np.testing.assert_array_equal(found.rows(wanted), [by_digest[digest] for digest in digests])
