"""The demo: two projects of real judgments, with people, models, a plan and a trained reward model.

Everything shown is real: PandaLM's three people and two LMs, LLMBar's items and LM verdicts in both orders, SummEval-OP's
raters. The one thing that is not a recorded judgment is the baseline annotator, and it says so in its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings
from django.db import transaction

from annotations.items import readers
from annotations.items.readers.records import Record
from annotations.projects.models import Annotator, Membership, Project
from annotations.projects.setup import create_project
from app.accounts.models import User

DATA = settings.BASE_DIR / "demo" / "data"
PAIRS, RATINGS = "demo", "demo-ratings"
PEOPLE = {
    "rosa": ("Rosa Researcher", Membership.Role.OWNER),
    "ann": ("Ann", Membership.Role.ANNOTATOR),
    "ben": ("Ben", Membership.Role.ANNOTATOR),
    "chi": ("Chi", Membership.Role.ANNOTATOR),
}
PANDALM_PEOPLE = {"annotator1": "ann", "annotator2": "ben", "annotator3": "chi"}
LLMBAR_STRATEGY = "Vanilla"

PAIRS_GUIDELINES = """\
# How to judge

Read the **prompt**, then **both responses in full**. Ask which one you would rather have received.

1. *Does it do what was asked?* A response that misses the task loses to one that does it plainly.
2. *Is it right?* Facts, code and arithmetic count more than style.
3. *Is it said well?* Clear beats long. Length alone is not a virtue.

Choose how much better it is. Choose **equal** only where you would not mind which one you got. If no \
response is valid, or you lack the knowledge, say **cannot judge**: that is an answer too.
"""
RATINGS_GUIDELINES = """\
# How to rate a summary

Read the reviews, then the summary. Rate each attribute from 1 (bad) to 5 (good) on its own: a fluent \
summary may well be unfaithful.
"""


def make_people(password: str) -> dict[str, User]:
    """The demo's people and its site admin; those that exist keep their passwords."""
    people = {}
    for username, (name, _) in PEOPLE.items():
        people[username] = _person(username, name, password)
    people["admin"] = _person("admin", "Site admin", password, is_staff=True, is_superuser=True)
    return people


def _person(username: str, name: str, password: str, **flags: bool) -> User:
    user, made = User.objects.get_or_create(
        username=username, defaults={"display_name": name, "email": f"{username}@plumbline.example", **flags}
    )
    if made:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user


@transaction.atomic
def make_project(slug: str, people: dict[str, User], **fields: object) -> Project:
    """A demo project with the demo's people; an existing one is left as it is."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        project = create_project(slug=slug, owner=people["rosa"], seed=20, **fields)
    for username, (_, role) in PEOPLE.items():
        Membership.objects.get_or_create(project=project, user=people[username], defaults={"role": role})
    return project


def pair_records() -> Iterator[Record | readers.Problem]:
    """PandaLM whole, and LLMBar's Natural items with one prompt's verdicts.

    LLMBar's expert label goes to the item's metadata: nobody has judged these items here, so the queue has real work.
    """
    for record in readers.read(DATA / "1_pairs_human_lm.jsonl.gz"):
        if isinstance(record, Record) and record.source == "llmbar":
            if not (record.external_id or "").startswith("llmbar-natural"):
                continue
            kept = tuple(
                judgment
                for judgment in record.judgments
                if judgment.kind == "lm" and judgment.annotator.endswith(f" · {LLMBAR_STRATEGY}")
            )
            gold = [j for j in record.judgments if j.kind == "human" and j.comparisons]
            label = ("b" if gold[0].comparisons[0].preference > 0 else "a") if gold else None
            record = replace(record, judgments=kept, meta={**record.meta, "gold": label})
        yield record


def rating_records() -> Iterator[Record | readers.Problem]:
    """SummEval-OP's summaries with their raters."""
    yield from readers.read(DATA / "2_ratings_summeval_op.jsonl.gz")


def ratings_definition() -> dict:
    """The seven attributes SummEval-OP's raters were asked about."""
    names = [
        "fluency",
        "coherence",
        "relevance",
        "faithfulness",
        "aspect_coverage",
        "sentiment_consistency",
        "specificity",
    ]
    return {
        "title": "Seven qualities of a summary",
        "responses": {"min": 1, "max": 1},
        "questions": [
            {"kind": "rating", "name": name, "label": name.replace("_", " ").capitalize(), "min": 1, "max": 5}
            for name in names
        ]
        + [{"kind": "text", "name": "reason", "label": "Why?"}],
    }


def link_people(project: Project, people: dict[str, User]) -> None:
    """Make PandaLM's three annotators the demo's three people, so that their work shows as theirs."""
    for name, username in PANDALM_PEOPLE.items():
        annotator = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN, name=name).first()
        taken = Annotator.objects.filter(project=project, user=people[username]).exists()
        if annotator is not None and annotator.user_id is None and not taken:
            annotator.user = people[username]
            annotator.save(update_fields=["user"])
