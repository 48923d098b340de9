"""Each foreign format on small fixtures, with the traps of the originals."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotations.items import readers
from annotations.items.readers import ComparisonRecord, Problem, Record, ScoreRecord, UnknownFormat, helpsteer

FIXTURES = Path(__file__).parent / "fixtures"


def read(path, **how) -> tuple[list[Record], list[Problem]]:
    found = list(readers.read(FIXTURES / path, **how))
    records = [entry for entry in found if isinstance(entry, Record)]
    return records, [entry for entry in found if isinstance(entry, Problem)]


def verdicts(record: Record) -> dict:
    """annotator -> preference, tie or outcome of each judgment."""
    return {
        j.annotator: (j.comparisons[0].preference or j.comparisons[0].tie) if j.comparisons else j.outcome
        for j in record.judgments
    }


def test_pandalm_joins_the_result_files_beside_it():
    records, problems = read("pandalm/testset-v1.json")
    assert problems == []
    assert [record.external_id for record in records] == [f"pandalm-{idx}" for idx in (4, 5, 18, 87, 114)]
    assert [response.model for response in records[0].responses] == ["cerebras-gpt-6.7B", "pythia-6.9b"]
    people = {"annotator1": -1, "annotator2": "equal", "annotator3": -1}
    assert verdicts(records[3]) == people | {"gpt-3.5-turbo": "equal", "pandalm-7b": -1}
    assert verdicts(records[4]) == people | {"gpt-3.5-turbo": "cannot_judge", "pandalm-7b": -1}
    garbage = next(j for j in records[4].judgments if j.annotator == "gpt-3.5-turbo")
    assert garbage.answers == {"cannot_judge": "unparsed"}
    assert garbage.calls[0].raw == "garbage"
    assert "" in [response.text for response in records[2].responses]


def test_pandalm_result_file_needs_its_test_set(tmp_path):
    alone = shutil.copy(FIXTURES / "pandalm/pandalm-7b-testset-v1.json", tmp_path)
    for use in (readers.sniff, readers.read, lambda path: readers.read_many([path])):
        with pytest.raises(UnknownFormat, match=r"testset-v1\.json, which must lie beside it"):
            use(alone)


def test_pandalm_files_given_together_are_joined(tmp_path):
    folder = FIXTURES / "pandalm"
    alone = shutil.copy(folder / "pandalm-7b-testset-v1.json", tmp_path)
    found = list(readers.read_many([alone, folder / "testset-v1.json"]))
    assert [path.name for path, _ in found] == ["testset-v1.json"] * 5
    assert {j.annotator for _, record in found for j in record.judgments if j.kind == "lm"} == {"pandalm-7b"}


def test_pandalm_traps():
    records, problems = read("pandalm_traps.json")
    first, second = records
    assert [response.text for response in first.responses] == ["true", ""]
    assert first.meta["unquoted_text"] == ["response1"]
    assert verdicts(first) == {"annotator1": -1, "annotator2": 1, "annotator3": "equal"}
    assert second.prompt == "Name a colour.\n\nWarm ones only."
    assert verdicts(second) == {"annotator1": -1, "annotator3": "equal"}
    assert [(p.line, p.field) for p in problems] == [(2, "annotator2")]
    assert "'both'" in problems[0].message


def test_llmbar_keeps_both_orders_and_nulls():
    records, _ = read("llmbar/evaluators/GPT-4/CoT/result.json")
    assert verdicts(records[0]) == {"gold": -1, "GPT-4 · CoT": -1}
    assert verdicts(records[1]) == {"gold": 1, "GPT-4 · CoT": "equal"}
    split = records[1].judgments[1]
    assert (split.probability, split.order_consistent) == (0.5, False)
    assert [(call.order, call.label) for call in split.calls] == [("ab", "a"), ("ba", "b")]
    assert split.calls[0].raw.startswith("Output (a)")
    assert split.calls[0].meta == {"completion": ["stop"]}
    nulls, problems = read("llmbar_null.json")
    assert problems == []
    assert verdicts(nulls[0]) == {"gold": "cannot_judge", "LLMBar evaluator llmbar_null": -1}
    assert nulls[0].judgments[1].order_consistent is None
    assert verdicts(nulls[1]) == {"gold": 1, "LLMBar evaluator llmbar_null": "cannot_judge"}


def test_helpsteer2_ratings_pair_up_by_prompt():
    records, problems = read("helpsteer2_ratings.jsonl")
    assert [(record.line, len(record.responses)) for record in records] == [(1, 2), (3, 2)]
    assert records[0].judgments[0].annotator == "helpsteer2 consensus"
    assert records[0].judgments[0].scores[:2] == (
        ScoreRecord(0, "helpfulness", 4, 0, 4),
        ScoreRecord(0, "correctness", 4, 0, 4),
    )
    assert [turn["role"] for turn in records[1].prompt] == ["user", "assistant", "user"]
    assert helpsteer.flat_prompt(records[1].prompt) == records[1].group
    assert [(p.line, p.field) for p in problems] == [(4, "helpfulness")]
    assert "from 0 to 4" in problems[0].message
    assert len(records[1].judgments[0].scores) == 9


def test_helpsteer2_disagreements_are_single_annotators():
    records, problems = read("helpsteer2_disagreements.jsonl")
    assert problems == []
    assert len(records) == 1
    scores = {j.annotator: len(j.scores) for j in records[0].judgments}
    assert scores == {"rater 1": 10, "rater 2": 10, "rater 3": 5}


def test_helpsteer2_preferences_keep_strength_and_sign():
    records, problems = read("helpsteer2_preference.jsonl")
    assert verdicts(records[0]) == {"annotator 1": -3, "annotator 2": "equal", "annotator 3": "cannot_judge"}
    assert records[0].judgments[0].comparisons == (ComparisonRecord(0, 1, "overall", -3, 3, None),)
    assert records[0].judgments[0].reason == "Only the first is right."
    assert records[0].judgments[2].answers == {"cannot_judge": "not_valid"}
    assert records[0].meta["split"] == "train"
    assert records[0].meta["preference_strength"] == -3
    assert len(records[0].meta["three_most_similar_preferences"]) == 1
    assert [(p.line, p.field) for p in problems] == [(1, "all_preferences_unprocessed[3].strength")]
    assert verdicts(records[1]) == {"helpsteer2 preference consensus": 2}


def test_hh_takes_the_common_turns_as_the_prompt():
    records, problems = read("hh.jsonl")
    assert [turn["content"] for turn in records[0].prompt] == [
        "Name a tree.",
        "Do you want a tall one?",
        "Yes.",
    ]
    assert [response.text for response in records[0].responses] == ["The coast redwood.", "Moss."]
    assert records[1].prompt == [{"role": "user", "content": "Hello."}]
    assert records[1].responses[0].text == "Hello, what can I do?\n\nHuman: Sing.\n\nAssistant: La."
    assert verdicts(records[0]) == {"chosen/rejected file": -1}
    assert [(p.line, p.field) for p in problems] == [(3, "chosen")]


def test_summeval_op_has_three_raters_on_seven_attributes():
    records, problems = read("summeval-op-detailed.jsonl")
    assert problems == []
    assert len(records) == 2
    assert [j.annotator for j in records[0].judgments] == ["r1", "r2", "r3"]
    assert records[0].judgments[2].scores[0] == ScoreRecord(0, "fluency", 5, 1, 5)
    assert {len(j.scores) for record in records for j in record.judgments} == {7}


def test_ukp_tables_keep_quotes_breaks_and_reversed_pairs():
    records, problems = read("tea-or-coffee_tea.csv")
    assert readers.sniff(FIXTURES / "tea-or-coffee_tea.csv") == "ukp_csv"
    assert [response.text for response in records[0].responses] == [
        'First line\nsecond line "quoted',
        "Against it.",
    ]
    assert records[1].responses == records[0].responses[::-1]
    assert [verdicts(record) for record in records] == [{"gold": -1}, {"gold": 1}]
    assert records[0].prompt == "tea or coffee Argue for: tea"
    assert [(p.line, p.field) for p in problems] == [(4, "label"), (5, "")]


def test_ukp_xml_keeps_votes_reasons_and_times():
    records, problems = read("tea-or-coffee_tea.xml")
    assert verdicts(records[0]) == {"W1": "equal", "W2": -1, "W3": 1}
    first = records[0].judgments[0]
    assert (first.wall_ms, first.reason) == (186_000, "Both are short.")
    assert first.created_at == datetime(2016, 2, 24, 5, 38, 29, tzinfo=UTC)
    assert first.answers == {"source_meta": {"hitID": "H1"}}
    assert records[0].prompt == "Tea or coffee? Argue for: Tea"
    assert records[0].meta["gold"] == "equal"
    assert [(p.line, p.field) for p in problems] == [(1, "mTurkAssignment[3].value"), (2, "arg2/text")]


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">]><list>&a;</list>',
        "<list><annotatedArgumentPair><id>1</id></annotatedArgumentPair><oops",
        "<list>" + "<a>" * 3_000_000,
    ],
    ids=["entities", "cut", "deep"],
)
def test_hostile_xml_is_a_problem(tmp_path, text):
    path = tmp_path / "pairs.xml"
    path.write_text(text)
    found = list(readers.read(path, "ukp_xml"))
    assert found
    assert all(isinstance(entry, Problem) for entry in found)


def test_csv_rows_with_one_id_are_judgments_of_one_item():
    records, problems = read("votes.csv")
    assert [(r.external_id, r.prompt, len(r.judgments)) for r in records] == [
        ("1", "Name a bird,\nplease.", 2),
        ("2", "Name a fish.", 1),
        ("3", "Name a tree.", 0),
    ]
    assert verdicts(records[0]) == {"Alice": -1, "Bob": "equal"}
    assert verdicts(records[1]) == {"Alice": 1}
    assert records[0].judgments[0].reason == 'A trout is "no" bird'
    assert records[0].meta == {"difficulty": "easy"}
    assert records[0].source == "votes"
    assert [(p.line, p.field) for p in problems] == [(7, "id"), (8, "label"), (9, "")]


def test_csv_mapping_and_preview():
    seen = readers.preview(FIXTURES / "votes.csv", 2)
    assert seen["format"] == "csv"
    assert len(seen["rows"]) == 2
    assert seen["rows"][0][2] == "Wren"
    assert seen["mapping"] == {
        "id": "id",
        "question": "prompt",
        "answer_a": "response_1",
        "answer_b": "response_2",
        "winner": "label",
        "annotator": "annotator",
        "comment": "reason",
        "difficulty": "meta",
    }
    mapping = {"question": "prompt", "answer_a": "chosen", "answer_b": "rejected"}
    records, _ = read("votes.csv", mapping=mapping)
    assert len(records) == 5
    assert verdicts(records[0]) == {"chosen/rejected file": -1}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"question": "prompt"}, "no column is mapped to response_1"),
        ({"answer_a": "response_1"}, "no column is mapped to prompt"),
        ({"question": "prompt", "answer_a": "response_1", "answer_b": "response_a"}, "mapped to response_1"),
        ({"question": "prompt", "answer_a": "response_1", "winner": "label"}, "a label needs two responses"),
        ({"nothing": "prompt"}, "'nothing' that is not there"),
        ({"question": "poem"}, "expected a role"),
        ({"question": "prompt", "answer_b": "response_2"}, "response_1"),
    ],
)
def test_a_mapping_that_makes_no_items_says_why(mapping, message):
    with pytest.raises(UnknownFormat, match=message):
        readers.read(FIXTURES / "votes.csv", mapping=mapping)


def test_tsv_ratings_and_large_fields(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text(
        f"prompt\tresponse\thelpfulness\trater\nWhy?\t{'x' * 500_000}\t4\tBob\nWhy?\tNo\tNaN\tBob\n"
    )
    assert readers.sniff(path) == "tsv"
    first, second, problem = sorted(
        readers.read(path), key=lambda entry: (isinstance(entry, Problem), entry.line)
    )
    assert len(first.responses[0].text) == 500_000
    assert first.judgments[0].scores == (ScoreRecord(0, "helpfulness", 4),)
    assert second.judgments == ()
    assert (problem.line, problem.field) == (3, "rating:helpfulness")
