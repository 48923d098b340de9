"""Criteria that grow out of judgments: wordings, what judges by them, what people said, what was released.

Immutable once written: CriterionVersion, Grader, Verdict, ReleasedSet. Whether a grade is stale follows from its
version's meaning and the criterion's current one; it is stored nowhere, so it cannot be wrong.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from annotations.items.models import Item
from annotations.lm.models import EndpointModel
from annotations.projects.models import Annotator, CriteriaRelease, Project

from .conflict_models import Card, CardVote, Interview  # noqa: F401 - one room's models, three modules
from .prompt_models import Duel, JudgeWording, Reading  # noqa: F401

WHOLE_PAIR = -1  # `response` of what is said about both responses together


class Lab(models.Model):
    """A project's settings for criteria: which models judge and manage, and the money of their own cap."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="lab")
    judge = models.ForeignKey(
        EndpointModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+",
        help_text="Judges pairs by one criterion; none = the offline rules.",
    )  # fmt: skip
    manager = models.ForeignKey(
        EndpointModel, null=True, blank=True, on_delete=models.PROTECT, related_name="+",
        help_text="Proposes and rewords criteria; none = the offline rules.",
    )  # fmt: skip
    annotator = models.ForeignKey(
        Annotator,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Owner of the judge's calls.",
    )
    account_id = models.UUIDField(null=True, help_text="Ledger account of the lab's own cap.")
    pairs_a_round = models.PositiveIntegerField(default=200)
    target = models.FloatField(default=0.6, help_text="Lower bound a criterion must pass to be trusted.")
    seed = models.BigIntegerField(default=0)
    interviews = models.BooleanField(
        default=False, help_text="Let the manager interview people about criteria that pull apart."
    )
    weekly_panel = models.BooleanField(
        default=False, help_text="Ask the judge's fixed panel again every week."
    )


class GroupSplit(models.Model):
    """The split of one prompt group, decided once: variants of a prompt never stand on two sides.

    `train` may be shown to the manager, `select` decides about edits, `audit` only measures.
    """

    class Split(models.TextChoices):
        TRAIN = "train", "Shown to the manager"
        SELECT = "select", "Decides about edits"
        AUDIT = "audit", "Only measures"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    group = models.CharField(max_length=64, help_text="sha256 of the item's group.")
    split = models.CharField(max_length=6, choices=Split.choices)
    assigned_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "group"], name="criteria_group_once")]


class Criterion(models.Model):
    """A named quality. `current` is the wording in force; drafts have one that nobody accepted yet."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        ACTIVE = "active", "Active"
        TRUSTED = "trusted", "Trusted"
        RETIRED = "retired", "Retired"
        BANNED = "banned", "Rejected"

    class Kind(models.TextChoices):
        PAIRWISE = "pairwise", "Compares two responses"
        BINARY = "binary", "Passes or fails a response"
        ORDINAL = "ordinal", "Scores a response from 1 to 5"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criteria")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.PAIRWISE)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.DRAFT)
    current = models.ForeignKey("CriterionVersion", null=True, on_delete=models.PROTECT, related_name="+")
    found_in = models.ForeignKey(
        Item,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The item that gave rise to it.",
    )
    read_before = models.PositiveIntegerField(default=0, help_text="Responses people had read by then.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="criterion_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.status in {self.Status.ACTIVE, self.Status.TRUSTED}


class CriterionVersion(models.Model):
    """One immutable wording. `meaning` grows with every change of meaning; grades of an older meaning are stale."""

    class Origin(models.TextChoices):
        HUMAN = "human", "Written by a person"
        LM = "lm", "Proposed by a model"
        RULE = "rule", "Proposed by the offline manager"
        KNOWLEDGE = "kb", "From the knowledge base"

    class Change(models.TextChoices):
        FIRST = "first", "First wording"
        COSMETIC = "cosmetic", "Same meaning"
        MEANING = "meaning", "New meaning"

    criterion = models.ForeignKey(Criterion, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    meaning = models.PositiveIntegerField(default=1)
    wording = models.TextField()
    applies_when = models.TextField(blank=True)
    anchors = models.JSONField(default=list, blank=True, help_text="What scores 1 to 5 mean, five texts.")
    rule = models.JSONField(
        default=dict, blank=True, help_text="The offline rule of this wording: {name, margin}."
    )
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    change = models.CharField(max_length=8, choices=Change.choices, default=Change.FIRST)
    origin = models.CharField(max_length=5, choices=Origin.choices, default=Origin.HUMAN)
    source = models.CharField(
        max_length=300, blank=True, help_text="Where the idea is from, and its licence."
    )
    rationale = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["criterion", "number"], name="criterion_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.criterion.name} v{self.number}"


class Grader(models.Model):
    """One immutable implementation of a version. The same one is never made twice, so its verdicts are never asked again."""

    class Kind(models.TextChoices):
        RULE = "rule", "Offline rule"
        LM_PAIR = "lm_pair", "Model, pairs in both orders"
        LM_YESNO = "lm_yesno", "Model, yes or no"
        LM_RUBRIC = "lm_rubric", "Model, rubric 1 to 5"
        CODE = "code", "Python assertion"

    version = models.ForeignKey(CriterionVersion, on_delete=models.CASCADE, related_name="graders")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    model = models.ForeignKey(EndpointModel, null=True, on_delete=models.PROTECT, related_name="+")
    body = models.JSONField(default=dict, help_text="The rule, the prompt's words or the code.")
    sha256 = models.CharField(max_length=64)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, help_text="Code runs only after a person approved it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "sha256"], name="grader_once")]

    @property
    def is_pairwise(self) -> bool:
        return self.kind in {self.Kind.RULE, self.Kind.LM_PAIR}

    @property
    def may_run(self) -> bool:
        return self.kind != self.Kind.CODE or self.approved_at is not None


class Verdict(models.Model):
    """What a grader said of an item: of the pair (`response` -1, codes of `pairs`), or of one response (1 pass, 0 fail)."""

    grader = models.ForeignKey(Grader, on_delete=models.CASCADE, related_name="verdicts", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+", db_index=False)
    response = models.SmallIntegerField(default=WHOLE_PAIR)
    value = models.SmallIntegerField()
    score = models.FloatField(null=True, help_text="1 to 5 where it scores.")
    consistent = models.BooleanField(null=True, help_text="Whether both orders agree; null where undefined.")
    feedback = models.TextField(blank=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["grader", "item", "response"], name="verdict_once")]
        indexes = [models.Index(fields=["item"], name="criteria_verdict_item")]


class Grade(models.Model):
    """What a person said of a response or pair, by one version of a criterion or on the whole. A correction supersedes."""

    class Value(models.TextChoices):
        PASS = "pass", "Pass"
        FAIL = "fail", "Fail"
        NA = "na", "Does not apply"
        FIRST = "first", "First better"
        SECOND = "second", "Second better"
        TIE = "tie", "Equal"

    class Fault(models.TextChoices):
        JUDGE = "judge", "The judge erred"
        WORDING = "wording", "The wording misleads"
        SLIP = "slip", "My slip"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criterion_grades")
    version = models.ForeignKey(
        CriterionVersion, null=True, on_delete=models.CASCADE, related_name="grades",
        help_text="The wording seen; null = the whole response, no criterion shown.",
    )  # fmt: skip
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    response = models.SmallIntegerField(default=WHOLE_PAIR)
    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="criterion_grades")
    value = models.CharField(max_length=6, choices=Value.choices)
    reason = models.TextField(blank=True)
    fault = models.CharField(max_length=7, choices=Fault.choices, blank=True)
    why_shown = models.CharField(max_length=24, blank=True)
    propensity = models.FloatField(null=True)
    is_repeat = models.BooleanField(default=False, help_text="Given blind, to an item graded before.")
    is_current = models.BooleanField(default=True)
    supersedes = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "item", "response", "annotator"],
                condition=Q(is_current=True, is_repeat=False),
                name="grade_current_once",
            ),
            models.UniqueConstraint(
                fields=["item", "response", "annotator"],
                condition=Q(is_current=True, is_repeat=False, version__isnull=True),
                name="grade_whole_once",
            ),
        ]

    @classmethod
    def fresh(cls):
        """Current grades whose criterion still means what the person read."""
        return cls.objects.filter(is_current=True, is_repeat=False).filter(
            Q(version__isnull=True) | Q(version__meaning=F("version__criterion__current__meaning"))
        )


class Regrade(models.Model):
    """An item to be graded again, because its criterion has a new meaning."""

    version = models.ForeignKey(CriterionVersion, on_delete=models.CASCADE, related_name="regrades")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    response = models.SmallIntegerField(default=WHOLE_PAIR)
    why = models.CharField(max_length=20, help_text="disagreement or random")
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "item", "response"], name="regrade_once")]


class Round(models.Model):
    """One round of the engine: propose, grade, report. Its report is what was known at its end."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criteria_rounds")
    number = models.PositiveIntegerField()
    job_id = models.UUIDField(null=True)
    judge = models.CharField(max_length=300)
    manager = models.CharField(max_length=300)
    report = models.JSONField(default=dict)
    stopped = models.CharField(max_length=500, blank=True, help_text="Why it ended before its end.")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="criteria_round_once")]


class ManagerCall(models.Model):
    """One question to the manager and its reply, by the hash of what was asked: the cache, and the record."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    round = models.ForeignKey(Round, null=True, on_delete=models.SET_NULL, related_name="calls")
    task = models.CharField(max_length=12)
    model = models.ForeignKey(EndpointModel, null=True, on_delete=models.SET_NULL, related_name="+")
    key = models.CharField(max_length=64)
    messages = models.JSONField()
    items = models.JSONField(default=list, help_text="Ids of the items whose texts it holds.")
    raw = models.TextField(blank=True)
    error = models.CharField(max_length=500, blank=True)
    tokens_in = models.PositiveIntegerField(null=True)
    tokens_out = models.PositiveIntegerField(null=True)
    cost_micros = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "key"], name="manager_call_key")]


class Proposal(models.Model):
    """A change that somebody has to accept: a new criterion, a new wording, a retirement. Never applies itself."""

    class Kind(models.TextChoices):
        ADD = "add", "New criterion"
        REFINE = "refine", "New wording"
        RETIRE = "retire", "Retire"
        SPLIT = "split", "Split in two"
        MERGE = "merge", "Merge"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "Accepted"
        REJECTED = "rejected", "Rejected"
        WITHDRAWN = "withdrawn", "Withdrawn"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criteria_proposals")
    kind = models.CharField(max_length=6, choices=Kind.choices)
    criterion = models.ForeignKey(Criterion, on_delete=models.CASCADE, related_name="proposals")
    version = models.ForeignKey(
        CriterionVersion, null=True, on_delete=models.CASCADE, related_name="proposals"
    )
    base = models.ForeignKey(CriterionVersion, null=True, on_delete=models.CASCADE, related_name="+")
    round = models.ForeignKey(Round, null=True, on_delete=models.SET_NULL, related_name="proposals")
    evidence = models.JSONField(
        default=dict, help_text="Estimates and the paired test, from pairs the manager did not see."
    )
    marks = models.JSONField(default=list, help_text="What the scan for injected text found in the wording.")
    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)


class ReleasedSet(models.Model):
    """What stands behind a CriteriaRelease: versions, graders, weights, and what was known of the set."""

    release = models.OneToOneField(CriteriaRelease, on_delete=models.CASCADE, related_name="lab_set")
    members = models.JSONField(help_text="[{criterion, version, grader, weight}], ids.")
    report = models.JSONField(default=dict)
    note = models.CharField(max_length=300, blank=True)
    back_to = models.ForeignKey(CriteriaRelease, null=True, on_delete=models.SET_NULL, related_name="+")
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)


class DriftEvent(models.Model):
    """Something moved: a grader of people, a judge, a criterion. Shown on the timeline beside the versions."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criteria_drift")
    kind = models.CharField(max_length=12, help_text="judge, person, criterion")
    subject = models.CharField(max_length=300)
    statistic = models.JSONField(default=dict)
    alarm = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now_add=True)
