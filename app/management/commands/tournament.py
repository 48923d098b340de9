"""Judge many responses to a prompt by single-elimination brackets, round after round."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from annotations.analysis import agreement, files, patterns, stored, tournament
from annotations.analysis.majority import NONE
from annotations.analysis.votes import Votes
from annotations.items import readers
from annotations.items.models import Item
from annotations.judging import importing
from annotations.lm import registry, runs
from annotations.lm.annotate import CannotAnnotate
from annotations.lm.engine import RunFailed
from annotations.projects.models import Project
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Judges the responses to each prompt by a bracket: M - 1 comparisons a prompt instead of M (M - 1) / 2, for models as judges. With "
        "--in and --annotator it walks the rounds itself: each round's pairs become items of the project that no person is asked about, the "
        "LM annotator judges them, its verdicts make the next round, until every prompt has its winner. With --out it writes the next "
        "round's pairs as a file; give what was judged of earlier rounds with --judged and run it again. `rank` then rates the models from "
        "all matches. At an equal budget random pairs are about as exact (see the rankings page), so this is no default. Exit code 0: done; "
        "1: some prompts have no winner, because a match got no verdict; 2: nothing could be done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="Items with three to eight responses.")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument(
            "--in", dest="slug", metavar="PROJECT", help="Walk all rounds there, with --annotator."
        )
        where.add_argument("--out", metavar="FILE", help="The JSONL file to write the next round's pairs to.")
        parser.add_argument("--annotator", metavar="NAME", help="The LM annotator that judges.")
        parser.add_argument(
            "--judged", metavar="PROJECT|FILE", help="Where pairs of earlier rounds were judged."
        )
        parser.add_argument("--seed", type=int, default=0, help="Of the draw.")

    def handle(
        self, *args, file: str, slug: str | None, annotator: str | None, judged: str | None, out: str | None, seed: int, **options
    ) -> None:  # fmt: skip
        if bool(slug) != bool(annotator) or (slug and judged):
            self.fail("--in takes --annotator, and --out may take --judged.")
        try:
            rows = [row for _, row in readers.read_many([file]) if isinstance(row, readers.Record)]
        except (readers.UnknownFormat, OSError) as error:
            self.fail(str(error))
        prompts = {row.external_id or f"line {row.line}": row for row in rows if len(row.responses) > 2}
        if not prompts:
            self.fail(f"{file}: no items with three or more responses.")
        if slug:
            self._walk(prompts, slug, annotator, seed)
            return
        pairs, winners = _round(prompts, self._judged(judged) if judged else {}, seed)
        with Path(out).open("w", encoding="utf-8") as stream:
            stream.writelines(
                json.dumps(readers.to_native(pair), ensure_ascii=False) + "\n" for pair in pairs
            )
        self.say(
            f"{len(pairs):,} comparisons to judge next, in {out}; {len(winners):,} prompts have a winner."
        )
        self.finish({"matches": len(pairs), "winners": winners, "out": out})

    def _walk(self, prompts: dict[str, readers.Record], slug: str, name: str, seed: int) -> None:
        """All rounds by one LM annotator. Stops where a round brings no verdict; a run again goes on from what is judged."""
        project = Project.objects.filter(slug=slug).first()
        detail = registry.find(project, name) if project else None
        if detail is None:
            self.fail(f"{name}: no such LM annotator in {slug}." if project else f"{slug}: no such project.")
        detail = runs.find(detail.pk)
        if runs.live_job(detail) is not None:
            self.fail(f"{name} is running already: see its job.")
        judged, before, rounds = 0, -1, 0
        while True:
            verdicts = _verdicts(stored.votes_of(project), _names(project), detail.annotator_id)
            pairs, winners = _round(prompts, verdicts, seed)
            known = sum(map(len, verdicts.values()))
            if not pairs or known == before:
                break
            before, rounds = known, rounds + 1
            # Nobody but the model is wanted for these: people would wait for each other's rounds.
            report = importing.import_records(
                project=project, records=pairs, options=importing.ImportOptions(wanted=0)
            )
            if report.invalid:
                self.fail(f"{report.errors[0]['field']}: {report.errors[0]['message']}")
            ids = [pair.external_id for pair in pairs]
            only = Item.objects.filter(project=project, external_id__in=ids).values_list("pk", flat=True)
            try:
                found = runs.run(
                    detail=detail, owner=f"command-{uuid.uuid4().hex}:1", limit=runs.bounded(detail, None),
                    only=list(only), report=self.progress,
                )  # fmt: skip
            except (CannotAnnotate, RunFailed) as error:
                self.fail(f"{error} {len(winners):,} of {len(prompts):,} prompts have a winner.")
            judged += found["judged"]
            self.say(f"Round {rounds}: {len(pairs):,} matches, {found['judged']:,} judged.")
        self.say(f"{len(winners):,} of {len(prompts):,} prompts have a winner after {judged:,} comparisons.")
        self.finish(
            {"project": slug, "annotator": name, "rounds": rounds, "judged": judged, "winners": winners, "open": len(pairs)},
            code=1 if pairs else 0,
        )  # fmt: skip

    def _judged(self, judged: str) -> dict[str, dict[tournament.Match, int]]:
        """The verdicts of most judges in a file or project."""
        if Path(judged).exists():
            votes = files.read([judged]).votes
            return _verdicts(votes, [str(key) for key in votes.items.ids])
        project = Project.objects.filter(slug=judged).first()
        if project is None:
            self.fail(f"{judged!r} is no project and no file.")
        return _verdicts(stored.votes_of(project), _names(project))


def _round(prompts: dict[str, readers.Record], verdicts: dict, seed: int):
    """(the pairs of every prompt's round that is on, as records, {prompt: its winner})."""
    pairs, winners = [], {}
    for key, row in prompts.items():
        places = tournament.order(len(row.responses), seed=seed, key=key)
        matches, winner = tournament.open_matches(places, verdicts.get(key, {}))
        if winner is not None:
            winners[key] = row.responses[winner].model or f"response {winner + 1}"
        for a, b in matches:
            pairs.append(
                readers.Record(
                    line=row.line, external_id=f"{key}#{a}-{b}", source=row.source, prompt=row.prompt,
                    context=row.context, group=row.group or key,
                    responses=tuple(
                        readers.ResponseRecord(text=row.responses[i].text, model=row.responses[i].model) for i in (a, b)
                    ),
                )
            )  # fmt: skip
    return pairs, winners


def _names(project: Project) -> dict[int, str]:
    return dict(
        Item.objects.filter(project=project, external_id__contains="#").values_list("pk", "external_id")
    )


def _verdicts(votes: Votes, names, annotator_id: int | None = None) -> dict[str, dict[tournament.Match, int]]:
    """{prompt: {match: what most say, or this annotator}} of the pairs named by this command, in the first aspect."""
    found: dict[str, dict[tournament.Match, int]] = {}
    if not len(votes.comparisons):
        return found
    labels = patterns.of_comparisons(votes, 0)
    if annotator_id is not None:
        labels = labels.only(labels.annotator == votes.ids.index(annotator_id))
    most = agreement.majority_labels(labels, 0)
    keys = votes.items.ids
    for unit, value in zip(most.unit.tolist(), most.value.tolist(), strict=True):
        item = int(most.item[unit])
        name = names[item] if isinstance(names, list) else names.get(int(keys[item]), "")
        key, _, pair = name.rpartition("#")
        a, _, b = pair.partition("-")
        if key and a.isdecimal() and b.isdecimal() and value - 1 != NONE:
            found.setdefault(key, {})[int(a), int(b)] = value - 1
    return found
