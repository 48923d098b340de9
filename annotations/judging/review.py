"""Reviewing: the items people disagree about, and what a reviewer decides. Votes are never changed."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.accounts.models import User
from app.web.paging import INVALID, BadCursorError, Page

from . import locks
from .answers import Answer, FieldError, InvalidAnswer
from .causes import CAUSES
from .counters import ANSWERS
from .item_queries import Browse
from .models import Assignment, Comparison, Judgment, Review, Score
from .quality import first_aspect
from .submit import submit

SIZE = 30
WINDOW = 20_000
SPREAD = 2  # scores of one response that lie so far apart are a disagreement


@dataclass(frozen=True, slots=True)
class Distribution:
    """How votes in one aspect of one pair, or for one attribute of one response, fall; values in their order."""

    name: str
    counts: tuple[tuple[str, int], ...]
    n: int


def disagreement(aspect: str | None) -> Q:
    """Items whose people differ: about the side in this aspect, or by two steps or more of a score."""
    people = {"judgment__is_current": True, "judgment__annotator__kind": Annotator.Kind.HUMAN}
    if aspect is not None:
        rows = Comparison.objects.filter(
            judgment__item=OuterRef("pk"), aspect=aspect, first=0, second=1, **people
        )
        first, second = Exists(rows.filter(preference__lt=0)), Exists(rows.filter(preference__gt=0))
        tie = Exists(rows.filter(preference__isnull=True))
        return (Q(first) & Q(second)) | (Q(tie) & (Q(first) | Q(second)))
    other = Score.objects.filter(
        judgment__item=OuterRef("judgment__item"),
        attribute=OuterRef("attribute"),
        response=OuterRef("response"),
        value__gte=OuterRef("value") + SPREAD,
        **people,
    )
    return Q(Exists(Score.objects.filter(Exists(other), judgment__item=OuterRef("pk"), **people)))


def browse(
    *,
    project: Project,
    show: str = "open",
    person: Annotator | None = None,
    cursor: str = "",
    size: int = SIZE,
) -> Browse:
    """Items to review, by id after the cursor: `show` is `open` (people disagree, or somebody flagged it, and
    nobody reviewed it), `flagged`, or `done`. With a person, the items that they judged, whatever the votes.

    Looks through 20,000 items a page at most. Raises BadCursorError.
    """
    items = Item.objects.filter(project=project, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True)
    items = items.order_by("pk")
    if cursor:
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
            raise BadCursorError(INVALID)
        items = items.filter(pk__gt=int(cursor))
    ids = items.values_list("pk", flat=True)
    edge = ids[WINDOW - 1 : WINDOW].first()
    looked = WINDOW if edge is not None else ids.count()
    if edge is not None:
        items = items.filter(pk__lte=edge)
    reviewed = Exists(Review.objects.filter(item=OuterRef("pk")))
    if person is not None:
        items = items.filter(Exists(Judgment.objects.filter(item=OuterRef("pk"), annotator=person)))
    if show == "done":
        items = items.filter(reviewed)
    elif person is None:
        wanted = Q(n_flagged__gt=0)
        if show == "open":
            wanted |= Q(n_human__gte=2) & disagreement(first_aspect(project))
        items = items.filter(~reviewed).filter(wanted)
    rows = list(items.defer("meta", "context")[: size + 1])
    following = rows[size - 1].pk if len(rows) > size else edge
    page = Page(rows[:size], str(following) if following is not None else None, cursor or None)
    return Browse(page, looked, following is None)


def distributions(item: Item) -> list[Distribution]:
    """How the people's current votes about the item fall, question by question."""
    current = {
        "judgment__item": item,
        "judgment__is_current": True,
        "judgment__annotator__kind": Annotator.Kind.HUMAN,
    }
    found: dict[str, Counter] = {}
    for aspect, preference, tie in (
        Comparison.objects.filter(first=0, second=1, **current)
        .order_by("pk")
        .values_list("aspect", "preference", "tie")
    ):
        found.setdefault(aspect, Counter())[_side_words(preference, tie)] += 1
    result = [
        Distribution(_named(aspect), tuple((w, counts[w]) for w in _SIDES if counts[w]), counts.total())
        for aspect, counts in found.items()
    ]
    scores: dict[tuple[str, int], Counter] = {}
    for attribute, response, value in (
        Score.objects.filter(**current)
        .order_by("attribute", "response")
        .values_list("attribute", "response", "value")
    ):
        scores.setdefault((attribute, response), Counter())[value] += 1
    result += [
        Distribution(
            f"{_named(attribute)} of {'ABCDEFGH'[response]}",
            tuple((f"{value:g}", n) for value, n in sorted(counts.items())),
            counts.total(),
        )
        for (attribute, response), counts in scores.items()
    ]
    return result


_SIDES = ("A better", "Equal", "Both good", "Both bad", "B better")


def _side_words(preference: int | None, tie: str | None) -> str:
    if preference is None:
        return {"equal_good": "Both good", "equal_bad": "Both bad"}.get(tie or "", "Equal")
    return "A better" if preference < 0 else "B better"


def _named(name: str) -> str:
    return name.replace("_", " ").capitalize()


def decide(
    *,
    item: Item,
    reviewer: Annotator,
    actor: User,
    answer: Answer | None,
    causes: list[str],
    note: str = "",
    origin: str = Judgment.Origin.PAGE,
) -> Review:
    """Store a reviewer's decision: an answer that is the item's final label from now on, or None: the votes stand.
    An answer that says "cannot judge" leaves the item without a label.

    The answer is a judgment of the reviewer's, `aside` review: no counter and no vote changes, and the reviewer is
    not given the item any more. A later review takes the place of an earlier one; both stay. Raises InvalidAnswer.
    """
    if unknown := [cause for cause in causes if cause not in CAUSES]:
        raise InvalidAnswer([FieldError("causes", f"{unknown[0][:40]!r}: choose some of the given causes")])
    if answer is not None and answer.outcome not in ANSWERS:
        raise InvalidAnswer([FieldError("outcome", "a reviewer answers, or says that it cannot be judged")])
    with transaction.atomic():
        locks.lock_annotator(reviewer.pk)
        assignment = _review_assignment(item, reviewer)
        judgment = None
        if answer is not None:
            judgment = submit(
                annotator=reviewer,
                item_id=item.pk,
                schema_id=reviewer.project.schema_id,
                uuid=uuid.uuid4(),
                answer=answer,
                origin=origin,
                assignment_id=assignment.pk,
            ).judgment
        else:
            Assignment.objects.filter(pk=assignment.pk).update(state=Assignment.State.SUBMITTED)
        review = Review.objects.create(
            project_id=item.project_id,
            item=item,
            reviewer=actor,
            judgment=judgment,
            causes=sorted(set(causes), key=list(CAUSES).index),
            note=note[:4000],
        )
        audit.record(
            actor=actor,
            action="item.reviewed",
            scope=reviewer.project.slug,
            target=str(item),
            item=item.pk,
            decision="answer" if answer is not None else "votes stand",
            causes=review.causes,
        )
    return review


def _review_assignment(item: Item, reviewer: Annotator) -> Assignment:
    """An assignment for this review, on an occasion of its own. Caller holds the reviewer's lock."""
    last = Assignment.objects.filter(item=item, annotator=reviewer).aggregate(n=Max("occasion"))["n"]
    now = timezone.now()
    return Assignment.objects.create(
        item=item,
        annotator=reviewer,
        occasion=0 if last is None else last + 1,
        purpose=Assignment.Purpose.REVIEW,
        presented_order="".join(str(place) for place in range(item.n_responses)),
        leased_at=now,
        expires_at=now + timedelta(minutes=5),
    )


def latest_reviews(item_ids: list[int]) -> dict[int, Review]:
    """The review in force of each item that has one."""
    rows = Review.objects.filter(item__in=item_ids).select_related("reviewer", "judgment").order_by("pk")
    return {row.item_id: row for row in rows}


def cause_counts(project: Project) -> list[tuple[str, int]]:
    """How often each cause was named in the reviews in force of the latest 5,000, most frequent first."""
    rows = Review.objects.filter(project=project).order_by("-pk").values_list("item", "causes")[:5000]
    newest: dict[int, list[str]] = {}
    for item, causes in rows:
        newest.setdefault(item, causes)
    counts = Counter(cause for causes in newest.values() for cause in causes)
    return [(CAUSES.get(cause, cause), n) for cause, n in counts.most_common()]
