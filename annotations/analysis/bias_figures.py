"""The page about bias, from its report."""

from __future__ import annotations

from app.web.plots import interval_plot

from . import bias as biases
from .figures import (
    GROUPS,
    KIND,
    MOST_ROWS,
    Page,
    Section,
    Table,
    choose,
    label_of,
    plot_rows,
    points,
    say,
)

SHORT = {
    "left": "left",
    "longer": "longer",
    "markdown": "Markdown",
    "assertive": "fewer hedges",
    "ties": "ties",
}


def bias_page(report: dict, chosen: int = 0) -> Page:
    """What verdicts follow, per question."""
    rows = [row for row in report["results"] if row["kind"] not in ("protocol", "rating_drift")]
    names, chosen = choose([label_of(row, "source", "aspect") for row in rows], chosen)
    if not names:
        return Page("Nothing compares two responses yet.")
    mine = [row for row in rows if label_of(row, "source", "aspect") == names[chosen]]
    sections = []
    for measure in biases.MEASURES:
        drawn = plot_rows(
            [
                ("People" if row["kind"] == "human" else row["judges"], row[measure], KIND[row["kind"]])
                for row in mine
            ]
        )
        if not drawn:
            continue
        about = measure not in ("ties", "order_flips")
        sections.append(
            Section(
                biases.WORDS_OF[measure],
                interval_plot(
                    drawn[:MOST_ROWS], title=biases.WORDS_OF[measure], percent=True,
                    value_label="Share of decided verdicts" if about else "Share of verdicts",
                    reference=0.5 if about else None,
                ),
                name=measure,
            )
        )  # fmt: skip
    table = Table(
        "bias", "All figures",
        ["Judge", *(biases.WORDS_OF[m] for m in biases.MEASURES), "Longer: minus people", "Markdown: minus people",
         "Verdicts"],
        [
            ["People" if row["kind"] == "human" else row["judges"], *(row[m] for m in biases.MEASURES),
             row["against_people"].get("longer"), row["against_people"].get("markdown"), row["n"]]
            for row in mine
        ],
        _undefined(mine),
        frozenset({*biases.WORDS_OF.values(), "Longer: minus people", "Markdown: minus people"}),
    )  # fmt: skip
    sections.append(Section("All figures", table=table, name="bias"))
    sections += _drift_sections(mine, [row for row in report["results"] if row["kind"] == "rating_drift"])
    protocol = [row for row in report["results"] if row["kind"] == "protocol"]
    if protocol:
        table = Table(
            "protocol", "Ratings against comparisons",
            ["Aspect", "Attribute", "Judges", "Better rated is preferred"],
            [[label_of(r, "source", "aspect"), r["attribute"], GROUPS[r["judges"]], r["consistent"]] for r in protocol],
            "The same judge on the same pair; equal ratings and ties are left out.",
            frozenset({"Better rated is preferred"}),
        )  # fmt: skip
        sections.append(Section("Do ratings fit comparisons?", table=table, name="protocol"))
    return Page(_bias_lede(mine), names, chosen, sections)


def _drift_sections(rows: list[dict], ratings: list[dict]) -> list[Section]:
    """What changed from the earlier half of the votes to the later."""
    found = [
        (_judge(row), measure, KIND[row["kind"]], each)
        for row in rows
        for measure, each in row["drift"].items()
    ]
    sections = []
    if found:
        table = Table(
            "drift", "Earlier and later votes", ["Judge", "What", "Earlier half", "Later half", "Change"],
            [[who, biases.WORDS_OF[what], each["before"], each["after"], each["change"]] for who, what, _, each in found],
            "Split at the middle of the votes' times. Other items come at other times, so a change may be the items'.",
            frozenset({"Earlier half", "Later half", "Change"}),
        )  # fmt: skip
        plot = interval_plot(
            plot_rows([(f"{who}: {SHORT[what]}", each["change"], kind) for who, what, kind, each in found])[:MOST_ROWS],
            title="Change from earlier to later votes", percent=True, reference=0.0,
            value_label="Later half of the votes minus the earlier half",
        )  # fmt: skip
        sections.append(Section("Does it drift?", plot, table, "Zero: as before.", "drift"))
    if ratings:
        table = Table(
            "rating_drift", "Do ratings move?", ["Attribute", "Judges", "Earlier half", "Later half", "Change"],
            [
                [label_of(r, "source", "attribute"), GROUPS[r["judges"]], *(r["drift"][k] for k in ("before", "after", "change"))]
                for r in ratings
            ],
            "Mean ratings, split at the middle of their times.",
        )  # fmt: skip
        sections.append(Section("Do ratings move?", table=table, name="rating_drift"))
    return sections


def _undefined(rows: list[dict]) -> str:
    """Which figures there are none of, of whom, and why."""
    whose: dict[str, list[str]] = {}
    for row in rows:
        for measure, why in row["undefined"].items():
            whose.setdefault(f"{biases.WORDS_OF[measure]}: {why}", []).append(_judge(row))
    return "; ".join(f"{words} ({', '.join(judges)})" for words, judges in sorted(whose.items()))


def _judge(row: dict) -> str:
    return "People" if row["kind"] == "human" else row["judges"]


def _bias_lede(rows: list[dict]) -> str:
    found = [
        (row["judges"], row["against_people"]["longer"])
        for row in rows
        if row["against_people"].get("longer") and (row["against_people"]["longer"]["lo"] or 0) > 0
    ]
    if found:
        name, most = max(found, key=lambda pair: pair[1]["value"])
        return (
            f"{name} prefers the longer response {points(most)} points more often than people do on the same "
            f"{most['n']:,} items."
        )
    people = next((row for row in rows if row["kind"] == "human"), None)
    if people and people["longer"]:
        return f"People prefer the longer response in {say(people['longer'], True)} of decided verdicts."
    return "What verdicts follow besides quality."
