"""How each annotator judges."""

from __future__ import annotations

from annotations.analysis import agreement, annotators
from app.management.analysis import AnalysisCommand, words

SHOWN = 25
COLUMNS = (
    ("as the others", "with_rest"),
    ("right (Dawid-Skene)", "accuracy"),
    ("competence (MACE)", "competence"),
    ("ability (GLAD)", "ability"),
    ("peer score", "peer_score"),
)


class Command(AnalysisCommand):
    help = (
        "Per question, how each annotator judges: agreement with the others, three models of who is careful (Dawid-Skene, "
        "MACE, GLAD) and a peer score that may set a bonus and never pays one, with 95 % intervals. Prints the busiest; --json "
        "lists 300. Exit code 0: done; 1: some rows could not be read; 2: nothing to say."
    )

    def handle(self, *args, **options) -> None:
        votes, _ = self.votes(options)
        rows = []
        for source, part in votes.by_source():
            for name, kind, labels in agreement.questions(part):
                aspect = part.aspects.index(name) if kind == "comparison" else None
                rows.append({"source": source, "aspect": name, "annotators": (part, labels, aspect)})
        rows = self.wanted(rows, options)
        for row in rows:
            row["annotators"] = annotators.rows(*row["annotators"])
            self.say(f"\n{row['source'] or 'no source'} · {row['aspect']}")
            self.table(
                ["annotator", *(name for name, _ in COLUMNS), "votes"],
                [
                    [p["name"], *(words(p[key], 2) for _, key in COLUMNS), f"{p['n']:,}"]
                    for p in row["annotators"][:SHOWN]
                ],
            )
            if len(row["annotators"]) > SHOWN:
                self.say(f"  … and {len(row['annotators']) - SHOWN:,} more")
        self.finish({"results": rows}, code=self.code)
