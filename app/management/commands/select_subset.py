"""Choose k items or responses by people's votes, with at least so many of each group."""

from __future__ import annotations

from annotations.analysis import ballots, subset
from app.management.analysis import AnalysisCommand, positive

SHOWN = 20


class Command(AnalysisCommand):
    help = (
        "The K responses or items that people's votes like best: responses by won comparisons or ratings, items by ratings or by how "
        "many say the same. With --at-least, so many of each group, and what that changes. Prints the first; --json lists all. Exit "
        "code 0: done; 1: some rows could not be read; 2: the choice is impossible."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--of", choices=ballots.OF, default="responses")
        parser.add_argument("-k", type=positive, required=True, metavar="K", help="How many are chosen.")
        parser.add_argument(
            "--group", choices=ballots.GROUPS, default="source", help="Responses also by model."
        )
        parser.add_argument(
            "--at-least",
            type=positive,
            default=0,
            metavar="N",
            help="Of each group, or all of a smaller one.",
        )
        parser.add_argument(
            "--rule", choices=subset.RULES, default="borda",
            help="borda: most points on average; coverage: everybody finds one they like.",
        )  # fmt: skip

    def handle(self, *args, of: str, k: int, group: str, at_least: int, rule: str, **options) -> None:
        votes, _ = self.votes(options)
        if options["source"] is not None:
            parts = dict(votes.by_source())
            if options["source"] not in parts:
                self.fail(
                    f"--source {options['source']!r}: expected one of {', '.join(sorted(parts)) or 'none'}."
                )
            votes = parts[options["source"]]
        try:
            found = ballots.select(votes, of=of, k=k, group=group, at_least=at_least, rule=rule)
        except (subset.Impossible, ValueError) as refusal:
            self.fail(str(refusal))
        for row in found["chosen"][:SHOWN]:
            part = f" response {row['response']}" if row["response"] else ""
            note = "  by the bound" if row["only_by_bound"] else ""
            self.say(f"  {row['score']:.3f}  {row['item']}{part}  {row['group']}{note}")
        if len(found["chosen"]) > SHOWN:
            self.say(f"  … and {len(found['chosen']) - SHOWN:,} more; --json lists all.")
        self.table(
            [group, "candidates", "chosen", "without bounds", "mean points"],
            [
                [
                    g["name"],
                    f"{g['candidates']:,}",
                    f"{g['chosen']:,}",
                    f"{g['unbounded']:,}",
                    f"{g['score']:.3f}",
                ]
                for g in found["groups"]
            ],
        )
        self.say(
            f"{found['value']:.3f} points on average, {found['unbounded_value']:.3f} without bounds; by {found['points']}."
        )
        self.finish(found, code=self.code)
