"""What people's and models' verdicts follow besides quality."""

from __future__ import annotations

from annotations.analysis import bias
from app.management.analysis import AnalysisCommand, words


class Command(AnalysisCommand):
    help = (
        "Side, length, Markdown, hedging and order in people's and models' verdicts, and whether ratings fit "
        "comparisons, per source and aspect, with 95 % intervals. A model's figures stand beside people's on the same "
        "items. Exit code 0: done; 1: some rows could not be read; 2: nothing to say."
    )

    def handle(self, *args, **options) -> None:
        votes, calls = self.votes(options, styles=True)
        if not len(votes.comparisons):
            self.fail("nothing to say about bias: these votes compare no responses.")
        rows = self.wanted(bias.results(votes, calls), options)
        for row in rows:
            title = f"\n{row['source'] or 'no source'} · {row['aspect']} · {row['judges']}"
            if row["kind"] == "protocol":
                self.say(
                    f"{title}: ratings in {row['attribute']} fit the comparisons: {words(row['consistent'])}"
                )
                continue
            if row["kind"] == "rating_drift":
                self.say(f"{title}: mean rating, later half minus earlier: {words(row['drift']['change'])}")
                continue
            self.say(title)
            lines = [
                [
                    bias.WORDS_OF[name],
                    words(row[name]),
                    f"{row[name]['n']:,}",
                    words(row["against_people"].get(name)),
                ]
                for name in bias.MEASURES
                if row[name] is not None
            ]
            self.table(["share of decided verdicts", "", "n", "minus people's"], lines)
            for name, each in row["drift"].items():
                self.say(f"  {bias.WORDS_OF[name]}, later half minus earlier: {words(each['change'])}")
        self.finish({"results": rows}, code=self.code)
