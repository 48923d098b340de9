"""Judge many responses to a prompt by single-elimination brackets, round after round."""

from __future__ import annotations

import json
from pathlib import Path

from annotations.analysis import agreement, files, patterns, tournament
from annotations.analysis.majority import NONE
from annotations.items import readers
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Writes the pairs of the next round of each prompt's bracket as items to import: M - 1 comparisons a prompt instead of M (M - 1) "
        "/ 2, for models as judges. Give what was judged of earlier rounds with --judged and run it again until every prompt has its "
        "winner; `rank` then rates the models from all matches. At an equal budget random pairs are about as exact (see the rankings "
        "page), so this is no default. Exit code 0: done; 2: nothing could be done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="Items with three to eight responses.")
        parser.add_argument(
            "--judged", metavar="PROJECT|FILE", help="Where pairs of earlier rounds were judged."
        )
        parser.add_argument("--out", required=True, metavar="FILE", help="The JSONL file to write.")
        parser.add_argument("--seed", type=int, default=0, help="Of the draw.")

    def handle(self, *args, file: str, judged: str | None, out: str, seed: int, **options) -> None:
        verdicts = self._verdicts(judged) if judged else {}
        winners, waiting, lines = {}, 0, []
        try:
            rows = list(readers.read_many([file]))
        except (readers.UnknownFormat, OSError) as error:
            self.fail(str(error))
        for _, row in rows:
            if not isinstance(row, readers.Record) or len(row.responses) < 3:
                continue
            key = row.external_id or f"line {row.line}"
            places = tournament.order(len(row.responses), seed=seed, key=key)
            matches, winner = tournament.open_matches(places, verdicts.get(key, {}))
            if winner is not None:
                winners[key] = row.responses[winner].model or f"response {winner + 1}"
            for a, b in matches:
                waiting += 1
                pair = [{"text": row.responses[i].text, "model": row.responses[i].model} for i in (a, b)]
                lines.append(
                    {
                        "id": f"{key}#{a}-{b}",
                        "source": row.source,
                        "group": key,
                        "prompt": row.prompt,
                        "responses": pair,
                    }
                )
        if not winners and not lines:
            self.fail(f"{file}: no items with three or more responses.")
        with Path(out).open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        self.say(f"{waiting:,} comparisons to judge next, in {out}; {len(winners):,} prompts have a winner.")
        self.finish({"matches": waiting, "winners": winners, "out": out})

    def _verdicts(self, judged: str) -> dict[str, dict[tournament.Match, int]]:
        """{prompt: {match: what most say}} of the pairs named by this command."""
        if Path(judged).exists():
            votes = files.read([judged]).votes
            ids = [str(key) for key in votes.items.ids]
        else:
            from annotations.analysis import stored
            from annotations.items.models import Item
            from annotations.projects.models import Project

            project = Project.objects.filter(slug=judged).first()
            if project is None:
                self.fail(f"{judged!r} is no project and no file.")
            votes = stored.votes_of(project)
            names = dict(Item.objects.filter(project=project).values_list("pk", "external_id"))
            ids = [names.get(int(pk)) or "" for pk in votes.items.ids]
        found: dict[str, dict[tournament.Match, int]] = {}
        if not len(votes.comparisons):
            return found
        most = agreement.majority_labels(patterns.of_comparisons(votes, 0), 0)
        for unit, value in zip(most.unit.tolist(), most.value.tolist(), strict=True):
            key, _, pair = ids[most.item[unit]].rpartition("#")
            a, _, b = pair.partition("-")
            if key and a.isdecimal() and b.isdecimal() and value - 1 != NONE:
                found.setdefault(key, {})[int(a), int(b)] = value - 1
        return found
