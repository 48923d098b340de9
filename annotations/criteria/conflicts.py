"""Settling which criterion wins where: people write short cards, others vote which is wiser for their kind of prompt."""

from __future__ import annotations

from itertools import groupby

from django.db import IntegrityError, transaction

from annotations.projects.models import Annotator, Project

from . import moral
from .models import Card, CardVote, Criterion


class BadCard(ValueError):
    """The card or vote cannot be stored; the text says why."""


def add_card(*, project: Project, person: Annotator, criterion_id: int, context: str, text: str) -> Card:
    """A person's case for a criterion in one kind of prompt. Raises BadCard."""
    criterion = Criterion.objects.filter(project=project, pk=criterion_id).first()
    context, text = " ".join(context.split())[:200], text.strip()[:4000]
    if criterion is None or not context or len(text) < 10:
        raise BadCard(
            "Choose a criterion, name the kind of prompt, and say in a sentence why it should win there."
        )
    return Card.objects.create(
        project=project, criterion=criterion, context=context, text=text, annotator=person
    )


def vote(*, project: Project, person: Annotator, lower: int, upper: int, value: str) -> CardVote:
    """Say whether `upper` is wiser than `lower`. Raises BadCard for own cards, other contexts, or a second vote."""
    cards = Card.objects.filter(project=project, pk__in=[lower, upper]).in_bulk()
    if len(cards) != 2 or value not in CardVote.Value.values:
        raise BadCard("Expected two cards of this project and one of: wiser, not wiser, not sure.")
    a, b = cards[lower], cards[upper]
    if a.context.lower() != b.context.lower():
        raise BadCard("These cards speak of different kinds of prompts.")
    if person.pk in (a.annotator_id, b.annotator_id):
        raise BadCard("Somebody who wrote neither card votes on them.")
    try:
        with transaction.atomic():
            return CardVote.objects.create(lower=a, upper=b, annotator=person, value=value)
    except IntegrityError:
        raise BadCard("You have voted on these two.") from None


def next_vote(project: Project, person: Annotator) -> tuple[Card, Card] | None:
    """Two cards of one context and different criteria that this person wrote neither of and has not voted on."""
    done = {
        frozenset(p) for p in CardVote.objects.filter(annotator=person).values_list("lower_id", "upper_id")
    }
    cards = list(
        Card.objects.filter(project=project)
        .exclude(annotator=person)
        .select_related("criterion")
        .order_by("pk")
    )
    for i, a in enumerate(cards):
        for b in cards[i + 1 :]:
            rivals = a.context.lower() == b.context.lower() and a.criterion_id != b.criterion_id
            if rivals and frozenset((a.pk, b.pk)) not in done:
                return (a, b) if (a.pk + b.pk + person.pk) % 2 else (b, a)
    return None


def standing(project: Project) -> list[dict]:
    """For each context its cards, the wisest first: [{context, cards: [{card, rank}], edges}]."""
    cards = list(Card.objects.filter(project=project).select_related("criterion"))
    votes = list(CardVote.objects.filter(lower__project=project).values_list("lower_id", "upper_id", "value"))
    found = []
    for context, group in groupby(
        sorted(cards, key=lambda c: c.context.lower()), key=lambda c: c.context.lower()
    ):
        mine = list(group)
        ids = {c.pk for c in mine}
        edges = moral.edges(v for v in votes if v[0] in ids and v[1] in ids)
        ranks = moral.rank([c.pk for c in mine], edges)
        ordered = sorted(mine, key=lambda c: (-ranks[c.pk], c.pk))
        found.append(
            {
                "context": mine[0].context if context else "",
                "cards": [{"card": c, "rank": ranks[c.pk]} for c in ordered],
                "edges": [e for e in edges if e.holds],
                "votes": sum(v[0] in ids for v in votes),
            }
        )
    return found
