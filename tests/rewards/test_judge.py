"""A promoted reward model judges items like every other annotator."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotations.judging.models import Judgment
from annotations.projects.models import Annotator
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from routing.rewards import judge, registry, score

pytestmark = pytest.mark.django_db


def test_a_promoted_model_judges_what_it_has_not_judged(register, project, make_item, alice, alice_client):
    good, bad = "item word1 good clear", "item word1 bad vague"
    items = [
        make_item(f"Question {n}", texts) for n, texts in enumerate([(good, bad), (bad, good), (bad, bad)])
    ]
    model = register()
    registry.promote(model=model, actor=alice)
    model.refresh_from_db()

    page = alice_client.post(reverse("rewards:judge", args=["pairs", model.public_id]))
    job = Job.objects.get(kind=judge.KIND)
    assert (page.status_code, page.url) == (302, reverse("jobs:detail", args=[job.pk]))
    job = runner.run(job.pk)
    assert (job.state, job.result) == ("succeeded", {"judged": 3, "skipped": 0, "left": 0})

    rows = Judgment.objects.order_by("item_id")
    assert [(j.comparisons.get().preference, j.comparisons.get().tie) for j in rows] == [
        (-1, None),
        (1, None),
        (None, "equal"),
    ]
    [[first, second]] = score.score_rows(score.load(model), [("Question 0", [good, bad], "")])
    assert rows[0].probability == pytest.approx(score.probability(first, second))
    assert rows[0].probability == pytest.approx(1 - rows[1].probability, abs=0.05)
    assert rows[0].meta["rewards"] == [round(first, 6), round(second, 6)]
    assert {j.annotator for j in rows} == {Annotator.objects.get(kind="reward_model")}
    for item in items:
        item.refresh_from_db()
        assert (item.n_human, item.n_lm, item.open_slots) == (0, 1, 1)
    assert judge.judge(model=model) == {"judged": 0, "skipped": 0, "left": 0}
    assert AuditEvent.objects.filter(action="reward_model.judging_started").count() == 1


def test_a_model_that_is_not_promoted_judges_nothing(register, make_item, alice_client):
    make_item()
    model = register()
    page = alice_client.post(reverse("rewards:judge", args=["pairs", model.public_id]), follow=True)
    assert "is not promoted: only a promoted model judges" in page.content.decode()
    assert (Job.objects.count(), Judgment.objects.count()) == (0, 0)
