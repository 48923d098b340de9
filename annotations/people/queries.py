"""What the pages about places read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count

from annotations.projects.models import Project

from . import places
from .models import Place


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A place with how many items its person has judged in it."""

    place: Place
    judged: int


def with_judged(rows: list[Place]) -> list[PlaceRow]:
    """Places at work are counted now, ended ones when they ended."""
    return [
        PlaceRow(
            row,
            places.judged_in(row, row.participant.annotator_id)
            if row.state == Place.State.ACTIVE
            else row.judged,
        )
        for row in rows
    ]


def place_counts(project: Project) -> list[tuple[str, int]]:
    """(state in words, how many), in the order of the states; states nobody is in are left out."""
    found = dict(
        Place.objects.filter(project=project).order_by().values_list("state").annotate(n=Count("pk"))
    )
    return [(label, found[value]) for value, label in Place.State.choices if value in found]


def place_rows(project: Project) -> Iterator[list]:
    """The rows of the CSV, newest first."""
    rows = Place.objects.filter(project=project).select_related("participant").order_by("-pk")
    for place in rows.iterator(500):
        judged = with_judged([place])[0].judged
        yield [
            place.participant.person, place.study, place.session, place.state, judged, place.code,
            place.given_back, place.started_at.isoformat(), place.ended_at and place.ended_at.isoformat(),
        ]  # fmt: skip
