"""What the page about a selection shows."""

from __future__ import annotations

from .figures import Table


def selection_table(found: dict, of: str) -> Table:
    """The chosen candidates, the best first."""
    head = ["Item", "Response", "Group", "Points", "Votes", "Only by the bound"]
    rows = [
        [
            row["item"],
            row["response"],
            row["group"],
            row["score"],
            row["votes"],
            "yes" if row["only_by_bound"] else "",
        ]
        for row in found["chosen"]
    ]
    return Table(
        "selection", "Chosen", head, rows, f"{POINTS[of, found['points']]} Of equals, whichever came first."
    )


POINTS = {
    (
        "responses",
        "comparisons",
    ): "Points: the share of comparisons won, ties as half, with one vote of ½ beside.",
    (
        "responses",
        "ratings",
    ): "Points: the share of what a person rated that they rated lower, with one vote of ½ beside.",
    ("items", "ratings"): "Points: the share of items that a person rated lower, with one vote of ½ beside.",
    (
        "items",
        "agreement",
    ): "Points: the share of people who say what most others say of the item, with one vote of ½ beside.",
}


def groups_table(found: dict) -> Table:
    """How the groups fare, with and without the bounds."""
    return Table(
        "groups", "Groups", ["Group", "Candidates", "Chosen", "Chosen without bounds", "Mean points"],
        [[g["name"], g["candidates"], g["chosen"], g["unbounded"], g["score"]] for g in found["groups"]],
    )  # fmt: skip


def selection_lede(found: dict) -> str:
    """What the bounds cost, in a sentence."""
    n = len(found["chosen"])
    moved = sum(row["only_by_bound"] for row in found["chosen"])
    if not moved:
        return f"{n:,} of {found['candidates']:,} chosen; no bound changed anything."
    cost = found["unbounded_value"] - found["value"]
    price = (
        f"cost {cost:.3f} of {found['unbounded_value']:.3f} points on average"
        if cost >= 0.0005
        else "cost no points"
    )
    return f"{n:,} of {found['candidates']:,} chosen. The bounds brought in {moved:,} and {price}."
