"""`manage.py simulate`: a whole campaign without people, through the real queue and submit."""

from __future__ import annotations

import json
from collections import Counter
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from annotations.items import batches
from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.projects import presets, rules, schemas
from annotations.projects.models import Annotator, Project
from app.management.simulation.people import Habits, Simulated
from tests.faults.harness import real_pairs
from tests.judging.test_engine import judge

pytestmark = pytest.mark.django_db(transaction=True)


def simulate(*arguments: str) -> tuple[dict, int]:
    """(the JSON it prints, its exit code)."""
    out = StringIO()
    try:
        call_command("simulate", *arguments, "--json", stdout=out)
    except SystemExit as end:
        return json.loads(out.getvalue().splitlines()[-1]), end.code
    return json.loads(out.getvalue().splitlines()[-1]), 0


@pytest.fixture
def fill(make_item):
    """Make `n` items of real pairs."""

    def make(n: int, **fields) -> None:
        for row in real_pairs()[:n]:
            make_item(
                prompt=row["prompt"],
                responses=(row["response_a"], row["response_b"]),
                external_id=row["id"],
                **fields,
            )

    return make


def test_a_campaign_runs_in_a_copy_and_keeps_every_rule(project, fill):
    fill(24, wanted=3)
    # One at a time, so that the seed decides who skips what: an item that three of five skip is never complete.
    alone = ("pairs", "--annotators", "5", "--seed", "4", "--skip-rate", "0.1", "--workers", "1")
    found, code = simulate(*alone)
    assert code == 0
    assert (found["project"], found["into"], found["annotators"]) == ("pairs", "pairs-simulated", 5)
    assert (found["items"], found["complete"], found["quota_violations"], found["duplicates"]) == (
        24,
        24,
        0,
        0,
    )
    assert (found["counter_differences"], found["starved"], found["live_leases"]) == (0, 0, 0)
    assert found["side_balance"]["items"] <= 1
    assert found["side_balance"]["annotators"] <= 2
    copy = Project.objects.get(slug="pairs-simulated")
    stored = Judgment.objects.filter(project=copy)
    assert dict(Counter(stored.values_list("outcome", flat=True))) == found["outcomes"]
    assert found["outcomes"]["answered"] == 72
    assert found["judgments"] == sum(found["outcomes"].values()) == stored.count()
    assert not Judgment.objects.filter(project=project).exists()
    assert set(Item.objects.filter(project=project).values_list("n_human", "n_leased")) == {(0, 0)}
    again, _ = simulate(*alone)
    assert again["into"] == "pairs-simulated-2"
    assert again["outcomes"] == found["outcomes"]
    assert again["fits_truth"] == found["fits_truth"]


def test_it_writes_among_real_work_only_when_told(project, fill, annotator):
    fill(3, wanted=2)
    judge(annotator)
    before = list(Judgment.objects.values_list("pk"))
    with pytest.raises(CommandError, match="work of real people") as refusal:
        simulate("pairs", "--annotators", "2", "--into", "pairs")
    assert refusal.value.returncode == 2
    assert list(Judgment.objects.values_list("pk")) == before
    assert not Annotator.objects.filter(name__startswith="Simulated").exists()
    always = ("--skip-rate", "0", "--flag-rate", "0")
    found, code = simulate("pairs", "--annotators", "2", "--into", "pairs", "--among-people", *always)
    assert (code, found["complete"], found["judgments"]) == (0, 3, 5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("nowhere", "--annotators", "2"), "no such project"),
        (("pairs", "--annotators", "0"), "expected 1 to"),
        (("pairs", "--annotators", "2", "--noise", "-1"), "--noise: -1.0, expected 0 to 100"),
        (("pairs", "--annotators", "2", "--skip-rate", "2"), "--skip-rate: 2.0, expected 0 to 0.9"),
    ],
)
def test_what_cannot_be_done_is_refused_with_2(project, wrong, words):
    with pytest.raises(CommandError, match=words) as refusal:
        simulate(*wrong)
    assert refusal.value.returncode == 2
    assert Project.objects.count() == 1


def test_too_few_people_leave_items_open_and_say_so(project, fill):
    fill(4, wanted=3)
    found, code = simulate("pairs", "--annotators", "2", "--skip-rate", "0", "--flag-rate", "0")
    assert (code, found["complete"], found["items_for_people"]) == (1, 0, 4)
    assert found["quota_violations"] == 0


def test_batches_with_experts_and_further_votes_are_part_of_it(project, fill):
    fill(12)
    batch = batches.create_batch(
        project=project, actor=None, name="law", overlap=2, expert_slots=1, expert_tags=["law"], max_votes=5
    )
    batches.move_items(project=project, item_ids=Item.objects.values_list("pk", flat=True)[:6], batch=batch)
    rules.change(project=project, limits=rules.Limits(order="per_person"))
    found, code = simulate(
        "pairs", "--annotators", "9", "--seed", "1", "--noise", "3", "--skip-rate", "0", "--flag-rate", "0"
    )
    assert (code, found["quota_violations"], found["counter_differences"]) == (0, 0, 0)
    copied = Item.objects.filter(project__slug="pairs-simulated", batch__name="law")
    assert set(copied.values_list("n_expert", flat=True)) == {1}
    assert (
        2
        <= min(copied.values_list("n_human", flat=True))
        <= max(copied.values_list("n_human", flat=True))
        <= 5
    )
    assert found["judgments"] > 6 + 12


def test_router_and_trainer_are_driven_too(project, fill):
    fill(60, wanted=1)
    found, _ = simulate(
        "pairs", "--annotators", "4", "--seed", "2", "--route", "0.5", "--train", "--noise", "0.1",
        "--skip-rate", "0", "--flag-rate", "0",
    )  # fmt: skip
    assert found["plan"]["people"] + found["plan"]["lm"] == 60
    assert found["judgments"] == found["plan"]["judgments"] == found["items_for_people"]
    assert found["quota_violations"] == 0
    assert found["reward_model"].get("model") or found["reward_model"]["error"]


@pytest.mark.parametrize("preset", sorted(presets.PRESETS))
def test_simulated_answers_fit_every_preset(project, make_item, preset):
    definition = presets.PRESETS[preset]
    schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=definition))
    least = definition.get("responses", {}).get("min", 2)
    for k in range(3):
        make_item(prompt=f"Question {k}", responses=[f"Answer {n} to {k}." for n in range(least)], wanted=2)
    found, code = simulate(
        "pairs", "--annotators", "3", "--seed", "3", "--skip-rate", "0", "--flag-rate", "0"
    )
    assert (code, found["complete"], found["quota_violations"]) == (0, 3, 0)


def share_right(habits: Habits, order: str, n: int = 1500) -> float:
    definition = schemas.Definition.model_validate(presets.PRESETS["strength7"])
    mind = Simulated(habits, "seed")
    right = 0
    for _ in range(n):
        answer = mind.judge(definition, [0.5, -0.5], order, [100, 100], lambda index: "text")
        right += bool(answer.comparisons) and (answer.comparisons[0].preference or 0) < 0
    return right / n


def test_habits_do_what_they_say():
    still = Habits(noise=0, position_bias=0, fatigue=0, skip_rate=0, flag_rate=0)
    assert share_right(still, "01") == 1.0
    noisy = share_right(Habits(noise=2, position_bias=0, fatigue=0, skip_rate=0, flag_rate=0), "01")
    assert 0.5 < noisy < 0.8
    biased = Habits(noise=1, position_bias=2, fatigue=0, skip_rate=0, flag_rate=0)
    assert share_right(biased, "01") - share_right(biased, "10") > 0.3
    tired = share_right(Habits(noise=1, position_bias=0, fatigue=3, skip_rate=0, flag_rate=0), "01")
    assert (
        tired
        < share_right(Habits(noise=1, position_bias=0, fatigue=0, skip_rate=0, flag_rate=0), "01") - 0.05
    )
    assert share_right(Habits(noise=0, skip_rate=0.5), "01") < 0.6


@pytest.mark.slow
@pytest.mark.no_database
def test_two_thousand_items(project, fill, make_item):
    pairs = real_pairs()
    for k in range(2000):
        row = pairs[k % len(pairs)]
        make_item(
            prompt=row["prompt"],
            responses=(row["response_a"], row["response_b"]),
            external_id=f"{row['id']}#{k}",
            wanted=2,
        )
    found, code = simulate("pairs", "--annotators", "40", "--seed", "9", "--workers", "1")
    assert (code, found["complete"], found["outcomes"]["answered"]) == (0, 2000, 4000)
    assert (found["quota_violations"], found["duplicates"], found["counter_differences"]) == (0, 0, 0)
    assert found["side_balance"]["items"] == 0
    assert found["side_balance"]["annotators"] <= 3  # the last items of a dry pool
    assert found["starved"] == 0
