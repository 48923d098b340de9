"""What the items browser and the page of one item read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django import forms
from django.db.models import Exists, F, OuterRef, Q, TextField
from django.db.models.functions import Cast

from annotations.items.content import prompt_text
from annotations.items.models import Batch, Item
from annotations.projects import schemas
from annotations.projects.models import Annotator, Project
from app.web.paging import INVALID, BadCursorError, Page

from .labels import FinalLabel, Mark, Vote, answer_words, comparison_words, final_label
from .models import Assignment, Comparison, Judgment, LMCall, Review, Score

SIZE = 50
WINDOW = 20_000
SOURCES_SHOWN = 30
JUDGMENTS_SHOWN = 200
SNIPPET = 160


class ItemFilter(forms.Form):
    """The filters of the items browser, all in the address."""

    q = forms.CharField(required=False, max_length=200, label="Id or prompt contains")
    route = forms.ChoiceField(required=False, choices=[("", "Any"), *Item.Route.choices], label="Route")
    state = forms.ChoiceField(
        required=False,
        label="People",
        choices=[
            ("", "Any"),
            ("open", "More wanted"),
            ("complete", "Complete"),
            ("none", "None yet"),
            ("withdrawn", "Withdrawn"),
        ],
    )
    lm = forms.ChoiceField(
        required=False,
        label="Models",
        choices=[
            ("", "Any"),
            ("yes", "Judged by a model"),
            ("no", "Not judged by a model"),
            ("disagree", "Disagree with people"),
        ],
    )
    mark = forms.ChoiceField(
        required=False,
        label="Marked",
        choices=[
            ("", "Any"),
            ("flagged", "Flagged"),
            ("audit", "Audit"),
            ("duplicate", "Duplicate"),
            ("gate", "Gate items"),
            ("reviewed", "Reviewed"),
            ("names_model", "Names its model"),
        ],
    )
    source = forms.CharField(required=False, max_length=120, label="Source")
    batch = forms.ChoiceField(required=False, label="Batch")

    def __init__(self, *args, sources: list[str], batches: list[tuple[int, str]] = (), **kwargs):
        super().__init__(*args, **kwargs)
        if batches:
            named = [(str(pk), name) for pk, name in batches]
            self.fields["batch"].choices = [("", "Any"), ("none", "In no batch"), *named]
        else:
            del self.fields["batch"]
        if 1 < len(sources) <= SOURCES_SHOWN:
            choices = [("", "Any"), *((source, source) for source in sources)]
            self.fields["source"] = forms.ChoiceField(required=False, choices=choices, label="Source")
        elif len(sources) < 2:
            del self.fields["source"]


@dataclass(slots=True)
class Browse:
    """One page of the browser. `looked_at` is None without filters; else how many items were looked through."""

    page: Page
    looked_at: int | None
    ended: bool


def sources_of(project: Project) -> list[str]:
    """The sources of the project's items, at most 31; steps along the identity index, one read a source."""
    found: list[str] = []
    rows = Item.objects.filter(project=project, external_id__isnull=False).order_by("source")
    source = rows.values_list("source", flat=True).first()
    while source is not None and len(found) <= SOURCES_SHOWN:
        found.append(source)
        source = rows.filter(source__gt=source).values_list("source", flat=True).first()
    return found


def filter_choices(project: Project) -> dict:
    """What `ItemFilter` offers in this project."""
    batches = Batch.objects.filter(project=project).order_by("pk").values_list("pk", "name")
    return {"sources": sources_of(project), "batches": list(batches)}


def fitting_ids(*, project: Project, wish: dict) -> Iterator[tuple[list[int], int]]:
    """(ids of items that fit the wish, items looked at), window by window in order of id."""
    conditions = _conditions(wish) or Q()
    after = 0
    while True:
        window = Item.objects.filter(project=project, pk__gt=after).order_by("pk")
        looked = list(window.values_list("pk", flat=True)[:WINDOW])
        if not looked:
            return
        fitting = window.filter(pk__lte=looked[-1]).annotate(text=Cast("prompt", TextField()))
        yield list(fitting.filter(conditions).values_list("pk", flat=True)), len(looked)
        after = looked[-1]


def browse_items(*, project: Project, wish: dict, cursor: str, size: int = SIZE) -> Browse:
    """Items by id after the cursor that fit the wish (an ItemFilter's cleaned data).

    With filters one call looks through 20,000 items at most, and the next page goes on from there: every page
    has a bounded cost whatever is looked for. Raises BadCursorError.
    """
    items = Item.objects.filter(project=project).order_by("pk")
    if cursor:
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
            raise BadCursorError(INVALID)
        items = items.filter(pk__gt=int(cursor))
    conditions = _conditions(wish)
    if conditions is None:
        rows = list(items.defer("meta", "context")[: size + 1])
        more = len(rows) > size
        rows = rows[:size]
        return Browse(Page(rows, str(rows[-1].pk) if more else None, cursor or None), None, not more)
    ids = items.values_list("pk", flat=True)
    edge = ids[WINDOW - 1 : WINDOW].first()
    looked = WINDOW if edge is not None else ids.count()
    window = items.filter(pk__lte=edge) if edge is not None else items
    fitting = window.annotate(text=Cast("prompt", TextField())).filter(conditions)
    rows = list(fitting.defer("meta", "context")[: size + 1])
    following = None
    if len(rows) > size:
        rows = rows[:size]
        following = rows[-1].pk
    elif edge is not None:
        following = edge
    page = Page(rows, str(following) if following is not None else None, cursor or None)
    return Browse(page, looked, following is None)


def _conditions(wish: dict) -> Q | None:
    """The filters as one condition, None if there are none."""
    parts: list[Q] = []
    if wish.get("q"):
        text = wish["q"]
        escaped = json.dumps(text)[1:-1]  # SQLite keeps JSON with ASCII escapes, PostgreSQL does not
        unicode = json.dumps(text, ensure_ascii=False)[1:-1]
        parts.append(Q(external_id__icontains=text) | Q(text__icontains=escaped) | Q(text__icontains=unicode))
    if wish.get("route"):
        parts.append(Q(route=wish["route"]))
    if wish.get("source"):
        parts.append(Q(source=wish["source"]))
    if wish.get("batch"):
        parts.append(Q(batch__isnull=True) if wish["batch"] == "none" else Q(batch=int(wish["batch"])))
    live = Q(withdrawn_at__isnull=True)
    for_people = live & Q(route__in=[Item.Route.HUMAN, Item.Route.BOTH])
    parts += {
        "open": [for_people & Q(n_human__lt=F("wanted"))],
        "complete": [for_people & Q(n_human__gte=F("wanted"))],
        "none": [live & Q(n_human=0)],
        "withdrawn": [~live],
    }.get(wish.get("state", ""), [])
    parts += {
        "yes": [Q(n_lm__gt=0)],
        "no": [Q(n_lm=0)],
        "disagree": [Q(n_human__gt=0, n_lm__gt=0), Q(_disagreement())],
    }.get(wish.get("lm", ""), [])
    parts += {
        "flagged": [Q(n_flagged__gt=0)],
        "audit": [Q(is_audit=True)],
        "duplicate": [Q(duplicate_of__isnull=False)],
        "gate": [~Q(purpose=Item.Purpose.DATA)],
        "names_model": [Q(names_model=True)],
        "reviewed": [Q(Exists(Review.objects.filter(item=OuterRef("pk"))))],
    }.get(wish.get("mark", ""), [])
    if not parts:
        return None
    condition = Q()
    for part in parts:
        condition &= part
    return condition


def _disagreement() -> Exists:
    """Some person prefers one response and some model the other, in one aspect of one pair."""
    models = Comparison.objects.filter(
        judgment__item=OuterRef("judgment__item"),
        judgment__is_current=True,
        aspect=OuterRef("aspect"),
        first=OuterRef("first"),
        second=OuterRef("second"),
    ).exclude(judgment__annotator__kind=Annotator.Kind.HUMAN)
    people = Comparison.objects.filter(
        judgment__item=OuterRef("pk"),
        judgment__is_current=True,
        judgment__annotator__kind=Annotator.Kind.HUMAN,
    )
    return Exists(
        people.filter(
            Q(Exists(models.filter(preference__gt=0)), preference__lt=0)
            | Q(Exists(models.filter(preference__lt=0)), preference__gt=0)
        )
    )


def snippet(item: Item) -> str:
    """The start of what the person is asked to judge: the last message, or the prompt, on one line."""
    prompt = item.prompt
    text = prompt_text(prompt[-1:]).split(": ", 1)[-1] if isinstance(prompt, list) else str(prompt)
    text = " ".join(text[: 4 * SNIPPET].split())
    return text if len(text) <= SNIPPET else text[: SNIPPET - 1].rstrip(" .") + "…"


def labels_of(items: list[Item]) -> dict[int, FinalLabel]:
    """The final label of each item, by id: a reviewer's where one decided; three queries."""
    ids = [item.pk for item in items]
    votes: dict[int, list[Vote]] = {pk: [] for pk in ids}
    marks: dict[int, list[Mark]] = {pk: [] for pk in ids}
    decided, outcomes = {}, {}
    for item, judgment, outcome in (
        Review.objects.filter(item__in=ids)
        .order_by("pk")
        .values_list("item", "judgment", "judgment__outcome")
    ):
        decided[item], outcomes[item] = judgment, outcome
    final = [judgment for judgment in decided.values() if judgment is not None]
    counted = Q(judgment__is_current=True) | Q(judgment__in=final) if final else Q(judgment__is_current=True)
    for item, judgment, kind, aspect, first, second, preference in (
        Comparison.objects.filter(counted, judgment__item__in=ids)
        .order_by("pk")
        .values_list(
            "judgment__item",
            "judgment",
            "judgment__annotator__kind",
            "aspect",
            "first",
            "second",
            "preference",
        )
    ):
        if decided.get(item) in (None, judgment):
            votes[item].append(Vote(kind == Annotator.Kind.HUMAN, aspect, first, second, preference or 0))
    for item, judgment, kind, attribute, response, value in (
        Score.objects.filter(counted, judgment__item__in=ids)
        .order_by("pk")
        .values_list(
            "judgment__item", "judgment", "judgment__annotator__kind", "attribute", "response", "value"
        )
    ):
        if decided.get(item) in (None, judgment):
            marks[item].append(Mark(kind == Annotator.Kind.HUMAN, attribute, response, value))
    labels = {}
    for pk in ids:
        label = final_label(votes[pk], marks[pk])
        if outcomes.get(pk) == Judgment.Outcome.CANNOT_JUDGE:
            label = FinalLabel("review", ("Cannot be judged",), "cannot judge")
        elif decided.get(pk) is not None and label.by:
            label = replace(label, by="review")
        labels[pk] = label
    return labels


@dataclass(slots=True)
class ShownJudgment:
    """A judgment with its parts in words, ready for the page."""

    judgment: Judgment
    lines: list[str]
    calls: list[LMCall]
    others: list[tuple[str, str]]


def judgments_of(item: Item) -> tuple[list[ShownJudgment], list[ShownJudgment], list[ShownJudgment]]:
    """The item's judgments, people first: those in force, those that were superseded, and those kept aside (gates,
    repeats, reviews, quarantine); at most 200."""
    rows = list(
        Judgment.objects.filter(item=item)
        .select_related("annotator", "schema", "guideline")
        .prefetch_related("comparisons", "scores", "calls")
        .order_by("-is_current", "pk")[:JUDGMENTS_SHOWN]
    )
    rows.sort(key=lambda row: row.annotator.kind != Annotator.Kind.HUMAN)
    for row in rows:
        row.item = item
    shown = [_shown(row) for row in rows]
    return (
        [each for each in shown if each.judgment.is_current],
        [each for each in shown if not each.judgment.is_current and not each.judgment.aside],
        [each for each in shown if each.judgment.aside],
    )


def _shown(judgment: Judgment) -> ShownJudgment:
    definition = schemas.load(judgment.schema_id)[1]
    asked = {question.name: question for question in definition.questions}
    lines = []
    for comparison in judgment.comparisons.all():
        question = asked.get(comparison.aspect)
        name = question.label if question else comparison.aspect
        lines.append(f"{_capital(name.rstrip('?'))}: {comparison_words(comparison, question)}")
    marks: dict[str, list[Score]] = {}
    for score in judgment.scores.all():
        marks.setdefault(score.attribute, []).append(score)
    for attribute, scores in marks.items():
        question = asked.get(attribute)
        scores.sort(key=lambda score: score.response)
        values = ", ".join(f"{'ABCDEFGH'[score.response]} {score.value:g}" for score in scores)
        low, high = scores[0].scale_min, scores[0].scale_max
        scale = f" (of {low:g} to {high:g})" if low is not None and high is not None else ""
        lines.append(f"{_capital(question.label if question else attribute)}: {values}{scale}")
    return ShownJudgment(judgment, lines, list(judgment.calls.all()), _other_answers(judgment, asked))


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _other_answers(judgment: Judgment, asked: dict) -> list[tuple[str, str]]:
    """Answers beyond comparisons and scores, with the words people saw where the schema has them."""
    n = judgment.item.n_responses
    given = judgment.answers
    # In the order they were asked: PostgreSQL does not keep the order of keys.
    names = [name for name in asked if name in given] + sorted(name for name in given if name not in asked)
    return [
        (
            asked[name].label if name in asked else name.replace("_", " "),
            answer_words(asked.get(name), given[name], n),
        )
        for name in names
    ]


def assignments_of(item: Item) -> list[Assignment]:
    """Who holds, held or returned the item, newest first."""
    return list(
        Assignment.objects.filter(item=item).select_related("annotator").order_by("-leased_at", "-pk")[:100]
    )


def duplicates_of(item: Item) -> list[Item]:
    """Items with the same prompt and responses under other ids, at most 50."""
    return list(
        Item.objects.filter(project_id=item.project_id, content_hash=item.content_hash)
        .exclude(pk=item.pk)
        .only("pk", "external_id", "source", "project_id")
        .order_by("pk")[:50]
    )
