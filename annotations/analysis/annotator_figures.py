"""The page about annotators, from its report."""

from __future__ import annotations

from .figures import (
    KIND,
    KIND_WORDS,
    MOST_ROWS,
    Page,
    Section,
    Table,
    choose,
    counted,
    intervals,
    number,
    plot_rows,
)


def annotators_page(report: dict, chosen: int = 0) -> Page:
    """How each annotator judges one question."""
    rows = report["results"]
    names, chosen = choose([row["aspect"] for row in rows], chosen)
    if not names:
        return Page("Nobody has judged yet.")
    people = rows[chosen]["annotators"]
    drawn = plot_rows([(p["name"], p["with_rest"], KIND[p["kind"]]) for p in people if p["n"]][:MOST_ROWS])
    table = Table(
        "annotators", "Annotators",
        ["Annotator", "Kind", "Votes", "As most others say", "Right (Dawid–Skene)", "Competence (MACE)", "Ability (GLAD)",
         "Peer score", "α without them", "Care", "Ties", "Left", "Median s", "Gold", "Repeats", "May stand in for a person"],
        [
            [p["name"], KIND_WORDS[p["kind"]], p["n"], p["with_rest"],
             p["accuracy"], p["competence"], p["ability"], p["peer_score"], p["alpha_without"], p["care"], p.get("ties"), p.get("left"), p.get("seconds"),
             p.get("gold"), p.get("repeats"), stands_in(p.get("alt"))]
            for p in people
        ],
        "Right, competence and ability are three models' answers to who is careful: the chance that a vote is right; the share of "
        "votes given with knowledge and not by habit; the log-odds of being right on an item of average difficulty. Peer score: how "
        "much oftener a person says what another says of the same item than of other items; 0 for whoever answers without looking. "
        "It may set a bonus; nothing is paid by it here. α without them: how people's agreement changes when the person is left out. Care: the share of votes that are "
        "not like random clicks. Standing in: the alternative annotator test with ε = 0.2; it needs three people with 30 items that the model and somebody else "
        "judged too.",
        frozenset({"As most others say", "Right (Dawid–Skene)", "Competence (MACE)", "Care", "Ties", "Left", "Gold", "Repeats"}),
    )  # fmt: skip
    plot = intervals(
        drawn, title="As most others say", value_label="Share of votes that equal the most frequent of the others'",
        percent=True,
    )  # fmt: skip
    n_models = sum(p["kind"] == "lm" for p in people)
    n_people = sum(p["kind"] == "human" for p in people)
    lede = (
        " and ".join(
            [counted(n_people, "person", "people")] * (n_people > 0)
            + [counted(n_models, "model")] * (n_models > 0)
        )
        + " judged this."
    )
    passing = [p["name"] for p in people if (p.get("alt") or {}).get("passes")]
    if passing:
        lede += f" {passing[0]} may stand in for a person."
    sections = [Section("Who judges as the others do", plot, table, name="annotators")]
    hardest = rows[chosen]["hardest"]
    if hardest:
        table = Table(
            "hardest", "Hardest items", ["Item", "Source", "Difficulty", "Chance that a vote is right", "Votes"],
            [[h["item"], h["source"], h["difficulty"], h["right"], h["difficulty"]["n"]] for h in hardest],
            "Difficulty: two-parameter item response theory, people as takers; on an item of 0 an average person is right half of the time.",
            frozenset({"Chance that a vote is right"}),
        )  # fmt: skip
        sections.append(Section("Hardest items", table=table, name="hardest"))
    return Page(lede, names, chosen, sections)


def stands_in(test: dict | None) -> str | None:
    """The alternative annotator test in words."""
    if test is None:
        return None
    if test["passes"] is None:
        return "too little to test"
    return f"{'yes' if test['passes'] else 'no'}, wins {number(test['winning_rate'], True)} of {test['people']} people"
