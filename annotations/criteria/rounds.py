"""One round: propose, grade, sort out, test edits, report. Changes nothing in force: it ends in proposals.

The manager sees train pairs only. Edits are decided on pairs it did not see (select). Criteria and the set are measured on
the audit where there are thirty pairs of it; else criteria on select, and the set by repeating the whole choice in every
fold. The length rule and people's own agreement stand beside the set on the same pairs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from django.db.models import Max
from django.utils import timezone

from annotations.analysis import means
from annotations.projects.models import Project

from . import evidence, graders, judging, knowledge, lab, material, pairs, rules
from .manager import Case, Draft, Manager
from .material import Material
from .models import Criterion, CriterionVersion, Grader, Lab, Proposal, Round, Verdict

WANTED = 8  # criteria to have under consideration
MOST_NEW = 6
OFFLINE_WANTED = 14


class Stopped(Exception):
    """The round ended early; what it did until then is stored. The text says why."""


def start_round(project: Project, the_lab: Lab, job_id=None) -> Round:
    number = (Round.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0) + 1
    manager = Manager(the_lab, None).name
    judge = f"{the_lab.judge.name} at {the_lab.judge.endpoint.name}" if the_lab.judge else "offline rules"
    return Round.objects.create(project=project, number=number, judge=judge, manager=manager, job_id=job_id)


def run_round(
    project: Project,
    *,
    owner: str,
    limit: int | None = None,
    wanted: int | None = None,
    job_id=None,
    report: Callable[[str], None] = lambda words: None,
) -> Round:
    """Do a round and return it with its report. Raises material.NoMaterial; a spent cap ends it early and says so."""
    the_lab = lab.lab_of(project)
    data = material.read(project, limit=limit or the_lab.pairs_a_round, seed=the_lab.seed)
    this = start_round(project, the_lab, job_id)
    engine = Engine(project, the_lab, this, data, owner, report)
    try:
        engine.run(wanted or (WANTED if the_lab.judge else OFFLINE_WANTED))
    except (judging.NoMoney, judging.CannotJudge) as error:
        this.stopped = str(error)[:500]
    this.report = engine.summary()
    this.finished_at = timezone.now()
    this.save(update_fields=["report", "stopped", "finished_at"])
    return this


class Engine:
    """The state of one round."""

    def __init__(self, project, the_lab, this, data: Material, owner, report):
        self.project, self.lab, self.round, self.data = project, the_lab, this, data
        self.owner, self.report = owner, report
        self.manager = Manager(the_lab, this)
        self.train = [p for p in data.pairs if p.split == "train"]
        self.items = [p.item_id for p in data.pairs]
        self.shown = judging.pair_material(data.pairs)
        self.used = {"judged": 0, "calls": 0, "cached": 0, "failed": 0, "cost_micros": 0}
        self.criteria: list[Criterion] = []

    def run(self, wanted: int) -> None:
        self.criteria = list(
            Criterion.objects.filter(project=self.project, kind=Criterion.Kind.PAIRWISE)
            .filter(status__in=["active", "trusted", "draft"])
            .select_related("current__criterion")
            .order_by("pk")
        )
        self.grade(self.criteria)
        self.add(wanted - len(self.criteria))
        sorted_out = self.sort_out()
        worthless = [c for c in self.criteria if sorted_out.get(c.pk) == "replace"]
        self.add(min(len(worthless), MOST_NEW) if self.lab.manager else 0)
        for criterion in list(self.criteria):
            if sorted_out.get(criterion.pk) == "refine":
                if criterion.is_live and self.was_reworded_in_vain(criterion):
                    self.split(criterion)
                else:
                    self.refine(criterion)
        self.judge_states(self.sort_out())
        self.merge()

    # --- Grading --------------------------------------------------------------------------------------------
    def grader(self, version: CriterionVersion) -> Grader | None:
        if self.lab.judge is not None:
            return graders.grader_for(version, Grader.Kind.LM_PAIR, model=self.lab.judge)
        if version.rule:
            return graders.grader_for(version, Grader.Kind.RULE, body=version.rule)
        return None

    def grade(self, criteria: list[Criterion], only: np.ndarray | None = None) -> None:
        for criterion in criteria:
            self.grade_version(criterion.current, only)

    def grade_version(self, version: CriterionVersion, only: np.ndarray | None = None) -> None:
        grader = self.grader(version)
        if grader is None:
            return
        shown = self.shown if only is None else [s for s, keep in zip(self.shown, only, strict=True) if keep]
        self.report(f"Judging by {version}")
        try:
            done = judging.run(grader, self.lab, shown, owner=self.owner, report=self.report)
        except (judging.NoMoney, judging.CannotJudge) as error:
            self._count(error.used)
            raise
        self._count(done)

    def _count(self, done: dict) -> None:
        for key, n in done.items():
            self.used[key] += n

    def column(self, version: CriterionVersion) -> tuple[np.ndarray, np.ndarray]:
        grader = self.grader(version)
        if grader is None:
            return np.full(len(self.items), pairs.ERROR, dtype=np.int8), np.full(
                len(self.items), -1, dtype=np.int8
            )
        V, C = judging.matrix([grader], self.items)
        return V[:, 0], C[:, 0]

    # --- Proposing ------------------------------------------------------------------------------------------
    def add(self, count: int) -> None:
        """Draft new criteria, from the knowledge base and from people's reasons, and grade them."""
        if count < 1:
            return
        self.report("Asking for criteria")
        all_names = Criterion.objects.filter(project=self.project).select_related("current")
        have = [f"{c.name}: {c.current.wording}" for c in all_names if c.status not in ("banned", "retired")]
        banned = [f"{c.name}: {c.current.wording}" for c in all_names if c.status in ("banned", "retired")]
        drafts = self.manager.propose(self.train, have=have, banned=banned, count=count)
        if self.lab.manager is not None and len(drafts) < count:
            drafts += self._from_knowledge(count - len(drafts), [*have, *banned, *(d.name for d in drafts)])
        for draft in drafts:
            try:
                criterion = lab.add_criterion(
                    project=self.project, name=draft.name, wording=draft.wording, applies_when=draft.applies_when,
                    rule=draft.rule, origin=draft.origin, source=draft.source, rationale=draft.rationale,
                    status=Criterion.Status.DRAFT,
                )  # fmt: skip
            except lab.BadCriterion:
                continue
            criterion = Criterion.objects.select_related("current__criterion").get(pk=criterion.pk)
            lab.propose(
                kind=Proposal.Kind.ADD, criterion=criterion, version=criterion.current, round=self.round
            )
            self.criteria.append(criterion)
            self.grade([criterion])

    def _from_knowledge(self, count: int, taken: list[str]) -> list[Draft]:
        names = {t.partition(":")[0].strip().lower() for t in taken}
        entries = [e for e in knowledge.ENTRIES if e["name"].lower() not in names]
        reasons = [r for p in self.train for r in p.reasons]
        return [
            Draft(
                e["name"],
                e["wording"],
                source=e["source"],
                origin=CriterionVersion.Origin.KNOWLEDGE,
                rule={"name": e["rule"], "margin": 0.0} if e["rule"] else None,
            )
            for e in rules.retrieve(entries, reasons, count)
        ]

    # --- Keep, refine, replace --------------------------------------------------------------------------------
    def sort_out(self) -> dict[int, str]:
        """What train pairs say of every criterion."""
        where = self.data.of("train")
        if not self.criteria or not where.any():
            return {}
        V = np.stack([self.column(c.current)[0] for c in self.criteria], axis=1)
        return dict(
            zip([c.pk for c in self.criteria], pairs.sort_out(V[where], self.data.truth[where]), strict=True)
        )

    def refine(self, criterion: Criterion) -> None:
        """A better wording for a middling criterion, tested in pairs that the manager did not see."""
        version = criterion.current
        verdict, _ = self.column(version)
        where = np.flatnonzero(self.data.of("train") & (pairs.right(verdict, self.data.truth) < 1))
        feedback = self._feedback(version, [self.items[i] for i in where])
        wrong = sorted(where, key=lambda i: (verdict[i] not in (pairs.FIRST, pairs.SECOND), i))
        cases = [Case(self.data.pairs[i], int(verdict[i]), feedback.get(self.items[i], "")) for i in wrong]
        draft = self.manager.refine(version, cases, self.train)
        if draft is None:
            return
        try:
            new = lab.draft_version(
                criterion=criterion, wording=draft.wording, change=draft.change, applies_when=draft.applies_when or None,
                rule=draft.rule or {}, origin=draft.origin, rationale=draft.rationale,
            )  # fmt: skip
        except lab.BadCriterion:
            return
        if new.pk == version.pk:
            return
        self.grade_version(new)
        lab.propose(
            kind=Proposal.Kind.REFINE, criterion=criterion, version=new, base=version, round=self.round,
            evidence=self.edit_evidence(version, new),
        )  # fmt: skip

    def was_reworded_in_vain(self, criterion: Criterion) -> bool:
        """Whether a new wording of the one in force was tested and did not show to be better."""
        tried = Proposal.objects.filter(
            criterion=criterion, kind=Proposal.Kind.REFINE, base=criterion.current
        )
        return any(
            test.get("decision") != "better"
            for e in tried.exclude(round=self.round).values_list("evidence", flat=True)
            if (test := e.get("test"))
        )

    def split(self, criterion: Criterion) -> None:
        """Two criteria in place of one that rewording does not help, their votes tested against it on unseen pairs."""
        if Proposal.objects.filter(
            criterion=criterion, kind=Proposal.Kind.SPLIT, base=criterion.current
        ).exists():
            return
        version = criterion.current
        verdict, _ = self.column(version)
        where = np.flatnonzero(self.data.of("train") & (pairs.right(verdict, self.data.truth) < 1))
        feedback = self._feedback(version, [self.items[i] for i in where])
        cases = [Case(self.data.pairs[i], int(verdict[i]), feedback.get(self.items[i], "")) for i in where]
        parts = []
        for draft in self.manager.split(version, cases):
            with contextlib.suppress(lab.BadCriterion):
                made = lab.add_criterion(
                    project=self.project, name=draft.name, wording=draft.wording, applies_when=draft.applies_when,
                    origin=draft.origin, rationale=draft.rationale, status=Criterion.Status.DRAFT,
                )  # fmt: skip
                parts.append(Criterion.objects.select_related("current__criterion").get(pk=made.pk))
        if len(parts) != 2:
            Criterion.objects.filter(pk__in=[p.pk for p in parts]).update(status=Criterion.Status.BANNED)
            return
        self.grade(parts)
        select = self.data.of("select")
        y, before = self.data.truth[select], verdict[select]
        V = np.stack([self.column(p.current)[0][select] for p in parts], axis=1)
        after = pairs.Chosen((0, 1), (1.0, 1.0)).verdict(V)
        test = pairs.compare(before, after, y)
        lab.propose(
            kind=Proposal.Kind.SPLIT, criterion=criterion, base=version, round=self.round,
            evidence={"into": [p.pk for p in parts], "names": [p.name for p in parts],
                      "test": {**asdict(test), "words": test.words},
                      "recommend": {"better": "accept", "worse": "reject"}.get(test.decision, "wait")},
        )  # fmt: skip

    def was_refused(self, criterion: Criterion, base: CriterionVersion) -> bool:
        return Proposal.objects.filter(
            criterion=criterion, base=base, kind=Proposal.Kind.MERGE, state=Proposal.State.REJECTED
        ).exists()

    def merge(self) -> None:
        """Propose that the worse of two criteria in force that say the same gives way to the other."""
        live = [c for c in self.criteria if c.is_live]
        learn = self.data.of("train", "select")
        if len(live) < 2:
            return
        V = np.stack([self.column(c.current)[0][learn] for c in live], axis=1)
        alike = pairs.redundancy(V)
        worth = [pairs.score(V[:, k], self.data.truth[learn]).points for k in range(len(live))]
        order = sorted(range(len(live)), key=lambda k: (-worth[k], live[k].pk))
        for place, k in enumerate(order):
            kept = next((j for j in order[:place] if alike[k, j] > pairs.REDUNDANT), None)
            if kept is not None and not self.was_refused(live[k], live[kept].current):
                lab.propose(
                    kind=Proposal.Kind.MERGE, criterion=live[k], base=live[kept].current, round=self.round,
                    evidence={"kept": live[kept].name, "correlation": round(float(alike[k, kept]), 3)},
                )  # fmt: skip

    def _feedback(self, version: CriterionVersion, items: list[int]) -> dict[int, str]:
        grader = self.grader(version)
        rows = Verdict.objects.filter(grader=grader, item_id__in=items).exclude(feedback="")
        return dict(rows.values_list("item_id", "feedback"))

    def edit_evidence(self, old: CriterionVersion, new: CriterionVersion) -> dict:
        """Old against new on select pairs: exact McNemar over wrong and right, counting a half as half wrong."""
        where = self.data.of("select")
        y = self.data.truth[where]
        before, after = (self.column(v)[0][where] for v in (old, new))
        test = pairs.compare(before, after, y)
        return {
            "test": {**asdict(test), "words": test.words},
            "old": pairs.score(before, y).worth,
            "new": pairs.score(after, y).worth,
            "recommend": {"better": "accept", "worse": "reject"}.get(test.decision, "wait"),
        }

    # --- What is known ----------------------------------------------------------------------------------------
    def chance_before(self, criterion: Criterion) -> float:
        """p of being right by chance, on the pairs that may decide about it (not those that its numbers are from)."""
        where = self.data.of("train", "select") if self.data.has_audit else self.data.of("train")
        s = pairs.score(self.column(criterion.current)[0][where], self.data.truth[where])
        return evidence.above_chance(s.correct, s.decided)

    def facts(self, criterion: Criterion) -> dict:
        """What may be shown of a criterion: measured on pairs that neither wrote nor chose it."""
        verdict, agree = self.column(criterion.current)
        where = self.data.of("audit") if self.data.has_audit else self.data.of("select")
        s = pairs.score(verdict[where], self.data.truth[where])
        consistency = judging.consistency(agree[where])
        trust = pairs.trust(s, consistency, target=self.lab.target)
        return {
            "criterion": criterion.pk, "name": criterion.name, "version": criterion.current.number,
            "grader": grader.pk if (grader := self.grader(criterion.current)) else None,
            "accuracy": s.accuracy, "coverage": s.coverage, "worth": s.worth, "errors": s.errors, "n": s.n,
            "consistency": consistency, "above_chance_p": evidence.above_chance(s.correct, s.decided),
            "trusted": trust.ok, "missing": list(trust.missing),
            "measured_on": "audit" if self.data.has_audit else "select",
        }  # fmt: skip

    def judge_states(self, sorted_out: dict[int, str]) -> None:
        """Bring evidence to the open proposals and the states that evidence alone decides."""
        facts = {f["criterion"]: f for f in map(self.facts, self.criteria)}
        decide = evidence.benjamini_hochberg([self.chance_before(c) for c in self.criteria], pairs.FDR)
        holds = evidence.benjamini_hochberg([facts[c.pk]["above_chance_p"] for c in self.criteria], pairs.FDR)
        for criterion, good, better in zip(self.criteria, decide, holds, strict=True):
            f = {
                **facts[criterion.pk],
                "better_than_chance": bool(better),
                "sorted": sorted_out.get(criterion.pk, ""),
            }
            if criterion.status == Criterion.Status.DRAFT:
                f["recommend"] = "accept" if good and f["sorted"] != "replace" else "reject"
                Proposal.objects.filter(criterion=criterion, kind="add", state="open").update(evidence=f)
            elif f["trusted"] and better:
                lab.set_status(criterion=criterion, status=Criterion.Status.TRUSTED, reason="its lower bound")
            else:
                lab.set_status(
                    criterion=criterion, status=Criterion.Status.ACTIVE, reason="; ".join(f["missing"])
                )
                if f["accuracy"] and f["accuracy"]["hi"] < self.lab.target and f["sorted"] == "replace":
                    lab.propose(kind=Proposal.Kind.RETIRE, criterion=criterion, round=self.round, evidence=f)

    def summary(self) -> dict:
        """The report: what every criterion and the set are worth, the baseline and the ceiling on the same pairs."""
        data = self.data
        counts = {s: int(data.of(s).sum()) for s in material.SHARES}
        found = {
            "pairs": len(data.pairs), "decided": data.decided, "undecided": data.undecided, "splits": counts,
            "criteria": [self.facts(c) for c in self.criteria], "judge": self.round.judge, "manager": self.round.manager,
            "judge_calls": self.used["calls"], "judge_cached": self.used["cached"], "manager_calls": self.manager.consulting.calls,
            "manager_unread": self.manager.consulting.lost, "cost_micros": self.used["cost_micros"] + self.manager.consulting.cost_micros,
        }  # fmt: skip
        if self.criteria:
            V = np.stack([self.column(c.current)[0] for c in self.criteria], axis=1)
            found["set"] = measure_set(V, data, [c.pk for c in self.criteria], seed=self.lab.seed)
        return found


def measure_set(V: np.ndarray, data: Material, ids: list[int], *, seed: int = 0) -> dict:
    """The set chosen on train and select, and its honest worth: on the audit, and cross-fitted over everything."""
    learn, audit = data.of("train", "select"), data.of("audit")
    chosen = pairs.choose(V[learn], data.truth[learn])
    crossed = pairs.cross_fit(V, data.truth, data.group, seed=seed)
    on = audit if data.has_audit else np.ones(len(data.pairs), dtype=bool)
    points = pairs.right(chosen.verdict(V[audit]), data.truth[audit]) if data.has_audit else crossed.right
    length = pairs.right(
        np.array([rules.longer(p.first, p.second) for p, keep in zip(data.pairs, on, strict=True) if keep]),
        data.truth[on],
    )
    codes = np.unique(data.group[on], return_inverse=True)[1]
    few = codes.max(initial=0) + 1 < material.LEAST_GROUPS
    return {
        "members": [
            {"criterion": ids[j], "weight": round(w, 4)}
            for j, w in zip(chosen.columns, chosen.weights, strict=True)
        ],
        "measured_on": "audit" if data.has_audit else "cross-fitted",
        "held_out": material.estimate(points, data.group[on]),
        "length_baseline": material.estimate(length, data.group[on]),
        "gain_over_length": means.paired(length, points, item=np.arange(len(points)) if few else codes),
        "human_ceiling": data.ceiling(on),
        "cross_fitted": material.estimate(crossed.right, data.group),
        "stability": {str(ids[j]): round(float(s), 3) for j, s in enumerate(crossed.stability)},
    }
