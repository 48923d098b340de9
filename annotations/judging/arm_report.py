"""How judging differs between experiment arms: time, ties, agreement, gold; whole people are drawn again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from annotations.projects import rules
from annotations.projects.models import Annotator, Project

from .intervals import clustered, difference
from .models import Check, Comparison, Judgment
from .quality import first_aspect

WINDOW = 20_000
DRAWS = 300
MEASURES = (
    ("seconds", "Median active time, s"),
    ("ties", "Ties"),
    ("agreement", "Agreement with others"),
    ("gold", "Gold right"),
)


@dataclass(slots=True)
class ArmNumbers:
    """One arm. Estimates are `{"value", "lo", "hi", "n"}`; `against` holds the differences to the first arm."""

    name: str
    people: int
    judgments: int
    estimates: dict[str, dict | None]
    against: dict[str, dict | None] = field(default_factory=dict)


def report(project: Project) -> list[ArmNumbers]:
    """The arms in the order of the rules, from the latest 20,000 judgments that people gave under an arm."""
    names = [arm.name for arm in rules.of(project).arms]
    if not names:
        return []
    given = Judgment.objects.filter(
        project=project, annotator__kind=Annotator.Kind.HUMAN, outcome=Judgment.Outcome.ANSWERED
    )
    rows = list(
        given.filter(arm__in=names, is_current=True)
        .order_by("-pk")
        .values_list("pk", "item", "annotator", "arm", "active_ms")[:WINDOW]
    )
    values: dict[str, dict[str, dict[int, list[float]]]] = {
        name: {key: defaultdict(list) for key, _ in MEASURES} for name in names
    }
    sides = _sides(project, {row[1] for row in rows})
    counts = dict.fromkeys(names, 0)
    people: dict[str, set[int]] = {name: set() for name in names}
    for _, item, person, arm, active_ms in rows:
        counts[arm] += 1
        people[arm].add(person)
        if active_ms is not None:
            values[arm]["seconds"][person].append(active_ms / 1000)
        votes = sides.get(item, {})
        if person not in votes:
            continue
        values[arm]["ties"][person].append(float(votes[person] == 0))
        others = [side for other, side in votes.items() if other != person]
        if others:
            same = sum(side == votes[person] for side in others) / len(others)
            values[arm]["agreement"][person].append(same)
    checks = Check.objects.filter(
        kind=Judgment.Aside.GOLD, judgment__project=project, judgment__arm__in=names
    )
    for person, arm, passed in checks.order_by("-pk").values_list("annotator", "judgment__arm", "passed")[
        :WINDOW
    ]:
        values[arm]["gold"][person].append(float(passed))
    return _numbers(names, values, counts, people, seed=project.seed)


def finding(rows: list[ArmNumbers]) -> str:
    """The report in a sentence: where an arm differs from the first beyond chance, by which measure most."""
    if not rows:
        return ""
    if len(rows) == 1 or not any(row.judgments for row in rows):
        return "There is nothing to compare yet."
    apart, compared = [], 0
    for row in rows[1:]:
        for key, words in MEASURES:
            gap = row.against.get(key)
            if gap is None or gap["lo"] is None:
                continue
            compared += 1
            if gap["lo"] > 0 or gap["hi"] < 0:
                sureness = abs(gap["value"]) / max(gap["hi"] - gap["lo"], 1e-12)
                apart.append((sureness, row.name, key, words, gap))
    if not compared:
        return "Too few people have judged in each arm to compare them."
    if not apart:
        return f"Nothing differs from {rows[0].name} beyond chance."
    _, name, key, words, gap = max(apart)
    factor, unit, digits = (1, "s", 1) if key == "seconds" else (100, "points", 0)
    value, lo, hi = (f"{gap[part] * factor:+.{digits}f}".replace("-", "−") for part in ("value", "lo", "hi"))
    measure = words.partition(",")[0].lower()
    others = f"; {len(apart) - 1} other difference{'s' if len(apart) > 2 else ''}" if len(apart) > 1 else ""
    return f"{name} differs from {rows[0].name} in {measure}: {value} {unit} [{lo}, {hi}]{others}."


def _sides(project: Project, items: set[int]) -> dict[int, dict[int, int]]:
    """Per item the side each person prefers now in the comparison asked first: {item: {annotator: -1, 0, 1}}."""
    aspect = first_aspect(project)
    found: dict[int, dict[int, int]] = defaultdict(dict)
    if aspect is None:
        return found
    ordered = sorted(items)
    for start in range(0, len(ordered), 500):
        votes = Comparison.objects.filter(
            judgment__item__in=ordered[start : start + 500],
            judgment__is_current=True,
            judgment__annotator__kind=Annotator.Kind.HUMAN,
            aspect=aspect,
            first=0,
            second=1,
        )
        for item, person, preference in votes.values_list(
            "judgment__item", "judgment__annotator", "preference"
        ):
            found[item][person] = ((preference or 0) > 0) - ((preference or 0) < 0)
    return found


def _numbers(names, values, counts, people, *, seed: int) -> list[ArmNumbers]:
    drawn = {
        name: {
            key: clustered(
                [np.array(group) for group in values[name][key].values()],
                np.median if key == "seconds" else np.mean,
                draws=DRAWS,
                seed=abs(seed) + place,
            )
            for key, _ in MEASURES
        }
        for place, name in enumerate(names)
    }
    first = names[0]
    return [
        ArmNumbers(
            name,
            len(people[name]),
            counts[name],
            {key: drawn[name][key][0] for key, _ in MEASURES},
            {}
            if name == first
            else {key: difference(drawn[first][key], drawn[name][key]) for key, _ in MEASURES},
        )
        for name in names
    ]
