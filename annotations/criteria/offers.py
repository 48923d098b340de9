"""What a person is shown next: a response to read, a single response or a pair to grade. Reads; stores nothing."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotations.items.models import Item
from annotations.lm.annotate import texts_shown
from annotations.projects.models import Annotator, Project

from . import material, pairs, selection
from .manager import Graded
from .models import WHOLE_PAIR, Criterion, Grade, Grader, GroupSplit, Regrade, Verdict

MOST_ON_PAGE = 9
POOL = 400


@dataclass(frozen=True)
class Shown:
    """An item as the person sees it. order: canonical index of the response on each side."""

    item: Item
    texts: tuple[str, ...]
    order: tuple[int, ...]
    why: str = ""
    propensity: float | None = None


def _draw(seed: object, *parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr((seed, *parts)).encode(), digest_size=8).digest(), "big")


def pool(project: Project, least: int) -> list[int]:
    """Items to grade from, in an order that everybody shares."""
    ids = Item.objects.filter(
        project=project, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True, n_responses__gte=least
    ).order_by("order_key", "pk")
    return list(ids.values_list("pk", flat=True)[:POOL])


def show(item_id: int, person: Annotator, why: str = "", propensity: float | None = None) -> Shown:
    """The item with its first two responses in an order drawn for this person."""
    item = Item.objects.get(pk=item_id)
    texts = tuple(texts_shown([item])[item.pk][:2])
    flip = len(texts) == 2 and _draw(person.pk, item.pk) % 2
    return Shown(item, texts, (1, 0) if flip else tuple(range(len(texts))), why, propensity)


def whole_grades(project: Project):
    return Grade.fresh().filter(project=project, version__isnull=True)


def graded_places(project: Project) -> list[tuple[int, int]]:
    """(item, response) of everything that people graded, on the whole or by a criterion."""
    rows = Grade.objects.filter(project=project, is_current=True, response__gte=0)
    return sorted(set(rows.values_list("item_id", "response")))


def examples(criterion: Criterion) -> list[Graded]:
    """Responses that people graded by this criterion, of train items alone: what may be shown to the manager."""
    rows = list(
        Grade.fresh()
        .filter(version__criterion=criterion, response__gte=0, value__in=["pass", "fail"])
        .select_related("item")
        .order_by("-pk")[:POOL]
    )
    train = set(
        GroupSplit.objects.filter(project=criterion.project, split="train").values_list("group", flat=True)
    )
    rows = [g for g in rows if material.group_key(g.item) in train]
    texts = texts_shown({g.item_id for g in rows})
    return [
        Graded(
            g.item_id, "train", material.prompt_text(g.item.prompt), texts[g.item_id][g.response], g.value == "pass",
            g.reason, g.response,
        )
        for g in sorted(rows, key=lambda g: g.value == "pass")
    ]  # fmt: skip


def pick_examples(graded: Sequence[Graded], *, seed: int) -> list[list]:
    """One graded response of each kind, drawn by the seed among all there are: [[item, response, meets it]]."""
    rng = random.Random(seed)  # noqa: S311 - a sample, nothing secret
    found = []
    for passed in (True, False):
        those = sorted((g.item_id, g.place) for g in graded if g.passed == passed)
        if those:
            found.append([*rng.choice(those), passed])
    return found


def next_to_read(project: Project, person: Annotator) -> tuple[Item, int, str, selection.Next] | None:
    """The next response to call good or bad, with its text; None when nothing is left.

    Half of them where assertions disagree, a fifth likely bad ones while fewer than five are known, the rest at random.
    """
    graded = {(g.item_id, g.response): g for g in whole_grades(project).filter(annotator=person)}
    ids = pool(project, 1)
    texts = texts_shown(ids)
    places = [(pk, r) for pk in ids for r in range(min(2, len(texts.get(pk, ()))))]
    if not places:
        return None
    M, _ = candidates(project, places)
    open_ = np.array([p not in graded for p in places])
    again = (
        np.array([p in graded for p in places]) if len(graded) >= 50 else np.zeros(len(places), dtype=bool)
    )
    n_bad = sum(g.value == "fail" for g in graded.values())
    seed = _draw(person.pk, len(graded), project.seed) % 2**32
    found = selection.choose_next(M, open_, again, n_bad=n_bad, seed=seed)
    if found is None:
        return None
    pk, response = places[found.index]
    return Item.objects.get(pk=pk), response, texts[pk][response], found


def graders_of(project: Project) -> list[Grader]:
    """The graders of single responses by wordings in force, oldest first."""
    graders = list(
        Grader.objects.filter(
            version__criterion__project=project, version__criterion__status__in=["active", "trusted"],
            kind__in=[Grader.Kind.CODE, Grader.Kind.LM_YESNO, Grader.Kind.LM_RUBRIC],
        )
        .select_related("version__criterion")
        .order_by("pk")
    )  # fmt: skip
    return [g for g in graders if g.version_id == g.version.criterion.current_id]


def candidates(project: Project, places: list[tuple[int, int]]) -> tuple[np.ndarray, list[Grader]]:
    """Pass or fail of every pointwise grader in force on these responses: int8[n, k]; ERROR where it has no verdict."""
    graders = graders_of(project)
    place = {p: i for i, p in enumerate(places)}
    M = np.full((len(places), len(graders)), pairs.ERROR, dtype=np.int8)
    column = {g.pk: j for j, g in enumerate(graders)}
    rows = Verdict.objects.filter(grader__in=graders, response__gte=0)
    for grader, item, response, value in rows.values_list("grader_id", "item_id", "response", "value"):
        if (item, response) in place:
            M[place[item, response], column[grader]] = value
    return M, graders


def asked_criteria(project: Project) -> list[Criterion]:
    """The criteria that the grading page asks about, at most nine."""
    return list(
        Criterion.objects.filter(project=project, status__in=["active", "trusted"], kind="pairwise")
        .select_related("current")
        .order_by("pk")[:MOST_ON_PAGE]
    )


def pointwise_criteria(project: Project) -> list[Criterion]:
    """The criteria that single responses are graded by, at most nine."""
    return list(
        Criterion.objects.filter(
            project=project, status__in=["active", "trusted"], kind__in=["binary", "ordinal"]
        )
        .select_related("current")
        .order_by("pk")[:MOST_ON_PAGE]
    )


def next_single(project: Project, person: Annotator) -> tuple[Item, int, str, selection.Next] | None:
    """The next response to grade by criteria, with its text: what a new meaning asks again, then as `choose_next` says."""
    criteria = pointwise_criteria(project)
    versions = [c.current_id for c in criteria]
    if not versions:
        return None
    grades = Grade.fresh().filter(annotator=person, version__in=versions, response__gte=0)
    done = set(grades.values_list("item_id", "response"))
    queued = Regrade.objects.filter(version__in=versions, done_at=None, response__gte=0).order_by("why", "pk")
    for item_id, response in queued.values_list("item_id", "response"):
        text = texts_shown([item_id]).get(item_id, [])[response : response + 1]
        if (item_id, response) not in done and text:
            return Item.objects.get(pk=item_id), response, text[0], selection.Next(0, "asked again", None)
    ids = pool(project, 1)
    texts = texts_shown(ids)
    places = [(pk, r) for pk in ids for r in range(min(2, len(texts.get(pk, ()))))]
    if not places:
        return None
    M, _ = candidates(project, places)
    n_bad = len(set(grades.filter(value="fail").values_list("item_id", "response")))
    found = selection.choose_next(
        M, np.array([p not in done for p in places]), np.zeros(len(places), dtype=bool), n_bad=n_bad,
        seed=_draw(person.pk, len(done), project.seed) % 2**32,
    )  # fmt: skip
    if found is None:
        return None
    pk, response = places[found.index]
    return Item.objects.get(pk=pk), response, texts[pk][response], found


def next_to_grade(project: Project, person: Annotator) -> Shown | None:
    """The next pair: what a new meaning asks again first, then where criteria disagree, then at random."""
    criteria = asked_criteria(project)
    if not criteria:
        return None
    versions = [c.current_id for c in criteria]
    done = set(
        Grade.objects.filter(annotator=person, version__in=versions, is_current=True).values_list(
            "item_id", flat=True
        )
    )
    queued = Regrade.objects.filter(version__in=versions, done_at=None, item__n_responses__gte=2).order_by(
        "why", "pk"
    )
    for item_id in queued.values_list("item_id", flat=True):
        if item_id not in done:
            return show(item_id, person, "asked again")
    ids = [pk for pk in pool(project, 2) if pk not in done]
    if not ids:
        return None
    V = verdicts_of(versions, ids)
    rng = np.random.default_rng(_draw(person.pk, len(done), project.seed) % 2**32)
    if rng.random() < 0.7 and V.any():
        spread = np.minimum((V > 0).sum(axis=1), (V < 0).sum(axis=1))
        if spread.max() > 0:
            return show(
                ids[int(rng.choice(np.flatnonzero(spread == spread.max())))], person, "criteria disagree"
            )
    return show(int(rng.choice(ids)), person, "random", 1 / len(ids))


def verdicts_of(versions: list[int], items: list[int]) -> np.ndarray:
    """Which response each version's graders prefer: int8[items, versions], -1 first, 1 second, 0 neither or unasked."""
    place = {pk: i for i, pk in enumerate(items)}
    V = np.zeros((len(items), len(versions)), dtype=np.int8)
    rows = Verdict.objects.filter(grader__version__in=versions, response=WHOLE_PAIR, value__in=[-1, 1])
    for version, item, value in rows.values_list("grader__version_id", "item_id", "value"):
        if item in place:
            V[place[item], versions.index(version)] = value
    return V
