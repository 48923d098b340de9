"""The page about rankings, from its report."""

from __future__ import annotations

from app.web.plots import Row, bar_plot

from . import designs
from .figures import (
    KIND,
    MOST_ROWS,
    Page,
    Section,
    Table,
    choose,
    counted,
    intervals,
    label_of,
    plot_rows,
)


def rankings_page(report: dict, chosen: int = 0) -> Page:
    """Which models are better, by one group of judges."""
    rows = report["results"]
    names, chosen = choose([label_of(row, "source", "aspect", "judges") for row in rows], chosen)
    if not names:
        return Page("Nothing compares two responses yet.")
    row = next(row for row in rows if label_of(row, "source", "aspect", "judges") == names[chosen])
    if not row["players"]:
        return Page(f"There is no ranking, because {row['undefined']}.", names, chosen)
    kind = KIND[row["kind"]]
    styled = {p["name"]: p for p in row["style"]["players"]} if row.get("style") else {}
    players = row["players"]
    plot = intervals(
        plot_rows([(p["name"], p["elo"], kind) for p in players]),
        title="Ratings", value_label="Elo scale, mean 1,000", reference=1000.0,
    )  # fmt: skip
    table = Table(
        "ratings", "Ratings",
        ["Model", "Rank", "Rating", "Elo", "Rating with form held equal", "Elo game by game", "Glicko-2", "Wins",
         "Ties", "Votes", "Not known because"],
        [
            [p["name"], ranks(p), p["rating"], p["elo"], (styled.get(p["name"]) or {}).get("rating"),
             p["sequential_elo"], f"{p['glicko']['rating']:.0f}\u00a0±\u00a0{2 * p['glicko']['deviation']:.0f}",
             p["wins"], p["ties"], p["n"], p["undefined"]]
            for p in players
        ],
        "Rating: natural log-odds, mean 0. The sets of ranks hold for all models at once, with 95 %. Game by game: in the "
        "order of the votes, on which it depends.",
    )  # fmt: skip
    sections = [Section("Bradley–Terry ratings", plot, table, clusters_of(row["clusters"]), "ratings")]
    wins = row["win_rates"]
    table = Table(
        "wins", "Win rates", ["Model", "Rank", "Win rate", "However often one looks", "Items"],
        [[w["name"], ranks(w), w["rate"], w["anytime"], w["anytime"]["n"]] for w in wins],
        "Ties count half. A win rate depends on whom a model met, a rating does not. The last bounds are over items and hold at every "
        "moment: one may look after each vote and stop when they are narrow enough.",
        frozenset({"Win rate", "However often one looks"}),
    )  # fmt: skip
    plot = intervals(
        plot_rows([(w["name"], w["rate"], kind) for w in wins]),
        title="Win rates", value_label="Share of comparisons won, ties as half", percent=True, reference=0.5,
    )  # fmt: skip
    sections.append(Section("Win rates", plot, table, clusters_of(row["clusters"]), "wins"))
    if row.get("style"):
        effects = row["style"]["effects"]
        drawn = plot_rows([(words.replace("_", " "), e, kind) for words, e in effects.items()])
        table = Table(
            "style", "What form pays",
            ["Form", "Effect"], [[words.replace("_", " "), e] for words, e in effects.items()],
            "; ".join(f"{words.replace('_', ' ')}: {why}" for words, why in row["style"]["undefined"].items()),
        )  # fmt: skip
        sections.append(
            Section(
                "What form pays by itself",
                intervals(drawn, title="Effect of form", reference=0.0,
                              value_label="Log-odds per standard deviation more than the other response"),
                table,
                "Right of zero: this judge prefers more of it, whatever the model." if drawn else "",
                "style",
            )
        )  # fmt: skip
    cheaper = [
        r
        for r in rows
        if r.get("kept") and label_of(r, "source", "aspect") == label_of(row, "source", "aspect")
    ]
    sections += _cheaper(row, cheaper) + _designs(row)
    rates = [
        r
        for r in report["win_rates"]
        if label_of(r, "source", "aspect") == label_of(row, "source", "aspect")
        # Where people judged everything, a model has nothing to add.
        and any((p["combined"] or {}).get("n_model") for p in r["players"])
    ]
    if row["kind"] == "human" and rates:
        cells = [
            [p["name"], r["judge"], p["people"], p["combined"], p["method"], p["model_alone"]]
            for r in rates
            for p in r["players"]
        ]
        table = Table(
            "win_rates", "Win rates of people and models together",
            ["Model", "Judge beside people", "People alone", "People and judge", "Method", "Judge alone"], cells,
            "Over all items the judge saw; people's labels correct it. The judge alone may be far off.",
            frozenset({"People alone", "People and judge", "Judge alone"}),
        )  # fmt: skip
        sections.append(Section("Win rates that combine people and a model", table=table, name="win_rates"))
    return Page(_ranking_lede(row), names, chosen, sections)


def _cheaper(row: dict, models: list[dict]) -> list[Section]:
    """What cheaper judging keeps of the differences that people's votes show."""
    told = [{"judges": r["judges"], "votes": r["n"], **r["kept"]} for r in models] + row.get("schemes", [])
    if row["kind"] != "human" or not told:
        return []
    table = Table(
        "kept", "What cheaper judging keeps of people's ranking",
        ["Judged by", "Votes", "Pairs of models", "Told apart alike", "No longer told apart", "Told apart anew", "Reversed"],
        [[t["judges"], *(t[key] for key in ("votes", "pairs", "kept", "lost", "invented", "reversed"))] for t in told],
        "Of the differences that are significant by all votes of people. A scheme that reverses any is no replacement. Items and votes "
        "of the cheaper schemes are one seeded draw of these votes.",
    )  # fmt: skip
    significant = max((t["kept"] + t["lost"] + t["reversed"] for t in told), default=0)
    plot = None
    if significant:
        plot = bar_plot(
            [Row(t["judges"], t["kept"] / significant, n=significant, kind="accent") for t in told][:MOST_ROWS],
            title="Significant differences kept", percent=True, whole=True,
            value_label=f"Share kept of the {significant} differences that all votes of people show",
        )  # fmt: skip
    turned = [f"{t['judges']} ({t['reversed']})" for t in told if t["reversed"]]
    words = (
        f"Reversed by {', '.join(turned)}."
        if turned
        else "None of these reverses a difference."
        if significant
        else "People's votes show no significant difference yet, so there is none to keep."
    )
    return [Section("Does cheaper judging keep the significant differences?", plot, table, words, "kept")]


def _designs(row: dict) -> list[Section]:
    """Which comparisons to ask for: the error of each design at these votes' budget."""
    found = row.get("designs")
    if not found:
        return []
    table = Table(
        "designs", "Designs at an equal budget",
        ["Design", "Comparisons", "Error of the ratings", "Order right (Spearman)", "Error minus random pairs'"],
        [[designs.NAMES[d["design"]], d["comparisons"], d["error"], d["order"], d["against_random"]] for d in found],
        "Simulated 20 times from the ratings on this page, each design with as many comparisons as were judged (20,000 at most). A "
        "bracket asks one comparison less per prompt than there are models; manage.py tournament makes the rounds.",
    )  # fmt: skip
    plot = intervals(
        plot_rows([(designs.NAMES[d["design"]], d["error"], "accent") for d in found]),
        title="Error by design", value_label="Root mean square error of the ratings, log-odds",
    )  # fmt: skip
    return [Section("Which comparisons tell most?", plot, table, _designs_words(found), "designs")]


def _designs_words(found: list[dict]) -> str:
    gap = next(d["against_random"] for d in found if d["design"] == "tournament")
    if gap["lo"] is not None and gap["lo"] > 0:
        return "Brackets end further from the truth than random pairs."
    if gap["hi"] is not None and gap["hi"] < 0:
        return "Brackets end closer to the truth than random pairs."
    return "Brackets and random pairs are not told apart."


def ranks(player: dict) -> str:
    """A set of ranks in words."""
    low, high = player["rank_lo"], player["rank_hi"]
    return f"{low}" if low == high else f"{low}–{high}"


def clusters_of(clusters: str) -> str:
    """What the intervals are over."""
    return f"95 % intervals over {clusters.replace('annotators', 'people')}."


def _ranking_lede(row: dict) -> str:
    rated = [p for p in row["players"] if p["rating"]]
    judges = "people" if row["kind"] == "human" else row["judges"]
    if not rated:
        return f"No model can be rated from {counted(row['n'], 'vote')} of {judges}: no two have beaten each other."
    best = [p["name"] for p in rated if p["rank_lo"] == 1]
    if len(best) == 1:
        return f"{best[0]} is best by {judges}, surely; {counted(row['n'], 'vote')} on {len(rated)} models."
    level = len(rated) > 1 and rated[0]["rating"]["value"] - rated[1]["rating"]["value"] < 1e-9
    leads = "" if level else f", {best[0]} leads"
    return (
        f"{len(best)} of {len(rated)} models may be the best by {judges}{leads}; {counted(row['n'], 'vote')} do not "
        "tell them apart."
    )
