"""Scores of rows: in order, in batches, streamed, the same as one by one."""

import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items import readers
from routing.rewards import artefacts, linear, registry, score


@pytest.fixture(scope="module")
def scorer(trained_once):
    return linear.load(trained_once(0.0).directory)


@settings(deadline=None, max_examples=20)
@given(
    rows=st.lists(st.lists(st.text(max_size=30), min_size=1, max_size=4), max_size=12), size=st.integers(1, 5)
)
def test_batches_change_nothing(scorer, rows, size):
    alone = [scorer.score([""] * len(texts), texts).tolist() for texts in rows]
    before = score.BATCH
    score.BATCH = size
    try:
        assert list(score.score_rows(scorer, [("p", texts, "") for texts in rows])) == alone
    finally:
        score.BATCH = before


def test_rows_are_read_a_batch_at_a_time(scorer):
    taken = count()
    rows = (("p", ["good", "bad"], "") for _ in iter(lambda: next(taken), None))
    stream = score.score_rows(scorer, rows)
    first = next(stream)
    assert first[0] > first[1]
    assert next(taken) == score.BATCH


def test_a_long_text_ends_a_batch(scorer, monkeypatch):
    monkeypatch.setattr(score, "BATCH_CHARS", 10)
    rows = iter([("p", ["x" * 11], ""), ("p", ["y"], "")])
    assert len(score._batch(rows)) == 1
    assert len(score._batch(rows)) == 1


def test_a_file_is_scored_in_order_and_bad_lines_are_named(scorer, tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        {"id": "a", "prompt": "p", "response": "good"},
        {"id": "b", "prompt": [{"role": "user", "content": "p"}], "responses": ["bad", {"text": "good"}]},
        {"id": "c", "prompt": "p", "responses": ["good", "bad", "fine"]},
        {"id": "d", "prompt": "p", "chosen": "good", "rejected": "bad"},
    ]
    text = [json.dumps(line) for line in lines]
    path.write_text("\n".join([text[0], "{broken", *text[1:]]) + "\n")
    written = []
    counts = score.score_file(scorer, path, write=written.append)
    assert {key: counts[key] for key in ("rows", "responses", "pairs")} == {
        "rows": 4,
        "responses": 8,
        "pairs": 2,
    }
    assert [(error["file"], error["line"]) for error in counts["errors"]] == [("rows.jsonl", 2)]
    assert [row["id"] for row in written] == ["a", "b", "c", "d"]
    assert written[0]["score"] == written[0]["responses"][0]["score"] == scorer.score(["p"], ["good"])[0]
    assert "probability" not in written[0]
    assert "probability" not in written[2]
    assert written[1]["probability"] == pytest.approx(1 - written[3]["probability"])
    assert written[1]["probability"] > 0.6


def test_an_unreadable_file_is_named(scorer, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("")
    with pytest.raises(readers.UnknownFormat, match="the file is empty"):
        score.score_file(scorer, path, write=print)


def test_a_registered_model_is_loaded_only_as_it_was_registered(register):
    model = register()
    assert score.load(model) is score.load(model)
    (registry.directory(model) / "model.json").write_text("{}")
    with pytest.raises(artefacts.ArtefactError, match=r"model\.json is not what was registered"):
        score.load(model)
