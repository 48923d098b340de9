"""The quality pages: people's numbers, acts on people, gate items, reviews, and what a review changes."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.datasets.aggregate import label_pairs
from annotations.datasets.snapshots import freeze_now, open_rows
from annotations.items.models import Item
from annotations.judging import gate_items, quality, quarantine, queue, review
from annotations.judging.answers import InvalidAnswer
from annotations.judging.item_queries import labels_of
from annotations.judging.models import Assignment, Judgment, Review
from annotations.judging.verify import verify_counts
from annotations.judging.withdraw import set_withdrawn
from annotations.projects import rules
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership, Project
from app.accounts.models import AuditEvent
from tests.conftest import make_user
from tests.judging.gated import give, make_gates, prefers, says, set_gates, work
from tests.judging.test_submit import Answer

pytestmark = pytest.mark.django_db
RATINGS = {f"r-{name}-{p}": "3" for name in ("helpfulness", "correctness") for p in (0, 1)}


def wrong(project):
    return [(d.kind, d.id, d.counter, d.stored, d.counted) for d in verify_counts(project=project)]


def url(name, *args):
    return reverse(f"quality:{name}", args=["pairs", *args])


@pytest.fixture
def crowd(project):
    """Three people beside Bob."""
    users = [make_user(f"person-{k}") for k in range(3)]
    for user in users:
        Membership.objects.create(project=project, user=user, role="annotator")
    return [annotator_for(user, project.slug) for user in users]


@pytest.fixture
def disputed(project, make_item, crowd):
    """One item that two prefer A in and one B, one that all agree on, one that somebody flagged."""
    items = [make_item(prompt=prompt, wanted=3) for prompt in ("disputed", "agreed", "flagged")]
    for n, person in enumerate(crowd):
        for _ in range(3):
            assignment = queue.next_assignment(person)
            prompt = assignment.item.prompt
            if prompt == "flagged" and n == 0:
                give(person, assignment, Answer(outcome="flagged", answers={"flag": "broken"}))
            else:
                give(person, assignment, says(2 if prompt == "disputed" and n == 2 else -1))
    return items


# --- People --------------------------------------------------------------------------------------------------


def test_numbers_of_people_come_with_intervals_and_flags(project, make_item, annotator, alice, alice_client):
    for k in range(40):
        make_item(prompt=f"work {k}")
    make_gates(make_item, alice, "gold", 10)
    set_gates(
        project, gold_share=0.3, gold_first=4, pause_below_gold=0.7, pause_after_gold=100, fastest_ms=1000
    )

    def left_and_fast(assignment):
        left = -1 if assignment.presented_order == "01" else 1
        return says(left * 3, active_ms=5)

    work(annotator, 30, left_and_fast)
    [row] = [row for row in quality.people_quality(project) if row.annotator.pk == annotator.pk]
    assert row.run == row.same["n"] == 30
    assert (row.left["value"], row.left["n"]) == (1.0, 30)
    assert row.left["lo"] == pytest.approx(0.8865, abs=1e-4)
    assert row.fast["value"] == 1.0
    assert {"Too fast", "Same answer 30 times in a row", "Prefers one side"} <= set(row.flags)
    page = alice_client.get(url("people")).content.decode()
    assert "Same answer 30 times in a row" in page
    csv = b"".join(alice_client.get(url("people") + "?format=csv").streaming_content).decode()
    assert csv.splitlines()[1].startswith("bob,active,ready,")


def test_acts_on_people_from_the_page(project, make_item, annotator, alice_client, bob_client):
    for k in range(3):
        make_item(prompt=f"work {k}")
    work(annotator, 2)
    alice_client.post(url("pause", annotator.pk), {"paused": "1", "note": "Please slow down."})
    annotator.refresh_from_db()
    assert (annotator.status, annotator.note) == ("paused", "Please slow down.")
    assert "Please slow down." in bob_client.get(reverse("work:judge", args=["pairs"])).content.decode()
    alice_client.post(url("quarantine", annotator.pk), {"reason": "random"})
    assert Judgment.objects.filter(aside="quarantine").count() == 2
    alice_client.post(url("pause", annotator.pk), {"paused": "0"})
    assert Annotator.objects.get(pk=annotator.pk).status == "paused"
    alice_client.post(url("quarantine", annotator.pk), {"lift": "1"})
    alice_client.post(url("pause", annotator.pk), {"paused": "0"})
    annotator.refresh_from_db()
    assert (annotator.status, annotator.note, annotator.quarantined_at) == ("active", "", None)
    assert Judgment.objects.filter(is_current=True).count() == 2
    assert wrong(project) == []


def test_who_failed_can_be_let_in(project, make_item, annotator, alice, alice_client):
    make_item()
    make_gates(make_item, alice, "qualification", 1)
    set_gates(project, qualification_items=1)
    work(annotator, 1, lambda _: says(-2))
    assert queue.next_assignment(annotator) is None
    assert "Did not qualify" in alice_client.get(url("people")).content.decode()
    alice_client.post(url("let_in", annotator.pk))
    assert queue.next_assignment(annotator).purpose == "data"


def test_the_rules_are_set_in_per_cent_and_kept_as_shares(project, alice_client):
    page = alice_client.get(url("rules"))
    values = {field.html_name: field.value() for field in page.context["form"]}
    values = {name: value for name, value in values.items() if value is not None and value is not False}
    post = {**values, "gold_share": "5", "repeat_share": "3", "qualification_pass": "90", "message": "Sorry."}
    assert alice_client.post(url("rules"), post).status_code == 302
    project.refresh_from_db()
    gates = rules.of(project).gates
    assert (gates.gold_share, gates.repeat_share, gates.message) == (0.05, 0.03, "Sorry.")
    refused = alice_client.post(url("rules"), {**post, "gold_share": "80"})
    assert refused.status_code == 400
    assert "gold_share" in refused.context["form"].errors
    project.refresh_from_db()
    assert rules.of(project).gates.gold_share == 0.05


# --- Gate items ----------------------------------------------------------------------------------------------


def test_rules_that_lack_their_items_say_so(project, make_item, alice, alice_client):
    def said() -> list[str]:
        page = alice_client.get(url("rules")).content.decode()
        sentences = ["no training items", "and there are 0", "no gold items", "Gold is never", "asked twice"]
        return [sentence for sentence in sentences if sentence in page]

    assert said() == []
    set_gates(project, pause_below_gold=0.5, pause_below_consistency=0.5)
    assert said() == ["Gold is never", "asked twice"]
    set_gates(project, training=True, qualification_items=2, gold_share=0.1, repeat_share=0.1)
    assert said() == ["no training items", "and there are 0", "no gold items"]
    for purpose, n in (("training", 1), ("qualification", 2), ("gold", 1)):
        make_gates(make_item, alice, purpose, n)
    assert said() == []


def test_an_item_becomes_a_gate_from_a_judgment_or_by_hand(project, make_item, annotator, alice_client):
    item = make_item()
    work(annotator, 1, lambda _: says(-3))
    judgment = Judgment.objects.get()
    page = alice_client.get(url("gate", item.pk) + f"?from={judgment.pk}").content.decode()
    assert 'name="c-overall" value="-3"' in page
    post = {"purpose": "gold", "score_within": "1", "c-overall": "-3", "explanation": "**Sure**"}
    assert alice_client.post(url("gate", item.pk), post).status_code == 302
    item.refresh_from_db()
    assert (item.purpose, item.n_human, item.open_slots) == ("gold", 1, 0)
    assert [c["preference"] for c in item.expectation.answer["comparisons"]] == [-3]
    assert "A is much better" in alice_client.get(url("gates")).content.decode()
    empty = alice_client.post(url("gate", item.pk), {"purpose": "gold", "score_within": "1"})
    assert empty.status_code == 400
    assert "at least one answer" in empty.content.decode()
    assert alice_client.post(url("gate", item.pk), {"act": "clear"}).status_code == 302
    item.refresh_from_db()
    assert item.purpose == "data"
    assert wrong(project) == []


def test_a_table_of_gates_names_its_bad_lines(project, make_item, alice_client):
    make_item(external_id="q-1")
    text = "item,purpose,expected\nq-1,gold,b\nq-2,gold,a\n"
    response = alice_client.post(url("gates"), {"text": text})
    assert response.status_code == 400
    assert "Line 3, item: &#x27;q-2&#x27;: the project has no such item" in response.content.decode()
    assert Item.objects.get(external_id="q-1").purpose == "gold"


def test_gates_are_in_no_dataset_and_in_no_count(project, make_item, annotator, alice):
    make_item(external_id="data")
    gold = make_item(external_id="gold")
    gate_items.set_gate(item=gold, purpose="gold", answer=prefers(1), actor=alice)
    set_gates(project, gold_share=0.5, gold_first=1)
    work(annotator, 2)
    from annotations.judging.progress import progress_of

    assert progress_of([project])[project.pk].n == 1
    rows = list(open_rows(freeze_now(project=project)))
    assert [(row["id"], len(row["judgments"])) for row in rows] == [("data", 1)]


# --- Reviews -------------------------------------------------------------------------------------------------


def test_the_queue_holds_what_people_disagree_about_and_flags(project, disputed):
    found = review.browse(project=project)
    assert [item.prompt for item in found.page.rows] == ["disputed", "flagged"]
    assert [item.prompt for item in review.browse(project=project, show="flagged").page.rows] == ["flagged"]
    [overall, *_] = review.distributions(disputed[0])
    assert (overall.name, overall.counts, overall.n) == ("Overall", (("A better", 2), ("B better", 1)), 3)


def test_a_review_decides_the_label_and_changes_no_vote(project, disputed, alice_client, alice):
    item = disputed[0]
    votes = list(Judgment.objects.order_by("pk").values())
    counts = list(Item.objects.order_by("pk").values())
    queue_page = alice_client.get(url("reviews")).content.decode()
    assert "disputed" in queue_page
    assert "2 items that people disagree about or flagged wait for a decision" in queue_page
    page = alice_client.get(url("review", item.pk)).content.decode()
    assert "2 of 3" in page
    assert "FinalLabel(" not in page  # the label so far is not the label of the form's fields
    assert "Why people disagree" in page
    post = {
        "c-overall": "2",
        **RATINGS,
        "causes": ["taste", "verbosity"],
        "note": "B is.",
        "decision": "answer",
    }
    response = alice_client.post(url("review", item.pk), post)
    assert response["Location"] == url("review", disputed[2].pk)
    assert (
        "1 item reviewed; votes are kept" in alice_client.get(url("reviews") + "?show=done").content.decode()
    )
    decided = Review.objects.get()
    assert decided.causes == ["verbosity", "taste"]
    assert (decided.judgment.aside, decided.judgment.is_current) == ("review", False)
    assert list(Judgment.objects.exclude(pk=decided.judgment_id).order_by("pk").values()) == votes
    assert list(Item.objects.order_by("pk").values()) == counts
    assert wrong(project) == []
    label = labels_of([item])[item.pk]
    assert (label.by, label.short) == ("review", "B 1/1")
    assert (
        "A reviewer decided"
        in alice_client.get(reverse("items:detail", args=["pairs", item.pk])).content.decode()
    )

    [row] = [row for row in open_rows(freeze_now(project=project)) if row["prompt"] == "disputed"]
    assert len(row["judgments"]) == 3
    assert row["plumbline"]["review"]["causes"] == ["verbosity", "taste"]
    [pair] = label_pairs(row)
    assert (pair.verdict, pair.strength, pair.votes) == ("second", 2, (2, 0, 1))
    assert pair.soft == pytest.approx(1 / 3)
    assert [p.verdict for p in label_pairs({**row, "plumbline": {}})] == ["first"]


def test_letting_the_votes_stand_is_a_decision_too(project, disputed, alice_client):
    item = disputed[0]
    response = alice_client.post(url("review", item.pk), {"decision": "stand", "causes": ["underspecified"]})
    assert response.status_code == 302
    assert Review.objects.get().judgment is None
    assert labels_of([item])[item.pk].by == "people"
    assert [i.prompt for i in review.browse(project=project).page.rows] == ["flagged"]
    assert [i.prompt for i in review.browse(project=project, show="done").page.rows] == ["disputed"]
    assert ("The prompt can be read in several ways", 1) in review.cause_counts(project)


def test_the_newest_review_is_in_force_and_the_reviewer_is_not_given_the_item(
    project, make_item, disputed, alice, annotator
):
    item = disputed[0]
    me = annotator_for(alice, project.slug)
    for preference in (-1, 3):
        review.decide(item=item, reviewer=me, actor=alice, answer=says(preference), causes=[])
    assert labels_of([item])[item.pk].short == "B 1/1"
    assert Review.objects.count() == Judgment.objects.filter(aside="review").count() == 2
    Item.objects.filter(pk=item.pk).update(wanted=4, open_slots=1)
    assert queue.next_assignment(me).item.prompt != "disputed"
    assert queue.next_assignment(annotator).item.prompt == "disputed"


def test_a_review_that_does_not_fit_stores_nothing(project, disputed, alice, alice_client):
    before = (Judgment.objects.count(), Assignment.objects.count(), AuditEvent.objects.count())
    response = alice_client.post(url("review", disputed[0].pk), {"c-overall": "2", "decision": "answer"})
    assert response.status_code == 400
    assert "Rate every response" in response.content.decode()
    with pytest.raises(InvalidAnswer):
        review.decide(
            item=disputed[0],
            reviewer=annotator_for(alice, project.slug),
            actor=alice,
            answer=None,
            causes=["astrology"],
        )
    after = (Judgment.objects.count(), Assignment.objects.count(), AuditEvent.objects.count())
    assert before == after
    assert not Review.objects.exists()


def test_an_item_withdrawn_meanwhile_takes_no_final_label(project, disputed, alice, alice_client):
    set_withdrawn(item=disputed[0], withdrawn=True, actor=alice)
    before = (Judgment.objects.count(), Assignment.objects.count())
    post = {"c-overall": "2", **RATINGS, "decision": "answer"}
    refused = alice_client.post(url("review", disputed[0].pk), post)
    assert refused.status_code == 400
    assert "The item was withdrawn." in refused.content.decode()
    assert (Judgment.objects.count(), Assignment.objects.count()) == before
    assert not Review.objects.exists()


def test_what_one_person_judged_can_be_looked_through(project, disputed, crowd, alice, alice_client):
    quarantine.quarantine(annotator=crowd[0], actor=alice)
    page = alice_client.get(url("reviews") + f"?person={crowd[0].pk}").content.decode()
    assert "agreed" in page
    assert "disputed" in page


# --- Who may -------------------------------------------------------------------------------------------------

PAGES = [("people", "reviewer"), ("reviews", "reviewer"), ("review", "reviewer"), ("rules", "researcher"),
         ("gates", "researcher"), ("gate", "researcher"), ("arms", "researcher")]  # fmt: skip
ACTS = [
    ("pause", {"paused": "1"}, "researcher"),
    ("quarantine", {}, "researcher"),
    ("let_in", {}, "researcher"),
    ("rules", {"gold_first": "1"}, "researcher"),
    (
        "arms",
        {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "0", "form-0-name": "plain"},
        "researcher",
    ),
    ("identity", {"identity": "redact"}, "researcher"),
    ("gates", {"text": "item,purpose,expected\n1,gold,a"}, "researcher"),
    ("gate", {"purpose": "gold", "score_within": "1", "c-overall": "1"}, "researcher"),
    ("review", {"decision": "stand"}, "reviewer"),
]
ROLES = ["outsider", "annotator", "reviewer", "researcher", "owner"]


def _state():
    models = (Project, Annotator, Item, Judgment, Review, Assignment, AuditEvent)
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_and_does_what_it_may_and_nothing_else(role, project, make_item, annotator):
    item = make_item()
    work(annotator, 1)
    user = make_user(f"the-{role}")
    if role != "outsider":
        Membership.objects.create(project=project, user=user, role=role)
    client = Client()
    client.force_login(user)
    pk = {"review": item.pk, "gate": item.pk}
    denied = 404 if role == "outsider" else 403

    def address(name):
        extra = (
            [pk[name]] if name in pk else [annotator.pk] if name in {"pause", "quarantine", "let_in"} else []
        )
        return url(name, *extra)

    for name, lowest in PAGES:
        allowed = role != "outsider" and ROLES.index(role) >= ROLES.index(lowest)
        assert client.get(address(name)).status_code == (200 if allowed else denied), name
    for name, data, lowest in ACTS:
        allowed = role != "outsider" and ROLES.index(role) >= ROLES.index(lowest)
        before = _state()
        status = client.post(address(name), data).status_code
        if allowed:
            assert status in {302, 400}, name
        else:
            assert status == denied, name
            assert _state() == before, name
