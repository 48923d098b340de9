"""The page about agreement, from its report."""

from __future__ import annotations

from datetime import UTC, datetime

from app.web.heatmaps import heat_plot
from app.web.plots import Point, Series, interval_plot, line_plot

from .figures import (
    GROUPS,
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
    say,
)

COEFFICIENTS = (
    ("percent", "Agree"),
    ("alpha_nominal", "α nominal"),
    ("alpha_ordinal", "α ordinal"),
    ("alpha_interval", "α interval"),
    ("fleiss_kappa", "Fleiss κ"),
    ("ac1", "AC1"),
    ("ac2", "AC2"),
)
MANY_PEOPLE = 12


def agreement_page(report: dict, chosen: int = 0) -> Page:
    """Who agrees with whom in one question."""
    rows = report["results"]
    names, chosen = choose([label_of(row, "source", "aspect") for row in rows], chosen)
    if not names:
        return Page("Nobody's votes can be compared yet.")
    mine = [row for row in rows if label_of(row, "source", "aspect") == names[chosen]]
    detail = next((d for d in report["details"] if label_of(d, "source", "aspect") == names[chosen]), None)
    models = [model for row in mine for model in row.get("models", ())]
    main = "alpha_nominal" if mine[0]["question"] == "comparison" else "alpha_interval"
    sections = []
    shares = [(GROUPS[row["annotators"]], row["percent"], KIND[row["annotators"]]) for row in mine]
    shares += [(f"{m['name']} with people", m["percent"], "lm") for m in models]
    sections.append(
        Section(
            "How often two votes on the same item agree",
            intervals(plot_rows(shares), title="Share of agreeing votes", value_label="Share of agreeing votes",
                          percent=True),
            coefficient_table(mine, models),
            clusters_text(mine),
            "agreement",
        )
    )  # fmt: skip
    beyond = [(GROUPS[row["annotators"]], row[main], KIND[row["annotators"]]) for row in mine]
    beyond += [(f"{m['name']} with people", m[main], "lm") for m in models]
    drawn = plot_rows(beyond)
    if drawn:
        word = "nominal" if main == "alpha_nominal" else "interval"
        sections.append(
            Section(
                "Agreement beyond chance",
                interval_plot(drawn, title="Agreement beyond chance", reference=0.0,
                              value_label=f"Krippendorff's α ({word}); 0 is chance, 1 is perfect"),
                name="alpha",
            )
        )  # fmt: skip
    if detail:
        sections += _details(detail)
    return Page(_agreement_lede(mine, main), names, chosen, sections)


def _agreement_lede(rows: list[dict], main: str) -> str:
    people = next((row for row in rows if row["annotators"] == "human"), None)
    row = people or rows[0]
    who = {"human": "Two people", "lm": "Two models", "human-lm": "A person and a model"}[row["annotators"]]
    share, alpha = row["percent"], row[main]
    if share is None:
        return f"{who}: agreement is undefined, because {row['undefined']['percent']}."
    beyond = (
        f"beyond chance that is an α of {say(alpha)}"
        if alpha
        else f"beyond chance it is undefined, because {row['undefined'][main]}"
    )
    return f"{who} agree on {say(share, True)} of {counted(share['n'], 'item')}; {beyond}."


def clusters_text(rows: list[dict]) -> str:
    """What the intervals stand for, in words."""
    both = any(row["clusters"] == "items and annotators" for row in rows)
    people = next((row for row in rows if row["annotators"] == "human"), None)
    if both:
        return "95 % intervals over items and people, whose votes belong together."
    if people is not None and people["percent"] is not None:
        return (
            f"95 % intervals over items. Only {counted(people['n_annotators'], 'person', 'people')} judged, so the figures speak of these "
            "people and not of people like them."
        )
    return "95 % intervals over items."


def coefficient_table(rows: list[dict], models: list[dict]) -> Table:
    """Every coefficient of every group, with reasons where undefined."""
    head = [
        "",
        "Items",
        *(word for _, word in COEFFICIENTS),
        "α of the three most similar",
        "One against the rest",
        "With the majority",
        "κ with it",
    ]
    cells: list[list[object]] = []
    for row in rows:
        n = row["percent"]["n"] if row["percent"] else 0
        cells.append(
            [GROUPS[row["annotators"]], n, *(row.get(key) for key, _ in COEFFICIENTS),
             row.get("three_most_similar"), row.get("one_against_rest"), None, None]
        )  # fmt: skip
    for m in models:
        n = m["percent"]["n"] if m["percent"] else 0
        cells.append(
            [f"{m['name']} with people", n, *(m.get(key) for key, _ in COEFFICIENTS), None, None, m["with_majority"],
             m["kappa_with_majority"]]
        )  # fmt: skip
    reasons = {
        f"{GROUPS[row['annotators']]}: {reason}" for row in rows for reason in row["undefined"].values()
    }
    return Table(
        "coefficients",
        "All coefficients",
        head,
        cells,
        "; ".join(sorted(reasons)),
        frozenset({"Agree", "One against the rest", "With the majority"}),
    )


def _details(detail: dict) -> list[Section]:
    sections = []
    pairs = [pair for pair in detail["pairs"] if pair["n"]]
    if pairs:
        names = list(
            dict.fromkeys([name for pair in detail["pairs"] for name in (pair["first"], pair["second"])])
        )
        shown = names[:MANY_PEOPLE]
        of = {(p["first"], p["second"]): p for p in pairs} | {(p["second"], p["first"]): p for p in pairs}
        grid = [[of[a, b]["kappa"] if (a, b) in of else None for b in shown] for a in shown]
        table = Table(
            "pairs", "Every two of the busiest annotators",
            ["First", "Second", "Items both judged", "Agree", "Cohen's κ", "Quadratic κ"],
            [[p["first"], p["second"], p["n"], p["percent"], p["kappa"], p["quadratic_kappa"]] for p in pairs],
            percent=frozenset({"Agree"}),
        )  # fmt: skip
        sections.append(
            Section(
                "Who agrees with whom",
                heat_plot(shown, grid, title="Cohen's kappa of two annotators",
                          caption="Cohen's κ on the items both judged; stronger colour agrees more. Empty: none in common, or "
                                  "undefined."),
                table,
                name="pairs",
            )
        )  # fmt: skip
    times = [part for part in detail["over_time"] if part["percent"]]
    if len(times) > 1:
        start = times[0]["start"]
        points = [
            Point(((part["start"] + part["end"]) / 2 - start) / 86_400, part["percent"]["value"],
                  part["percent"]["lo"], part["percent"]["hi"], part["percent"]["n"])
            for part in times
        ]  # fmt: skip
        table = Table(
            "over_time", "Agreement over time", ["From", "To", "Agree", "α nominal"],
            [[day(p["start"]), day(p["end"]), p["percent"], p["alpha_nominal"]] for p in times],
            percent=frozenset({"Agree"}),
        )  # fmt: skip
        sections.append(
            Section(
                "Over time",
                line_plot([Series("People", points, "human")], title="Agreement over time",
                          x_label=f"Days since {day(start)}, by an item's last vote", y_label="Agreeing votes",
                          y_percent=True, newest=True),
                table,
                "Parts of equally many items.",
                "over_time",
            )
        )  # fmt: skip
    if len(detail["by_batch"]) > 1:
        batches = detail["by_batch"]
        rows = [(b["batch"] or "no batch", b["percent"], "human") for b in batches]
        table = Table(
            "by_batch", "By batch", ["Batch", "Agree", "α nominal", "α ordinal"],
            [[b["batch"] or "no batch", b["percent"], b["alpha_nominal"], b["alpha_ordinal"]] for b in batches],
            percent=frozenset({"Agree"}),
        )  # fmt: skip
        plot = interval_plot(
            plot_rows(rows)[:MOST_ROWS],
            title="Agreement by batch",
            value_label="Agreeing votes",
            percent=True,
        )
        sections.append(Section("By batch", plot, table, name="by_batch"))
    return sections


def day(seconds: int) -> str:
    """A date as people say it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%-d %b %Y}"
