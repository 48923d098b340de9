"""Settling which criterion wins where: people write short cards, others vote which is wiser for their kind of prompt."""

from __future__ import annotations

import hashlib
from itertools import groupby

import numpy as np
from django.db import IntegrityError, transaction

from annotations.projects.models import Annotator, Project

from . import dueling, moral
from .models import Card, CardVote, Criterion

SHARE = {"wiser": 1.0, "not": 0.0, "unsure": 0.5}  # of a duel, for the card that was asked to be wiser


class BadCard(ValueError):
    """The card or vote cannot be stored; the text says why."""


def add_card(
    *, project: Project, person: Annotator, criterion_id: int, context: str, text: str, item=None
) -> Card:
    """A person's case for a criterion in one kind of prompt. Raises BadCard."""
    criterion = Criterion.objects.filter(project=project, pk=criterion_id).first()
    context, text = " ".join(context.split())[:200], text.strip()[:4000]
    if criterion is None or not context or len(text) < 10:
        raise BadCard(
            "Choose a criterion, name the kind of prompt, and say in a sentence why it should win there."
        )
    return Card.objects.create(
        project=project, criterion=criterion, context=context, text=text, annotator=person, item=item
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
    """Two cards of one context and different criteria that this person wrote neither of and has not voted on.

    The context with the fewest votes for its pairs comes first; in it the duel rule chooses: the card that looks wisest so
    far, and the one that may be wiser still. Which of them is asked about changes from person to person.
    """
    cards = list(Card.objects.filter(project=project).select_related("criterion").order_by("pk"))
    votes = list(
        CardVote.objects.filter(lower__project=project).values_list(
            "lower_id", "upper_id", "value", "annotator_id"
        )
    )
    done = {frozenset(v[:2]) for v in votes if v[3] == person.pk}
    groups: dict[str, list[Card]] = {}
    for card in cards:
        groups.setdefault(card.context.lower(), []).append(card)
    waiting = []
    for context, mine in groups.items():
        allowed = np.array(
            [
                [
                    a.criterion_id != b.criterion_id and frozenset((a.pk, b.pk)) not in done
                    and person.pk not in (a.annotator_id, b.annotator_id)
                    for b in mine
                ]
                for a in mine
            ]
        )  # fmt: skip
        if allowed.any():
            ids = {c.pk for c in mine}
            said = [v for v in votes if v[0] in ids]
            waiting.append((len(said) / (len(mine) * (len(mine) - 1)), context, mine, allowed, said))
    if not waiting:
        return None
    _, _, mine, allowed, said = min(waiting, key=lambda w: w[:2])
    place = {c.pk: k for k, c in enumerate(mine)}
    duels = [(place[upper], place[lower], SHARE[value]) for lower, upper, value, _ in said]
    seed = int.from_bytes(hashlib.blake2b(f"{person.pk}:{len(done)}".encode(), digest_size=4).digest(), "big")
    found = dueling.next_duel(_features(mine), duels, allowed=allowed, seed=seed)
    assert found is not None  # some pair is allowed
    i, j = found if seed % 2 else found[::-1]
    return mine[i], mine[j]


def _features(cards: list[Card]) -> np.ndarray:
    """A card is its criterion, which it shares with others, and a half of its own: float[k, d]."""
    criteria = sorted({c.criterion_id for c in cards})
    shared = np.array([[float(c.criterion_id == k) for k in criteria] for c in cards])
    return np.hstack([shared, 0.5 * np.eye(len(cards))])


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
