"""While graders run: five first, a stop where these cannot be used, and verdicts on the page as they come."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from annotations.criteria import graders, judging, lab, offers, rounds, sandbox, streaming, tasks
from annotations.criteria.grading import grade_single
from annotations.criteria.models import Grader, Verdict
from annotations.lm.models import EndpointModel
from annotations.projects.access import reviewer_for
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account

pytestmark = pytest.mark.django_db
BROKEN = "def evaluate(response, prompt, meta):\n    return response.undefined_name"
FRAIL = "def evaluate(response, prompt, meta):\n    return response.index('good') >= 0"
LENGTH = "def evaluate(response, prompt, meta):\n    return len(response) > 7"


@pytest.fixture
def graded(plain_project, make_item, endpoint, funded, alice):
    """A binary criterion by which alice graded eight responses, four good ones and four bad ones."""
    items = [
        make_item(f"Question {k}", (f"good and helpful {k}", f"rude {k}"), external_id=f"s{k}")
        for k in range(8)
    ]
    funded("100")
    plain_project.refresh_from_db()
    made = lab.add_criterion(
        project=plain_project, name="Kind", wording="Is it kind to the reader?", kind="binary"
    )
    person = reviewer_for(alice, plain_project)
    for k, item in enumerate(items):
        grade_single(
            project=plain_project, person=person, item=item, response=k % 2,
            said={made.current_id: "fail" if k % 2 else "pass"},
        )  # fmt: skip
    return made


def judged_by(criterion, name):
    model = EndpointModel.objects.get(name=name)
    lab.configure(project=criterion.project, judge=model, manager=None, cap=Decimal(5))
    return graders.grader_for(criterion.current, Grader.Kind.LM_YESNO, model=model)


def start(grader, kind=tasks.GRADE, queue="default"):
    return runner.start(
        kind=kind, title="Grade", args={"grader_id": grader.pk}, scope="pairs", queue=queue, result_url="/"
    )


def url(name, *args):
    return reverse(f"criteria:{name}", args=["pairs", *args])


@pytest.mark.parametrize(
    ("model", "why"), [("refuses", "refus"), ("prose", "JSON"), ("empty", "empty"), ("truncated", "")]
)
def test_a_model_that_cannot_answer_is_stopped_after_five_and_asked_anew_later(
    graded, scripted, alice_client, model, why
):
    grader = judged_by(graded, model)
    job = runner.run(start(grader).pk)
    assert job.state == "failed"
    assert "Stopped after a test on 5: 5 could not be used" in job.error
    assert why in job.error
    assert "Nothing else was asked" in job.error
    assert len(scripted.requests) == 5
    assert not Verdict.objects.exists()
    account = Account.objects.get(pk=lab.lab_of(graded.project).account_id)
    assert (account.spent_micros, account.held_micros) == (scripted.billed_micros(2, 8), 0)
    scripted.aliases[model] = "strict"  # the provider mends it
    assert runner.run(start(grader).pk).state == "succeeded"
    assert (len(scripted.requests), Verdict.objects.count()) == (13, 8)


def test_a_round_stops_at_a_judge_that_cannot_answer_before_it_costs(
    plain_project, long_wins, endpoint, funded, scripted
):
    funded("100")
    plain_project.refresh_from_db()
    refuses = EndpointModel.objects.get(name="refuses")
    lab.configure(project=plain_project, judge=refuses, manager=None, cap=Decimal(5))
    lab.add_criterion(project=plain_project, name="Kind", wording="Prefer the response that is kind.")
    this = rounds.run_round(plain_project, owner="test:1", wanted=1)
    assert this.stopped.startswith("Stopped after a test on 5")
    assert this.report["judge_calls"] == 10  # five pairs in both orders, and no second criterion
    assert this.report["cost_micros"] == scripted.billed_micros(2, 8)
    assert not Verdict.objects.exists()


@pytest.mark.skipif(not sandbox.available(), reason="no sandbox passes its self-test on this host")
def test_an_assertion_that_breaks_on_everything_stops_and_one_that_breaks_on_half_goes_on(graded, alice):
    the_lab = lab.lab_of(graded.project)
    shown = judging.response_material(offers.graded_places(graded.project))
    made = {}
    for name, code in (("broken", BROKEN), ("frail", FRAIL), ("length", LENGTH)):
        grader = graders.add_code(criterion=graded, code=code, actor=alice)
        made[name] = graders.approve_code(grader=grader, actor=alice)
    with pytest.raises(judging.CannotJudge, match="Stopped after a test on 5: 5 could not be used"):
        judging.run(made["broken"], the_lab, shown, owner="test:1")
    assert not Verdict.objects.exists()
    assert judging.run(made["frail"], the_lab, shown, owner="test:1")["judged"] == 8
    assert Verdict.objects.exclude(error="").count() == 4  # errors stay counted, they do not vanish
    assert judging.run(made["length"], the_lab, shown, owner="test:1")["judged"] == 8


def test_verdicts_are_on_the_page_while_they_come_and_hidden_where_ungraded(
    graded, scripted, alice, alice_client, bob_client, make_item, monkeypatch
):
    grader = judged_by(graded, "xss")
    job = start(grader)
    Job.objects.filter(pk=job.pk).update(state="running")
    seen = []
    keep = judging._keep

    def look_meanwhile(row):
        keep(row)
        seen.append(alice_client.get(url("said_so_far", graded.pk), {"grader": grader.pk}).content.decode())

    monkeypatch.setattr(judging, "_keep", look_meanwhile)
    shown = judging.response_material(offers.graded_places(graded.project))
    judging.run(grader, lab.lab_of(graded.project), shown, owner="test:1")
    assert [n for page in seen for n in (6, 7, 8) if f"<strong>{n} verdicts so far" in page] == [6, 7, 8]
    assert all("every 2s" in page for page in seen)
    assert "&lt;script&gt;" in seen[-1]
    assert "<script>alert" not in seen[-1]
    # Somebody who graded nothing sees counts alone.
    other = make_item("Later", ("good", "bad"), external_id="later")
    Verdict.objects.create(grader=grader, item=other, response=0, value=0, feedback="HIDDEN")
    page = alice_client.get(url("detail", graded.pk)).content.decode()
    assert "9 verdicts so far" in page
    assert "1 of them is on responses that you have not graded" in page
    assert "HIDDEN" not in page
    assert "have not judged yet counts as an error" in alice_client.get(url("card")).content.decode()
    Job.objects.filter(pk=job.pk).update(state="succeeded")
    assert "have not judged yet" not in alice_client.get(url("card")).content.decode()
    last = alice_client.get(url("said_so_far", graded.pk), {"grader": grader.pk}).content.decode()
    assert "every 2s" not in last
    assert bob_client.get(url("said_so_far", graded.pk), {"grader": grader.pk}).status_code == 403
    assert alice_client.get(url("said_so_far", graded.pk), {"grader": "²"}).status_code == 404


def test_a_round_shows_how_many_pairs_each_criterion_has_judged(
    plain_project, long_wins, alice_client, django_assert_max_num_queries
):
    rounds.run_round(plain_project, owner="test:1")
    Job.objects.create(kind=tasks.KIND, title="A round", scope="pairs", state="running")
    page = alice_client.get(url("board")).content.decode()
    assert "Verdicts so far" in page
    with django_assert_max_num_queries(4):
        rows = streaming.of_round(plain_project)
    assert len(rows) > 5
    assert {r.done for r in rows} == {90}
    fragment = alice_client.get(url("judging_now")).content.decode()
    assert fragment.count("<tr>") == len(rows) + 1
    assert "every 2s" in fragment
    Job.objects.update(state="succeeded")
    assert "every 2s" not in alice_client.get(url("judging_now")).content.decode()
