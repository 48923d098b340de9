"""How much people and models agree, with intervals."""

from __future__ import annotations

from itertools import groupby

from annotations.analysis import agreement
from app.management.analysis import AnalysisCommand, words

GROUPS = {"human": "People", "lm": "Models", "human-lm": "People with models"}


class Command(AnalysisCommand):
    help = (
        "Agreement of people, of language models, and of people with models, per source and question, with 95 % "
        "intervals clustered by item and, from eight people on, by person. A model's answers that could not be read "
        "are left out. Exit code 0: done; 1: some rows could not be read; 2: nothing to say."
    )

    def handle(self, *args, **options) -> None:
        votes, _ = self.votes(options)
        rows = self.wanted(agreement.results(votes), options)
        for (source, aspect), group in groupby(rows, key=lambda row: (row["source"], row["aspect"])):
            self.say(f"\n{source or 'no source'} · {aspect}")
            self._print(list(group))
        self.finish({"results": rows, "unjudged": votes.unjudged}, code=self.code)

    def _print(self, rows: list[dict]) -> None:
        head = ["", "agree", "alpha nominal", "alpha ordinal", "items"]
        lines, reasons = [], []
        for row in rows:
            lines.append(_line(GROUPS[row["annotators"]], row))
            lines += [_line(f"  {model['name']}", model) for model in row.get("models", ())]
            reasons += [
                f"{GROUPS[row['annotators']]}: undefined, because {r}" for r in set(row["undefined"].values())
            ]
        self.table(head, lines)
        for reason in reasons:
            self.say(f"  {reason}")


def _line(name: str, row: dict) -> list[str]:
    n = row["percent"]["n"] if row["percent"] else 0
    return [name, *(words(row[key]) for key in ("percent", "alpha_nominal", "alpha_ordinal")), f"{n:,}"]
