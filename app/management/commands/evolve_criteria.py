"""One round of the criteria lab, and what may follow from it."""

from __future__ import annotations

import uuid

from annotations.criteria import lab, material, rounds, settling
from annotations.projects.models import Project
from app.management.base import PlumblineCommand

FEWEST = 10  # of fewer pairs a share says next to nothing: its interval spans half of all there is


class Command(PlumblineCommand):
    help = (
        "Evolve a project's criteria by one round: propose, grade, cross-fitted report, proposals. Nothing is in force "
        "before somebody accepts it; --accept accepts what the evidence recommends, --release publishes the set. Asks the "
        "lab's models, or the offline rules where none are set. Exit code 0: done; 1: stopped early (a cap); 2: nothing "
        "could be done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", metavar="PROJECT", help="Slug of the project.")
        parser.add_argument("--pairs", type=int, metavar="N", help="Use at most N decided pairs.")
        parser.add_argument("--accept", action="store_true", help="Accept what the evidence recommends.")
        parser.add_argument("--release", action="store_true", help="Release the set of criteria in force.")

    def handle(self, *args, project: str, pairs: int | None, accept: bool, release: bool, **options) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            self.fail(f"{project}: no such project.")
        if pairs is not None and pairs < 10:
            self.fail(f"--pairs {pairs}: expected a number of at least 10.")
        if pairs is not None:
            the_lab = lab.lab_of(found)
            the_lab.pairs_a_round = pairs
            the_lab.save(update_fields=["pairs_a_round"])
        try:
            this = rounds.run_round(
                found,
                owner=f"command-{uuid.uuid4().hex}:1",
                report=lambda words: self.progress(0, None, words),
            )
        except material.NoMaterial as error:
            self.fail(str(error))
        decided = settling.follow_project(found) if accept else None
        made = None
        if release:
            try:
                made = settling.release_set(found, note=f"Round {this.number}")
            except lab.BadCriterion as error:
                self.say(str(error))
        payload = {
            "project": found.slug, "round": this.number, "stopped": this.stopped, **this.report,
            "proposals": found.criteria_proposals.filter(state="open").count(), "decided": decided,
            "release": made.number if made else None,
            "released": [row["name"] for row in made.criteria] if made else [],
            "released_set": made.lab_set.report if made else None,
        }  # fmt: skip
        self._tell(payload)
        self.finish(payload, code=1 if this.stopped or (release and made is None) else 0)

    def _tell(self, payload: dict) -> None:
        self.say(
            f"Round {payload['round']}: {payload['pairs']:,} decided pairs, judge {payload['judge']}, "
            f"manager {payload['manager']}, {payload['judge_calls']:,} judge calls."
        )
        for fact in payload["criteria"]:
            self.say(
                f"  {fact['name']}: right on {_words(fact['accuracy'])}, decides {_words(fact['coverage'])}"
            )
        measured = payload["released_set"] or payload.get("set")
        if measured:
            where = "audit pairs" if measured["measured_on"] == "audit" else "pairs, cross-fitted"
            self.say(f"The set is right on {_words(measured['held_out'])} of {where}.")
            self.say(f"The longer response would be on {_words(measured['length_baseline'])}.")
            self.say(
                f"One person agrees with the majority of the others on {_words(measured['human_ceiling'])}."
            )
        if payload["stopped"]:
            self.say(f"Stopped early: {payload['stopped']}")
        if payload["release"]:
            self.say(f"Released as {payload['release']}: {', '.join(payload['released'])}.")
        else:
            self.say(f"{payload['proposals']} proposals wait for a decision.")


def _words(est: dict | None) -> str:
    if est is None:
        return "nothing (no such pairs)"
    if est["n"] < FEWEST or est["lo"] is None:
        return f"too few pairs to say (n {est['n']:,})"
    return f"{100 * est['value']:.1f} % [{100 * est['lo']:.1f}, {100 * est['hi']:.1f}], n {est['n']:,}"
