"""The rules of a project beyond its questions, checked: limits, gates, pay, entry, budget, experiment arms.

`Project.rules` holds what differs from the defaults, as JSON; `of(project)` reads it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .models import Project


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Section):
    """How much one person may judge, and how items come."""

    per_person: Annotated[int, Field(ge=1)] | None = None
    per_day: Annotated[int, Field(ge=1)] | None = None
    order: Literal["shared", "per_person", "ranking", "best"] = "shared"
    adaptive_lease: bool = False
    max_votes: Annotated[int, Field(ge=2, le=50)] | None = None
    agreement: Literal["majority", "two_thirds", "unanimous"] = "majority"
    break_minutes: Annotated[int, Field(ge=5, le=480)] = 45
    break_items: Annotated[int, Field(ge=5, le=1000)] = 60


class Gates(_Section):
    """What keeps the quality up. Shares are of the items a person is given."""

    training: bool = False
    qualification_items: Annotated[int, Field(ge=0, le=100)] = 0
    qualification_pass: Annotated[float, Field(ge=0, le=1)] = 0.9
    gold_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    gold_first: Annotated[int, Field(ge=0, le=50)] = 0
    repeat_share: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    pause_after_gold: Annotated[int, Field(ge=1, le=100)] = 5
    pause_below_gold: Annotated[float, Field(ge=0, le=1)] = 0.0
    pause_below_consistency: Annotated[float, Field(ge=0, le=1)] = 0.0
    fastest_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    message: Annotated[str, Field(max_length=500)] = ""


class Pay(_Section):
    """What people are paid, from the project's account."""

    unit: Literal["none", "hour", "item"] = "none"
    rate: Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=4)] = Decimal(0)
    floor_per_hour: Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=4)] = Decimal(0)
    longest_item_minutes: Annotated[int, Field(ge=1, le=120)] = 20


Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,40}$")]
Parameter = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
PROLIFIC_URL = "https://app.prolific.com/submissions/complete?cc={code}"


class Entry(_Section):
    """How people come in: by invitation, by an open link, by open sign-up, from Prolific or another panel.

    `late_code` is for who finds no place or no work left; `completion_url` is where a person goes with a code.
    """

    mode: Literal["invitation", "open_link", "open", "prolific", "panel"] = "invitation"
    completion_code: Code = ""
    screenout_code: Code = ""
    late_code: Code = ""
    completion_url: Annotated[str, Field(max_length=300, pattern=r"^(https://[^\s\"'<>]+)?$")] = PROLIFIC_URL
    items_per_place: Annotated[int, Field(ge=1, le=1000)] | None = None
    places: Annotated[int, Field(ge=1, le=100_000)] | None = None
    study_ids: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")], ...], Field(max_length=50)
    ] = ()
    person_parameter: Parameter = "PROLIFIC_PID"
    study_parameter: Parameter = "STUDY_ID"
    session_parameter: Parameter = "SESSION_ID"
    consent: Annotated[str, Field(max_length=20_000)] = ""


class Privacy(_Section):
    """What becomes of a person's work when the person asks to be erased, and how long people stay known.

    `keep_people_days` after the project was archived everybody in it is erased from it, as if they had asked.
    """

    erase: Literal["pseudonym", "delete"] = "pseudonym"
    keep_people_days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class Page(_Section):
    """What the judging page records and shows."""

    dwell: bool = False
    identity: Literal["off", "flag", "redact", "exclude"] = "flag"


Share = Annotated[float, Field(gt=0, le=1)]
Tag = Annotated[str, Field(min_length=1, max_length=60)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Spender = Literal["researcher", "owner"]


class Budget(_Section):
    """When people are warned, who may commit money, and how much each queue takes. Shares are of the caps.

    `people` and `experts` (by tag) are the most items a plan sends there; `models` (by annotator's id) the most items
    that model judges in all. `gpu_hour` is what an hour of a GPU worker costs.
    """

    alerts: Annotated[tuple[Share, ...], Field(max_length=5)] = (0.5, 0.8, 0.95)
    mail: bool = True
    plans_by: Spender = "researcher"
    runs_by: Spender = "researcher"
    gpu_hour: Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=4)] = Decimal(0)
    people: Count | None = None
    experts: Annotated[dict[Tag, Count], Field(max_length=50)] = {}
    models: Annotated[
        dict[Annotated[str, Field(pattern=r"^[0-9]{1,18}$")], Count], Field(max_length=500)
    ] = {}

    @model_validator(mode="after")
    def _ascending(self):
        if list(self.alerts) != sorted(set(self.alerts)):
            raise ValueError("alerts: expected shares in ascending order, each once")
        return self


class Arm(_Section):
    """One experiment arm: how its page differs. `schema_number` asks another version of the questions."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    schema_number: Annotated[int, Field(ge=1)] | None = None
    criteria: bool = True


class Rules(_Section):
    """All rules of one project; `Rules.model_validate(json)` raises pydantic's ValidationError."""

    limits: Limits = Limits()
    gates: Gates = Gates()
    pay: Pay = Pay()
    entry: Entry = Entry()
    privacy: Privacy = Privacy()
    page: Page = Page()
    budget: Budget = Budget()
    arms: Annotated[tuple[Arm, ...], Field(max_length=8)] = ()

    @model_validator(mode="after")
    def _arms_once(self):
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError("arms: expected each name once")
        return self


DEFAULT = Rules()


def of(project: Project) -> Rules:
    """The project's rules; what it does not say is the default."""
    return Rules.model_validate(project.rules) if project.rules else DEFAULT


def change(*, project: Project, **sections: BaseModel | tuple) -> Rules:
    """Replace whole sections of the project's rules and keep the others. Takes the project's lock.

    Raises pydantic.ValidationError; then nothing was changed.
    """
    with transaction.atomic():
        stored = Project.objects.select_for_update().get(pk=project.pk)
        rules = Rules.model_validate({**of(stored).model_dump(), **sections})
        project.rules = rules.model_dump(mode="json", exclude_defaults=True)
        project.save(update_fields=["rules"])
    return rules
