"""The lab's pages: who may see them, what is hidden until graded, and that each does what its buttons say."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from annotations.criteria import cards, graders, grading, lab, offers, rounds, sandbox, settling
from annotations.criteria.models import Card, CardVote, Criterion, Grade, Grader, Proposal, Verdict
from annotations.projects.access import reviewer_for
from annotations.projects.models import Annotator, CriteriaRelease, Membership
from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db
PAGES = ("board", "new", "settings", "releases", "read", "grade", "card", "drift", "conflicts")


def url(name, *args):
    return reverse(f"criteria:{name}", args=["pairs", *args])


def test_every_page_opens_empty_and_full(plain_project, long_wins, alice, alice_client):
    for page in PAGES:
        assert alice_client.get(url(page)).status_code == 200, page
    rounds.run_round(plain_project, owner="test:1")
    settling.follow_project(plain_project, actor=alice)
    settling.release_set(plain_project, actor=alice)
    for page in PAGES:
        assert alice_client.get(url(page)).status_code == 200, page
    criterion = Criterion.objects.filter(status="active").first()
    grader = criterion.current.graders.get()
    assert "Numbers behind the plot" in alice_client.get(url("board")).content.decode()
    assert alice_client.get(url("detail", criterion.pk)).status_code == 200
    table = cards.people_table(plain_project, grader)
    people, cell = next((line["people"], c) for line in table for c in line["cells"] if c["n"])
    where = f"{url('cases', criterion.pk)}?grader={grader.pk}&people={people}&said={cell['word']}"
    page = alice_client.get(where).content.decode()
    assert page.count("/items/") >= min(cell["n"], 100)
    assert alice_client.get(where + "x").status_code == 404


@pytest.mark.parametrize("bad", ["²", "9" * 30, "9" * 5000, "-1", "a\x00b"])
def test_no_number_or_text_that_python_or_a_database_chokes_on_breaks_a_page(
    plain_project, make_item, alice, alice_client, bad
):
    pairwise = lab.add_criterion(
        project=plain_project, name="Kind", wording="Prefer what is kind.", actor=alice
    )
    one = lab.add_criterion(
        project=plain_project, name="Plain", wording="Is it plain?", kind="binary", actor=alice
    )
    item = make_item("Say hello", ("Hello.", "Go away."))
    refused = []
    for name, args, said in (
        ("read", (), {"item": item.pk, "response": "0", "value": "bad", "reason": "Rude.", "why": "random"}),
        ("grade", (), {"item": item.pk, f"c-{pairwise.current_id}": "A", "why": "random"}),
        ("grade_one", (), {"item": item.pk, "response": "0", f"c-{one.current_id}": "fail", "reason": "No."}),
        ("conflicts", (), {"criterion": one.pk, "context": "Chat", "text": "It depends."}),
        ("conflicts", (), {"act": "vote", "lower": one.pk, "upper": pairwise.pk, "value": "up"}),
        ("code", (one.pk,), {"act": "add", "code": "True", "grader": "1"}),
        ("releases", (), {"note": "First"}),
    ):
        for field in said:
            answer = alice_client.post(url(name, *args), {**said, field: bad})
            assert answer.status_code < 500, (name, field)
            refused.append(answer.status_code)
    assert {404, 422} <= set(refused)
    where = f"{url('cases', pairwise.pk)}?grader={bad}"
    assert alice_client.get(where).status_code == 404
    assert not [row for row in Grade.objects.all() if "\x00" in row.reason]


def test_annotators_and_outsiders_are_refused_and_nothing_changes(
    plain_project, alice, bob_client, charlie_client
):
    criterion = lab.add_criterion(
        project=plain_project, name="Kind", wording="Prefer what is kind.", actor=alice
    )
    for client, status in ((bob_client, 403), (charlie_client, 404)):
        for page in PAGES:
            assert client.get(url(page)).status_code == status
        for target in (
            url("start"),
            url("status", criterion.pk),
            url("releases"),
            url("follow"),
            url("panel"),
        ):
            assert client.post(target, {"status": "retired"}).status_code == status
    criterion.refresh_from_db()
    assert (criterion.status, Job.objects.count(), CriteriaRelease.objects.count()) == ("active", 0, 0)


def test_reviewers_read_and_grade_and_do_not_decide(plain_project, charlie, charlie_client):
    Membership.objects.create(project=plain_project, user=charlie, role=Membership.Role.REVIEWER)
    assert [charlie_client.get(url(p)).status_code for p in ("read", "grade", "conflicts")] == [200] * 3
    assert [charlie_client.get(url(p)).status_code for p in ("board", "settings", "releases", "card")] == [
        403
    ] * 4


def test_five_are_read_before_any_criterion_shows_and_bad_needs_a_reason(
    plain_project, long_wins, alice, alice_client
):
    lab.add_criterion(project=plain_project, name="Marked name", wording="Marked wording of it.", actor=alice)
    page = alice_client.get(url("read"))
    assert "5 more to read" in page.content.decode()
    assert "Marked" not in page.content.decode()
    data = {"item": page.context["item"].pk, "response": page.context["response"], "why": "random"}
    refused = alice_client.post(url("read"), {**data, "value": "bad", "reason": " "})
    assert refused.status_code == 422
    assert "Say what is wrong" in refused.content.decode()
    assert not Grade.objects.exists()
    alice_client.post(url("read"), {**data, "value": "bad", "reason": "Too short."})
    grade = Grade.objects.get()
    assert (grade.value, grade.reason, grade.version) == (
        "fail",
        "Too short.",
        None,
    )  # good stays good, bad stays bad
    alice_client.post(url("read"), {**data, "value": "good"})
    assert Grade.objects.count() == 2
    assert [g.value for g in Grade.fresh()] == ["pass"]


def test_the_judge_is_hidden_until_graded_and_then_somebody_is_at_fault(
    plain_project, long_wins, alice, alice_client
):
    rounds.run_round(plain_project, owner="test:1")
    settling.follow_project(plain_project, actor=alice)
    person = reviewer_for(alice, plain_project)
    page = alice_client.get(url("grade"))
    shown = page.context["shown"]
    assert grading.reveal(plain_project, person, shown.item) == []
    criteria = offers.asked_criteria(plain_project)
    three = criteria[:3]
    assert len(three) == 3
    verdicts = {c.pk: Verdict.objects.get(grader__version=c.current, item=shown.item).value for c in three}
    side = {
        -1: "AB"[shown.order.index(1)],
        1: "AB"[shown.order.index(0)],
    }  # the other one than the judge says
    said = {f"c-{c.current_id}": side.get(verdicts[c.pk], "A") for c in three}
    done = alice_client.post(url("grade"), {"item": shown.item.pk, "why": "random", **said})
    assert done.status_code == 302
    revealed = alice_client.get(done["Location"])
    assert revealed.context["n_differ"] == 3
    grades = list(Grade.objects.order_by("pk"))
    for grade, fault in zip(grades, ("judge", "wording", "slip"), strict=True):
        alice_client.post(url("blame", grade.pk), {"fault": fault})
    assert Grade.objects.get(pk=grades[0].pk).fault == "judge"
    opened = Proposal.objects.get(kind="refine", version=None, state="open")
    assert opened.evidence == {"misled": [shown.item.pk]}
    corrected = Grade.objects.get(supersedes=grades[2])
    assert grading.reveal(plain_project, person, shown.item)[2].agrees
    assert (corrected.fault, corrected.is_current) == ("slip", True)
    assert not Grade.objects.get(pk=grades[2].pk).is_current  # kept, superseded
    # A new wording by a person settles the proposal.
    criterion = opened.criterion
    alice_client.post(
        url("detail", criterion.pk), {"wording": "Prefer what says why it is so.", "change": "meaning"}
    )
    opened.refresh_from_db()
    assert opened.state == "accepted"
    assert alice_client.post(url("grade"), {"item": shown.item.pk}).status_code == 422


def test_a_round_is_started_once_decided_released_and_rolled_back(
    plain_project, long_wins, alice, alice_client
):
    alice_client.post(url("start"))
    alice_client.post(url("start"))
    job = Job.objects.get(kind="criteria.round")
    assert runner.run(job.pk).state == "succeeded", job.error
    assert "proposals to decide" in alice_client.get(url("board")).content.decode()
    one = Proposal.objects.filter(kind="add").first()
    alice_client.post(url("decide", one.pk), {"decision": "reject"})
    one.criterion.refresh_from_db()
    assert one.criterion.status == "banned"
    alice_client.post(url("follow"))
    alice_client.post(url("releases"), {"note": "First"})
    alice_client.post(url("releases"), {"note": "Second"})
    alice_client.post(url("roll_back", 1))
    assert list(CriteriaRelease.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
    first = CriteriaRelease.objects.get(number=1)
    rubric = json.loads(alice_client.get(url("export", 1, "prometheus")).content)
    assert list(rubric[0]) == ["criteria", *(f"score{n}_description" for n in range(1, 6))]
    critiq = json.loads(alice_client.get(url("export", 1, "critiq")).content)
    assert [row["name"] for row in critiq] == [row["name"] for row in first.criteria]
    assert set(critiq[0]) == {"name", "description", "score"}
    assert alice_client.get(url("export", 1, "assertions")).content.startswith(b'"""Assertions')
    assert alice_client.get(url("export", 1, "xml")).status_code == 404


def test_a_cosmetic_edit_needs_a_second_tick(plain_project, alice, alice_client):
    criterion = lab.add_criterion(
        project=plain_project, name="Kind", wording="Prefer what is kind.", actor=alice
    )
    data = {"wording": "Prefer what is kind!", "change": "cosmetic"}
    page = alice_client.post(url("detail", criterion.pk), data)
    assert "Tick this too" in page.content.decode()
    alice_client.post(url("detail", criterion.pk), {**data, "sure": "on"})
    criterion.refresh_from_db()
    assert (criterion.current.number, criterion.current.meaning) == (2, 1)
    assert "<ins>kind!</ins>" in alice_client.get(url("detail", criterion.pk)).content.decode()


def test_the_report_card_refuses_few_grades_and_then_shows_cross_fitted(
    plain_project, make_item, alice, alice_client
):
    person = reviewer_for(alice, plain_project)
    criterion = lab.add_criterion(
        project=plain_project, name="Kind", wording="Is it kind to them?", kind="binary"
    )
    grader = graders.grader_for(criterion.current, Grader.Kind.CODE, body={"code": "x"})
    for k in range(14):
        item = make_item(f"Q {k}", (f"Fine {k}", f"Rude {k}"))
        grading.grade_whole(
            project=plain_project, person=person, item=item, response=k % 2, good=k % 2 == 0, reason="so"
        )
        Verdict.objects.create(grader=grader, item=item, response=k % 2, value=int(k % 2 == 0))
        if k == 7:
            assert cards.card(plain_project).missing == "need 1 more bad example and 1 more good example"
            assert "before any number is shown" in alice_client.get(url("card")).content.decode()
    found = cards.card(plain_project)
    assert (found.good, found.bad, found.choice.cross_fitted.value["n"]) == (7, 7, 14)
    assert found.choice.cross_fitted.value["value"] == 1.0
    assert "cross-fitted" in alice_client.get(url("card")).content.decode()


def test_others_vote_which_criterion_wins_for_a_kind_of_prompt(plain_project, alice, alice_client):
    a, b = (
        lab.add_criterion(project=plain_project, name=n, wording="Prefer what is so, always.")
        for n in ("Brief", "Full")
    )
    people = [Annotator.objects.create(project=plain_project, kind="human", name=n) for n in ("x", "y")]
    for person, criterion in zip(people, (a, b), strict=True):
        Card.objects.create(
            project=plain_project,
            criterion=criterion,
            context="Recipes",
            text="It serves the cook.",
            annotator=person,
        )
    ask = alice_client.get(url("conflicts")).context["ask"]
    alice_client.post(
        url("conflicts"), {"act": "vote", "lower": ask[0].pk, "upper": ask[1].pk, "value": "wiser"}
    )
    alice_client.post(
        url("conflicts"), {"act": "vote", "lower": ask[0].pk, "upper": ask[1].pk, "value": "wiser"}
    )
    assert CardVote.objects.count() == 1
    assert alice_client.get(url("conflicts")).context["ask"] is None
    alice_client.post(url("conflicts"), {"act": "card", "criterion": a.pk, "context": "", "text": "x"})
    assert Card.objects.count() == 2


def test_an_assertion_is_added_read_approved_and_run_in_its_own_queue(
    plain_project, make_item, alice, alice_client
):
    criterion = lab.add_criterion(
        project=plain_project, name="Greets", wording="Is there a greeting?", kind="binary"
    )
    where = url("code", criterion.pk)
    alice_client.post(where, {"act": "add", "code": "import os\nos.system('x')"})
    assert not Grader.objects.exists()
    alice_client.post(
        where,
        {
            "act": "add",
            "code": "def evaluate(response, prompt, meta):\n    return 'hello' in response.lower()",
        },
    )
    grader = Grader.objects.get()
    alice_client.post(where, {"act": "run", "grader": grader.pk})
    assert not Job.objects.exists()  # nobody has read it
    assert "I have read it" in alice_client.get(url("detail", criterion.pk)).content.decode()
    alice_client.post(where, {"act": "approve", "grader": grader.pk})
    person = reviewer_for(alice, plain_project)
    item = make_item("Greet.", ("Hello.", "Go away."))
    for response, good in ((0, True), (1, False)):
        grading.grade_whole(
            project=plain_project, person=person, item=item, response=response, good=good, reason="so"
        )
    alice_client.post(where, {"act": "run", "grader": grader.pk})
    job = Job.objects.get()
    assert job.queue == "sandbox"
    if not sandbox.available():
        assert "Not runnable" in runner.run(job.pk).error
        return
    assert runner.run(job.pk).state == "succeeded"
    assert dict(Verdict.objects.values_list("response", "value")) == {0: 1, 1: 0}
