"""Dawid and Skene's labels in exports: the model of `analysis`, on the votes that exports count, the same every time."""

from __future__ import annotations

import gzip
import json
import random

import numpy as np
import pytest

from annotations.analysis import dawid_skene, patterns
from annotations.analysis.stored import read
from annotations.datasets import aggregate, truth
from annotations.datasets.export import write_export
from annotations.datasets.formats import FORMATS
from annotations.datasets.snapshots import freeze_now
from annotations.projects.models import Annotator
from tests.datasets.conftest import prefer, scores, tie
from tests.datasets.test_export import rows_of, tree

ITEMS = 40


@pytest.fixture
def campaign(asking, give, make_item):
    """Good and Fair mostly say what is true; two Lazy ones always say the first. Returns what is true per item."""
    draw = random.Random(7)
    true = {}
    for n in range(ITEMS):
        item = make_item(f"Question {n}?", ("One.", "Two."), external_id=f"q{n}", wanted=4)
        right = true[f"q{n}"] = draw.choice((-1, 1))
        for name, share in (("Good", 0.97), ("Fair", 0.9)):
            said = right if draw.random() < share else -right
            give(name, item, prefer(said))
        give("Lazy", item, prefer(-1))
        give("Lazier", item, tie() if n % 10 == 0 else prefer(-1))
    return true


def export(project, folder, format="trl_preference", **options):
    manifest = write_export(
        snapshot=freeze_now(project=project),
        format=format,
        container=None,
        options={"method": "dawid_skene", **options},
        folder=folder,
    )
    return manifest, rows_of(folder, manifest)


def winner(row) -> int:
    return -1 if row["chosen"][0]["content"] == "One." else 1


@pytest.mark.django_db
def test_who_is_right_more_often_counts_for_more(asking, campaign, tmp_path):
    manifest, rows = export(asking, tmp_path / "ds")
    believed = {row["id"]: winner(row) for row in rows}
    _, by_majority = export(asking, tmp_path / "majority", method="majority")
    counted = {row["id"]: winner(row) for row in by_majority}
    agreed, by_count = (
        sum(found.get(name) == right for name, right in campaign.items()) for found in (believed, counted)
    )
    assert agreed > 0.85 * ITEMS > 0.7 * ITEMS > by_count
    told = manifest["aggregation"]
    assert (told["pairs"], told["votes"], told["converged"]) == (ITEMS, 4 * ITEMS, True)
    names = {str(one.pseudonym): one.name for one in Annotator.objects.filter(project=asking)}
    right = {names[one["annotator"]]: one["accuracy"] for one in told["annotators"]}
    assert min(right["Good"], right["Fair"]) > 0.8 > 0.65 > max(right["Lazy"], right["Lazier"])
    assert "Good" not in json.dumps(manifest) + (tmp_path / "ds" / "README.md").read_text()


@pytest.mark.django_db
def test_the_posteriors_are_those_of_the_analysis_and_stand_for_every_pair(asking, campaign, tmp_path):
    manifest, rows = export(asking, tmp_path / "ds", columns="full")
    votes = read(asking)
    labels = patterns.of_comparisons(votes, votes.aspects.index("overall"))
    expected = dawid_skene.fit(labels, len(votes.annotators), iterations=truth.ITERATIONS).posterior
    lines = gzip.decompress((tmp_path / "ds" / "posteriors.jsonl.gz").read_bytes()).splitlines()
    found = [json.loads(line) for line in lines]
    assert [row["id"] for row in found] == [f"q{n}" for n in range(ITEMS)]
    got = np.array([[row["posterior"][key] for key in truth.ANSWERS] for row in found])
    assert np.abs(got - expected).max() < 1e-4
    by_id = {row["id"]: row for row in found}
    for row in rows:
        held = by_id[row["id"]]["posterior"]
        first, second = ("chosen", "rejected") if winner(row) < 0 else ("rejected", "chosen")
        assert row["posterior"] == {first: held["first"], "tie": held["tie"], second: held["second"]}
        assert row["soft_label"] == pytest.approx(
            row["posterior"]["chosen"] + row["posterior"]["tie"] / 2, abs=2e-6
        )
    (entry,) = [entry for entry in manifest["files"] if entry["path"] == "posteriors.jsonl.gz"]
    assert (entry["rows"], entry["split"]) == (ITEMS, None)
    assert manifest["rows"] == len(rows)


@pytest.mark.django_db
def test_the_same_snapshot_gives_the_same_bytes_in_every_format_that_takes_it(
    asking, campaign, give, make_item, tmp_path
):
    ranked = make_item("Three?", ("One.", "Two.", "Three."), external_id="three", wanted=2)
    give("Good", ranked, scores("rank", 2, 1, 3))
    give("Lazy", ranked, scores("rank", 1, 2, 3))
    snapshot = freeze_now(project=asking)
    taking = [name for name, found in FORMATS.items() if "dawid_skene" in found.options.get("method", ())]
    assert len(taking) == 8
    for format in taking:
        for container in FORMATS[format].containers:
            trees = []
            for n in range(2):
                folder = tmp_path / f"{format}-{container}-{n}"
                write_export(snapshot=snapshot, format=format, container=container, folder=folder,
                             options={"method": "dawid_skene"})  # fmt: skip
                trees.append(tree(folder))
            assert trees[0] == trees[1]


@pytest.mark.django_db
def test_without_votes_there_is_nothing_to_believe(asking, make_item, tmp_path):
    make_item("Nobody came.", ("One.", "Two."), external_id="untouched")
    manifest, rows = export(asking, tmp_path / "out")
    assert (rows, manifest["aggregation"]) == ([], {"method": "dawid_skene", "pairs": 0, "votes": 0})


def drawn(draw: random.Random) -> list[dict]:
    """Up to six judgments of people and models with comparisons, rankings, both or neither."""
    found = []
    for n in range(draw.randrange(7)):
        pairs = draw.sample([(0, 1), (0, 2), (1, 2)], draw.randrange(3))
        steps = [draw.randint(-3, 3) for _ in pairs]
        ranks = draw.sample(range(3), draw.randrange(4))
        found.append(
            {
                "id": str(n),
                "created_at": str(n),
                "annotator": f"annotator {n}",
                "kind": draw.choice(["human", "lm"]),
                "outcome": "answered",
                "supersedes": None,
                "comparisons": [
                    {"first": first, "second": second, "aspect": "overall", "preference": step or None,
                     "tie": None if step else "equal"}
                    for (first, second), step in zip(pairs, steps, strict=True)
                ],
                "scores": [
                    {"response": one, "attribute": "rank", "value": draw.randint(1, 3)} for one in ranks
                ],
            }
        )  # fmt: skip
    return found


@pytest.mark.parametrize("judged_by", ["final", "human", "lm"])
def test_named_votes_are_the_votes_with_the_names_of_who_gave_them(judged_by):
    draw, origins = random.Random(3), set()
    for _ in range(500):
        item = {"judgments": drawn(draw)}
        named = list(aggregate.named_votes_of(item, aspect="overall", judged_by=judged_by))
        plain = list(aggregate.votes_of(item, aspect="overall", judged_by=judged_by))
        assert [(*row[:3], [vote for _, vote in row[3]]) for row in named] == plain
        kinds = {judgment["annotator"]: judgment["kind"] for judgment in item["judgments"]}
        for _, kind, origin, votes in named:
            names = [name for name, _ in votes]
            assert len(names) == len(set(names))
            assert {kinds[name] for name in names} == {kind}
            origins.add(origin)
    assert origins == {"direct", "ranking"}
