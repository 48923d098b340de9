"""Versions of the task over the API: made once, compared with what is asked, asked from now on."""

from __future__ import annotations

import pytest

from annotations.projects.models import TaskSchema
from annotations.projects.presets import PRESETS
from app.accounts.models import AuditEvent

pytestmark = pytest.mark.django_db
SCHEMAS = "/api/v1/projects/pairs/schemas"


def test_a_version_is_made_once_compared_and_asked(project, alice_api):
    made = alice_api.post(SCHEMAS, {"definition": PRESETS["thumbs"]}, format="json")
    assert (made.status_code, made["Location"]) == (201, f"{SCHEMAS}/2")
    assert (made.json()["version"], made.json()["asked"], made.json()["breaking"]) == ("v2", False, True)
    assert [change["words"] for change in made.json()["changes"]][:2] == [
        "The title is “Thumbs” instead of “Preference, helpfulness and correctness”.",
        "For items with 1 to 8 responses instead of 2 responses.",
    ]
    again = alice_api.post(SCHEMAS, {"definition": made.json()["definition"]}, format="json")
    assert (again.status_code, again.json()) == (200, made.json())
    project.refresh_from_db()
    assert project.schema.number == 1
    used = alice_api.post(f"{SCHEMAS}/2/use")
    assert (used.status_code, used.json()["asked"], used.json()["changes"]) == (200, True, [])
    listed = alice_api.get(SCHEMAS).json()["results"]
    assert [(row["number"], row["asked"], row["breaking"]) for row in listed] == [
        (2, True, False),
        (1, False, True),
    ]
    assert {**alice_api.get(f"{SCHEMAS}/2").json(), "ask_again": None} == used.json()
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "target")) == [
        ("schema.added", "v2"),
        ("schema.used", "v2"),
    ]


def test_a_wrong_design_is_refused_by_path(project, alice_api):
    definition = {
        "questions": [
            {"kind": "rating", "name": "q", "label": "", "min": 0, "max": 4},
            {"kind": "text", "name": "skip", "label": "Why?", "when": {"question": "z"}},
        ]
    }
    refused = alice_api.post(SCHEMAS, {"definition": definition}, format="json")
    assert refused.status_code == 400
    assert refused.json()["errors"] == [
        {"field": "definition.questions.0.label", "message": "write something"}
    ]
    definition["questions"][0]["label"] = "Q"
    errors = alice_api.post(SCHEMAS, {"definition": definition}, format="json").json()["errors"]
    assert errors == [
        {"field": "definition.questions.1.when.question", "message": "'z' is not asked before this question"}
    ]
    assert TaskSchema.objects.filter(project=project).count() == 1
    assert alice_api.post(SCHEMAS, {"definition": definition, "use": True}, format="json").status_code == 400
