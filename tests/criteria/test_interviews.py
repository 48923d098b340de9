"""An interview by the manager ends in a person's own card: what it is told, what it costs, and what a hostile one can do."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from django.urls import reverse

from annotations.criteria import conflicts, graders, interviews, lab
from annotations.criteria.material import group_key
from annotations.criteria.models import (
    Card,
    CardVote,
    GroupSplit,
    Interview,
    ManagerCall,
    Verdict,
)
from annotations.lm.models import EndpointModel
from annotations.people import erase
from annotations.projects.access import reviewer_for
from annotations.projects.models import Annotator, Membership
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account

pytestmark = pytest.mark.django_db


@pytest.fixture
def apart(plain_project, make_item, endpoint, funded, alice):
    """Two criteria whose graders say the opposite on three items: one of train, one of select, one of audit."""
    made = [
        lab.add_criterion(project=plain_project, name=n, wording=f"Prefer the response that is {n.lower()}.")
        for n in ("Brief", "Full")
    ]
    for k, split in enumerate(("audit", "train", "select")):
        item = make_item(f"SECRET{k} prompt", (f"Short {k}.", f"Long and full {k}."), external_id=f"c{k}")
        GroupSplit.objects.create(project=plain_project, group=group_key(item), split=split)
        for criterion, value in zip(made, (-1, 1), strict=True):
            grader = graders.grader_for(criterion.current, "rule", body={"name": criterion.name})
            Verdict.objects.create(grader=grader, item=item, value=value)
    funded("100")
    plain_project.refresh_from_db()
    return made


def let_manager(project, name="obedient", cap="5", interviews=True):
    model = EndpointModel.objects.get(name=name)
    lab.configure(project=project, judge=None, manager=model, cap=Decimal(cap), interviews=interviews)


def url(name="conflicts"):
    return reverse(f"criteria:{name}", args=["pairs"])


def answer(client, text):
    client.post(url(), {"act": "answer", "answer": text})
    job = Job.objects.filter(kind=interviews.KIND).order_by("-created_at").first()
    return runner.run(job.pk)


def test_from_the_offer_to_a_card_of_ones_own(plain_project, apart, scripted, alice_client):
    assert (
        "Be interviewed" not in alice_client.get(url()).content.decode()
    )  # off until somebody who pays says so
    alice_client.post(url(), {"act": "interview"})
    assert not Interview.objects.exists()
    let_manager(plain_project)
    assert "Be interviewed" in alice_client.get(url()).content.decode()
    alice_client.post(url(), {"act": "interview"})
    alice_client.post(url(), {"act": "interview"})
    talk = Interview.objects.get()
    assert talk.item.external_id == "c1"  # the train item
    page = alice_client.get(url()).content.decode()
    assert "pull apart. Which should count more" in page
    assert "SECRET1" in page
    assert scripted.requests == []
    alice_client.post(url(), {"act": "answer", "answer": "  "})
    assert not Job.objects.exists()
    alice_client.post(url(), {"act": "answer", "answer": "A cook has no time."})
    waiting = alice_client.get(url("interview")).content.decode()
    assert "every 2s" in waiting
    assert "thinking" in waiting
    alice_client.post(url(), {"act": "answer", "answer": "Twice."})  # a question is answered once
    assert runner.run(Job.objects.get().pk).state == "succeeded"
    fragment = alice_client.get(url("interview")).content.decode()
    assert "What would be lost?" in fragment
    assert "every 2s" not in fragment
    answer(alice_client, "Nothing that a cook needs.")
    talk.refresh_from_db()
    assert (talk.state, talk.draft["context"], talk.draft["criterion"]) == (
        "drafted",
        "Recipes",
        talk.rival_id,
    )
    assert [t["who"] for t in talk.turns] == ["model", "person", "model", "person"]
    # What the model was told: the two wordings, the train item, what was said; as data.
    asked = scripted.requests
    assert len(asked) == 2
    assert asked[1].data["talk"] == talk.turns
    assert {c["name"] for c in asked[0].data["criteria"]} == {"Brief", "Full"}
    assert not [s for s in ("SECRET0", "SECRET2") if s in str([r.body for r in asked])]
    assert all(set(c.items) == {talk.item_id} for c in ManagerCall.objects.all())
    account = Account.objects.get(pk=lab.lab_of(plain_project).account_id)
    assert account.spent_micros == scripted.billed_micros(2, 8) == talk.cost_micros
    assert not Card.objects.exists()  # nothing is a card before the person says so
    alice_client.post(
        url(),
        {
            "act": "save",
            "criterion": talk.criterion_id,
            "context": "Recipes",
            "text": "My own words, changed.",
        },
    )
    card = Card.objects.get()
    assert (card.criterion_id, card.text, card.item_id) == (
        talk.criterion_id,
        "My own words, changed.",
        talk.item_id,
    )
    assert card.annotator.user.username == "alice"
    alice_client.post(
        url(), {"act": "save", "criterion": talk.criterion_id, "context": "R", "text": "Again, again."}
    )
    assert Card.objects.count() == 1


@pytest.mark.parametrize("model", ["xss", "injected"])
def test_what_a_hostile_model_says_is_text(plain_project, apart, scripted, alice_client, model):
    let_manager(plain_project, model)
    alice_client.post(url(), {"act": "interview"})
    answer(alice_client, "It depends.")
    page = alice_client.get(url()).content.decode()
    assert "&lt;script&gt;alert(" in page
    assert "<script>alert(" not in page
    assert "<img src=x" not in page
    talk = Interview.objects.get()
    assert talk.draft.get("criterion") in (None, talk.criterion_id)  # no third criterion is made up
    assert not Card.objects.exists()


@pytest.mark.parametrize(
    ("model", "cap", "why"), [("obedient", "0.000001", "budget"), ("empty", "5", "could not be read")]
)
def test_where_the_model_cannot_go_on_the_answers_are_the_draft(
    plain_project, apart, scripted, alice_client, model, cap, why
):
    let_manager(plain_project, model, cap)
    alice_client.post(url(), {"act": "interview"})
    answer(alice_client, "A cook has no time.")
    talk = Interview.objects.get()
    assert (talk.state, talk.draft["text"]) == ("drafted", "A cook has no time.")
    assert why in talk.stopped
    assert "could not go on" in alice_client.get(url()).content.decode()
    account = Account.objects.get(pk=lab.lab_of(plain_project).account_id)
    assert account.spent_micros <= account.cap_micros
    alice_client.post(url(), {"act": "drop"})
    assert Interview.objects.get().state == "dropped"
    assert not Card.objects.exists()


def test_a_talkative_model_is_cut_off_and_nobody_sees_anothers_talk(
    plain_project, apart, scripted, alice, alice_client, bob_client, monkeypatch
):
    let_manager(plain_project)
    alice_client.post(url(), {"act": "interview"})
    more = {"enough": "no", "question": "And?", "criterion": "Full", "context": "", "text": ""}
    monkeypatch.setattr(interviews, "_ask", lambda consulting, interview: dict(more))
    for k in range(interviews.MOST_ANSWERS):
        answer(alice_client, f"Answer {k}.")
    talk = Interview.objects.get()
    assert (talk.state, talk.draft["text"]) == ("drafted", "Answer 0.\n\nAnswer 1.\n\nAnswer 2.\n\nAnswer 3.")
    assert bob_client.get(url("interview")).status_code == 403
    assert (
        interviews.open_of(
            plain_project, Annotator.objects.create(project=plain_project, kind="human", name="z")
        )
        is None
    )


def test_the_talk_of_somebody_erased_is_gone(plain_project, apart, scripted, charlie, charlie_client):
    let_manager(plain_project)
    Membership.objects.create(project=plain_project, user=charlie, role=Membership.Role.REVIEWER)
    charlie_client.post(url(), {"act": "interview"})
    assert Interview.objects.count() == 1
    erase.erase(user=charlie)
    assert not Interview.objects.exists()


# --- Which pair is put to the vote ----------------------------------------------------------------------------------
def test_the_next_vote_follows_the_duel_rule(plain_project, apart, alice):
    """The wisest so far against the one that may be wiser still; a context without votes first; own cards never."""
    brief, full = apart
    kind = lab.add_criterion(project=plain_project, name="Kind", wording="Prefer the response that is kind.")
    x, y = (Annotator.objects.create(project=plain_project, kind="human", name=n) for n in "xy")
    person = reviewer_for(alice, plain_project)

    def card(criterion, context, who=x):
        return Card.objects.create(
            project=plain_project, criterion=criterion, context=context, text="Because of it.", annotator=who
        )

    a, b, c = card(brief, "Recipes"), card(full, "Recipes"), card(kind, "recipes")
    card(brief, "Recipes", person)
    voters = [Annotator.objects.create(project=plain_project, kind="human", name=f"v{k}") for k in range(6)]
    for v in voters:  # b is wiser than a; c was not asked about
        CardVote.objects.create(lower=a, upper=b, annotator=v, value="wiser")
    assert {card.pk for card in conflicts.next_vote(plain_project, person)} == {b.pk, c.pk}
    many = [Annotator.objects.create(project=plain_project, kind="human", name=f"w{k}") for k in range(30)]
    asked = [conflicts.next_vote(plain_project, each) for each in (*voters, *many)]
    assert {frozenset(p.pk for p in pair) for pair in asked} == {frozenset((b.pk, c.pk))}
    assert len({pair[0].pk for pair in asked}) == 2  # neither is always the one asked to be wiser
    d, e = card(brief, "Letters"), card(full, "Letters", y)
    assert {card.pk for card in conflicts.next_vote(plain_project, person)} == {d.pk, e.pk}
    assert {card.pk for card in conflicts.next_vote(plain_project, y)} == {
        b.pk,
        c.pk,
    }  # y wrote one of the letters


def test_chosen_votes_find_the_wisest_card_sooner_than_random_ones():
    """Twelve cards of four criteria with planted wisdom: how far the best-looking one is from the best after 25 votes."""
    from annotations.criteria import dueling

    def regret(chosen: bool, seed: int) -> float:
        rng = np.random.default_rng(seed)
        cards = [Card(pk=k, criterion_id=k % 4) for k in range(12)]
        X = conflicts._features(cards)
        truth = X @ rng.normal(0, 1.5, X.shape[1])
        free = np.array([[p.criterion_id != q.criterion_id for q in cards] for p in cards])
        duels: list = []
        for n in range(25):
            if chosen:
                i, j = dueling.next_duel(X, duels, allowed=free, seed=n)
            else:
                i, j = rng.choice(np.argwhere(free))
            duels.append((i, j, float(rng.random() < 1 / (1 + np.exp(truth[j] - truth[i])))))
        return float(truth.max() - truth[dueling.best(X, duels)])

    chosen, by_chance = (np.mean([regret(how, s) for s in range(60)]) for how in (True, False))
    assert chosen < by_chance
