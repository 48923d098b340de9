"""Single responses graded by criteria, and models that grade them: yes or no, and by a rubric."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from annotations.criteria import cards, graders, grading, lab, material, offers
from annotations.criteria.models import Criterion, Grade, Grader, GroupSplit, Regrade, Verdict
from annotations.lm.models import EndpointModel
from annotations.projects.access import reviewer_for
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account

pytestmark = pytest.mark.django_db
ANCHORS = ["Rude throughout.", "Mostly rude.", "Neither.", "Kind with lapses.", "Kind throughout."]


@pytest.fixture
def kind(plain_project, make_item, endpoint, funded, alice):
    """Twelve items whose first response is good, and a binary criterion that the scripted judge can grade by."""
    for k in range(12):
        make_item(f"Question {k}", (f"good and helpful {k}", f"rude {k}"), external_id=f"s{k}")
    funded("100")
    plain_project.refresh_from_db()
    strict = EndpointModel.objects.get(name="strict")
    lab.configure(project=plain_project, judge=strict, manager=None, cap=Decimal(5), actor=alice)
    return lab.add_criterion(
        project=plain_project, name="Kind", wording="Is it kind to the reader?", kind="binary"
    )


def url(name, *args):
    return reverse(f"criteria:{name}", args=["pairs", *args])


def test_a_model_grades_what_people_graded_and_is_hidden_until_then(
    kind, plain_project, scripted, alice, alice_client, bob_client
):
    where = url("code", kind.pk)
    assert bob_client.post(where, {"act": "model", "kind": "lm_yesno"}).status_code == 403
    assert not Grader.objects.exists()
    alice_client.post(where, {"act": "model", "kind": "lm_rubric"})  # no anchors: refused
    assert not Grader.objects.exists()
    alice_client.post(where, {"act": "model", "kind": "lm_yesno"})
    alice_client.post(where, {"act": "model", "kind": "lm_yesno"})
    grader = Grader.objects.get()
    page = alice_client.get(url("grade_one"))
    assert "Is it kind to the reader?" in page.content.decode()
    item, response = page.context["item"], page.context["response"]
    sent = {"item": item.pk, "response": response, "why": "random"}
    assert alice_client.post(url("grade_one"), sent).status_code == 422
    assert alice_client.post(url("grade_one"), {**sent, f"c-{kind.current_id}": "maybe"}).status_code == 422
    assert not Grade.objects.exists()
    Verdict.objects.create(
        grader=grader, item=item, response=response, value=int(response == 0), feedback="HIDDEN"
    )
    assert "HIDDEN" not in alice_client.get(url("grade_one")).content.decode()
    wrong = "fail" if response == 0 else "pass"
    done = alice_client.post(url("grade_one"), {**sent, f"c-{kind.current_id}": wrong})
    revealed = alice_client.get(done["Location"])
    assert (revealed.context["n_differ"], "HIDDEN" in revealed.content.decode()) == (1, True)
    mine = Grade.objects.get()
    alice_client.post(url("blame", mine.pk), {"fault": "slip"})
    assert [g.value for g in Grade.fresh()] == ["pass" if response == 0 else "fail"]
    # People grade the rest; the model is asked about what they graded, once each, and its cost is the server's.
    person = reviewer_for(alice, plain_project)
    while (found := offers.next_single(plain_project, person)) is not None:
        item, response = found[:2]
        value = {kind.current_id: "fail" if response else "pass"}
        grading.grade_single(project=plain_project, person=person, item=item, response=response, said=value)
    assert "about 24 calls" in alice_client.get(url("detail", kind.pk)).content.decode()
    alice_client.post(where, {"act": "run", "grader": grader.pk})
    job = Job.objects.get()
    assert runner.run(job.pk).state == "succeeded", job.error
    assert len(scripted.requests) == 23  # one verdict stood already
    assert dict(Verdict.objects.filter(response=0).values_list("response", "value")) == {0: 1}
    assert set(Verdict.objects.filter(response=1).values_list("value", flat=True)) == {0}
    account = Account.objects.get(pk=lab.lab_of(plain_project).account_id)
    assert account.spent_micros == scripted.billed_micros(2, 8)
    [(of, aligned)] = cards.by_own_grades(plain_project)
    assert (of.pk, aligned.coverage["value"], aligned.ffr["value"], aligned.coverage["n"]) == (
        grader.pk,
        1.0,
        0.0,
        12,
    )
    assert "catches" in alice_client.get(url("card")).content.decode()


def test_a_rubric_is_asked_in_prometheus_form_and_passes_from_four(plain_project, kind, scripted, alice):
    made = lab.add_criterion(
        project=plain_project,
        name="Tone",
        wording="How kind is the response?",
        kind="ordinal",
        anchors=ANCHORS,
    )
    grader = graders.add_model_grader(criterion=made, kind="lm_rubric", actor=alice)
    person = reviewer_for(alice, plain_project)
    item = plain_project.items.first()
    for response in (0, 1):
        grading.grade_single(
            project=plain_project, person=person, item=item, response=response, said={made.current_id: "pass"}
        )
    from annotations.criteria import judging

    places = judging.response_material(offers.graded_places(plain_project))
    judging.run(grader, lab.lab_of(plain_project), places, owner="test:1")
    system = scripted.requests[0].system
    assert "\n".join(f"Score {n}: {text}" for n, text in enumerate(ANCHORS, 1)) in system
    assert system.index('"reason"') < system.index('"score"')  # feedback before the score
    assert dict(Verdict.objects.values_list("response", "score")) == {0: 5.0, 1: 1.0}
    assert dict(Verdict.objects.values_list("response", "value")) == {0: 1, 1: 0}


def test_a_new_meaning_asks_single_responses_again(plain_project, kind, alice):
    person = reviewer_for(alice, plain_project)
    item, response, _, _ = offers.next_single(plain_project, person)
    grading.grade_single(
        project=plain_project, person=person, item=item, response=response, said={kind.current_id: "pass"}
    )
    lab.edit_criterion(criterion=kind, wording="Is it kind to everybody?", change="meaning", actor=alice)
    kind.refresh_from_db()
    again = offers.next_single(plain_project, person)
    assert (again[0], again[1], again[3].why) == (item, response, "asked again")
    grading.grade_single(
        project=plain_project, person=person, item=item, response=response, said={kind.current_id: "fail"}
    )
    assert Regrade.objects.filter(done_at=None).count() == 0
    assert [g.value for g in Grade.fresh()] == ["fail"]


def test_the_report_card_credits_only_what_a_response_was_failed_on(
    plain_project, make_item, alice, alice_client
):
    person = reviewer_for(alice, plain_project)
    tone, facts = (
        lab.add_criterion(project=plain_project, name=n, wording=f"Is it good in {n}?", kind="binary")
        for n in ("Tone", "Facts")
    )
    made = [graders.grader_for(c.current, Grader.Kind.CODE, body={"code": c.name}) for c in (tone, facts)]
    for k in range(14):
        item = make_item(f"Q {k}", (f"Fine {k}", f"Wrong {k}"))
        good = k % 2 == 0
        grading.grade_whole(
            project=plain_project, person=person, item=item, response=0, good=good, reason="so"
        )
        said = {tone.current_id: "pass", facts.current_id: "pass" if good else "fail"}
        grading.grade_single(project=plain_project, person=person, item=item, response=0, said=said)
        for g in made:  # both fail every bad response
            Verdict.objects.create(grader=g, item=item, response=0, value=int(good))
    found = cards.card(plain_project)
    by_name = {g.version.criterion.name: a for g, a in found.each}
    assert (by_name["Tone"].coverage["value"], by_name["Facts"].coverage["value"]) == (0.0, 1.0)
    assert [found.graders[j].version.criterion.name for j in found.choice.chosen] == ["Facts"]
    page = alice_client.get(url("card"), {"set": "smallest"})
    assert "The smallest set" in page.content.decode()
    assert page.context["chosen"] == {made[1].pk}
    assert Criterion.objects.count() == 2


def test_the_manager_writes_assertions_from_train_items_and_none_runs_unread(
    plain_project, kind, scripted, alice, alice_client
):
    strict = lab.lab_of(plain_project).judge
    lab.configure(
        project=plain_project,
        judge=strict,
        manager=EndpointModel.objects.get(name="obedient"),
        cap=Decimal(5),
    )
    person = reviewer_for(alice, plain_project)
    items = list(plain_project.items.order_by("pk"))
    for k, item in enumerate(items):
        grading.grade_single(
            project=plain_project, person=person, item=item, response=0, said={kind.current_id: "fail" if k % 2 else "pass"},
            reason=f"REASON{k}.",
        )  # fmt: skip
        split = ("train", "select", "audit")[k % 3] if k < 9 else None  # the last ones have no split yet
        if split:
            GroupSplit.objects.create(project=plain_project, group=material.group_key(item), split=split)
    assert "write three assertions" in alice_client.get(url("detail", kind.pk)).content.decode()
    alice_client.post(url("code", kind.pk), {"act": "draft"})
    job = runner.run(Job.objects.get().pk)
    assert (job.state, job.result["added"], job.result["refused"]) == ("succeeded", 2, 1)
    [sent] = scripted.requests
    assert {g["reason"] for g in sent.data["graded"]} == {"REASON0.", "REASON3.", "REASON6."}
    assert set(Grader.objects.values_list("kind", "approved_at")) == {("code", None)}
    assert not Verdict.objects.exists()
    account = Account.objects.get(pk=lab.lab_of(plain_project).account_id)
    assert (account.spent_micros, account.held_micros) == (scripted.billed_micros(2, 8), 0)
