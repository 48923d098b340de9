"""Ratings of the models that wrote the responses, with intervals and sets of ranks."""

from __future__ import annotations

from annotations.analysis import bradley_terry, rankings
from app.management.analysis import AnalysisCommand, positive, words


class Command(AnalysisCommand):
    help = (
        "Bradley-Terry ratings (natural log-odds, mean zero) per source, aspect and judges: people, then each language "
        "model. Intervals: 95 %, clustered by item and, from eight people on, by person; the sets of ranks hold for all "
        "at once. Exit code 0: done; 1: some rows could not be read; 2: nothing to say."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--ties", choices=bradley_terry.TIES, default="half",
            help="A tie as half a win each (default), or a model of ties.",
        )  # fmt: skip
        parser.add_argument(
            "--votes", choices=("all", "majority"), default="all",
            help="Everybody's votes (default), or one per item: people's majority.",
        )  # fmt: skip
        parser.add_argument("--style", action="store_true", help="Also with the responses' form held equal.")
        parser.add_argument(
            "--next", type=positive, metavar="N",
            help="Also the N comparisons of models that would make people's ratings certain soonest.",
        )  # fmt: skip
        parser.add_argument(
            "--bootstrap", type=positive, default=0, metavar="DRAWS",
            help="Also bounds from so many draws of items with replacement (with ties as half).",
        )  # fmt: skip
        parser.add_argument(
            "--seed", type=int, default=0, help="Of the simulation behind the sets of ranks and of the draws."
        )

    def handle(
        self,
        *args,
        ties: str,
        votes: str,
        style: bool,
        seed: int,
        next: int | None,
        bootstrap: int,
        **options,
    ) -> None:
        if bootstrap and ties != "half":
            self.fail("--bootstrap counts ties as half: leave --ties out.")
        found, _ = self.votes(options, styles=style)
        if not len(found.comparisons):
            self.fail("nothing to rank by: these votes compare no responses.")
        rows = rankings.results(found, ties=ties, per_item=votes == "majority", seed=seed, draws=bootstrap)
        rows = self.wanted(rows, options)
        for row in rows:
            self.say(f"\n{row['source'] or 'no source'} · {row['aspect']} · {row['judges']}")
            if not row["players"]:
                self.say(f"  undefined, because {row['undefined']}")
                continue
            self.table(
                ["model", "rating", *(["bootstrap"] if bootstrap else []), "Elo", "rank", "votes"],
                [_line(player) for player in row["players"]],
            )
            for player in row["players"]:
                if player["undefined"]:
                    self.say(f"  {player['name']}: undefined, because {player['undefined']}")
            if row.get("style"):
                for name, effect in row["style"]["effects"].items():
                    self.say(f"  {name}: {words(effect)}")
        payload: dict = {"results": rows}
        if next:
            payload["next"] = self._next(found, rows, next, seed)
        self.finish(payload, code=self.code)

    def _next(self, votes, rows: list[dict], n: int, seed: int) -> list[dict]:
        """What to compare next in each source and aspect that people ranked."""
        found = []
        for source, part in votes.by_source():
            for code, aspect in enumerate(part.aspects):
                asked = any((row["source"], row["aspect"]) == (source, aspect) for row in rows)
                pairs = rankings.next_pairs(part, code, n, seed=seed) if asked else []
                if pairs:
                    found.append({"source": source, "aspect": aspect, "pairs": pairs})
                    self.say(f"\n{source or 'no source'} · {aspect}: compare next")
                    for pair in pairs:
                        self.say(f"  {pair['first']}  with  {pair['second']}")
        return found


def _line(player: dict) -> list[str]:
    low, high = player["rank_lo"], player["rank_hi"]
    return [
        player["name"],
        words(player["rating"]),
        *([_bounds(player["bootstrap"])] if "bootstrap" in player else []),
        words(player["elo"], 0),
        f"{low}" if low == high else f"{low}–{high}",
        f"{player['n']:,}",
    ]


def _bounds(bounds: dict | None) -> str:
    return "–" if bounds is None else f"[{bounds['lo']:.3f}, {bounds['hi']:.3f}]"
