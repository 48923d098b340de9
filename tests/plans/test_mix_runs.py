"""Plans that learn from mixes: how well their reward models predict, and when they are trained anew."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotations.projects.models import Annotator
from routing.plans.models import MixRuns
from routing.predict import mixes
from tests.plans.test_policies_in_plans import make, people_say

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("policy", "words"), [
    ("mixes", "the 95 % intervals of the predictions hold"), ("hyper_linear", "no intervals"), ("hyper_quadratic", "no intervals"),
])  # fmt: skip
def test_a_plan_by_mixes_says_how_many_reward_models_it_learnt_from_and_how_well_they_predict(
    judge, make_item, plain_project, alice_client, policy, words
):
    items = []
    for i in range(120):
        texts = (f"answer {i}", f"answer {i} " + "and more of it " * (1 + i % 5))
        item = make_item(f"prompt {i}", texts, external_id=f"r{i}", meta={"field": "law" if i % 2 else "art"})
        judge("m", "lm", item, "a" if i % 4 == 1 else "b")  # wrong on half the law
        items.append(item)
    people_say(judge, items, lambda i: i % 5 == 0)
    plan = make(plain_project, "0.3", policy=policy, overlap=2)
    runs = plan.summary["runs"]
    assert (runs["n"], runs["items"]) == (200, 80)  # a third of the prompts is held out
    assert 0 < runs["low"] < runs["high"] <= 1
    assert 0 <= runs["rmse"]["lo"] < runs["rmse"]["value"] < runs["rmse"]["hi"] < 0.5
    assert -1 <= runs["spearman"]["lo"] < runs["spearman"]["hi"] <= 1
    assert ("coverage" in runs) == (policy == "mixes")
    page = alice_client.get(reverse("plans:detail", args=["pairs", plan.number])).content.decode()
    assert "tags are worth is predicted from 200 small reward models" in page
    assert words in page


def tag_prompts(project, items, *, law) -> None:
    """As if a model had tagged the prompts: those for which `law(i)` holds are about law, the rest about physics."""
    from routing.features import tagger, tagging
    from routing.features.models import ItemTags, Tagging

    found = Tagging.objects.create(
        project=project, annotator=Annotator.objects.get(name="m"), prompt=tagger.words(project, "Tag."),
        prompt_hash=tagging.prompt_hash("Tag."), started_at=timezone.now(),
    )  # fmt: skip
    for i, item in enumerate(items):
        values = {"subject_of_expertise": ["Law" if law(i) else "Physics"], "safety_concern": "safe"}
        ItemTags.objects.create(tagging=found, item=item, values=values, mode="strict")


def test_runs_over_mixes_are_stored_by_data_version_and_trained_anew_only_for_other_data(
    make_item, judge, plain_project, alice_client, monkeypatch
):
    items = []
    for i in range(120):
        texts = (f"answer {i}", f"answer {i} " + "and more of it " * (1 + i % 5))
        items.append(make_item(f"prompt {i} " + "and so on " * (i % 7), texts, external_id=f"s{i}"))
        judge("m", "lm", items[-1], "a" if i % 4 == 1 else "b")
    people_say(judge, items, lambda i: False, only=lambda i: i < 110)
    trained = []

    def ridge_runs(phi, *args, **options):
        trained.append(phi.shape[1])
        return train(phi, *args, **options)

    train = mixes.ridge_runs
    monkeypatch.setattr(mixes, "ridge_runs", ridge_runs)
    first = make(plain_project, "0.3", policy="mixes", overlap=2, seed=1)
    [row] = MixRuns.objects.all()
    assert (len(row.performance), len(row.budget), row.plan_number) == (200, 200, first.number)
    assert (row.items + row.held, np.array(row.counts).shape) == (110, (200, len(row.tags)))
    assert np.array(row.counts).max(axis=1).max() <= row.items
    assert all(0 <= accuracy <= 1 for accuracy in row.performance)
    textual = [name for name in row.tags if "::min_val" in name]
    assert {name.split("::")[0] for name in textual} == {
        "prompt_len",
        "len_longer",
        "token_len_diff",
    }  # as they differ
    assert trained == [7 * (1 + len(row.tags))]  # styles, and styles within each tag

    for policy in ("mixes", "hyper_linear", "hyper_quadratic"):
        again = make(plain_project, "0.4", policy=policy, overlap=2, seed=2)
        assert (again.summary["runs"]["plan"], again.summary["runs"]["tags"]) == (first.number, len(row.tags))
    assert (len(trained), MixRuns.objects.count()) == (1, 1)
    page = alice_client.get(reverse("plans:detail", args=["pairs", again.number])).content.decode()
    assert f"those of plan {first.number}: the data are the same" in page

    tag_prompts(plain_project, items, law=lambda i: i % 2)
    tagged = make(plain_project, "0.3", policy="mixes", overlap=2, seed=1)
    other = MixRuns.objects.latest("pk")
    assert (len(trained), other.plan_number) == (2, tagged.number)
    law = "analyzer_closed_set::feature_name=subject_of_expertise|constraints=Law"
    assert set(other.tags) - set(row.tags) == {law, law.replace("Law", "Physics")}
    counts = np.array(other.counts)[
        :, [other.tags.index(law), other.tags.index(law.replace("Law", "Physics"))]
    ]
    assert (counts.sum(axis=1) == np.array(other.budget)).all()  # each item is about one of them
    assert np.abs(counts[:, 0] - counts[:, 1]).max() > 20  # mixes are drawn along the tags
    assert trained[1] == 7 * (1 + len(other.tags))

    judge("ann", "human", items[115], "b")
    make(plain_project, "0.3", policy="mixes", overlap=2, seed=1)
    assert (len(trained), MixRuns.objects.count()) == (3, 3)
