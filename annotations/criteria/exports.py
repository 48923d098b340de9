"""Released criteria in other tools' forms: Prometheus rubrics, CritiQ's criteria, assertions as a Python module."""

from __future__ import annotations

import re

from annotations.projects.models import CriteriaRelease

from .models import CriterionVersion, Grader, ReleasedSet
from .releases import wording_of

FORMATS = {"prometheus": "json", "critiq": "json", "assertions": "py"}
_STEPS = (
    "fails it throughout", "mostly fails it", "meets it in part", "meets it with small lapses", "meets it fully",
)  # fmt: skip


def versions_of(release: CriteriaRelease) -> list[tuple[CriterionVersion, dict]]:
    """The release's versions with their members' facts, in the release's order."""
    members = ReleasedSet.objects.get(release=release).members
    found = CriterionVersion.objects.select_related("criterion").in_bulk([m["version"] for m in members])
    return [(found[m["version"]], m) for m in members if m["version"] in found]


def prometheus(release: CriteriaRelease) -> list[dict]:
    """One rubric per criterion: criteria, score1_description … score5_description."""
    rows = []
    for version, _ in versions_of(release):
        anchors = version.anchors or [f"The response {step}." for step in _STEPS]
        rows.append(
            {
                "criteria": f"{version.criterion.name}: {wording_of(version)}",
                **{f"score{n}_description": text for n, text in enumerate(anchors, 1)},
            }
        )
    return rows


def critiq(release: CriteriaRelease) -> list[dict]:
    """CritiQ's criteria: name, description, score (the weight in the vote)."""
    return [
        {
            "name": version.criterion.name,
            "description": wording_of(version),
            "score": member.get("weight", 1.0),
        }
        for version, member in versions_of(release)
    ]


def assertions(project) -> str:
    """The approved Python assertions of the criteria in force, as one module. It is text here and is never run."""
    graders = Grader.objects.filter(
        version__criterion__project=project, kind=Grader.Kind.CODE, approved_at__isnull=False,
        version__criterion__status__in=["active", "trusted"],
    ).select_related("version__criterion").order_by("pk")  # fmt: skip
    parts = [
        '"""Assertions about responses, exported by Plumbline. Each returns True where the response passes."""'
    ]
    for g in graders:
        name = re.sub(r"\W+", "_", g.version.criterion.name.lower()).strip("_") or "criterion"
        body = re.sub(
            r"^def evaluate\(", f"def {name}_{g.pk}(", g.body["code"].strip(), count=1, flags=re.MULTILINE
        )
        parts.append(f"# {_comment(g.version.criterion.name)}: {_comment(g.version.wording)}\n{body}")
    return "\n\n\n".join(parts) + "\n"


def _comment(text: str) -> str:
    return " ".join(text.split())
