"""The manager: proposes criteria and rewords them, from TRAIN pairs only. A model over HTTP, or the offline rules.

What comes back is a draft that a person reads: a response that speaks to the manager could write criteria otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import knowledge, rules
from .consulting import TEXT, Consultation, clean, object_of
from .judging import CannotJudge
from .material import Pair
from .models import CriterionVersion, Lab, Round
from .pairs import FIRST, SECOND

CASE_CHARS = 2500
CASES = 8
KEPT = 3
REASONS = 5
SHOWN_TO_PROPOSE = 12


@dataclass(frozen=True)
class Draft:
    """A criterion as proposed, not checked by anybody."""

    name: str
    wording: str
    applies_when: str = ""
    rule: dict | None = None
    origin: str = CriterionVersion.Origin.LM
    source: str = ""
    rationale: str = ""
    change: str = "meaning"


@dataclass(frozen=True)
class Case:
    """A train pair that a criterion judged wrongly."""

    pair: Pair
    said: int
    feedback: str = ""


@dataclass(frozen=True)
class Graded:
    """A response that people graded by a criterion, of an item in this split."""

    item_id: int
    split: str
    prompt: str
    response: str
    passed: bool
    reason: str = ""
    place: int = 0


class Manager:
    """Asks the lab's manager; offline without one. `round` records the calls."""

    def __init__(self, lab: Lab, round: Round | None):
        self.model = lab.manager
        self.consulting = Consultation(lab, round)

    @property
    def name(self) -> str:
        return f"{self.model.name} at {self.model.endpoint.name}" if self.model else "offline rules"

    # --- New criteria ---------------------------------------------------------------------------------------
    def propose(
        self, train: Sequence[Pair], *, have: Sequence[str], banned: Sequence[str], count: int
    ) -> list[Draft]:
        """Up to `count` new criteria that repeat none that is there or was rejected, by name or by meaning."""
        if count < 1 or not train:
            return []
        if any(p.split != "train" for p in train):
            raise ValueError("only train pairs may be shown to the manager")
        taken = [*have, *banned]
        if self.model is None:
            found = self._offline(train, taken)
        else:
            found = self._ask_for_criteria(train, have, banned, count)
        kept: list[Draft] = []
        for draft in found:
            said = f"{draft.name}: {draft.wording}"
            names = {t.partition(":")[0].strip().lower() for t in taken}
            if draft.name.strip().lower() in names or any(rules.alike(said, t) for t in taken):
                continue
            kept.append(draft)
            taken.append(said)
        return kept[:count]

    def _offline(self, train: Sequence[Pair], taken: Sequence[str]) -> list[Draft]:
        names = {t.partition(":")[0].strip().lower() for t in taken}
        entries = [e for e in knowledge.ENTRIES if e["rule"] and e["name"].lower() not in names]
        reasons = [r for p in train for r in p.reasons]
        return [
            Draft(
                e["name"],
                e["wording"],
                rule={"name": e["rule"], "margin": 0.0},
                source=e["source"],
                origin=CriterionVersion.Origin.KNOWLEDGE,
            )
            for e in rules.retrieve(entries, reasons, len(entries))
        ]

    def _ask_for_criteria(self, train, have, banned, count) -> list[Draft]:
        shown = sorted(train, key=lambda p: -len(p.reasons))[:SHOWN_TO_PROPOSE]
        document = {
            "task": "propose",
            "count": count,
            "cases": [_case(p) for p in shown],
            "have": list(have),
            "rejected": list(banned),
        }
        wanted = {"name": TEXT, "wording": TEXT, "applies_when": TEXT, "why": TEXT}
        schema = object_of({"criteria": {"type": "array", "items": object_of(wanted)}})
        task = (
            "People compared two responses to each of these prompts; `better` is the one they preferred, with their "
            f"reasons where they gave any. Name {count} general criteria that explain such preferences on new prompts. "
            "Each is one quality that a reader can check by itself, in one or two sentences that begin with “Prefer the "
            "response”. `applies_when` says for which prompts it counts; leave it empty where it always does. Do not "
            "repeat a criterion under `have` or `rejected`."
        )
        reply = self.consulting.ask("propose", task, document, schema, [p.item_id for p in shown])
        drafts = []
        for row in (reply or {}).get("criteria", [])[: 2 * count]:
            draft = _draft(row)
            if draft is not None:
                drafts.append(draft)
        return drafts

    # --- Better wordings ------------------------------------------------------------------------------------
    def refine(self, version: CriterionVersion, wrong: Sequence[Case], train: Sequence[Pair]) -> Draft | None:
        """A new wording from up to eight cases judged wrongly; None where none was had (the old one then stays)."""
        if any(c.pair.split != "train" for c in wrong) or any(p.split != "train" for p in train):
            raise ValueError("only train pairs may be shown to the manager")
        if self.model is None:
            return self._refine_offline(version, train)
        if not wrong:
            return None
        shown = list(wrong)[:CASES]
        document = {
            "task": "refine",
            "criterion": {"name": version.criterion.name, "description": version.wording,
                          "applies_when": version.applies_when},
            "cases": [
                _read_case(c)
                for c in shown
            ],
        }  # fmt: skip
        schema = object_of(
            {"critique": TEXT, "wording": TEXT, "applies_when": TEXT,
             "change": {"type": "string", "enum": ["cosmetic", "meaning"]}}
        )  # fmt: skip
        task = (
            "A judge that applied this criterion disagreed with people on these cases. Say in `critique` what in the "
            "wording misled it, then give a wording that would not, still one quality, in one to three sentences. "
            "`change` is cosmetic only if no verdict should change."
        )
        reply = self.consulting.ask("refine", task, document, schema, [c.pair.item_id for c in shown])
        if not reply:
            return None
        draft = _draft({**reply, "name": version.criterion.name})
        if draft is None or draft.wording == version.wording:
            return None
        change = "cosmetic" if reply.get("change") == "cosmetic" else "meaning"
        return Draft(
            draft.name, draft.wording, draft.applies_when, rule=version.rule,
            rationale=clean(reply.get("critique"), 4000), change=change,
        )  # fmt: skip

    def split(self, version: CriterionVersion, wrong: Sequence[Case]) -> list[Draft]:
        """Two narrower criteria in place of one, from cases judged wrongly; none where two were not had."""
        if any(c.pair.split != "train" for c in wrong):
            raise ValueError("only train pairs may be shown to the manager")
        if self.model is None or not wrong:
            return []
        shown = list(wrong)[:CASES]
        document = {
            "task": "split",
            "criterion": {"name": version.criterion.name, "description": version.wording,
                          "applies_when": version.applies_when},
            "cases": [_read_case(c) for c in shown],
        }  # fmt: skip
        wanted = {"name": TEXT, "wording": TEXT, "applies_when": TEXT, "why": TEXT}
        schema = object_of({"criteria": {"type": "array", "items": object_of(wanted)}})
        task = (
            "A judge that applied this criterion disagreed with people on these cases, and rewording it did not help. It "
            "may mix two qualities, or hold only for some prompts. Give two narrower criteria in its place, each one "
            "quality in one or two sentences that begin with “Prefer the response”, with names of their own; "
            "`applies_when` says for which prompts each counts."
        )
        reply = self.consulting.ask("split", task, document, schema, [c.pair.item_id for c in shown])
        drafts = [d for row in (reply or {}).get("criteria", [])[:2] if (d := _draft(row)) is not None]
        return drafts if len(drafts) == 2 and drafts[0].name.lower() != drafts[1].name.lower() else []

    def _refine_offline(self, version: CriterionVersion, train: Sequence[Pair]) -> Draft | None:
        rule = version.rule
        if not rule:
            return None
        cases = [(p.prompt, p.first, p.second, p.truth) for p in train]
        margin = rules.better_margin(rule["name"], float(rule["margin"]), cases)
        if margin is None:
            return None
        base = version.wording.partition(" Say nothing where")[0]
        words = (
            f"{base} Say nothing where they differ by less than {round(100 * margin)} %." if margin else base
        )
        return Draft(
            version.criterion.name, words, rule={"name": rule["name"], "margin": margin},
            origin=CriterionVersion.Origin.RULE, rationale="This margin is right more often on the train pairs.",
        )  # fmt: skip

    # --- Assertions -----------------------------------------------------------------------------------------
    def implement(self, version: CriterionVersion, graded: Sequence[Graded]) -> list[str]:
        """Up to three Python assertions of one criterion, in different ways; text that nobody has read or run."""
        if self.model is None:
            raise CannotJudge("No manager is set: choose a model, or write the assertion yourself.")
        if any(g.split != "train" for g in graded):
            raise ValueError("only train items may be shown to the manager")
        document = {
            "task": "implement",
            "criterion": {"name": version.criterion.name, "description": version.wording},
            "graded": [
                {"prompt": g.prompt[:CASE_CHARS], "response": g.response[:CASE_CHARS], "meets_it": g.passed,
                 "reason": g.reason[:500]}
                for g in graded[:CASES]
            ],
        }  # fmt: skip
        task = (
            "Write three Python functions that check in different ways whether a response meets this criterion. Each is one "
            "`def evaluate(response, prompt, meta):` that returns True or False, with the standard modules re, json, math "
            "and collections at most, no classes, no generators, under 60 lines. `graded` are responses that people graded."
        )
        schema = object_of({"functions": {"type": "array", "items": TEXT}})
        reply = self.consulting.ask("implement", task, document, schema, [g.item_id for g in graded[:CASES]])
        return [code for code in (reply or {}).get("functions", [])[:3] if isinstance(code, str)]

    # --- Better instructions for an LM annotator ---------------------------------------------------------------
    def improve(self, words: str, wrong: Sequence[Case], right: Sequence[Case], tried: Sequence[dict]):
        """(new instructions, why) from pairs an annotator misread and some it read well; None where none were had.

        `tried`: earlier wordings with what they fixed and broke on train pairs, so that the same is not proposed again.
        """
        if self.model is None:
            raise CannotJudge("No manager is set: choose a model, or write the words yourself.")
        if any(c.pair.split != "train" for c in [*wrong, *right]):
            raise ValueError("only train pairs may be shown to the manager")
        if not wrong:
            return None
        cases = [*list(wrong)[:CASES], *list(right)[:KEPT]]
        document = {
            "task": "improve",
            "instructions": words,
            "misread": [_read_case(c) for c in list(wrong)[:CASES]],
            "read_well": [_read_case(c) for c in list(right)[:KEPT]],
            "tried": list(tried),
        }
        schema = object_of({"analysis": TEXT, "modification": TEXT, "instructions": TEXT})
        task = (
            "A judge that compares two responses works by `instructions`. On the pairs under `misread` it disagreed with "
            "people: `better` is what people preferred, `judge_preferred` what it chose, `judge_said` why. It must go on "
            "reading those under `read_well` as it does. `tried` are earlier instructions with what they fixed and broke. "
            "Say in `analysis` what in the instructions misled it, in `modification` what you change, and give the whole "
            "new instructions, at most 400 words, in general terms: no words, names or facts of these pairs. Do not "
            "describe the answer's format; it is added."
        )
        reply = self.consulting.ask("improve", task, document, schema, [c.pair.item_id for c in cases])
        made = str((reply or {}).get("instructions") or "").strip()[:8000]
        if len(made) < 10 or made == words.strip():
            return None
        return made, clean(reply.get("analysis"), 2000) + " " + clean(reply.get("modification"), 2000)


def _case(pair: Pair) -> dict:
    better, worse = (pair.first, pair.second) if pair.truth == FIRST else (pair.second, pair.first)
    return {
        "prompt": pair.prompt[:CASE_CHARS], "better": better[:CASE_CHARS], "worse": worse[:CASE_CHARS],
        "reasons": [r[:500] for r in pair.reasons[:REASONS]],
    }  # fmt: skip


def _read_case(case: Case) -> dict:
    preferred = (
        "better" if case.said == case.pair.truth else "worse" if case.said in (FIRST, SECOND) else "neither"
    )
    return {**_case(case.pair), "judge_preferred": preferred, "judge_said": case.feedback[:500]}


def _draft(row: object) -> Draft | None:
    if not isinstance(row, dict):
        return None
    name, wording = clean(row.get("name"), 120), clean(row.get("wording"), 1500)
    if not name or len(wording) < 10:
        return None
    return Draft(name, wording, clean(row.get("applies_when"), 500), rationale=clean(row.get("why"), 1000))
