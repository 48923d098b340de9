"""What may follow a round: proposals decided as their evidence says, the set measured as it stands, and released."""

from __future__ import annotations

from django.db import transaction

from annotations.projects.models import Project

from . import lab, material, releases, watch
from .models import Criterion, Proposal, Round
from .rounds import Engine

NEVER_BY_ITSELF = {Proposal.Kind.RETIRE, Proposal.Kind.MERGE, Proposal.Kind.SPLIT}


def follow_project(project: Project, *, actor=None) -> dict:
    """Accept what the evidence recommends and reject what it does not; what cannot be told yet stays open."""
    done = {"accepted": 0, "rejected": 0, "open": 0}
    for proposal in Proposal.objects.filter(project=project, state=Proposal.State.OPEN).order_by("pk"):
        recommended = proposal.evidence.get("recommend", "wait")
        if proposal.marks or recommended == "wait" or proposal.kind in NEVER_BY_ITSELF:
            done["open"] += 1
            continue
        lab.decide(
            proposal=proposal,
            accept=recommended == "accept",
            actor=actor,
            reason="as the evidence recommends",
        )
        done["accepted" if recommended == "accept" else "rejected"] += 1
    return done


def release_set(project: Project, *, note: str = "", override: str = "", actor=None):
    """Choose among the criteria in force and release them. Raises BadCriterion where none is better than chance, and
    while an alarm stands, unless a person says in `override` why all the same."""
    alarms, override = watch.standing_alarms(project), override.strip()
    if alarms and not (override and actor):
        raise lab.BadCriterion("override", f"Nothing was released, since something moved. {' '.join(alarms)}")
    measured = measure_live(project)
    members = measured["set"]["members"]
    if not members:
        raise lab.BadCriterion(
            "members", "No criterion in force is better than chance yet: nothing was released."
        )
    by_id = {c["criterion"]: c for c in measured["criteria"]}
    rows = [
        {"criterion": m["criterion"], "version": by_id[m["criterion"]]["version_id"],
         "grader": by_id[m["criterion"]]["grader"], "weight": m["weight"]}
        for m in members
    ]  # fmt: skip
    with transaction.atomic():
        return releases.release(
            project=project, members=rows, report=measured["set"], note=note, actor=actor, alarms=alarms,
            override=override if alarms else "",
        )  # fmt: skip


def measure_live(project: Project) -> dict:
    """The set of criteria in force by the verdicts that are stored; asks nobody. Raises NoMaterial."""
    the_lab = lab.lab_of(project)
    data = material.read(project, limit=the_lab.pairs_a_round, seed=the_lab.seed, reasons=False)
    live = Criterion.objects.filter(project=project, status__in=["active", "trusted"], kind="pairwise")
    engine = Engine(project, the_lab, Round(project=project), data, "", lambda words: None)
    engine.criteria = [
        c for c in live.select_related("current__criterion").order_by("pk") if engine.grader(c.current)
    ]
    if not engine.criteria:
        return {"criteria": [], "set": {"members": []}, "pairs": len(data.pairs)}
    found = engine.summary()
    for fact, c in zip(found["criteria"], engine.criteria, strict=True):
        fact["version_id"] = c.current.pk
    return found
