"""Whole real files: exact counts, no errors, and nothing new the second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotations.items import readers
from annotations.items.models import Item
from annotations.judging import importing
from tests.judging.import_state import assert_counted_right, counts

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo" / "data"
DATA = ROOT.parent / "shared" / "data"
UKP = "firefox-vs-internet-explorer_there-s-more-browsers-than-the-ie-firefox-is-an-animal"

pytestmark = pytest.mark.django_db
beside = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real data is not beside the repository")


def bring(project, *paths):
    return importing.import_records(project=project, records=readers.read_many(paths))


def tally(report):
    return report.new, report.updated, report.duplicate, report.invalid, report.judgments


@pytest.mark.parametrize(
    ("path", "items", "judgments"),
    [(DEMO / "1_pairs_human_lm.jsonl.gz", 677, 6521), (DEMO / "2_ratings_summeval_op.jsonl.gz", 195, 585)],
    ids=["pairs", "ratings"],
)
def test_the_demo_files_come_in_whole_and_once(project, path, items, judgments):
    assert tally(bring(project, path)) == (items, 0, 0, 0, judgments)
    before = counts(project)
    assert (before["items"], before["judgments"]) == (items, judgments)
    assert tally(bring(project, path)) == (0, 0, items, 0, 0)
    assert counts(project) == before
    assert_counted_right(project)


@beside
@pytest.mark.parametrize(
    ("path", "items", "judgments"),
    [
        ("2_ratings.jsonl.gz", 615, 1845),
        pytest.param("1b_pairs_five_workers.jsonl.gz", 10562, 52685, marks=pytest.mark.slow),
        pytest.param("3_chosen_rejected.jsonl.gz", 9389, 9389, marks=pytest.mark.slow),
        ("original/pandalm/testset-v1.json", 453, 5 * 453),
        ("original/pandalm/gpt-3.5-turbo-testset-v1.json", 453, 4 * 453),
        ("original/pandalm/pandalm-7b-testset-v1.json", 453, 4 * 453),
        ("original/llmbar/Natural/dataset.json", 52, 52),
        ("original/llmbar/Natural/evaluators/GPT-4/CoT/result.json", 52, 104),
        ("original/hh-rlhf/harmless-base/test.jsonl.gz", 1183, 1183),
        ("original/summeval-op/summeval-op-detailed.jsonl", 195, 585),
        (f"original/ukp/Strict-CSV/{UKP}.csv", 274, 274),
        (f"original/ukp/full-XML/{UKP}.xml.gz", 351, 1750),
    ],
)
def test_every_real_file_comes_in_whole_and_once(project, path, items, judgments):
    first = bring(project, DATA / path)
    assert first.errors == []
    assert (first.new + first.duplicate, first.invalid, first.judgments) == (items, 0, judgments)
    before = counts(project)
    assert before["judgments"] == judgments
    again = bring(project, DATA / path)
    assert tally(again) == (0, 0, items, 0, 0)
    assert counts(project) == before
    assert_counted_right(project)


@beside
@pytest.mark.slow
def test_files_that_share_their_pairs_meet_on_the_same_items(project):
    """The bundled pairs, their chosen/rejected form (other order of responses) and the sources' own files."""
    assert bring(project, DATA / "1_pairs_human_lm.jsonl.gz").new == 677
    report = bring(project, DATA / "3_chosen_rejected.jsonl.gz")
    assert (report.new, report.updated + report.duplicate, report.invalid) == (9389 - 631, 631, 0)
    report = bring(project, DATA / "original/pandalm/testset-v1.json")
    assert (report.new, report.invalid, report.judgments) == (0, 0, 0)
    assert Item.objects.filter(source="pandalm").count() == 453
    assert_counted_right(project)
