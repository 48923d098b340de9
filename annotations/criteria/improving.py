"""Better words for an LM annotator: proposed from its disagreements with people, tested on pairs the proposer never saw.

After SPO (Xiang et al. 2025) and OptoPrime (Cheng et al. 2024): a proposer sees the words, a trace of what they led to
and what was tried before. Where those accept what a model prefers, here only a paired test on other pairs speaks for a
wording, and only a person accepts it, which makes another annotator. Every further test against the same words is held
to a stricter level, so that trying often is no way to be accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from django.db import transaction
from django.utils import timezone

from annotations.lm import claims, configure, engine, prices, prompts, runs, scanner, work
from annotations.lm.annotate import CannotAnnotate
from annotations.lm.combining import combine
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Project
from annotations.projects.schemas import canonical_json
from app.accounts import audit

from . import evidence, judging, lab, material, pairs
from .manager import Case, Manager
from .models import Lab
from .prompt_models import JudgeWording, Reading

TRIES = 3
SAMPLED = 30
TESTED = ("select", "audit")
Report = Callable[[str], None]


class BadWording(ValueError):
    """This cannot be done; the text says why."""


def candidates(project: Project) -> list[LMAnnotator]:
    """The project's annotators that ask a model to compare, by name."""
    backends = [LMAnnotator.Backend.ENDPOINT, LMAnnotator.Backend.LOCAL]
    rows = LMAnnotator.objects.filter(annotator__project=project, backend__in=backends).exclude(
        parameters__asks=prompts.SCORES
    )
    return list(rows.select_related("annotator", "prompt").order_by("annotator__name"))


def pairs_of(project: Project) -> material.Material:
    """The lab's pairs, each in its split for ever. Raises material.NoMaterial."""
    the_lab = lab.lab_of(project)
    return material.read(project, limit=the_lab.pairs_a_round, seed=the_lab.seed)


# --- Wordings -------------------------------------------------------------------------------------------------
def _digest(instructions: str) -> str:
    return hashlib.sha256(canonical_json(instructions.strip()).encode("utf-8", "surrogatepass")).hexdigest()


def current(detail: LMAnnotator) -> JudgeWording:
    """The words this annotator is asked in."""
    words = detail.prompt.instructions
    return JudgeWording.objects.get_or_create(
        detail=detail, sha256=_digest(words),
        defaults={"project": detail.annotator.project, "instructions": words, "origin": "current", "state": "current"},
    )[0]  # fmt: skip


def add_wording(
    *, detail: LMAnnotator, instructions: str, origin: str, parent: JudgeWording, rationale: str = "",
    shown: Sequence[int] = (), actor=None,
) -> JudgeWording:  # fmt: skip
    """A wording to be tested; the same words again give the row that has them. Raises BadWording."""
    words = instructions.replace("\r\n", "\n").strip()
    if not 10 <= len(words) <= prompts.MAX_INSTRUCTIONS:
        raise BadWording(f"Expected instructions of 10 to {prompts.MAX_INSTRUCTIONS:,} characters.")
    if _digest(words) == _digest(detail.prompt.instructions):
        raise BadWording("These are the words in use.")
    made, _ = JudgeWording.objects.get_or_create(
        detail=detail, sha256=_digest(words),
        defaults={"project": detail.annotator.project, "instructions": words, "origin": origin, "parent": parent,
                  "rationale": rationale.strip(), "shown": list(shown), "marks": scanner.scan(words), "created_by": actor},
    )  # fmt: skip
    return made


# --- Asking ---------------------------------------------------------------------------------------------------
def plan_of(wording: JudgeWording) -> work.Plan:
    """The annotator's plan with this wording's instructions; all else is the annotator's own."""
    detail = runs.find(wording.detail_id)
    plan = work.plan_of(detail)
    return replace(plan, asked=replace(plan.asked, instructions=wording.instructions))


@dataclass
class Used:
    """What a piece of work took. Money in millionths."""

    calls: int = 0
    cached: int = 0
    cost_micros: int = 0


def read(
    wording: JudgeWording, the_lab: Lab, shown: Sequence[material.Pair], *, owner: str, report: Report, used: Used
) -> None:  # fmt: skip
    """Let the annotator's model read these pairs under this wording, where it has not. Raises NoMoney, CannotJudge."""
    have = set(Reading.objects.filter(wording=wording).values_list("item_id", flat=True))
    left = [p for p in shown if p.item_id not in have]
    if not left:
        return
    plan = plan_of(wording)
    if not plan.price.is_free and the_lab.account_id is None:
        raise judging.CannotJudge("This model costs money: set the lab's cap first.")
    try:
        runs.check(plan.detail)
        ask = runs.asker(plan.detail)
    except CannotAnnotate as error:
        raise judging.CannotJudge(str(error)) from None
    name = "The words in use" if wording.state == "current" else f"Wording {wording.pk}"
    machine = engine.Engine(
        plan, owner=owner, ask=ask, accounts=judging.accounts_of(the_lab, plan.price), records_failures=False,
        report=lambda t: report(f"{name}: {t.done} of {len(left)} pairs"),
        finish=lambda plan, made: _store(wording, plan, made),
    )  # fmt: skip
    claims.settle_lost(the_lab.project_id, owner)
    try:
        machine.run(_works(plan, left))
    except engine.OutOfMoney as error:
        raise judging.NoMoney(str(error)) from None
    except engine.RunFailed as error:
        raise judging.CannotJudge(str(error)) from None
    finally:
        used.calls += machine.totals.calls
        used.cached += machine.totals.cached
        used.cost_micros += machine.totals.cost_micros


def _works(plan: work.Plan, shown: Sequence[material.Pair]):
    for p in shown:
        made = work.ItemWork(p.item_id, work.Material(p.raw_prompt, p.context, (p.first, p.second)))
        work.add_calls(plan, made)
        yield made


def _store(wording: JudgeWording, plan: work.Plan, made: work.ItemWork) -> bool:
    combined = combine(work.votes_of(plan, made), plan.asked)
    row = Reading(wording=wording, item_id=made.item_id, value=pairs.ERROR)
    if combined is not None:
        strength, _ = combined.comparisons[plan.asked.main.name]
        row.value = int(np.sign(strength))
        row.consistent, row.reason = combined.order_consistent, combined.reason[:2000]
    Reading.objects.bulk_create([row], ignore_conflicts=True)
    return True


def column(wording: JudgeWording, shown: Sequence[material.Pair]) -> np.ndarray:
    """Its verdicts on these pairs, int8[n]; ERROR where it has none."""
    said = dict(Reading.objects.filter(wording=wording).values_list("item_id", "value"))
    return np.array([said.get(p.item_id, pairs.ERROR) for p in shown], dtype=np.int8)


def estimate(detail: LMAnnotator, data: material.Material, wordings: int = TRIES) -> dict:
    """What proposing and one test may take: {calls, cost, is_free}; cost is likely, in the model's currency."""
    plan = plan_of(current(detail))
    train, held = int(data.of("train").sum()), int(data.of(*TESTED).sum())
    readings = train * (1 + wordings) + 2 * held
    made = list(_works(plan, data.pairs[:SAMPLED]))
    calls = [c for w in made for c in w.calls]
    scale = readings / max(len(made), 1)
    tokens = sum(prices.likely_tokens_in(c.sent.messages) for c in calls)
    total = round(len(calls) * scale)
    micros = plan.price.micros(round(tokens * scale), total * runs.LIKELY_TOKENS_OUT)
    return {"calls": total, "cost": micros / 1_000_000, "is_free": plan.price.is_free, "held": held}


# --- Proposing ------------------------------------------------------------------------------------------------
def propose(
    detail: LMAnnotator, *, owner: str, report: Report = lambda words: None, tries: int = TRIES
) -> dict:
    """Up to `tries` proposals, each from the traces of the best words so far; the best on train pairs is tested.

    Raises NoMoney, CannotJudge, NoMaterial; what was read and proposed until then stays.
    """
    project = detail.annotator.project
    the_lab, data, used = lab.lab_of(project), pairs_of(project), Used()
    manager = Manager(the_lab, None)
    if manager.model is None:
        raise judging.CannotJudge("No manager is set: choose a model, or write the words yourself.")
    train = [p for p in data.pairs if p.split == "train"]
    base = best = current(detail)
    read(base, the_lab, train, owner=owner, report=report, used=used)
    made: list[JudgeWording] = []
    for turn in range(tries):
        report(f"Asking for better words, {turn + 1} of {tries}")
        wrong, right = _traces(best, train)
        found = manager.improve(best.instructions, wrong, right, _tried(base, train))
        if found is None:
            break
        seen = {*best.shown, *(c.pair.item_id for c in [*wrong, *right])}
        try:
            wording = add_wording(
                detail=detail, instructions=found[0], origin="lm", parent=best, rationale=found[1], shown=sorted(seen)
            )  # fmt: skip
        except BadWording:
            continue
        if wording in made:
            continue
        read(wording, the_lab, train, owner=owner, report=report, used=used)
        made.append(wording)
        if wording.state == "open" and _points(wording, train) > _points(best, train):
            best = wording
    said = {"proposed": len(made), "tested": None}
    if best.pk != base.pk:
        said |= run_test(best, owner=owner, report=report, used=used)
    return {
        **said, "calls": used.calls + manager.consulting.calls, "cached": used.cached,
        "cost_micros": used.cost_micros + manager.consulting.cost_micros,
    }  # fmt: skip


def _points(wording: JudgeWording, shown: Sequence[material.Pair]) -> float:
    return float(pairs.right(column(wording, shown), np.array([p.truth for p in shown])).sum())


def _traces(wording: JudgeWording, train: Sequence[material.Pair]) -> tuple[list[Case], list[Case]]:
    """Train pairs it read otherwise than people, decided ones first, and some it read alike."""
    rows = {r.item_id: r for r in Reading.objects.filter(wording=wording)}
    wrong, right = [], []
    for p in train:
        r = rows.get(p.item_id)
        if r is None or r.value == pairs.ERROR:
            continue
        (right if r.value == p.truth else wrong).append(Case(p, r.value, r.reason))
    wrong.sort(key=lambda c: (c.said == pairs.TIE, -len(c.pair.reasons), c.pair.item_id))
    return wrong, right


def _tried(base: JudgeWording, train: Sequence[material.Pair]) -> list[dict]:
    """Earlier wordings with what they fixed and broke on train pairs; nothing of the pairs that test."""
    y, before = np.array([p.truth for p in train]), column(base, train)
    rows = JudgeWording.objects.filter(detail=base.detail_id).exclude(pk=base.pk).order_by("-pk")[:6]
    found = []
    for w in rows:
        edit = pairs.compare(before, column(w, train), y)
        found.append({"instructions": w.instructions[:2000], "fixed": edit.fixed, "broken": edit.broken})
    return found


# --- Testing --------------------------------------------------------------------------------------------------
def run_test(
    wording: JudgeWording, *, owner: str, report: Report = lambda words: None, used: Used | None = None
) -> dict:
    """Compare a wording with the words in use on pairs its writer never saw; the test is kept with the wording.

    The k-th test against the same words is held to ALPHA / (k (k + 1)): all together they err in ALPHA at most. Raises
    NoMoney, CannotJudge, NoMaterial.
    """
    detail = runs.find(wording.detail_id)
    the_lab, data, used = lab.lab_of(wording.project), pairs_of(wording.project), used or Used()
    seen = set(wording.shown)
    held = [p for p in data.pairs if p.split in TESTED and p.item_id not in seen]
    if not held:
        raise judging.CannotJudge("No decided pair is left that the proposer did not see.")
    base = current(detail)
    for words in (base, wording):
        read(words, the_lab, held, owner=owner, report=report, used=used)
    y = np.array([p.truth for p in held])
    before, after = column(base, held), column(wording, held)
    with transaction.atomic():
        rows = list(JudgeWording.objects.select_for_update().filter(detail=detail).order_by("pk"))
        number = sum(len(r.tests) for r in rows) + 1
        level = evidence.ALPHA / (number * (number + 1))
        edit = pairs.compare(before, after, y, level)
        found = {
            **asdict(edit), "words": edit.words, "level": level, "number": number, "at": timezone.now().isoformat(),
            "old": pairs.score(before, y).worth, "new": pairs.score(after, y).worth,
            "old_consistency": _consistency(base, held), "new_consistency": _consistency(wording, held),
            "human_ceiling": data.ceiling(np.isin([p.item_id for p in data.pairs], [p.item_id for p in held])),
        }  # fmt: skip
        mine = next(r for r in rows if r.pk == wording.pk)
        mine.tests = [*mine.tests, found]
        mine.save(update_fields=["tests"])
    return {"tested": wording.pk, "decision": edit.decision, "words": edit.words}


def _consistency(wording: JudgeWording, shown: Sequence[material.Pair]) -> dict | None:
    rows = Reading.objects.filter(
        wording=wording, item__in=[p.item_id for p in shown], consistent__isnull=False
    )
    known = list(rows.values_list("consistent", flat=True))
    return evidence.share(sum(known), len(known))


# --- Deciding -------------------------------------------------------------------------------------------------
@transaction.atomic
def decide(*, wording: JudgeWording, accept: bool, actor, reason: str = "") -> JudgeWording:
    """Accept or reject; accepted words are the prompt's next version and another annotator. Locks the wording.

    Raises BadWording if it is not open, was never tested, or is accepted against its test or marks without a reason.
    """
    wording = JudgeWording.objects.select_for_update().get(pk=wording.pk)
    detail = runs.find(wording.detail_id)
    if wording.state != JudgeWording.State.OPEN:
        raise BadWording("This wording is decided already.")
    if accept:
        if wording.test is None:
            raise BadWording("Test it first: nothing is accepted that was not tested.")
        if wording.test["decision"] != "better" and not reason.strip():
            raise BadWording("The paired test does not show that it is better: say why you take it.")
        if wording.marks and not reason.strip():
            raise BadWording("The wording holds what texts to a judge hold: say why you take it.")
        if changed := configure.changed_since(detail):
            raise BadWording(
                f"Changed since this annotator was made: {', '.join(changed)}. Another annotator would be asked something "
                "else than was tested: make a new version of it first, and propose for that one."
            )
        prompt = prompts.add_prompt(
            project=wording.project, name=detail.prompt.name, instructions=wording.instructions,
            with_guidelines=detail.prompt.with_guidelines, with_criteria=detail.prompt.with_criteria,
            with_reason=detail.prompt.with_reason, actor=actor,
        )  # fmt: skip
        try:
            wording.made = configure.add_annotator(
                project=wording.project, model=detail.endpoint_model, prompt=prompt,
                parameters=configure.parameters_of(detail), actor=actor,
            )  # fmt: skip
        except configure.CannotConfigure as error:
            raise BadWording(str(error)) from None
    wording.state = JudgeWording.State.ACCEPTED if accept else JudgeWording.State.REJECTED
    wording.decided_by, wording.decided_at, wording.reason = actor, timezone.now(), reason[:500]
    wording.save()
    audit.record(
        actor=actor, action="judge_wording.accepted" if accept else "judge_wording.rejected",
        scope=wording.project.slug, target=detail.annotator.name, wording=wording.pk, reason=reason[:500],
    )  # fmt: skip
    return wording
