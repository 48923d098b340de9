"""The lab of a project: its settings, its money, and the acts on criteria: make, reword, accept, retire.

Locking queries on criteria stand here; the criterion is locked before anything of it is written.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from annotations.lm import endpoints, scanner
from annotations.lm.models import EndpointModel, LMAnnotator
from annotations.projects.models import Annotator, Project
from annotations.projects.schemas import canonical_json
from app.accounts import audit
from app.ledger import ledger
from app.ledger.models import Account

from .models import (
    Criterion,
    CriterionVersion,
    Grade,
    Lab,
    Proposal,
    Regrade,
)

JUDGE_NAME = "Criteria lab"
REGRADE_RANDOM = 5
REGRADE_MOST = 10


class BadCriterion(ValueError):
    """This cannot be done; `field` says where."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


def lab_of(project: Project) -> Lab:
    """The project's lab, made with offline rules at the first need."""
    lab, _ = Lab.objects.select_related("judge__endpoint", "manager__endpoint", "annotator").get_or_create(
        project=project, defaults={"seed": project.seed}
    )
    return lab


@transaction.atomic
def configure(
    *,
    project: Project,
    judge: EndpointModel | None,
    manager: EndpointModel | None,
    cap: Decimal | None,
    pairs_a_round: int = 200,
    weekly_panel: bool = False,
    interviews: bool = False,
    actor=None,
) -> Lab:
    """Set who judges and manages, and the cap of the lab's own account. Raises BadCriterion; then nothing changed."""
    lab = Lab.objects.select_for_update().get(pk=lab_of(project).pk)
    for field, model in (("judge", judge), ("manager", manager)):
        if model is not None and not endpoints.may_use(project, model.endpoint):
            raise BadCriterion(field, "This project may not use this endpoint.")
    priced = [m for m in (judge, manager) if m is not None and (m.input_price or m.output_price)]
    if priced and project.account_id is None:
        raise BadCriterion("judge", "This model costs money and the project has no budget yet.")
    if priced and cap is None and lab.account_id is None:
        raise BadCriterion("cap", "Set a cap: these models cost money.")
    if (judge or manager) and lab.annotator_id is None:
        lab.annotator, _ = Annotator.objects.get_or_create(
            project=project,
            kind=Annotator.Kind.LM,
            name=JUDGE_NAME,
            defaults={"meta": {"backend": "criteria"}},
        )
        LMAnnotator.objects.get_or_create(
            annotator=lab.annotator,
            defaults={"backend": LMAnnotator.Backend.CRITERIA, "model": JUDGE_NAME},
        )
    if cap is not None:
        _set_cap(project, lab, cap)
    lab.judge, lab.manager, lab.pairs_a_round = judge, manager, pairs_a_round
    lab.weekly_panel, lab.interviews = weekly_panel, interviews
    lab.save()
    audit.record(
        actor=actor, action="criteria_lab.configured", scope=project.slug, target=str(judge or "offline rules"),
        manager=str(manager or "offline rules"), cap=str(cap) if cap is not None else None,
    )  # fmt: skip
    return lab_of(project)


def _set_cap(project: Project, lab: Lab, cap: Decimal) -> None:
    own = Account.objects.filter(pk=project.account_id).first() if project.account_id else None
    if lab.account_id is None:
        account = Account.objects.create(
            name=f"{project.slug}: criteria"[:200], currency=own.currency if own else "EUR", cap_micros=0
        )
        lab.account_id = account.pk
    try:
        ledger.set_cap(account=Account.objects.get(pk=lab.account_id), cap=cap)
    except (ledger.BudgetExceeded, ValueError):
        raise BadCriterion("cap", "Below what is spent and held already.") from None


def account_of(lab: Lab) -> Account | None:
    return Account.objects.filter(pk=lab.account_id).first() if lab.account_id else None


# --- Wordings -----------------------------------------------------------------------------------------------
def digest_of(*parts: object) -> str:
    return hashlib.sha256(canonical_json(list(parts)).encode("utf-8", "surrogatepass")).hexdigest()


def _check_words(name: str, wording: str, anchors: Sequence[str], kind: str) -> None:
    if not name.strip() or len(name) > 120:
        raise BadCriterion("name", "Expected a name of 1 to 120 characters.")
    if not 10 <= len(wording.strip()) <= 4000:
        raise BadCriterion("wording", "Expected a wording of 10 to 4,000 characters.")
    if anchors and (len(anchors) != 5 or not all(a.strip() for a in anchors)):
        raise BadCriterion("anchors", "Say what each of the scores 1 to 5 means, or none of them.")
    if kind == Criterion.Kind.ORDINAL and not anchors:
        raise BadCriterion("anchors", "A score from 1 to 5 needs five descriptions.")


@transaction.atomic
def add_criterion(
    *,
    project: Project,
    name: str,
    wording: str,
    kind: str = Criterion.Kind.PAIRWISE,
    status: str = Criterion.Status.ACTIVE,
    applies_when: str = "",
    anchors: Sequence[str] = (),
    rule: dict | None = None,
    origin: str = CriterionVersion.Origin.HUMAN,
    source: str = "",
    rationale: str = "",
    found_in=None,
    actor=None,
) -> Criterion:
    """A new criterion with its first version. Raises BadCriterion where the words or the name will not do."""
    name, wording = name.strip(), wording.strip()
    _check_words(name, wording, anchors, kind)
    if Criterion.objects.filter(project=project, name__iexact=name).exists():
        raise BadCriterion("name", "There is a criterion of this name.")
    criterion = Criterion.objects.create(
        project=project, name=name, kind=kind, status=status, found_in=found_in, created_by=actor,
        read_before=Grade.objects.filter(project=project).count(),
    )  # fmt: skip
    criterion.current = CriterionVersion.objects.create(
        criterion=criterion, number=1, wording=wording, applies_when=applies_when.strip(), anchors=list(anchors),
        rule=rule or {}, origin=origin, source=source[:300], rationale=rationale, created_by=actor,
        sha256=digest_of(wording, applies_when, list(anchors), rule or {}),
    )  # fmt: skip
    criterion.save(update_fields=["current"])
    audit.record(actor=actor, action="criterion.added", scope=project.slug, target=name, status=status)
    return criterion


def _lock(criterion: Criterion) -> Criterion:
    """Lock one criterion. Inside a transaction only."""
    return (
        Criterion.objects.select_for_update(of=("self",))
        .select_related("current", "project")
        .get(pk=criterion.pk)
    )


@transaction.atomic
def draft_version(
    *,
    criterion: Criterion,
    wording: str,
    change: str,
    applies_when: str | None = None,
    anchors: Sequence[str] | None = None,
    rule: dict | None = None,
    origin: str = CriterionVersion.Origin.HUMAN,
    rationale: str = "",
    actor=None,
) -> CriterionVersion:
    """A further wording, not in force yet; the same wording again gives the version that has it. Locks the criterion."""
    criterion = _lock(criterion)
    base = criterion.current
    applies_when = base.applies_when if applies_when is None else applies_when.strip()
    anchors = base.anchors if anchors is None else list(anchors)
    rule = base.rule if rule is None else rule
    wording = wording.strip()
    _check_words(criterion.name, wording, anchors, criterion.kind)
    if change not in {"cosmetic", "meaning"}:
        raise BadCriterion("change", "Say whether the meaning changes.")
    digest = digest_of(wording, applies_when, anchors, rule)
    same = criterion.versions.filter(sha256=digest).order_by("-number").first()
    if same is not None:
        return same
    last = criterion.versions.aggregate(n=Max("number"), m=Max("meaning"))
    return CriterionVersion.objects.create(
        criterion=criterion, number=last["n"] + 1, meaning=last["m"] + 1 if change == "meaning" else base.meaning,
        wording=wording, applies_when=applies_when, anchors=anchors, rule=rule, parent=base, change=change,
        origin=origin, rationale=rationale, sha256=digest, created_by=actor,
    )  # fmt: skip


@transaction.atomic
def use_version(*, version: CriterionVersion, actor=None) -> Criterion:
    """Put a wording in force. Grades of another meaning are stale from now on; some of them are queued to be given again.

    The trust that the old wording earned is gone with a change of meaning. Locks the criterion.
    """
    criterion = _lock(version.criterion)
    before = criterion.current
    if before.pk == version.pk:
        return criterion
    criterion.current = version
    if version.meaning != before.meaning and criterion.status == Criterion.Status.TRUSTED:
        criterion.status = Criterion.Status.ACTIVE
    criterion.save(update_fields=["current", "status"])
    if version.meaning != before.meaning:
        _queue_regrades(version, before)
    audit.record(
        actor=actor, action="criterion.version_used", scope=criterion.project.slug, target=criterion.name,
        before=before.number, after=version.number, change=version.change,
    )  # fmt: skip
    return criterion


def _queue_regrades(version: CriterionVersion, before: CriterionVersion) -> None:
    """All former disagreements with the judge, and five random others; at most ten."""
    grades = list(
        Grade.objects.filter(
            version__criterion=version.criterion, is_current=True, version__meaning=before.meaning
        )
        .order_by("pk")
        .values("item_id", "response", "fault")
    )
    places = list(dict.fromkeys((g["item_id"], g["response"]) for g in grades))
    disputed = list(dict.fromkeys((g["item_id"], g["response"]) for g in grades if g["fault"]))[:REGRADE_MOST]
    others = [p for p in places if p not in disputed]
    random.Random(version.pk).shuffle(others)  # noqa: S311 - a sample, nothing secret
    extra = others[: max(0, min(REGRADE_RANDOM, REGRADE_MOST - len(disputed)))]
    Regrade.objects.bulk_create(
        [
            Regrade(version=version, item_id=item, response=response, why=why)
            for why, places in (("disagreement", disputed), ("random", extra))
            for item, response in places
        ],
        ignore_conflicts=True,
    )


def edit_criterion(
    *, criterion: Criterion, wording: str, change: str, actor=None, **more
) -> CriterionVersion:
    """A person's edit: a version that is in force at once. An offline rule does not follow words: a new meaning has none."""
    if change == "meaning":
        more.setdefault("rule", {})
    with transaction.atomic():
        version = draft_version(criterion=criterion, wording=wording, change=change, actor=actor, **more)
        use_version(version=version, actor=actor)
    return version


@transaction.atomic
def set_status(*, criterion: Criterion, status: str, actor=None, reason: str = "") -> Criterion:
    """Activate, trust, retire or ban. Locks the criterion."""
    criterion = _lock(criterion)
    if criterion.status == status:
        return criterion
    before, criterion.status = criterion.status, status
    criterion.save(update_fields=["status"])
    audit.record(
        actor=actor, action="criterion.status_changed", scope=criterion.project.slug, target=criterion.name,
        before=before, after=status, reason=reason,
    )  # fmt: skip
    return criterion


# --- Proposals ----------------------------------------------------------------------------------------------
def propose(
    *, kind: str, criterion: Criterion, version=None, base=None, round=None, evidence=None
) -> Proposal:
    """Open a proposal; one that says the same and is open already is brought up to date instead."""
    said = {"kind": kind, "criterion": criterion, "version": version, "state": Proposal.State.OPEN}
    marks = scanner.scan(f"{criterion.name}\n{version.wording}\n{version.applies_when}") if version else []
    proposal, _ = Proposal.objects.update_or_create(
        **said,
        defaults={
            "project": criterion.project,
            "base": base,
            "round": round,
            "evidence": evidence or {},
            "marks": marks,
        },
    )
    return proposal


@transaction.atomic
def decide(*, proposal: Proposal, accept: bool, actor=None, reason: str = "") -> Proposal:
    """Accept or reject; only here does a proposal take effect. Raises BadCriterion if it is not open any more, or if a
    new wording is accepted against its paired test without a reason."""
    criterion = _lock(proposal.criterion)
    proposal = Proposal.objects.select_for_update(of=("self",)).select_related("version").get(pk=proposal.pk)
    if proposal.state != Proposal.State.OPEN:
        raise BadCriterion("proposal", f"This proposal is {proposal.get_state_display().lower()} already.")
    if accept and proposal.kind in {Proposal.Kind.REFINE, Proposal.Kind.SPLIT}:
        decision = (proposal.evidence.get("test") or {}).get("decision")
        if decision != "better" and not reason.strip():
            raise BadCriterion(
                "reason", "The paired test does not show that it is better: say why you take it."
            )
    if accept and proposal.marks and not reason.strip():
        raise BadCriterion(
            "reason", "The wording speaks to the judge instead of the reader: say why you take it."
        )
    if accept:
        if proposal.kind == Proposal.Kind.ADD:
            set_status(criterion=criterion, status=Criterion.Status.ACTIVE, actor=actor, reason=reason)
        elif proposal.kind == Proposal.Kind.REFINE:
            use_version(version=proposal.version, actor=actor)
        else:  # retired, merged into another one that stays, or split into two that come
            set_status(criterion=criterion, status=Criterion.Status.RETIRED, actor=actor, reason=reason)
    if proposal.kind == Proposal.Kind.SPLIT:
        status = Criterion.Status.ACTIVE if accept else Criterion.Status.BANNED
        for part in Criterion.objects.filter(
            pk__in=proposal.evidence.get("into", []), status="draft"
        ).order_by("pk"):
            set_status(criterion=part, status=status, actor=actor, reason=f"split off {criterion.name}")
    if not accept and proposal.kind == Proposal.Kind.ADD:
        set_status(criterion=criterion, status=Criterion.Status.BANNED, actor=actor, reason=reason)
    proposal.state = Proposal.State.ACCEPTED if accept else Proposal.State.REJECTED
    proposal.decided_by, proposal.decided_at, proposal.reason = actor, timezone.now(), reason
    proposal.save(update_fields=["state", "decided_by", "decided_at", "reason"])
    return proposal
