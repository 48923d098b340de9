"""Votes that leave statistics undefined: every report, plot and table explains, claims nothing, and holds no NaN."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from annotations.analysis import ballots, files, pages, reports
from annotations.analysis.figures import say
from annotations.analysis.subset import Impossible

PROJECT = SimpleNamespace(seed=3)


def pairs(says, n: int = 6, people: int = 3, models=("x", "y"), lm=None) -> list[dict]:
    """`n` pairs; `says(item, person)` is a label or None for no vote, `lm(item)` a model's labels in both orders."""
    return [
        {
            "id": str(i), "source": "s", "prompt": f"Question {i}", "response_a": f"one {i}", "response_b": f"two {i} longer",
            "model_a": models[0], "model_b": models[1],
            "human": [{"annotator": f"p{k}", "label": says(i, k)} for k in range(people) if says(i, k)],
            "lm": [{"model": "judge", "label": label, "order": order} for order, label in (lm(i) if lm else {}).items()],
        }
        for i in range(n)
    ]  # fmt: skip


def ratings(value, n: int = 6, people: int = 3) -> list[dict]:
    return [
        {
            "id": str(i), "source": "s", "prompt": f"Question {i}", "response": f"answer {i}",
            "ratings": [{"rater": f"p{k}", "attribute": "quality", "value": value(i, k), "scale": [0, 4]}
                        for k in range(people) if value(i, k) is not None],
        }
        for i in range(n)
    ]  # fmt: skip


SHAPES = {
    "one annotator": pairs(lambda i, k: "ab"[i % 2], people=1),
    "one annotator, one item": pairs(lambda i, k: "a", n=1, people=1),
    "one item": pairs(lambda i, k: "aab"[k], n=1),
    "all ties": pairs(lambda i, k: "tie", lm=lambda i: {"ab": "tie", "ba": "tie"}),
    "one class": pairs(lambda i, k: "a", lm=lambda i: {"ab": "a", "ba": "a"}),
    "no overlap": pairs(lambda i, k: "ab"[i % 2] if i % 3 == k else None),
    "no overlap of people and model": pairs(
        lambda i, k: "ab"[(i + k) % 2] if i < 3 else None, lm=lambda i: {"ab": "a", "ba": "b"} if i >= 3 else {}
    ),
    "a model alone": pairs(lambda i, k: None, lm=lambda i: {"ab": "a", "ba": "b"}),
    "a model nobody can read": pairs(lambda i, k: "ab"[(i + k) % 2], lm=lambda i: {"ab": None, "ba": None}),
    "always opposed": pairs(lambda i, k: "ab"[k], people=2),
    "a model against itself": pairs(lambda i, k: "ab"[(i + k) % 2], models=("x", "x")),
    "nobody knows who wrote": pairs(lambda i, k: "ab"[(i * k) % 2], models=("", "")),
    "not judged": pairs(lambda i, k: None),
    "one rater": ratings(lambda i, k: i % 5, people=1),
    "one rating": ratings(lambda i, k: 3, n=1, people=1),
    "all rate alike": ratings(lambda i, k: 2),
    "no two rate the same": ratings(lambda i, k: i % 5 if i % 3 == k else None),
    "one rated": ratings(lambda i, k: k, n=1),
}  # fmt: skip


@pytest.fixture
def votes_of(tmp_path, monkeypatch):
    """The votes of rows as a file's, and reports that need no database."""
    monkeypatch.setattr(reports.stored, "contradictions", lambda project: {})
    monkeypatch.setattr(reports.quality, "people_quality", lambda project: [])
    monkeypatch.setattr(reports, "_named", lambda rows: rows)

    def read(rows: list[dict]):
        path = tmp_path / "votes.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return files.read([path], styles=True).votes

    return read


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_undefined_is_printed_as_a_number(shape, votes_of):
    votes = votes_of(SHAPES[shape])
    for name in reports.NAMES:
        report = reports.compute(PROJECT, votes, name)
        json.dumps(report, allow_nan=False)
        for row in report["results"]:
            explained(row)
        for chosen in range(max(1, len(pages.PAGES[name](report).choices))):
            page = pages.PAGES[name](report, chosen)
            clean(page.lede)
            for section in page.sections:
                clean(section.plot.svg if section.plot else section.text)
                if section.plot:
                    assert "No data yet" not in section.plot.svg
                if section.table:
                    clean(json.dumps([section.table.cells, section.table.note, section.table.csv()]))
    for of in ballots.OF:
        for rule in ("borda", "coverage"):
            try:
                json.dumps(ballots.select(votes, of=of, k=1, rule=rule), allow_nan=False)
            except Impossible as refusal:
                clean(str(refusal))


def clean(text: str) -> None:
    """No number that is none."""
    found = re.search(r".{0,30}(?<![\w/-])(nan|NaN|[-−]?inf|Infinity|None)(?![\w-]| of these).{0,30}", text)
    assert found is None, found


def explained(row: dict) -> None:
    """A coefficient that is not there has its reason, and no interval of a share is without width."""
    if "annotators" in row and isinstance(row.get("undefined"), dict):
        for name in (
            "percent",
            "alpha_nominal",
            "alpha_ordinal",
            "alpha_interval",
            "fleiss_kappa",
            "ac1",
            "ac2",
        ):
            assert row.get(name, "") is not None or row["undefined"][name], name
    for player in row.get("players", []):
        assert player["rating"] or player["undefined"]
        if player["rating"] and player["rating"]["lo"] is not None:
            assert player["rating"]["hi"] - player["rating"]["lo"] > 0.1
        elif player["rating"]:
            assert player["undefined"]
    for win in row.get("win_rates", []):
        assert win["rate"]["lo"] is None or win["rate"]["hi"] - win["rate"]["lo"] > 0.1


def test_one_item_puts_nobody_first_and_ties_alone_are_no_certainty(votes_of):
    (row,) = reports.compute(PROJECT, votes_of(SHAPES["one item"]), "rankings")["results"]
    assert [(p["rank_lo"], p["rank_hi"], p["rating"]["lo"]) for p in row["players"]] == [(1, 2, None)] * 2
    assert "bounds" in row["players"][0]["undefined"]
    assert [(w["rank_lo"], w["rank_hi"], w["rate"]["lo"]) for w in row["win_rates"]] == [(1, 2, None)] * 2
    lede = pages.PAGES["rankings"](reports.compute(PROJECT, votes_of(SHAPES["one item"]), "rankings")).lede
    assert lede.startswith("2 of 2 models may be the best")
    people = reports.compute(PROJECT, votes_of(SHAPES["all ties"]), "rankings")["results"][0]
    # One independent vote an item: information 6 · ¼ of the difference, a quarter of its variance for each rating.
    half = 2.5706 * (1 / (6 / 4) / 4) ** 0.5  # t with 5 degrees of freedom
    assert people["players"][0]["rating"]["hi"] == pytest.approx(half, abs=1e-3)
    assert say(people["win_rates"][0]["rate"], True).startswith("50.0 % [9.")
