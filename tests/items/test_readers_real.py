"""The readers on whole real files; skipped where the folder of real data is not there."""

from collections import Counter
from pathlib import Path

import pytest

from annotations.items import readers
from annotations.items.readers import Problem, Record

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ORIGINAL = DATA / "original"
UKP = "firefox-vs-internet-explorer_there-s-more-browsers-than-the-ie-firefox-is-an-animal"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the folder of real data is not beside the repository"
)


def records_of(path) -> list[Record]:
    found = list(readers.read(path))
    assert [entry for entry in found if isinstance(entry, Problem)] == []
    return found


@pytest.mark.parametrize(
    ("path", "format", "items", "judgments"),
    [
        ("1_pairs_human_lm.jsonl.gz", "native", 677, 6521),
        ("1b_pairs_five_workers.jsonl.gz", "native", 10562, 52685),
        ("2_ratings.jsonl.gz", "native", 615, 1845),
        ("3_chosen_rejected.jsonl.gz", "native", 9389, 9389),
        ("original/pandalm/testset-v1.json", "pandalm", 453, 5 * 453),
        ("original/pandalm/gpt-3.5-turbo-testset-v1.json", "pandalm", 453, 4 * 453),
        ("original/pandalm/pandalm-7b-testset-v1.json", "pandalm", 453, 4 * 453),
        ("original/llmbar/Natural/dataset.json", "llmbar", 52, 52),
        ("original/llmbar/Natural/evaluators/GPT-4/CoT/result.json", "llmbar", 52, 104),
        ("original/hh-rlhf/harmless-base/test.jsonl.gz", "hh", 1183, 1183),
        ("original/summeval-op/summeval-op-detailed.jsonl", "summeval_op", 195, 585),
        (f"original/ukp/Strict-CSV/{UKP}.csv", "ukp_csv", 274, 274),
        (f"original/ukp/full-XML/{UKP}.xml.gz", "ukp_xml", 351, 1750),
    ],
)
def test_every_file_reads_whole(path, format, items, judgments):
    assert readers.sniff(DATA / path) == format
    found = records_of(DATA / path)
    assert (len(found), sum(len(record.judgments) for record in found)) == (items, judgments)


def test_no_original_is_left_out():
    found = [path for path in ORIGINAL.rglob("*") if path.is_file()]
    assert len(found) == 9
    assert {readers.sniff(path) for path in found} <= set(readers.FORMATS)


def test_pandalm_originals_say_what_the_bundled_file_says():
    bundled = {
        r.external_id: r for r in records_of(DATA / "1_pairs_human_lm.jsonl.gz") if r.source == "pandalm"
    }
    originals = {record.external_id: record for record in records_of(ORIGINAL / "pandalm/testset-v1.json")}
    assert originals.keys() == bundled.keys()
    for key, record in originals.items():
        other = bundled[key]
        assert (record.prompt, record.responses, record.group) == (other.prompt, other.responses, other.group)
        assert votes(record) == votes(other)


def test_summeval_original_says_what_the_bundled_file_says():
    bundled = [r for r in records_of(DATA / "2_ratings.jsonl.gz") if r.source == "summeval_op"]
    originals = {
        (r.prompt, r.responses[0].text, r.responses[0].model): r
        for r in records_of(ORIGINAL / "summeval-op/summeval-op-detailed.jsonl")
    }
    assert len(bundled) == 195
    for other in bundled:
        record = originals[other.prompt, other.responses[0].text, other.responses[0].model]
        assert {j.annotator: set(j.scores) for j in record.judgments} == {
            j.annotator: set(j.scores) for j in other.judgments
        }


def test_hh_original_holds_the_bundled_responses():
    """All but the two pairs that part before the last turn, which the bundled file cuts elsewhere."""
    bundled = [
        texts(r) for r in records_of(DATA / "3_chosen_rejected.jsonl.gz") if r.source.startswith("hh_")
    ]
    originals = [texts(record) for record in records_of(ORIGINAL / "hh-rlhf/harmless-base/test.jsonl.gz")]
    assert len(bundled) == 1183
    assert sum(one == other for one, other in zip(bundled, originals, strict=True)) == 1181


def test_figures_of_the_bundled_pairs():
    """Share of LLMBar items where both orders agree, from the data's README: .920 and .629."""
    seen = Counter()
    for record in records_of(DATA / "1_pairs_human_lm.jsonl.gz"):
        for judgment in record.judgments:
            if judgment.kind == "lm":
                seen[judgment.annotator, judgment.order_consistent] += 1
    assert seen["GPT-4 · Vanilla", True] / 224 == pytest.approx(0.920, abs=0.0005)
    assert seen["ChatGPT · Vanilla", True] / 224 == pytest.approx(0.629, abs=0.0005)
    assert seen["gpt-3.5-turbo", None] == 453


def votes(record: Record) -> list:
    return [
        (j.annotator, j.kind, j.outcome, j.comparisons, j.probability, j.reason) for j in record.judgments
    ]


def texts(record: Record) -> tuple[str, ...]:
    return tuple(response.text for response in record.responses)
