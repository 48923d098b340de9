"""Public data sets, benchmarks and other tools' exports: recognised, read with their signs, wrong rows named."""

import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotations.items import readers
from annotations.items.readers import ComparisonRecord, Problem, Record, UnknownFormat, parquet
from tests.items.test_readers_formats import verdicts

PUBLIC = Path(__file__).parent / "fixtures" / "public"
SNIFFED = {
    "helpsteer3.jsonl": "helpsteer3",
    "multipref.jsonl": "multipref",
    "multipref_binarized.jsonl": "trl_implicit",
    "chatbot_arena.jsonl": "lmarena",
    "arena_140k.jsonl": "lmarena",
    "arena_55k.jsonl": "lmarena",
    "trl_implicit.jsonl": "trl_implicit",
    "trl_unpaired.jsonl": "trl_unpaired",
    "prompt_completion.jsonl": "prompt_completion",
    "nemo_ranking.jsonl": "nemo_ranking",
    "rewardbench.jsonl": "rewardbench",
    "rewardbench2.jsonl": "rewardbench2",
    "rm_bench.json": "rm_bench",
    "autoj.jsonl": "autoj",
    "alpaca_eval.json": "alpaca_eval",
    "label_studio.json": "label_studio",
    "argilla.json": "argilla",
}


def read(path, **how) -> tuple[list[Record], list[Problem]]:
    found = list(readers.read(PUBLIC / path, **how))
    records = [entry for entry in found if isinstance(entry, Record)]
    return records, [entry for entry in found if isinstance(entry, Problem)]


def scores(record: Record, judgment=0) -> dict:
    return {(s.response, s.attribute): s.value for s in record.judgments[judgment].scores}


@pytest.mark.parametrize(("file", "format"), SNIFFED.items())
def test_every_shape_is_recognised(file, format):
    assert readers.sniff(PUBLIC / file) == format


def test_helpsteer3_keeps_strengths_words_and_feedback():
    records, problems = read("helpsteer3.jsonl")
    assert [(p.line, p.field) for p in problems] == [(1, "individual_preference[2].score")]
    assert verdicts(records[0]) == {"annotator 1": -3, "annotator 2": "equal"}
    assert records[0].judgments[0].answers == {"feedback": ["Right.", "A river."]}
    assert records[0].judgments[0].reason == "Only @Response 1 is a fjord."
    assert (records[0].meta["domain"], records[0].meta["overall_preference"]) == ("stem", -2)
    assert len(records[0].prompt) == 3
    assert (records[1].prompt, verdicts(records[1])) == ("Suggest a soup.", {"helpsteer3 consensus": 1})


def test_multipref_keeps_aspects_confidence_reasons_and_who_is_an_expert():
    (record,), problems = read("multipref.jsonl")
    assert [(p.line, p.field) for p in problems] == [(1, "expert_worker_annotations[1].overall_pref")]
    assert "A-is-clearly-better" in problems[0].message
    assert (record.external_id, record.group, record.source) == ("c1", "p1", "made")
    assert [response.model for response in record.responses] == ["model-one", "model-two"]
    assert record.meta == {
        "prompt_id": "p1",
        "category": "Closed QA",
        "subject_study": "Natural sciences",
        "highest_level_degree": "Bachelor",
    }
    first, second, expert = record.judgments
    assert first.comparisons[0] == ComparisonRecord(0, 1, "overall", -2, 2, None)
    assert [(c.aspect, c.tie) for c in first.comparisons[2:]] == [
        ("truthful", "equal"),
        ("harmless", "equal"),
    ]
    assert first.answers == {
        "overall_confidence": "fairly",
        "helpful_confidence": "absolutely",
        "helpful_checked_reasons": ["correct", "concise"],
        "helpful_own_reason": "It answers.",
        "truthful_confidence": "not",
        "harmless_confidence": "fairly",
    }
    assert (first.wall_ms, first.created_at) == (61_500, datetime.fromtimestamp(1718000000, UTC))
    assert second.comparisons[0].tie == "equal"
    assert expert.answers["source_meta"] == {"worker": "expert"}


def test_votes_of_the_arena_in_its_three_releases():
    records, problems = read("chatbot_arena.jsonl")
    assert [(p.line, p.field) for p in problems] == [(3, "winner")]
    assert verdicts(records[0]) == {"arena_user_1": 1}
    assert verdicts(records[1]) == {"arena_user_2": "equal_bad"}
    assert (records[0].prompt, records[0].responses[1].text) == ("Hi.", "Good day.")
    assert (records[1].prompt, records[1].responses[0].text) == (
        "Hi.",
        "Hello.\n\nHuman: More?\n\nAssistant: No.",
    )
    assert (records[2].external_id, records[2].judgments) == ("q3", ())
    (new,), problems = read("arena_140k.jsonl")
    assert (problems, new.prompt, verdicts(new)) == ([], "Hi.", {"lmarena voter": "equal_bad"})
    assert (new.responses[1].text, new.meta) == ("Hey.", {"evaluation_order": 1})
    (old,), problems = read("arena_55k.jsonl")
    assert (problems, verdicts(old), len(old.prompt)) == ([], {"lmarena voter": -1}, 3)
    assert [response.text for response in old.responses] == ["No.", ""]


def test_files_for_trainers():
    records, problems = read("trl_implicit.jsonl")
    assert [(r.prompt, [x.text for x in r.responses]) for r in records] == [("Hi.", ["Hello.", "Go away."])]
    assert (records[0].meta, verdicts(records[0])) == ({"vote_margin": 2.0}, {"chosen/rejected file": -1})
    assert [(p.line, p.field) for p in problems] == [(2, "rejected")]
    (swapped,), _ = read("multipref_binarized.jsonl")
    assert [(r.text, r.model) for r in swapped.responses] == [("Go.", "model-one"), ("Hello.", "model-two")]
    assert verdicts(swapped) == {"chosen/rejected file": 1}

    records, problems = read("trl_unpaired.jsonl")
    assert [len(record.responses) for record in records] == [2, 1]
    assert scores(records[0]) == {(0, "thumb"): 1, (1, "thumb"): 0}
    assert [(p.line, p.field) for p in problems] == [(4, "label")]
    records, problems = read("prompt_completion.jsonl")
    assert [(r.prompt, r.responses[0].text, r.judgments) for r in records] == [
        ("Hi.", "Hello.", ()),
        ("Sing.", "La.", ()),
    ]
    records, problems = read("nemo_ranking.jsonl")
    assert scores(records[0]) == {(0, "rank"): 3, (1, "rank"): 1, (2, "rank"): 1}
    assert [(p.line, p.field) for p in problems] == [(2, "completions[0].rank")]


def test_plain_texts_with_an_implicit_prompt_are_cut_where_they_part(tmp_path):
    path = tmp_path / "text.jsonl"
    rows = [
        {"chosen": "Say it.\n\nThe blue one.", "rejected": "Say it.\n\nThe red one."},
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        {"chosen": "Blue.", "rejected": "Green."},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second, third = readers.read(path, "trl_implicit")
    assert (first.prompt, first.responses[1].text) == ("Say it.", "The red one.")
    assert (second.prompt, second.responses[0].text) == ("The sky is", "blue.")
    assert (third.line, third.field) == (3, "rejected")


def test_benchmarks():
    (pair,), _ = read("rewardbench.jsonl")
    assert (pair.external_id, pair.meta, verdicts(pair)) == ("17", {"subset": "math-prm"}, {"benchmark": -1})
    (best,), _ = read("rewardbench2.jsonl")
    assert scores(best) == {(0, "thumb"): 1, (1, "thumb"): 1, (2, "thumb"): 0}
    assert [response.model for response in best.responses] == ["m1", "m2", "m3"]
    (styled,), problems = read("rm_bench.json")
    assert [r.meta["style"] for r in styled.responses[3:]] == [
        "concise",
        "detailed_plain",
        "detailed_markdown",
    ]
    assert [(p.line, p.field) for p in problems] == [(2, "chosen")]
    records, problems = read("autoj.jsonl")
    assert [verdicts(record) for record in records] == [{"auto-j": 1}, {"auto-j": "equal"}, {}]
    assert [(p.line, p.field) for p in problems] == [(3, "label")]
    records, problems = read("alpaca_eval.json")
    assert [next(iter(verdicts(record).values())) for record in records] == [1, -1, "cannot_judge"]
    assert records[0].judgments[0].kind == "lm"
    assert [record.judgments[0].probability for record in records] == [pytest.approx(0.9), 0, None]


def test_exports_of_label_studio_and_argilla():
    records, problems = read("label_studio.json")
    assert [(p.line, p.field) for p in problems] == [(1, "annotations[2].completed_by"), (2, "")]
    (record,) = records
    assert verdicts(record) == {"10": -1, "eva@example.org": "skipped"}
    said = record.judgments[0]
    assert scores(record) == {(0, "clarity"): 5, (1, "clarity"): 3}
    assert (said.reason, said.answers, said.wall_ms) == ("It is right.", {"tone": ["plain", "short"]}, 4288)
    assert record.meta == {"topic": "sums"}
    records, problems = read("argilla.json")
    assert problems == []
    assert verdicts(records[0]) == {"u1": -1, "u2": "equal"}
    assert scores(records[0]) == {(0, "helpfulness"): 5, (1, "helpfulness"): 2}
    assert records[0].judgments[0].reason == "It is right."
    assert scores(records[1]) == {(0, "rank"): 2, (1, "rank"): 1, (2, "rank"): 2}
    assert verdicts(records[1])["u2"] == "skipped"


@pytest.mark.parametrize("file", [file for file in SNIFFED if file.endswith(".jsonl")])
def test_parquet_and_arrow_give_the_same_records(file, tmp_path):
    good = list(map(json.loads, (PUBLIC / file).read_text().splitlines()))[:1]
    table = pa.Table.from_pylist(good)
    pq.write_table(table, tmp_path / "x.parquet")
    with pa.ipc.new_stream(tmp_path / "x.arrow", table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "x.jsonl").write_text(json.dumps(good[0]) + "\n")
    expected = list(readers.read(tmp_path / "x.jsonl"))
    assert isinstance(expected[0], Record)
    for name in ("x.parquet", "x.arrow"):
        assert readers.sniff(tmp_path / name) == SNIFFED[file]
        assert list(readers.read(tmp_path / name)) == expected


def test_a_damaged_parquet_file_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UnknownFormat, match="cannot be read as Parquet"):
        readers.sniff(path)


def test_a_folder_stands_for_its_data_files(tmp_path):
    (tmp_path / "data").mkdir()
    shutil.copy(PUBLIC / "rewardbench.jsonl", tmp_path / "data" / "b.jsonl")
    shutil.copy(PUBLIC / "autoj.jsonl", tmp_path / "data" / "a.jsonl")
    for name in ("dataset_info.json", "manifest.json", "README.md"):
        (tmp_path / name).write_text("{}")
    found = list(readers.read_many([tmp_path]))
    assert [path.name for path, _ in found] == ["a.jsonl"] * 4 + ["b.jsonl"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownFormat, match="found none in this folder"):
        list(readers.read_many([tmp_path / "empty"]))


def test_values_of_columns_become_json():
    moment = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    row = {"t": moment, "b": b"\x00", "d": Decimal("1.5"), "nan": float("nan"), "list": [{"deep": (1,)}]}
    assert parquet.plain(row) == {
        "t": "2026-03-01T09:30:00+00:00",
        "b": "AA==",
        "d": 1.5,
        "nan": None,
        "list": [{"deep": [1]}],
    }
