"""Task design, guidelines and settings: versions, errors beside their fields, and the log."""

import json
from decimal import Decimal

import pytest
from django.urls import reverse

from annotations.projects import setup
from annotations.projects.models import Acknowledgement, Guideline, TaskSchema
from annotations.projects.presets import PRESETS
from annotations.projects.schemas import Definition
from annotations.projects.wording import question_words, responses_words
from app.accounts.models import AuditEvent
from app.ledger import ledger
from app.ledger.models import Account

pytestmark = pytest.mark.django_db
DESIGN = "/p/pairs/design/"


def test_a_new_version_is_stored_then_asked(project, alice_client):
    definition = json.dumps(PRESETS["thumbs"])
    alice_client.post(DESIGN, {"definition": definition})
    project.refresh_from_db()
    assert project.schema.number == 1  # stored is not asked
    alice_client.post(reverse("projects:use_version", args=["pairs", 2]))
    project.refresh_from_db()
    assert project.schema.label == "v2"
    alice_client.post(DESIGN, {"definition": definition, "use": "1"})  # the same again is the same version
    assert TaskSchema.objects.filter(project=project).count() == 2
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "target")) == [
        ("schema.added", "v2"),
        ("schema.used", "v2"),
        ("schema.used", "v2"),
    ]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("", "Choose a file, or paste a design."),
        ("{", "Line 1, column 2"),
        ("[1]", "Expected a JSON object"),
        ('{"questions": []}', "questions: expected at least 1"),
        (
            '{"questions": [{"kind": "rating", "name": "q", "label": "Q", "min": 1, "max": 1}]}',
            "questions.0.max: expected min + 1",
        ),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_errors_of_a_definition_are_named_and_the_text_is_kept(project, alice_client, definition, words):
    response = alice_client.post(DESIGN, {"definition": definition})
    assert response.status_code == 400
    assert words in response.content.decode()
    assert definition[:40].replace('"', "&quot;") in response.content.decode()
    assert TaskSchema.objects.filter(project=project).count() == 1


def test_every_preset_reads_as_words():
    found = {
        key: [(q.label, q.answers) for q in question_words(Definition.model_validate(preset))]
        for key, preset in PRESETS.items()
    }
    assert found["arena4"] == [
        ("Which response is better?", "A better · about equal · both bad · B better"),
    ]
    assert found["ratings"][0] == ("Quality", "each response: 1 to 5")
    assert found["multipref5"][1] == ("How sure are you overall?", "Absolutely · Fairly · Not")
    assert found["ranking"][0] == ("Order the responses, best first", "best first, ties allowed")
    assert responses_words(Definition.model_validate(PRESETS["thumbs"])) == "1 to 8 responses"


def test_guidelines_have_versions_and_count_who_read_them(project, annotator, alice, alice_client):
    page = reverse("projects:guidelines", args=["pairs"])
    assert "no guidelines yet" in alice_client.get(page).content.decode()
    alice_client.post(page, {"text": "# One\r\n<script>alert(1)</script>"})
    alice_client.post(page, {"text": "# One\n<script>alert(1)</script>"})  # the same words add nothing
    Acknowledgement.objects.create(guideline=Guideline.objects.get(), annotator=annotator)
    text = alice_client.get(page).content.decode()
    assert "Version 1 is in force; 1 of 1 active person acknowledged it" in text
    assert "<script>alert" not in text
    alice_client.post(page, {"text": "Two"})
    assert "Version 2 is in force; 0 of 1" in alice_client.get(page).content.decode()
    assert ">One</h1>" in alice_client.get(page, {"version": "1"}).content.decode()
    assert alice_client.get(page, {"version": "3"}).status_code == 404
    assert alice_client.post(page, {"text": " \n"}).status_code == 400
    assert AuditEvent.objects.filter(action="guideline.added").count() == 2
    preview = alice_client.post(reverse("projects:markdown_preview"), {"text": "*new*"})
    assert "<em>new</em>" in preview.content.decode()


def test_settings_and_the_budget_are_written_together_or_not_at_all(alice, alice_client):
    project = setup.create_project(
        name="Money", slug="money", owner=alice, definition=PRESETS["thumbs"], cap=Decimal(10)
    )
    ledger.reserve(account_id=project.account_id, amount=Decimal(4), purpose="test")
    page = reverse("projects:settings", args=["money"])
    values = {
        "name": "Renamed", "description": "Why", "status": "paused", "overlap": "3", "lease_minutes": "10",
        "edit_minutes": "5", "human_cost": "0.25",
    }  # fmt: skip
    response = alice_client.post(page, values | {"cap": "3"})
    assert response.status_code == 400
    assert "4 EUR are spent or held" in response.content.decode()
    project.refresh_from_db()
    assert (project.name, project.overlap) == ("Money", 1)
    assert alice_client.post(page, values | {"cap": "12.50", "overlap": "0"}).status_code == 400
    assert alice_client.post(page, values | {"cap": "12.50"}).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.status, project.overlap, project.human_cost) == (
        "Renamed", "paused", 3, Decimal("0.25")
    )  # fmt: skip
    assert Account.objects.get(pk=project.account_id).cap == Decimal("12.5")
    event = AuditEvent.objects.get(action="project.settings_changed")
    assert event.detail["changed"] == (
        "name, description, overlap, lease_minutes, edit_minutes, status, human_cost, cap"
    )
