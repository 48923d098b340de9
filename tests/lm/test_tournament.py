"""A bracket walked by a model: every round's pairs are its own, no person is asked, and what stops it can go on."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command

from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm import engine

pytestmark = [pytest.mark.django_db, pytest.mark.smoke]
GOOD = ("good", "correct", "helpful", "because", "hello")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.01)


@pytest.fixture
def prompts(tmp_path):
    """Two prompts with five responses; the third holds the most of what the scripted judge likes."""
    rows = [
        {"id": f"q{n}", "prompt": f"Question {n}", "source": "s",
         "responses": [{"text": f"answer {n} {i} " + " ".join(GOOD[: [1, 2, 5, 3, 4][i]]), "model": f"m{i}"} for i in range(5)]}
        for n in range(2)
    ]  # fmt: skip
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def walk(capsys, prompts, project, name):
    capsys.readouterr()
    with suppress(SystemExit):  # 1: some prompts have no winner
        call_command("tournament", prompts, "--in", project.slug, "--annotator", name, "--json")
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_model_walks_the_brackets_and_a_second_walk_asks_nothing(
    prompts, project, make_item, lm_annotator, capsys
):
    other = make_item("Another question", ("one", "two"))  # the project's own items are not asked about
    name = lm_annotator("obedient").annotator.name
    found = walk(capsys, prompts, project, name)
    assert (found["winners"], found["judged"], found["rounds"], found["open"]) == (
        {"q0": "m2", "q1": "m2"},
        8,
        3,
        0,
    )
    made = Item.objects.filter(project=project).exclude(pk=other.pk)
    assert set(made.values_list("wanted", "open_slots", "n_human", "n_lm")) == {(0, 0, 0, 1)}
    assert not Judgment.objects.filter(item=other).exists()
    again = walk(capsys, prompts, project, name)
    assert (again["winners"], again["judged"], again["rounds"]) == (found["winners"], 0, 0)


def test_a_model_that_gives_no_verdict_ends_the_walk(prompts, project, lm_annotator, capsys):
    found = walk(capsys, prompts, project, lm_annotator("refuses").annotator.name)
    assert (found["winners"], found["open"], found["rounds"]) == ({}, 4, 1)


def test_a_walk_needs_its_annotator(prompts, project, tmp_path):
    with pytest.raises(CommandError, match="--in takes --annotator"):
        call_command("tournament", prompts, "--in", project.slug)
    with pytest.raises(CommandError, match="no such LM annotator"):
        call_command("tournament", prompts, "--in", project.slug, "--annotator", "nobody")
